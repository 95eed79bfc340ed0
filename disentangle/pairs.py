"""Weakly supervised pairs (x1, x2): x2 copies the factors of x1 and some of them are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from disentangle.errors import InputError, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rule = Literal["paper", "dlib"]
RULES: tuple[str, ...] = get_args(Rule)


@dataclass(frozen=True)
class Pairs:
    """Factors of n pairs.

    Attributes:
        first: factors of x1, ``(n, F)``.
        second: factors of x2, ``(n, F)``.
        redrawn: which factors were drawn again, ``(n, F)`` bool. Under ``"dlib"`` a redrawn factor
            may have got its old value.
        label: the last redrawn factor's index, ``(n,)``: the label of the "labels" methods.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    redrawn: NDArray[np.bool_]
    label: NDArray[np.int64]

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Which factors differ between x1 and x2, ``(n, F)`` bool."""
        return np.asarray(self.first != self.second)


def sample_pairs(
    sizes: Sequence[int],
    n: int,
    k: int | str = 1,
    rule: Rule = "paper",
    rng: np.random.Generator | int = 0,
) -> Pairs:
    """Draw ``n`` pairs, without a loop over them.

    ``"paper"`` (Locatello et al. 2020, the text): k factors change, chosen without replacement, and
    each takes a *different* value; ``k="rnd"`` draws the number uniformly from 1..F-1 per pair.

    ``"dlib"`` (the authors' released code): the number of redrawn factors is 1 or k, each with
    probability one half (for ``"rnd"`` k is uniform in 1..F-1), and a redrawn factor takes any value,
    the old one too. So even k=1 leaves some pairs identical (11.8 % on dSprites, 12.4 % on 3DShapes).

    Args:
        sizes: values per factor, F of them.
        n: the number of pairs.
        k: 1..F, or ``"rnd"``.
        rule: ``"paper"`` or ``"dlib"``.
        rng: a generator or a seed.

    Raises:
        InputError: an unknown rule, a k out of range, or too few factors that can change.

    >>> pairs = sample_pairs((3, 6, 40, 32, 32), 1000, k=2, rng=0)
    >>> set(pairs.changed.sum(1).tolist())
    {2}
    """
    if rule not in RULES:
        raise unknown("pair rule", str(rule), RULES)
    check_k(sizes, k, rule)
    return assemble(sizes, draw(sizes, n, k, rule, np.random.default_rng(rng)), rule)


Drawn = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.float64]", "NDArray[np.int64]"]


def draw(sizes: Sequence[int], n: int, k: int | str, rule: Rule, rng: np.random.Generator) -> Drawn:
    """All that is random in ``n`` pairs: x1, the counts ``(n,)``, the factors' keys and the new values.

    The trainer draws step by step and calls `assemble` once for many steps.
    """
    limits = np.asarray(sizes)
    first = rng.integers(0, limits, (n, len(limits)))
    counts = counts_of(len(limits), n, k, rule, rng)
    keys = rng.random((n, len(limits)))
    if rule == "paper":  # a step of 1..size-1 around the circle of values never ends where it began
        other = rng.integers(1, np.maximum(limits, 2), first.shape)
    else:
        other = rng.integers(0, limits, first.shape)
    return first, counts, keys, other


def assemble(sizes: Sequence[int], drawn: Drawn, rule: Rule) -> Pairs:
    """The pairs that `draw` drew."""
    limits, (first, counts, keys, other) = np.asarray(sizes), drawn
    order, redrawn = chosen(sizes, keys, counts, rule)
    if rule == "paper":
        other = (first + other) % limits
    label = np.take_along_axis(order, counts[:, None] - 1, axis=1)[:, 0]
    return Pairs(first, np.where(redrawn, other, first), redrawn, label)


def chosen(
    sizes: Sequence[int], keys: NDArray[np.float64], counts: NDArray[np.int64], rule: Rule
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A random order of the factors of each pair ``(n, F)``, and which change: the first so many of it."""
    # Under "paper" a factor with a single value cannot change and comes last.
    order = (keys + (np.asarray(sizes) == 1 if rule == "paper" else 0)).argsort(axis=1)
    return order, order.argsort(axis=1) < counts[:, None]


def check_k(sizes: Sequence[int], k: int | str, rule: Rule = "paper") -> None:
    """Refuse a k that these factors cannot give."""
    free = sum(size > 1 for size in sizes) if rule == "paper" else len(sizes)
    if k == "rnd":
        if len(sizes) < 2 or free < len(sizes) - 1:
            raise InputError(f"k='rnd' changes up to F - 1 factors, but the sizes are {tuple(sizes)}")
    elif isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= free:
        raise InputError(f"k must be 'rnd' or an integer in 1..{free} for sizes {tuple(sizes)}, got {k!r}")


def counts_of(factors: int, n: int, k: int | str, rule: Rule, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many factors are redrawn in each pair."""
    most = rng.integers(1, factors, n) if k == "rnd" else np.full(n, int(k))
    return np.where(rng.random(n) < 0.5, 1, most) if rule == "dlib" else most
