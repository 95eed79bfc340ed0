"""Comparisons as Markdown that can be read as it is: columns line up, and reasons are numbered notes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from disentangle.board import UNIT
from disentangle.compare_cells import bare, labels
from disentangle.compare_published import NOT_COMPARED
from disentangle.compare_studies import LEVEL, SAME, Studies

if TYPE_CHECKING:
    import pandas as pd

_PUBLISHED_RULE = (
    "Ours: mean ± half of its 95 % interval (Student's) and the number of seeds. Theirs: as published, ± "
    "standard deviation and number of seeds where told. *difference*: ours - theirs; *in intervals*: in "
    "units of the root of the sum of both half widths squared, close to the half width of the difference. "
    "Both are given only where nothing that matters differs or is unknown. No correction for many "
    "comparisons: of numbers that are equal, about one in twenty lies beyond 1."
)
_STUDIES_RULE = (
    "Means are of the seeds that the difference is of. *difference*: ours - theirs, with its 95 % interval; "
    "*effect*: Cohen's d_z where runs are paired by seed, Hedges' g where they are not (Welch); *Holm*: p "
    "corrected for all tests in these tables."
)


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


def published_board(frame: pd.DataFrame, unmatched: pd.DataFrame) -> str:
    """The frames of `disentangle.compare_published` as Markdown: a table for each of our data sets.

    Which paper, table, source and sureness a number has, and why it is not compared, stands in notes.
    """
    papers, reasons = Notes("A"), Notes("1")
    parts = ["# Published numbers"]
    # With what tells settings apart, wherever the others stand.
    names = dict(zip(frame.index, _names(frame), strict=True))
    for (dataset, source), lines in frame.groupby(["dataset", "source"], sort=True):
        parts += [f"## {dataset} ({source})", *_published_table(lines, names, papers, reasons)]
    if frame.empty:
        parts.append("No published number is of a data set, method and score of this study.")
    elif (frame["verdict"] == NOT_COMPARED).all():
        parts.append(f"**No number is compared**: of all {len(frame)} something differs or is unknown.")
    if papers.lines():
        parts += ["**Published by**\n\n" + _list(papers.lines())]
    if reasons.lines():
        parts += ["**Not compared, because**\n\n" + _list(reasons.lines())]
    return "\n\n".join([*parts, *_unmatched(unmatched), _PUBLISHED_RULE]) + "\n"


def _published_table(
    lines: pd.DataFrame, names: Mapping[Any, str], papers: Notes, reasons: Notes
) -> list[str]:
    """A table, and before it our setting where there is one only."""
    records: list[dict[Any, Any]] = lines.to_dict("records")
    compared = any(line["verdict"] != NOT_COMPARED for line in records)
    head = ["score", "ours ± 95 % (n)", "theirs ± std (n)", "by"]
    head += ["difference", "in intervals", "verdict"] if compared else ["not compared: why"]
    rows = []
    for line in records:
        given = {k.removeprefix("published_"): v for k, v in line.items() if k.startswith("published_")}
        marks = {reasons.mark(reason) for reason in line["differs"].split("; ") if reason}
        why = " ".join(sorted(marks, key=int))
        row = [line["score"], _value(line["mean"], line["ci95_half_width"], line["n"])]
        row += [_value(given["value"], given["std"], given["n_seeds"]), papers.mark(_origin(given))]
        row += [_signed(line["difference"]), _signed(line["in_intervals"], 2)] if compared else []
        rows.append([*row, f"{line['verdict']}: {why}" if compared and why else why or line["verdict"]])
    return _titled([names[i] for i in lines.index], "ours", [head, *rows])


def _titled(settings: Sequence[str], column: str, rows: Sequence[list[str]]) -> list[str]:
    """A table with its settings as the first column, or before it where they are one."""
    if len(set(settings)) == 1:
        return [f"{settings[0]}:", _table(rows)]
    return [_table([[first, *row] for first, row in zip((column, *settings), rows, strict=True)])]


def _origin(given: Mapping[str, Any]) -> str:
    place = ", ".join(filter(None, [given["paper"], given["table"]]))
    protocol = f"; protocol from the suite's notes, {given['protocol']}" if given["protocol"] else ""
    return f"{place}; {given['source']}; {given['sureness']}{protocol}"


def _unmatched(unmatched: pd.DataFrame) -> list[str]:
    """One paragraph on the published numbers that nothing of ours stands beside."""
    if unmatched.empty:
        return []
    lines = []
    for paper, some in unmatched.groupby("paper", sort=False):
        pairs = zip(some["reason"], some["rows"], strict=True)
        lines.append(f"{paper}: " + ", ".join(f"{reason} {rows}" for reason, rows in pairs))
    return [f"**Nothing of ours beside {unmatched['rows'].sum()} further numbers**\n\n" + _list(lines)]


def studies_board(found: Studies, wanted: tuple[Mapping[str, str], Mapping[str, str]]) -> str:
    """What `disentangle.compare_studies` found as Markdown: a table for each data set and source.

    Args:
        found: its result.
        wanted: the filters of both sides, for the heading and to leave them out of the names of settings.
    """
    frame, free = found.frame, {name for one in wanted for name in bare(one)}
    texts = [", ".join(f"{k}={v}" for k, v in bare(one).items()) or "all runs" for one in wanted]
    parts = ["# Two studies", *([f"Ours: {texts[0]}. Theirs: {texts[1]}."] if free else [])]
    shown, names = frame[frame["verdict"] != SAME], _both_names(frame, free)
    for (dataset, source), lines in shown.groupby(["dataset", "source"], sort=True):
        parts.append(f"## {dataset} ({source})")
        parts += _studies_table(lines, names)
    if frame.empty:
        parts.append("No cell of one study has a counterpart in the other.")
    tests, lower = int(frame["p"].notna().sum()), int((frame["p_holm"] < LEVEL).sum())
    shows = "none of which shows" if lower == 0 else f"of which {lower} show"
    parts += [f"{tests} tests, {shows} a difference (Holm < {LEVEL})."] if tests else []
    told = [*_same(frame, names), *_seeds_alone(frame), *found.told]
    return "\n\n".join([*parts, *([_list(told)] if told else []), _STUDIES_RULE]) + "\n"


def _studies_table(lines: pd.DataFrame, names: Mapping[Any, str]) -> list[str]:
    """A table, and before it the setting where there is one only."""
    records: list[dict[Any, Any]] = lines.to_dict("records")
    head = ["score", "ours (n)", "theirs (n)", "difference [95 %]", "effect", "p", "Holm", "verdict"]
    rows = [head]
    for line in records:
        half, tested = line["ci95_half_width"], not math.isnan(line["p"])
        between = f" [{_signed(line['difference'] - half)}, {_signed(line['difference'] + half)}]"
        row = [
            line["score"],
            f"{line['mean']:.3f} ({line['n']})",
            f"{line['theirs_mean']:.3f} ({line['theirs_n']})",
            _signed(line["difference"]) + (between if tested else ""),
            f"{line['effect_name']} {line['effect']:+.2f}" if tested else "",
            _p(line["p"]),
            _p(line["p_holm"]),
            line["verdict"],
        ]
        rows.append(row)
    return _titled([names[i] for i in lines.index], "setting", rows)


def _same(frame: pd.DataFrame, names: Mapping[Any, str]) -> list[str]:
    """Cells of runs that are the same models in both studies, by setting."""
    same = frame[frame["verdict"] == SAME]
    counts = Counter(f"{names[i]} on {same['dataset'][i]}" for i in same.index)
    told = "; ".join(f"{setting} ({count} scores)" for setting, count in counts.items())
    return [f"The same models in both, with the same values, and not tested: {told}."] if counts else []


def _seeds_alone(frame: pd.DataFrame) -> list[str]:
    """Seeds that a paired difference leaves out, since one study alone has them; once for each set."""
    found = []
    by_seed = frame[(frame["test"] == "paired t") | (frame["verdict"] == SAME)]
    for side in ("ours", "theirs"):
        alone = by_seed[f"only_{side}"]
        counts = alone[alone != ""].value_counts(sort=False)
        for seeds, count in counts.items():
            cells = "1 cell" if count == 1 else f"{count} cells"
            found.append(f"Seeds in {side} only, and not in the difference: {seeds} ({cells}).")
    return found


def _both_names(frame: pd.DataFrame, free: Iterable[str] = ()) -> dict[Any, str]:
    """Of each line the name of its setting, or of both where they differ."""
    free = set(free) - {"method"}  # without it a name may be empty
    both = zip(_names(frame, free), _names(frame, free, "theirs_"), strict=True)
    named = [one if one == other else f"{one} / {other}" for one, other in both]
    return dict(zip(frame.index, named, strict=True))


def _names(frame: pd.DataFrame, free: Iterable[str] = (), side: str = "") -> list[str]:
    columns = [frame[f"{side}{name}"].tolist() for name in UNIT]
    return labels([dict(zip(UNIT, unit, strict=True)) for unit in zip(*columns, strict=True)], free)


def _value(mean: float, spread: float | None, n: Any) -> str:
    width = "" if _empty(spread) else f" ± {spread:.3f}"
    return f"{mean:.3f}{width} ({'n not told' if _empty(n) else n})"


def _empty(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _signed(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:+.{digits}f}"


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return "< .001" if value < 0.001 else f"{value:.3f}"


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up, so that it can be read in a terminal."""
    # What would end a cell or a line is the paper's text, not ours to trust.
    cells = [[text.replace("|", "\\|").replace("\n", " ") for text in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "| " + " | ".join("-" * w for w in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])
