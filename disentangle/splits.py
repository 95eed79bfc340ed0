"""Splits: which images training shows, and how often. Scores are always of all images.

A split is a text in a run, such as ``"correlated floor_hue wall_hue 0.2"``, that names factors of its data
set; several parts are joined by ``" and "``:

- ``correlated A B s``: two factors are correlated linearly, with strength s (small is strong).
- ``anticorrelated A B s``: the same with B from its end.
- ``without A=2 B=0-15``: combinations of these values (their numbers, from 0) are held out.
- ``without 10%``: that part of all combinations is held out, always the same ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from disentangle.draws import generator
from disentangle.errors import InputError, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.data import FactorData

FORMS = "'correlated A B s', 'anticorrelated A B s', 'without A=2 B=0-15' or 'without 10%'"
NUMBER = r"(?:[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(?:[eE][-+]?[0-9]{1,2})?"
VALUES = r"([^\s=]+)=([0-9]{1,9})(?:-([0-9]{1,9}))?"
WEAKEST, STRONGEST = 1e6, 1e-6  # strengths whose squares are numbers
Table = tuple[int, int, "NDArray[np.float64]"]  # two factors and the logarithms of their weights


@dataclass(frozen=True)
class Split:
    """What training shows of a data set.

    Attributes:
        data: the data set.
        parts: the canonical texts.
        tables: of each correlation the two factors' numbers and log-weights ``(size, size)``.
        held_out: which cells of the grid are never shown ``(cells,)`` bool; None for none.
    """

    data: FactorData
    parts: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    held_out: NDArray[np.bool_] | None = None

    def __str__(self) -> str:
        return " and ".join(self.parts)

    @cached_property
    def shown(self) -> NDArray[np.bool_]:
        """The cells of the grid ``(cells,)`` that have an image and are not held out."""
        there = np.ones(self.data.grid, bool)
        if self.data.cells is not None:
            there[:] = False
            there[self.data.cells] = True
        return there if self.held_out is None else there & ~self.held_out

    @cached_property
    def logs(self) -> NDArray[np.float64]:
        """The logarithms of the cells' weights ``(cells,)``: 0 for the largest, -inf if not shown."""
        total = np.zeros(self.data.sizes)
        for a, b, table in self.tables:
            shape = [1] * len(self.data.sizes)
            shape[a], shape[b] = table.shape
            total = total + (table if a < b else table.T).reshape(shape)
        logs = np.where(self.shown, total.ravel(), -np.inf)
        return np.asarray(logs - logs.max())

    def weights(self) -> NDArray[np.float64]:
        """How often training shows each image, relative to the others: ``(N,)``, 1 for the most frequent.

        >>> from disentangle.find import get
        >>> float(parse("without 25%", get("dataset", "toy").load()).weights().mean())
        0.75
        """
        each = np.exp(self.logs)
        return each if self.data.cells is None else np.asarray(each[self.data.cells])


def tidy(text: str) -> str:
    """A split in the one form that stands in runs and tables, whatever the order it was written in.

    Raises:
        InputError: a part has none of the forms.

    >>> tidy(" without y=03-3  x=1 and correlated y  x .20")
    'correlated x y 0.2 and without x=1 y=3'
    """
    if not text.strip():
        return ""
    parts = re.split(r"\sand(?=\s)", f" {text} ")
    if not all(part.strip() for part in parts):
        raise InputError(f"split {text!r}: there is nothing before or after an 'and'; expected {FORMS}")
    return " and ".join(sorted({_tidy_part(part) for part in parts}))


def _tidy_part(part: str) -> str:
    kind, *words = part.split()
    if kind in ("correlated", "anticorrelated") and len(words) == 3:
        if not re.fullmatch(NUMBER, words[2]) or not STRONGEST <= float(words[2]) <= WEAKEST:
            raise InputError(
                f"split {part.strip()!r}: the strength must be a number from {STRONGEST:g} to {WEAKEST:g}, "
                f"got {words[2]!r}"
            )
        return " ".join([kind, *sorted(words[:2]), _number(words[2])])
    if kind == "without" and len(words) == 1 and re.fullmatch(NUMBER + "%", words[0]):
        return f"without {_number(words[0][:-1])}%"
    if kind != "without" or not words:
        raise InputError(f"split {part.strip()!r}: expected {FORMS}")
    ranges = {}
    for word in words:
        found = re.fullmatch(VALUES, word)
        if not found:
            raise InputError(
                f"split {part.strip()!r}: {word!r} is no factor with its values, such as shape=2 or x=0-15"
            )
        if found[1] in ranges:
            raise InputError(f"split {part.strip()!r}: the factor {found[1]} is there twice")
        low, high = int(found[2]), int(found[3] or found[2])
        ranges[found[1]] = f"{low}" if low == high else f"{low}-{high}"
    return " ".join(["without", *(f"{name}={ranges[name]}" for name in sorted(ranges))])


