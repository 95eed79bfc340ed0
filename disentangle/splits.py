"""Splits: which images training shows, and how often. Scores are always of all images.

A split is a text in a run, such as ``"correlated floor_hue wall_hue 0.2"``, that names factors of its data
set; several parts are joined by ``" and "``:

- ``correlated A B s``: two factors are correlated linearly, with strength s (small is strong).
- ``anticorrelated A B s``: the same with B from its end.
- ``without A=2 B=0-15``: combinations of these values (their numbers, from 0) are held out.
- ``without 10%``: that part of all combinations is held out, always the same ones.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from disentangle.draws import generator
from disentangle.errors import InputError, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.data import FactorData

NUMBER = r"[0-9]+\.?[0-9]*(e-?[0-9]+)?|\.[0-9]+(e-?[0-9]+)?"
FORMS = "'correlated A B s', 'anticorrelated A B s', 'without A=2 B=0-15' or 'without 10%'"
Table = tuple[int, int, "NDArray[np.float64]"]  # two factors and the logarithms of their weights


@dataclass(frozen=True)
class Split:
    """What training shows of a data set.

    Attributes:
        parts: the canonical texts.
        tables: of each correlation the two factors' numbers and log-weights ``(size, size)``.
        held_out: which cells of the grid are never shown ``(cells,)`` bool; None for none.
    """

    parts: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    held_out: NDArray[np.bool_] | None = None

    def __str__(self) -> str:
        return " and ".join(self.parts)


def tidy(text: str) -> str:
    """A split in the one form that stands in runs and tables, with single spaces and short numbers.

    >>> tidy(" correlated x  y .20")
    'correlated x y 0.2'
    """
    words = [f"{float(word):g}" if re.fullmatch(NUMBER, word) else word for word in text.split()]
    return " ".join(words)


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
            the strength is out of range, or nothing would be left.

    Source: Träuble et al. 2021, "On Disentangled Representations Learned from Correlated Data", arXiv
    2006.07886, for the weights; in this form and with more than one pair, and with held-out combinations:
    Roth et al. 2023, github:facebookresearch/disentangling-correlated-factors@45d9aa93, where a factor may
    be in several pairs; here in one.

    >>> from disentangle.find import get
    >>> toy = get("dataset", "toy").load()
    >>> str(parse("correlated  x y .2 and without size=2 x=0-3", toy))
    'correlated x y 0.2 and without size=2 x=0-3'
    """
    parts, tables, held = list[str](), list[Table](), np.zeros(data.grid, bool)
    for part in tidy(text).split(" and ") if text.strip() else ():
        kind, *words = part.split(" ")
        if kind in ("correlated", "anticorrelated") and len(words) == 3:
            tables.append(_correlation(part, kind, words, data))
        elif kind == "without" and words:
            held |= _held_out(part, words, data)
        else:
            raise InputError(f"split {part!r}: expected {FORMS}")
        parts.append(part)
    factors = [factor for a, b, _ in tables for factor in (a, b)]
    if len(set(factors)) < len(factors):
        raise InputError(f"split {text!r}: a factor is in two correlations; expected one at most")
    split = Split(tuple(parts), tuple(tables), held if held.any() else None)
    if split.parts and not shown(split, data).any():
        raise InputError(f"split {text!r} leaves nothing of {data.name} to train on")
    return split


def shown(split: Split, data: FactorData) -> NDArray[np.bool_]:
    """The cells of the grid ``(cells,)`` that have an image and are not held out."""
    if data.cells is None:
        there = np.ones(data.grid, bool)
    else:
        there = np.zeros(data.grid, bool)
        there[data.cells] = True
    return there if split.held_out is None else there & ~split.held_out


def weights(split: Split, data: FactorData) -> NDArray[np.float64]:
    """How often training shows each image, relative to the others: ``(N,)``, the largest at most 1.

    >>> from disentangle.find import get
    >>> toy = get("dataset", "toy").load()
    >>> float(weights(parse("without 25%", toy), toy).mean())
    0.75
    """
    total = np.zeros(data.sizes)
    for a, b, table in split.tables:
        shape = [1] * len(data.sizes)
        shape[a], shape[b] = table.shape
        total = total + (table if a < b else table.T).reshape(shape)
    each = np.exp(total - total.max()).ravel()
    if split.held_out is not None:
        each[split.held_out] = 0
    return each if data.cells is None else np.asarray(each[data.cells])


def _factor(part: str, name: str, data: FactorData) -> int:
    if name not in data.factor_names:
        raise InputError(f"split {part!r}: {unknown(f'factor of {data.name}', name, data.factor_names)}")
    return data.factor_names.index(name)


def _number(part: str, word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InputError(f"split {part!r}: the strength must be a number above 0, got {word!r}")
    return number


def _correlation(part: str, kind: str, words: list[str], data: FactorData) -> Table:
    a, b = (_factor(part, word, data) for word in words[:2])
    if a == b:
        raise InputError(f"split {part!r}: the two factors must be different ones")
    first, second = (np.linspace(0, 1, data.sizes[i]) for i in (a, b))
    if kind == "anticorrelated":
        second = second[::-1]
    return a, b, -((first[:, None] - second) ** 2) / (2 * _number(part, words[2]) ** 2)


def _held_out(part: str, words: list[str], data: FactorData) -> NDArray[np.bool_]:
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)%", words[0]) if len(words) == 1 else None:
        count = round(float(found[1]) / 100 * data.grid)
        if not 0 < count < data.grid:
            raise InputError(f"split {part!r} holds out {count} of {data.grid} combinations")
        held = np.zeros(data.grid, bool)
        held[generator(0, "split").choice(data.grid, count, replace=False)] = True
        return held
    cells = np.ones(data.sizes, bool)
    for word in words:
        found = re.fullmatch(r"([^=]+)=(\d+)(?:-(\d+))?", word)
        if not found:
            raise InputError(
                f"split {part!r}: {word!r} is no factor with its values, such as shape=2 or x=0-15"
            )
        factor, low, high = _factor(part, found[1], data), int(found[2]), int(found[3] or found[2])
        if not low <= high < data.sizes[factor]:
            raise InputError(
                f"split {part!r}: {found[1]} has the values 0..{data.sizes[factor] - 1}, got {word!r}"
            )
        axis = np.zeros(data.sizes[factor], bool)
        axis[low : high + 1] = True
        cells &= axis.reshape([-1 if i == factor else 1 for i in range(len(data.sizes))])
    return cells.ravel()
