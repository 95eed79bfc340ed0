"""What training is shown: single images and weakly supervised pairs, of any grid and split."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from disentangle.errors import InputError, unknown
from disentangle.pairs import RULES, Pairs, Rule, assemble, check_k, chosen, counts_of, draw
from disentangle.splits import Table, parse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.data import FactorData

MOST = 2048  # combinations of new values that are weighed for each pair; of more, values are tried
ROUNDS = 64  # in which values are tried before all are weighed
TRIES = 16  # in which other factors change, before another x1 is drawn
FIRSTS = 1000  # that are drawn of an x1: more than any training meets if one image in ten has a partner
FEW = 1000  # cells, each of which is compared with all others when no partner is found at first
LIST = 5_000  # cells that are gone through for each pair; where there are more, values are tried first
AT_ONCE = 1 << 20  # combinations that are weighed, to bound the memory


class Sampler:
    """Draws images and pairs of a data set as its split has them.

    Args:
        data: the data set.

    Raises:
        InputError: the split is not one of these factors.

    >>> from disentangle.find import get
    >>> toy = get("dataset", "toy").load().with_split("without size=2")
    >>> sampler = Sampler(toy)
    >>> int(toy.factors(sampler.images(1000, np.random.default_rng(0)))[:, 0].max())
    1
    """

    def __init__(self, data: FactorData) -> None:
        self.data = data
        self.split = parse(data.split, data)
        self.plain = data.cells is None and not self.split.parts

    @cached_property
    def _cumulative(self) -> NDArray[np.float64]:
        return np.cumsum(self.split.weights())

    @cached_property
    def _cells(self) -> NDArray[np.int64]:
        """The cells that are shown."""
        return np.flatnonzero(self.split.shown)

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """How many images of each cell are shown ``(cells,)``."""
        if self.data.cells is None:
            return self.split.shown.astype(np.int64)
        return np.bincount(self.data.cells, minlength=self.data.grid) * self.split.shown

    @cached_property
    def _logs(self) -> NDArray[np.float64]:
        """Log-weights of the cells ``(cells,)``, those of their images added up; -inf if not shown."""
        with np.errstate(divide="ignore"):
            return self.split.logs + np.log(self._counts)

    @cached_property
    def _rate(self) -> NDArray[np.float64]:
        """How often new values that are tried are taken, by the images of their cell ``(cells,)``."""
        return np.asarray(self._counts / self._counts.max())

    def images(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """The indices of ``n`` images ``(n,)``, independent of each other."""
        if not self.split.parts:
            return rng.integers(0, len(self.data), n)
        total = self._cumulative[-1]
        drawn = np.searchsorted(self._cumulative, rng.random(n) * total, side="right")
        last = np.searchsorted(self._cumulative, total)  # for a product that rounds to the total
        return np.asarray(np.minimum(drawn, last), dtype=np.int64)

    def pairs(self, n: int, k: int | str, rule: Rule, rng: np.random.Generator) -> Pairs:
        """``n`` weakly supervised pairs; see `disentangle.pairs.sample_pairs` for the rules.

        x1 is an image as training shows it, and which factors change is drawn as on a full grid. x2 is then
        drawn from the images that training shows, as often as it shows them, among those that have x1's
        other factors (and under ``"paper"`` no old value of a factor that changes). Where there is no such
        image other factors change, as many; where none of 16 such choices has one, x1 is drawn anew.

        Raises:
            InputError: as `sample_pairs`, or no x1 that was drawn has a partner.

        Source: Roth et al. 2023, see `disentangle.splits`; what is done where there is no image is this
        suite's.
        """
        sizes = self.data.sizes
        if rule not in RULES:
            raise unknown("pair rule", str(rule), RULES)
        check_k(sizes, k, rule)
        if self.plain:
            return assemble(sizes, draw(sizes, n, k, rule, rng), rule)
        first = self.data.factors(self.images(n, rng))
        counts = counts_of(len(sizes), n, k, rule, rng)
        second, redrawn, label = first.copy(), np.zeros(first.shape, bool), np.zeros(n, np.int64)
        left = np.arange(n)
        for attempt in range(FIRSTS * TRIES):
            if attempt and attempt % TRIES == 0:
                first[left] = self.data.factors(self.images(len(left), rng))
            order, changes = chosen(sizes, rng.random((len(left), len(sizes))), counts[left], rule)
            other, found = self._partners(first[left], changes, rule, rng)
            done = left[found]
            second[done], redrawn[done] = other[found], changes[found]
            label[done] = np.take_along_axis(order[found], counts[done, None] - 1, axis=1)[:, 0]
            left = left[~found]
            if not len(left):
                return Pairs(first, second, redrawn, label)
            if attempt == TRIES and self._hopeless(set(counts[left].tolist())):
                break
        raise InputError(
            f"{self.data.name}: of the images that training shows none was found to differ from that of the "
            f"factors {first[left[0]].tolist()} in {counts[left[0]]} factors, nor from {FIRSTS - 1} others"
        )

    def _hopeless(self, counts: set[int]) -> bool:
        """Whether no two cells differ in so many factors, as far as that is quickly told."""
        if len(self._cells) > FEW:
            return False
        factors = np.stack(np.unravel_index(self._cells, self.data.sizes), axis=1)
        apart = set(np.unique((factors[:, None] != factors).sum(axis=2)).tolist())
        return not counts <= apart

    def any_image(self, factors: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The index of an image with each row of factors ``(..., F)``, a random one of several."""
        if self.data.cells is None:
            return self.data.index(factors)
        first = self.data.index(factors)
        last = np.searchsorted(self.data.cells, self.data.cells[first], side="right")
        return np.asarray(rng.integers(first, last), dtype=np.int64)

    def _partners(
        self, first: NDArray[np.int64], changes: NDArray[np.bool_], rule: Rule, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The factors of x2 ``(n, F)`` where these change, and whether there is one ``(n,)``."""
        other, found = first.copy(), np.zeros(len(first), bool)
        for pattern in np.unique(changes, axis=0):  # in an order of its own
            rows = np.flatnonzero((changes == pattern).all(axis=1))
            combinations = math.prod(np.array(self.data.sizes)[pattern].tolist())
            if combinations > MOST and len(self._cells) > LIST:
                rows = self._try(rows, pattern, first, other, found, rule, rng)
            if len(self._cells) < combinations:  # it is quicker to go through the images than the values
                for row in rows:
                    found[row] = self._match(first[row], pattern, other[row], rule, rng)
                continue
            step = max(1, AT_ONCE // combinations)
            for start in range(0, len(rows), step):
                one = rows[start : start + step]
                other[one], found[one] = self._weigh(first[one], np.flatnonzero(pattern), rule, rng)
        return other, found

    def _match(
        self,
        first: NDArray[np.int64],
        pattern: NDArray[np.bool_],
        other: NDArray[np.int64],
        rule: Rule,
        rng: np.random.Generator,
    ) -> bool:
        """Draw from the cells that are shown; whether any has x1's other factors. ``other`` is changed."""
        left = np.arange(len(self._cells))
        for factor, size in enumerate(self.data.sizes):
            values = self._cells[left] // self.data.strides[factor] % size
            if not pattern[factor]:
                left = left[values == first[factor]]
            elif rule == "paper":
                left = left[values != first[factor]]
        if not len(left):
            return False
        cell = self._cells[left][_weighted(self._logs[self._cells[left]][None], rng)[0]]
        other[:] = cell // self.data.strides % np.array(self.data.sizes)
        return True

    def _weigh(
        self, first: NDArray[np.int64], moving: NDArray[np.int64], rule: Rule, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Draw from all combinations of new values, weighed one by one."""
        axes = [np.arange(self.data.sizes[i]) for i in moving]
        values = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(moving))
        strides = self.data.strides[moving]
        kept = first @ self.data.strides - first[:, moving] @ strides
        logs = self._logs[kept[:, None] + values @ strides]
        if rule == "paper":
            for i, factor in enumerate(moving):
                logs[values[:, i] == first[:, factor, None]] = -np.inf
        other = first.copy()
        other[:, moving] = values[_weighted(logs, rng)]
        return other, np.asarray(np.isfinite(logs).any(axis=1))

    def _try(
        self,
        rows: NDArray[np.int64],
        pattern: NDArray[np.bool_],
        first: NDArray[np.int64],
        other: NDArray[np.int64],
        found: NDArray[np.bool_],
        rule: Rule,
        rng: np.random.Generator,
    ) -> NDArray[np.int64]:
        """Draw new values for these rows until images have them; the rows for which none was found."""
        limits = np.array(self.data.sizes)
        for _ in range(ROUNDS):
            if not len(rows):
                break
            own = first[rows]
            if rule == "paper":
                new = (own + rng.integers(1, np.maximum(limits, 2), own.shape)) % limits
            else:
                new = rng.integers(0, limits, own.shape)
            new = np.where(pattern, new, own)
            for table in self.split.tables:
                _correlate(table, own, pattern, new, rule, rng)
            hit = rng.random(len(new)) < self._rate[new @ self.data.strides]
            other[rows[hit]], found[rows[hit]] = new[hit], True
            rows = rows[~hit]
        return rows


def _weighted(logs: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A column of each row of log-weights ``(n, K)``; any where all of a row are -inf."""
    most = logs.max(axis=1, keepdims=True)
    cumulative = np.exp(logs - np.where(np.isfinite(most), most, 0)).cumsum(axis=1)
    drawn = (cumulative > rng.random((len(logs), 1)) * cumulative[:, -1:]).argmax(axis=1)
    return np.asarray(drawn, np.int64)


def _correlate(
    table: Table,
    first: NDArray[np.int64],
    pattern: NDArray[np.bool_],
    new: NDArray[np.int64],
    rule: Rule,
    rng: np.random.Generator,
) -> None:
    """Draw the values of two correlated factors, in ``new``, given what of them stays."""
    a, b, logs = table
    rows = np.arange(len(first))
    if pattern[a] and pattern[b]:
        each = np.broadcast_to(logs, (len(first), *logs.shape)).copy()
        if rule == "paper":
            each[rows, first[:, a]] = -np.inf
            each[rows, :, first[:, b]] = -np.inf
    elif pattern[a] or pattern[b]:
        moves, stays, given = (a, b, logs.T) if pattern[a] else (b, a, logs)
        each = given[first[:, stays]]
        if rule == "paper":
            each[rows, first[:, moves]] = -np.inf
    else:
        return
    drawn = _weighted(each.reshape(len(first), -1), rng)
    if pattern[a] and pattern[b]:
        new[:, a], new[:, b] = drawn // logs.shape[1], drawn % logs.shape[1]
    else:
        new[:, moves] = drawn
