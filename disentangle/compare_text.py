"""What comparisons are told with: names of settings, seeds, numbers, notes and tables, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from disentangle.board import UNIT
from disentangle.compare_cells import as_text, bare, hyper

if TYPE_CHECKING:
    import pandas as pd

MOST = 6  # settings, or values, that are listed by name


@dataclass(frozen=True)
class Side:
    """One study of a comparison.

    Attributes:
        path: as the user gave it.
        where: the filters on its runs.
    """

    path: str
    where: Mapping[str, str]

    def filters(self) -> dict[str, str]:
        """The filters, without ``hyper.``."""
        return bare(self.where)

    def text(self) -> str:
        """The study in a sentence.

        >>> Side("a/table.csv", {"hyper.beta": "4"}).text(), Side("b", {}).text()
        ('a/table.csv, where beta=4', 'b, all runs')
        """
        filters = ", ".join(f"{name}={value}" for name, value in self.filters().items())
        return f"{self.path}, {f'where {filters}' if filters else 'all runs'}"


def labels(units: Iterable[Mapping[str, Any]], without: Iterable[str] = ()) -> list[str]:
    """A short name for each setting: its method and hyperparameters, and what else tells it from the others.

    Args:
        units: the fields of `disentangle.board.UNIT`.
        without: fields and hyperparameters that are told elsewhere.

    >>> one = dict.fromkeys(UNIT, "x") | {"method": "vae", "setting": "", "steps": 5.0}
    >>> labels([one, {**one, "steps": 9.0}]), labels([one])
    (['vae, steps=5', 'vae, steps=9'], ['vae'])
    """
    known, left_out = list(units), set(without)
    varied = [f for f in UNIT[2:] if f not in left_out and len({unit[f] for unit in known}) > 1]
    found = []
    for unit in known:
        setting = ", ".join(f"{k}={v}" for k, v in hyper(unit["setting"]).items() if k not in left_out)
        method = [] if "method" in left_out else [unit["method"]]
        first = " ".join([*method, *([setting] if setting and "setting" not in left_out else [])])
        others = [f"{f}={as_text(unit[f])}" for f in varied if unit[f] != ""]  # a split that is none
        found.append(", ".join(filter(None, [first, *others])))
    return found


def told(field: str, value: Any) -> str:
    """A field's value in a sentence, with thousands apart, and an empty one in words.

    >>> told("steps", 300000), told("split", ""), told("lr", None)
    ('300,000', 'none', 'not told')
    """
    if value is None:
        return "not told"
    if isinstance(value, Real) and float(value).is_integer():
        return f"{float(value):,.0f}"
    return as_text(value) or "none"


def some(texts: Sequence[str], between: str = "; ") -> str:
    """Texts in a sentence, the first few of many.

    >>> some(["vae", "ae"]), some([str(i) for i in range(1000)], ", ")
    ('vae; ae', '0, 1, 2, 3, 4, 5, and 994 more')
    """
    more = [f"and {len(texts) - MOST:,} more"] if len(texts) > MOST else []
    return between.join([*texts[:MOST], *more])


def seeds_told(seeds: Sequence[int]) -> str:
    """Seeds in a sentence.

    >>> seeds_told([3]), seeds_told([2, 0, 1, 7])
    ('seed 3', 'seeds 0-2, 7')
    """
    return ranges_told(ranges(sorted(seeds)))


def ranges_told(seeds: str) -> str:
    """A text of `ranges` in a sentence.

    >>> ranges_told("3"), ranges_told("0-2, 7")
    ('seed 3', 'seeds 0-2, 7')
    """
    return f"seed{'' if seeds.isdigit() else 's'} {seeds}"


def counted(number: int, what: str) -> str:
    """So many things, in a sentence.

    >>> counted(1, "cell"), counted(1000, "cell")
    ('1 cell', '1,000 cells')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def ranges(seeds: Sequence[int]) -> str:
    """Sorted seeds as text, a run of them as a range.

    >>> ranges([0, 1, 2, 7]), ranges([])
    ('0-2, 7', '')
    """
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def left_out(runs: pd.DataFrame, side: str) -> list[str]:
    """Sentences on the runs of `runs_of` that are in no mean: diverged ones, and scores without a value."""
    units: Any = runs[UNIT].drop_duplicates().to_dict("records")
    called = dict(zip((tuple(unit.values()) for unit in units), labels(units), strict=True))
    told = []
    lost = runs["status"] == "diverged"
    for what, lines in (("Diverged", runs[lost]), ("Without a value", runs[~lost & runs["value"].isna()])):
        seeds: dict[str, list[int]] = {}
        for one in lines.to_dict("records"):
            setting = f"{called[tuple(one[name] for name in UNIT)]} on {one['dataset']} ({one['source']})"
            of = f"{one['score']} of {setting}" if one["score"] else setting
            seeds.setdefault(of, []).append(one["seed"])
        listed = some([f"{of}: {seeds_told(own)}" for of, own in seeds.items()])
        told += [f"{what} in {side}, and in no mean: {listed}."] if listed else []
    return told


class Notes:
    """Texts that a table refers to by a short mark; the same text has the same mark.

    >>> notes = Notes("1")
    >>> notes.mark("steps differ"), notes.mark("drawn"), notes.mark("steps differ"), notes.lines()
    ('1', '2', '1', ['1: steps differ', '2: drawn'])
    >>> Notes("A").mark("a paper")
    'A'
    """

    def __init__(self, first: str) -> None:
        self._letters, self._known = first == "A", dict[str, str]()

    def mark(self, text: str) -> str:
        """The mark of a text, a new one if it is new."""
        text = text.replace("\n", " ")
        if text not in self._known:
            self._known[text] = self._next(len(self._known))
        return self._known[text]

    def _next(self, place: int) -> str:
        if not self._letters:
            return str(place + 1)
        # A to Z, then AA, AB and so on.
        more, last = divmod(place, 26)
        return (self._next(more - 1) if more else "") + chr(ord("A") + last)

    def lines(self) -> list[str]:
        """Every mark with its text, in their order."""
        return [f"{mark}: {text}" for text, mark in self._known.items()]


def empty(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def signed(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:+.{digits}f}"


def listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up, so that it can be read in a terminal."""
    # What would end a cell or a line is the paper's text, not ours to trust.
    cells = [[text.replace("|", "\\|").replace("\n", " ") for text in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "| " + " | ".join("-" * w for w in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])
