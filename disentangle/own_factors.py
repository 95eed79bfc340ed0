"""A user's table of factors: columns in any coding become indices, with names and values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LARGEST = 2**53  # above it a float no longer holds every whole number
FACTOR_NAME = re.compile(r"[\w.-]+")  # splits and study files take factors by name
NUMERAL = re.compile(r"0|-?[1-9][0-9]{0,17}")


def named(given: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """The names of the factors; ``factor_0`` and so on where none are given.

    Raises:
        InputError: there are not as many as columns, or one is not a name, or there twice.
    """
    if given is None:
        return tuple(f"factor_{i}" for i in range(count))
    names = [given] if isinstance(given, str) else list(given)
    if len(names) != count:
        raise InputError(f"factor_names has {len(names)} names; expected {count}, one per column of factors")
    for name in names:
        if not isinstance(name, str) or not FACTOR_NAME.fullmatch(name):
            raise InputError(f"factor_names has {name!r}; expected letters, digits, '_', '-' and '.'")
        if names.count(name) > 1:
            raise InputError(f"factor_names has {name!r} {names.count(name)} times; expected different names")
    return tuple(str(name) for name in names)


def coded(table: NDArray[Any], names: Sequence[str]) -> tuple[NDArray[np.int64], tuple[NDArray[Any], ...]]:
    """Each column's indices among its distinct values, and these values, in ascending order.

    Args:
        table: ``(N, F)`` whole numbers or texts. A column of texts that are all whole numbers counts as
            numbers, so that ``"2"`` is before ``"10"``.
        names: of the columns, for messages.

    Returns:
        Indices ``(N, F)`` and F arrays of values.

    Raises:
        InputError: a column holds something else, or has one value only.

    >>> coded(np.array([["red", "10"], ["blue", "2"]]), ["colour", "count"])[0].tolist()
    [[1, 1], [0, 0]]
    """
    codes, distinct = np.empty(table.shape, np.int64), []
    for i, name in enumerate(names):
        column = _column(table[:, i], f"factors column {i} ({name!r})")
        values, index = np.unique(column, return_inverse=True)
        if len(values) < 2:
            raise InputError(
                f"factors column {i} ({name!r}) has one value, {values[0]}, in all {len(table)} rows; "
                "expected at least two. Leave the column out"
            )
        codes[:, i] = index
        distinct.append(values)
    return codes, tuple(distinct)


def _column(column: NDArray[Any], what: str) -> NDArray[Any]:
    """A column as whole numbers or texts."""
    if column.dtype.kind == "O":
        column = _plain(column, what)
    kind = column.dtype.kind
    if kind == "b":
        return column.astype(np.int64)
    if kind in "iu":
        return column
    if kind == "f":
        with np.errstate(invalid="ignore"):
            bad = ~((column == np.floor(column)) & (np.abs(column) <= LARGEST))
        if bad.any():
            row = int(bad.argmax())
            raise InputError(
                f"{what} has {column[row]} in row {row}; expected whole numbers or texts. Number a column's "
                "values with np.unique(column, return_inverse=True), and give the values as factor_values"
            )
        return column.astype(np.int64)
    if kind == "U":
        return column.astype(np.int64) if all(map(NUMERAL.fullmatch, column.tolist())) else column
    raise InputError(f"{what} has dtype {column.dtype}; expected whole numbers or texts")


def _plain(column: NDArray[Any], what: str) -> NDArray[Any]:
    """A column of Python objects, as a data frame gives it, if they are all numbers or all texts."""
    for kinds, dtype in (
        ((str,), np.str_),
        ((int, np.integer), np.int64),
        ((float, np.floating), np.float64),
    ):
        if all(isinstance(value, kinds) for value in column):
            return column.astype(dtype)
    found = ", ".join(sorted({type(value).__name__ for value in column}))
    raise InputError(f"{what} holds Python objects ({found}); expected all whole numbers or all texts")


def valued(
    given: Sequence[ArrayLike | None] | None, names: Sequence[str], distinct: Sequence[NDArray[Any]]
) -> tuple[NDArray[Any], ...]:
    """What each factor's indices stand for: its distinct values, unless others are given.

    Raises:
        InputError: there is not one list per factor, with one number or text per distinct value.
    """
    if given is None:
        return tuple(distinct)
    if len(given) != len(names):
        raise InputError(
            f"factor_values has {len(given)} lists; expected {len(names)}, one per column of factors"
        )
    values = []
    for own, name, column in zip(given, names, distinct, strict=True):
        array = column if own is None else np.asarray(own)
        if array.shape != column.shape or array.dtype.kind not in "biufU":
            raise InputError(
                f"factor_values of {name!r} has shape {array.shape} and dtype {array.dtype}; expected "
                f"{len(column)} numbers or texts, one per distinct value of the column"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(
                f"factor_values of {name!r} has {array[~np.isfinite(array)][0]}; expected numbers"
            )
        values.append(array)
    return tuple(values)
