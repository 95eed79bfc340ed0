"""Batches of rows that agree in one factor, for the beta-VAE and the FactorVAE score.

From any table with a `numpy.random.Generator` (`table_*`), or from a full grid in the order in which the
reference library draws from a `numpy.random.RandomState` (`grid_*`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle.errors import InputError
from disentangle.metrics import _points

Integers = NDArray[np.int64]

# Rows drawn at once. Part of the stream of the `table_*` draws: do not make it an option.
_CHUNK = 32_768
# Words drawn for each that is expected to be needed, in `randint_rounds`.
_SPARE = 1.1


class Partners:
    """The rows of a table sorted by one factor, to draw a row with the same value of that factor."""

    def __init__(self, values: Integers) -> None:
        if values.max() > 4 * len(values):  # gaps: number the classes
            values = np.unique(values, return_inverse=True)[1].reshape(-1)
        self.values = np.ascontiguousarray(values)
        self.count = np.bincount(values)
        self.start = np.cumsum(self.count) - self.count
        small = values.astype(np.uint16) if len(self.count) <= 2**16 else values  # sorted by radix
        self.order = np.argsort(small, kind="stable")

    def draw(self, rows: Integers, rng: np.random.Generator, size: tuple[int, int] | None = None) -> Integers:
        """For each row one that agrees with it, uniformly, itself included.

        Args:
            rows: any shape.
            rng: advanced by the draws.
            size: the shape of the result, to which `rows` broadcast; None for that of `rows`.
        """
        value = self.values.take(rows)
        return self.order.take(self.start.take(value) + rng.integers(self.count.take(value), size=size))


def table_pairs(
    partners: Sequence[Partners], rows: int, count: int, batch: int, rng: np.random.Generator
) -> Iterator[tuple[Integers, Integers, Integers]]:
    """`count` times a factor, and `batch` pairs of rows of any table that agree in it.

    Yields:
        Factors (n,), first and second rows (n, batch) each, of all points in chunks.
    """
    labels = rng.integers(len(partners), size=count)
    for label in _chunks(labels, batch):
        first = rng.integers(rows, size=(len(label), batch))
        second = np.empty_like(first)
        for k, partner in enumerate(partners):
            second[label == k] = partner.draw(first[label == k], rng)
        yield label, first, second


def table_groups(
    partners: Sequence[Partners], rows: int, count: int, batch: int, rng: np.random.Generator
) -> Iterator[tuple[Integers, Integers]]:
    """`count` times a factor, and `batch` rows of any table that all agree in it.

    The value that they share is the one of a row drawn uniformly.

    Yields:
        Factors (n,) and rows (n, batch), of all points in chunks.
    """
    labels = rng.integers(len(partners), size=count)
    for label in _chunks(labels, batch):
        like = rng.integers(rows, size=(len(label), 1))
        group = np.empty((len(label), batch), dtype=np.int64)
        for k, partner in enumerate(partners):
            own = label == k
            group[own] = partner.draw(like[own], rng, (int(own.sum()), batch))
        yield label, group


def grid_pairs(
    sizes: tuple[int, ...], count: int, batch: int, state: np.random.RandomState
) -> Iterator[tuple[Integers, Integers, Integers]]:
    """As `table_pairs`, from a full row-major grid of `sizes`, drawn in the reference's order.

    Per point: the factor k; the first rows, one draw of `batch` values per factor, in factor order;
    the second rows likewise, of which factor k is then overwritten.
    """
    for label, values in _grid_draws(sizes, count, batch, 2, state):
        first, second = values[: len(sizes)], values[len(sizes) :]
        for k in range(len(sizes)):
            second[k][label == k] = first[k][label == k]
        yield label, grid_rows(first, sizes), grid_rows(second, sizes)


def grid_groups(
    sizes: tuple[int, ...], count: int, batch: int, state: np.random.RandomState
) -> Iterator[tuple[Integers, Integers]]:
    """As `table_groups`, from a full row-major grid of `sizes`, drawn in the reference's order.

    Per point: the factor k; one draw of `batch` values per factor, in factor order, of which factor k
    is then overwritten by its first value.
    """
    for label, values in _grid_draws(sizes, count, batch, 1, state):
        for k in range(len(sizes)):
            values[k][label == k] = values[k][label == k, :1]
        yield label, grid_rows(values, sizes)


def grid_rows(values: Sequence[Integers], sizes: tuple[int, ...]) -> Integers:
    """Row numbers in a row-major grid of `sizes`, of one array of values per factor.

    >>> grid_rows([np.array([0, 1]), np.array([2, 0])], (2, 3)).tolist()
    [2, 3]
    """
    rows = values[0]
    for value, size in zip(values[1:], sizes[1:], strict=True):
        rows = rows * size + value
    return rows


def check_grid(factors: _points.Factors, mode: str = "dlib") -> tuple[int, ...]:
    """The sizes of the full row-major grid that `factors` is.

    Raises:
        InputError: it is none.

    >>> check_grid(np.indices((2, 3)).reshape(2, -1).T)
    (2, 3)
    """
    sizes = tuple(int(n) + 1 for n in factors.max(axis=0))
    rows = 1
    for n in sizes:
        rows *= n
    expected = f"expected every combination once, the last factor fastest, for mode {mode!r}"
    if rows != len(factors):
        raise InputError(
            f"factors have {len(factors)} rows where a full grid of sizes {sizes} has {rows}; {expected}"
        )
    wrong = factors != np.stack(np.unravel_index(np.arange(rows), sizes), axis=1)
    if wrong.any():
        row, column = _points.first_place(wrong)
        raise InputError(
            f"factors are no row-major grid of sizes {sizes}: row {row}, column {column} differs; {expected}"
        )
    return sizes


def grid_dtype(codes: Any) -> np.dtype[Any]:
    """What the reference computes in: the dtype of its codes, float32 or float64."""
    return np.dtype(np.float32 if codes.dtype in (np.float16, np.float32) else np.float64)


def check_range(codes: _points.Codes, limit: float) -> None:
    """That no code lies beyond `limit`, above which what is computed of them overflows.

    Raises:
        InputError: one does.
    """
    bound = np.float64(limit)  # a plain float would be cut to the dtype of the codes
    if codes.max() > bound or codes.min() < -bound:
        row, column = _points.first_place((codes > bound) | (codes < -bound))
        raise InputError(
            f"codes are {codes[row, column]} in row {row}, column {column}, too large for this metric; "
            f"expected magnitudes up to {limit:.1e}"
        )


def _chunks(labels: Integers, batch: int) -> Iterator[Integers]:
    step = max(1, _CHUNK // batch)
    for start in range(0, len(labels), step):
        yield labels[start : start + step]


def _grid_draws(
    sizes: tuple[int, ...], count: int, batch: int, sets: int, state: np.random.RandomState
) -> Iterator[tuple[Integers, list[Integers]]]:
    """Factors (n,), and `sets` times one array (n, batch) per factor."""
    steps = [(len(sizes), 1), *([(n, batch) for n in sizes] * sets)]
    for chunk in _chunks(np.arange(count), batch):
        labels, *values = randint_rounds(state, steps, len(chunk))
        yield labels[:, 0], values


def randint_rounds(
    state: np.random.RandomState, steps: Sequence[tuple[int, int]], rounds: int
) -> list[Integers]:
    """What ``[state.randint(n, size=size) for n, size in steps]`` gives, `rounds` times over, but fast.

    A loop over `randint` costs microseconds per call. Here the generator's 32-bit words are drawn at
    once and cut up as `randint` does it: a word gives its lowest bits, as many as n - 1 has, and is
    skipped where they make n or more; n = 1 takes no word.

    Args:
        state: left as the loop would leave it.
        steps: (n, size) of each call in a round; n at most 2**32.
        rounds: how often.

    Returns:
        One array (rounds, size) per step.

    >>> state = np.random.RandomState(0)
    >>> [part.tolist() for part in randint_rounds(state, [(5, 1), (10, 3)], 2)]
    [[[4], [3]], [[5, 0, 3], [3, 7, 9]]]
    >>> state.randint(100)
    83
    """
    before = state.get_state(legacy=False)
    expected = rounds * sum(size * (_mask(n) + 1) / n for n, size in steps if n > 1)
    drawn = int(_SPARE * expected) + 200
    while True:
        words = state.randint(2**32, size=drawn, dtype=np.uint32)
        state.set_state(before)
        try:
            parts, used = _cut(words, steps, rounds)
        except IndexError:  # more words were skipped than expected
            drawn *= 2
            continue
        state.randint(2**32, size=used, dtype=np.uint32)
        return parts


def _mask(n: int) -> int:
    """The smallest 2**bits - 1 that is at least n - 1."""
    return (1 << (n - 1).bit_length()) - 1


def _cut(
    words: NDArray[np.uint32], steps: Sequence[tuple[int, int]], rounds: int
) -> tuple[list[Integers], int]:
    """The draws of `randint_rounds`, and how many words they took.

    Raises:
        IndexError: there are too few words.
    """
    accepted: dict[int, NDArray[np.uint32]] = {}
    place: dict[int, memoryview] = {}  # of each value among the words
    rank: dict[int, memoryview] = {}  # how many values lie before a place
    for n in {n for n, _ in steps if n > 1}:
        low = words & np.uint32(_mask(n))
        kept = low < n
        places, ranks = np.flatnonzero(kept), np.zeros(len(words) + 1, dtype=np.int32)
        np.cumsum(kept, out=ranks[1:])
        accepted[n], place[n], rank[n] = low[places], places.data, ranks.data
    starts: list[list[int]] = [[] for _ in steps]
    taking = [(s, size - 1, place[n], rank[n]) for s, (n, size) in zip(starts, steps, strict=True) if n > 1]
    used = 0
    for _ in range(rounds):  # in plain Python: where a draw begins depends on where the last one ended
        for start, more, placed, ranked in taking:
            start.append(ranked[used])
            used = placed[start[-1] + more] + 1
    parts = [
        accepted[n].take(np.array(start, dtype=np.int64)[:, None] + np.arange(size)).astype(np.int64)
        if n > 1
        else np.zeros((rounds, size), dtype=np.int64)
        for start, (n, size) in zip(starts, steps, strict=True)
    ]
    return parts, used
