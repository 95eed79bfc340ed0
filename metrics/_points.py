"""What every metric does first: check the arrays it was given and draw the points it will use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentangle.errors import InputError

Codes = NDArray[Any]
Factors = NDArray[np.int64]
Rng = int | np.random.Generator

# Above this a float no longer holds every integer.
_LARGEST_VALUE = 2**53


def check(codes: ArrayLike, factors: ArrayLike, *, name: str = "") -> tuple[Codes, Factors]:
    """The two arrays in the form that the metrics compute with, or an error that says what is wrong.

    Args:
        codes: (N, D) real numbers; anything `numpy.asarray` reads, also data frames and tensors.
        factors: (N, F) class indices, of an integer type or floats that hold integers. Values need
            not be contiguous.
        name: put before the field's name in messages, such as ``"test"``.

    Returns:
        The codes with their dtype kept (bool becomes float64), the factors as int64. Either may share
        memory with the argument, so it must not be written to.

    Raises:
        InputError: an array is empty or not 2-D, its entries are not numbers of the kind above, or
            the two differ in length.

    >>> check([[0.5], [1.5]], [[0.0], [3.0]])[1].tolist()
    [[0], [3]]
    """
    of = f"{name} " if name else ""
    z, v = check_table(codes, f"{of}codes", "(N, D)"), check_table(factors, f"{of}factors", "(N, F)")
    if len(z) != len(v):
        raise InputError(
            f"{of}codes have {len(z)} rows and {of}factors {len(v)}; "
            "expected one row of factors per row of codes"
        )
    return (z.astype(np.float64) if z.dtype == bool else z), _classes(v, f"{of}factors")


def check_table(given: ArrayLike, field: str, shape: str) -> NDArray[Any]:
    """A non-empty 2-D array of finite real numbers; `field` and `shape` are for the messages."""
    try:
        # A tensor may need its gradient and its device taken off first.
        table = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{field} cannot be read as an array: {error}; expected numbers of shape {shape}"
        ) from error
    if table.ndim != 2:
        hint = f"; a single column is {field.split()[-1]}[:, None]" if table.ndim == 1 else ""
        raise InputError(f"{field} have shape {table.shape}; expected two dimensions, {shape}{hint}")
    if table.dtype.kind not in "fiub":
        raise InputError(f"{field} have dtype {table.dtype}; expected real numbers")
    if table.size == 0:
        raise InputError(f"{field} are empty, shape {table.shape}; expected at least one row and one column")
    if table.dtype.kind == "f" and not (finite := np.isfinite(table)).all():
        row, column = first_place(~finite)
        raise InputError(
            f"{field} have {int((~finite).sum())} of {table.size} entries that are NaN or infinite, "
            f"the first, {table[row, column]}, in row {row}, column {column}; expected finite numbers"
        )
    return table


def first_place(where: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the first true entry, row by row."""
    row, column = np.unravel_index(int(where.argmax()), where.shape)
    return int(row), int(column)


def _classes(table: NDArray[Any], field: str) -> Factors:
    """Factors as int64, if they are class indices."""
    if table.dtype.kind == "f" and (broken := table != np.floor(table)).any():
        row, column = first_place(broken)
        raise InputError(
            f"{field} are continuous: row {row}, column {column} is {table[row, column]}; "
            "expected class indices 0..size-1. Number a column's values with "
            "np.unique(column, return_inverse=True)[1], or bin it with np.digitize"
        )
    for bad, why in ((table < 0, "negative"), (table > _LARGEST_VALUE, "above 2**53")):
        if bad.any():
            row, column = first_place(bad)
            raise InputError(
                f"{field} have a value that is {why}: row {row}, column {column} is {table[row, column]}; "
                "expected class indices 0..size-1"
            )
    return table.astype(np.int64, copy=False)


def check_count(value: object, field: str, least: int = 1) -> int:
    """A whole number of at least `least`, such as a number of points."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{field} is {value!r}; expected a whole number of at least {least}")
    return int(value)


def check_factors(factors: Factors, points: int, *, field: str = "points", varies: bool = True) -> None:
    """That `points` rows can show every class of every factor, and that each factor has two classes.

    Raises:
        InputError: naming the column of the factor.
    """
    for column, values in enumerate(factors.T):
        classes = np.unique(values).size
        if varies and classes == 1:
            raise InputError(
                f"factors column {column} is constant, {int(values[0])} in all {len(values)} rows; "
                "expected at least two classes. Leave the column out"
            )
        if points < classes:
            raise InputError(
                f"{field} is {points}, fewer than the {classes} classes of factors column {column}; "
                f"expected at least {classes}"
            )


def check_mode(mode: object, *known: str) -> str:
    """The mode, if it is ``"default"`` or one of `known`.

    >>> check_mode("dlib", "dlib", "dlib2019")
    'dlib'
    """
    if mode == "default" or mode in known:
        return str(mode)
    raise InputError(f"mode is {mode!r}; expected one of {('default', *known)}")


def random_state(rng: Any) -> np.random.RandomState:
    """The legacy generator of a seed, from which the reference library draws.

    Raises:
        InputError: neither a seed below 2**32 nor a `numpy.random.RandomState`.
    """
    if isinstance(rng, np.random.RandomState):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or not 0 <= rng < 2**32:
        raise InputError(
            f"rng is {rng!r}; mode 'dlib' expects a seed below 2**32 or a numpy.random.RandomState"
        )
    return np.random.RandomState(int(rng))


def check_float32(codes: Codes, field: str) -> None:
    """That the codes are within the range of float32, in which boosted trees compute."""
    if (large := np.abs(codes.astype(np.float64)) > np.finfo(np.float32).max).any():
        row, column = first_place(large)
        raise InputError(
            f"{field} are {codes[row, column]} in column {column}, beyond float32, in which the trees "
            "compute; expected magnitudes below 3.4e38"
        )


def generator(rng: Rng | np.random.RandomState) -> np.random.Generator:
    """The generator of a seed; a generator is itself, and the metric's draws advance it.

    Raises:
        InputError: neither a non-negative integer nor a `numpy.random.Generator`.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise InputError(f"rng is {rng!r}; expected a non-negative integer seed or a numpy.random.Generator")
    return np.random.default_rng(int(rng))


def draw(
    codes: Codes, factors: Factors, points: int | None, rng: np.random.Generator, *, replace: bool = True
) -> tuple[Codes, Factors]:
    """`points` rows drawn with replacement, as the published protocol does; all rows for None.

    Without replacement there are at most as many as the table has.
    """
    if points is None or not (replace or points < len(codes)):
        return codes, factors
    rows = rng.integers(len(codes), size=points) if replace else rng.choice(len(codes), points, replace=False)
    return codes[rows], factors[rows]


def sample(
    codes: Codes,
    factors: Factors,
    points: int | None,
    rng: np.random.Generator,
    *,
    bins: int = 0,
    field: str = "points",
    replace: bool = True,
) -> tuple[Codes, Factors]:
    """`draw`, with the checks that the points suffice: for the bins, and to show every class.

    Raises:
        InputError: `points` (called `field`) is no whole number, there are fewer of them than bins or
            than classes of a factor, or a factor is constant.
    """
    points = None if points is None else check_count(points, field)
    used, named = (len(codes), "the number of rows") if points is None else (points, field)
    if used < bins:
        raise InputError(f"{named} is {used}, fewer than the {bins} bins; expected at least {bins}")
    check_factors(factors, used, field=named)
    codes, factors = draw(codes, factors, points, rng, replace=replace)
    check_factors(factors, used, field=named)  # a rare class may not have been drawn
    return codes, factors
