"""What training is shown: single images and weakly supervised pairs, of any grid and split."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from disentangle.errors import InputError, unknown
from disentangle.pairs import RULES, Pairs, Rule, assemble, check_k, chosen, counts_of, draw
from disentangle.splits import Table, parse, shown, weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.data import FactorData

ROUNDS = 64  # in which the changed factors of a pair get other values, before others change
TRIES = 64  # of other factors


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
        return np.cumsum(weights(self.split, self.data))

    @cached_property
    def _there(self) -> NDArray[np.bool_]:
        return shown(self.split, self.data)

    def images(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """The indices of ``n`` images ``(n,)``, independent of each other."""
        if not self.split.parts:
            return rng.integers(0, len(self.data), n)
        total = self._cumulative[-1]
        drawn = np.searchsorted(self._cumulative, rng.random(n) * total, side="right")
        last = np.searchsorted(self._cumulative, total)  # for a product that rounds to the total
        return np.minimum(drawn, last).astype(np.int64)

    def pairs(self, n: int, k: int | str, rule: Rule, rng: np.random.Generator) -> Pairs:
        """``n`` weakly supervised pairs; see `disentangle.pairs.sample_pairs` for the rules.

        x1 is an image as training shows it. The factors that change are drawn as on a full grid. Their values
        are drawn from those that the split gives to them together with the factors that stay (all values
        alike without a correlation), and again while no image has such factors. If after 64 times none has,
        other factors of the same number change.

        Raises:
            InputError: as `sample_pairs`, or no image differs in so many factors from some x1.

        Source: Roth et al. 2023, see `disentangle.splits`; what is done where a combination is missing is
        this suite's.
        """
        if rule not in RULES:
            raise unknown("pair rule", str(rule), RULES)
        sizes = self.data.sizes
        check_k(sizes, k, rule)
        if self.plain:
            return assemble(sizes, draw(sizes, n, k, rule, rng), rule)
        first = self.data.factors(self.images(n, rng))
        counts = counts_of(len(sizes), n, k, rule, rng)
        second, redrawn, label = first.copy(), np.zeros(first.shape, bool), np.zeros(n, np.int64)
        left = np.arange(n)
        for _ in range(TRIES):
            keys = rng.random((len(left), len(sizes)))
            order, changes = chosen(sizes, keys, counts[left], rule)
            for _ in range(ROUNDS):
                other = self._changed(first[left], changes, rule, rng)
                found = self._there[np.ravel_multi_index(tuple(other.T), sizes)]
                done = left[found]
                second[done], redrawn[done] = other[found], changes[found]
                label[done] = np.take_along_axis(order[found], counts[done, None] - 1, axis=1)[:, 0]
                left, order, changes = left[~found], order[~found], changes[~found]
                if not len(left):
                    return Pairs(first, second, redrawn, label)
        raise InputError(
            f"{self.data.name}: no image that training shows was found to differ from that of the factors "
            f"{first[left[0]].tolist()} in {counts[left[0]]} factors"
        )

    def any_image(self, factors: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The index of an image with each row of factors ``(..., F)``, a random one of several."""
        if self.data.cells is None:
            return self.data.index(factors)
        first = self.data.index(factors)
        last = np.searchsorted(self.data.cells, self.data.cells[first], side="right")
        return np.asarray(rng.integers(first, last), dtype=np.int64)

    def _changed(
        self, first: NDArray[np.int64], changes: NDArray[np.bool_], rule: Rule, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """The factors ``(n, F)`` with new values where they change."""
        limits = np.array(self.data.sizes)
        if rule == "paper":
            other = (first + rng.integers(1, np.maximum(limits, 2), first.shape)) % limits
        else:
            other = rng.integers(0, limits, first.shape)
        other = np.where(changes, other, first)
        for table in self.split.tables:
            self._correlate(table, first, changes, other, rule, rng)
        return other

    def _correlate(
        self, table: Table, first: NDArray[np.int64], changes: NDArray[np.bool_], other: NDArray[np.int64],
        rule: Rule, rng: np.random.Generator,
    ) -> None:  # fmt: skip
        """Draw the values of two correlated factors, in ``other``, given what of them stays."""
        a, b, logs = table
        each = np.broadcast_to(logs, (len(first), *logs.shape)).copy()
        rows = np.arange(len(first))
        for factor, axis in ((a, 1), (b, 2)):
            own, moves = first[:, factor], changes[:, factor]
            kept = np.arange(logs.shape[axis - 1]) == own[:, None]
            barred = np.where(moves[:, None], kept & (rule == "paper"), ~kept)
            each[np.expand_dims(barred, 3 - axis).repeat(logs.shape[2 - axis], 3 - axis)] = -np.inf
        flat = each.reshape(len(first), -1)
        cumulative = np.exp(flat - flat.max(axis=1, keepdims=True)).cumsum(axis=1)
        drawn = (cumulative > rng.random(len(first))[:, None] * cumulative[:, -1:]).argmax(axis=1)
        other[rows, a], other[rows, b] = drawn // logs.shape[1], drawn % logs.shape[1]