def _number(text: str) -> str:
    return repr(float(text)).removesuffix(".0")


def parse(text: str, data: FactorData) -> Split:
    """The split that a text describes, of this data set.

    A correlation of factors a and b with strength s weights a combination by

        exp(-(a - b)^2 / (2 s^2)),

    with a and b the numbers of the values divided by the highest, so both in [0, 1]. s = .1 is strong, .4
    moderate, and from 1 on hardly anything is left of it. Each of the two then varies, and their values
    go together; all other factors stay uniform.

    Args:
        text: see above; ``""`` is everything alike.
        data: whose factors it names.

    Raises:
        InputError: a part has none of the forms, a factor is unknown or is in two correlations, a value or
            the strength is out of range, or nothing would be held out or left.

    Source: Träuble et al. 2021, "On Disentangled Representations Learned from Correlated Data", arXiv
    2006.07886, for the weights; in this form and with more than one pair, and with held-out combinations:
    Roth et al. 2023, github:facebookresearch/disentangling-correlated-factors@45d9aa93, where a factor may
    be in several pairs; here in one.

    >>> from disentangle.find import get
    >>> toy = get("dataset", "toy").load()
    >>> str(parse("correlated  x y .2 and without size=2 x=0-3", toy))
    'correlated x y 0.2 and without size=2 x=0-3'
    """
    if not text.strip():
        return Split(data)
    parts = tuple(tidy(text).split(" and "))
    tables, held = list[Table](), np.zeros(data.grid, bool)
    for part in parts:
        kind, *words = part.split(" ")
        if kind == "without":
            own = _held_out(part, words, data)
            if data.cells is not None and not own[data.cells].any():
                raise InputError(f"split {part!r}: {data.name} has no image of that, so nothing is held out")
            held |= own
        else:
            tables.append(_correlation(part, kind, words, data))
    factors = [factor for a, b, _ in tables for factor in (a, b)]
    if len(set(factors)) < len(factors):
        raise InputError(f"split {text!r}: a factor is in two correlations; expected one at most")
    split = Split(data, parts, tuple(tables), held if held.any() else None)
    if not split.shown.any():
        raise InputError(f"split {text!r} leaves nothing of {data.name} to train on")
    return split


def _factor(part: str, name: str, data: FactorData) -> int:
    if name not in data.factor_names:
        raise InputError(f"split {part!r}: {unknown(f'factor of {data.name}', name, data.factor_names)}")
    return data.factor_names.index(name)


def _correlation(part: str, kind: str, words: list[str], data: FactorData) -> Table:
    a, b = (_factor(part, word, data) for word in words[:2])
    if a == b:
        raise InputError(f"split {part!r}: the two factors must be different ones")
    first, second = (np.linspace(0, 1, data.sizes[i]) for i in (a, b))
    if kind == "anticorrelated":
        second = second[::-1]
    return a, b, -0.5 * ((first[:, None] - second) / float(words[2])) ** 2


def _held_out(part: str, words: list[str], data: FactorData) -> NDArray[np.bool_]:
    if words[0].endswith("%") and "=" not in words[0]:
        percent = min(float(words[0][:-1]), 100.0)
        count = round(percent / 100 * data.grid)
        if not 0 < count < data.grid:
            raise InputError(f"split {part!r} holds out {count} of {data.grid} combinations")
        held = np.zeros(data.grid, bool)
        held[generator(0, "split").choice(data.grid, count, replace=False)] = True
        return held
    cells = np.ones(data.sizes, bool)
    for word in words:
        name, _, values = word.rpartition("=")
        factor = _factor(part, name, data)
        low, _, high = values.partition("-")
        first, last, size = int(low), int(high or low), data.sizes[factor]
        if not first <= last < size:
            raise InputError(f"split {part!r}: {name} has the values 0..{size - 1}, got {word!r}")
        axis = (np.arange(size) >= first) & (np.arange(size) <= last)
        cells &= axis.reshape([-1 if i == factor else 1 for i in range(len(data.sizes))])
    return cells.ravel()
