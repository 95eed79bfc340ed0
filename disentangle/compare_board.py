"""Comparisons as Markdown that can be read as it is: columns line up, and reasons are numbered notes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from disentangle.board import UNIT
from disentangle.compare_published import NOT_COMPARED, THEIRS
from disentangle.compare_studies import FLAT, LEVEL, SAME, UNEQUAL, UNTESTED, Studies
from disentangle.compare_text import (
    Notes,
    Side,
    counted,
    empty,
    labels,
    listed,
    ranges_told,
    signed,
    some,
    table,
    told,
)

if TYPE_CHECKING:
    import pandas as pd

_PUBLISHED_RULE = (
    "Ours: mean ± half of its 95 % interval (Student's) and the number of seeds. Theirs: as published, ± "
    "standard deviation and number of seeds where told. *difference*: ours - theirs; *in intervals*: in "
    "units of the root of the sum of both half widths squared. They are given only where nothing that "
    "matters differs or is unknown, the second and a verdict only where both intervals are known. Of equal "
    "means at most about one in twenty lies beyond 1, and with few seeds far fewer (six in a thousand with "
    "two each). No correction for many comparisons."
)
_STUDIES_RULE = (
    "Means are of the seeds that the difference is of. *difference*: ours - theirs ± half of its 95 % "
    "interval; *effect*: Cohen's d_z where runs are paired by seed (every seed of one side, two at "
    "least, was run by the other too), Hedges' g where they are not (Welch); *Holm*: p corrected for all "
    "tests in these tables; *none shown*: no difference with Holm < 0.05; *no spread*: nothing varies that "
    "a test could go by."
)
_SHORT = {"no difference shown": "none shown", UNTESTED: "one seed", FLAT: "no spread", UNEQUAL: "same runs"}


def published_board(
    frame: pd.DataFrame,
    unmatched: pd.DataFrame,
    ours: Side,
    others: Sequence[str],
    left_out: Sequence[str] = (),
) -> str:
    """The frames of `disentangle.compare_published` as Markdown: a table for each of our data sets.

    Which paper, table, source and sureness a number has, and why it is not compared, stands in notes.

    Args:
        frame, unmatched: of `disentangle.compare_published`.
        ours: our study.
        others: the files of published numbers.
        left_out: sentences of `disentangle.compare_text.left_out`.
    """
    papers, reasons = Notes("A"), Notes("1")
    scores, ids = _scores(frame)
    common = [f"{field} {value}" for field, value in _common(frame).items()]
    about = [f"Ours: {ours.text()}{_after(common)}.", f"Theirs: {', '.join(others)}.", *ids, *left_out]
    parts = ["# Published numbers", listed(about)]
    # With what tells settings apart, wherever the others stand.
    names = dict(zip(frame.index, _names(frame), strict=True))
    for (dataset, source), lines in frame.groupby(["dataset", "source"], sort=True):
        parts += [f"## {dataset} ({source})", *_published_table(lines, names, scores, papers, reasons)]
    if frame.empty:
        parts.append("No published number is of a data set, method and score of this study.")
    elif (frame["verdict"] == NOT_COMPARED).all():
        numbers = len(frame[[f"published_{name}" for name in THEIRS]].drop_duplicates())
        parts.append(
            f"**No number is compared**: in {counted(len(frame), 'pair')} of {counted(numbers, 'number')} "
            "with settings of ours, something differs or is unknown."
        )
    if papers.lines():
        parts += ["**Published by**\n\n" + listed(papers.lines())]
    if reasons.lines():
        parts += ["**Not compared, because**\n\n" + listed(reasons.lines())]
    return "\n\n".join([*parts, *_unmatched(unmatched), _PUBLISHED_RULE]) + "\n"


def _published_table(
    lines: pd.DataFrame, names: Mapping[Any, str], scores: Mapping[Any, str], papers: Notes, reasons: Notes
) -> list[str]:
    """A table, and before it our setting where there is one only."""
    records: list[dict[Any, Any]] = lines.to_dict("records")
    compared = any(line["verdict"] != NOT_COMPARED for line in records)
    head = ["score", "ours ± 95 % (n)", "theirs ± std (n)", "by"]
    head += ["difference", "in intervals", "verdict"] if compared else ["not compared: why"]
    rows = []
    for place, line in zip(lines.index, records, strict=True):
        given = {k.removeprefix("published_"): v for k, v in line.items() if k.startswith("published_")}
        marks = {reasons.mark(reason) for reason in line["differs"].split("; ") if reason}
        why = " ".join(sorted(marks, key=int))
        row = [scores[place], _value(line["mean"], line["ci95_half_width"], line["n"])]
        row += [_value(given["value"], given["std"], given["n_seeds"]), papers.mark(_origin(given))]
        row += [signed(line["difference"]), signed(line["in_intervals"], 2)] if compared else []
        verdict = line["verdict"].removeprefix("no verdict: ")
        rows.append([*row, f"{verdict}: {why}" if compared and why else why or verdict])
    settings = [names[i] for i in lines.index]
    if len(set(settings)) == 1:
        return [f"{settings[0]}:", table([head, *rows])]
    named = zip(("ours", *settings), [head, *rows], strict=True)
    return [table([[first, *row] for first, row in named])]


def _origin(given: Mapping[str, Any]) -> str:
    place = ", ".join(filter(None, [given["paper"], given["table"]]))
    protocol = f"; protocol from the suite's notes, {given['protocol']}" if given["protocol"] else ""
    return f"{place}; {given['source']}; {given['sureness']}{protocol}"


def _unmatched(unmatched: pd.DataFrame) -> list[str]:
    """One paragraph on the published numbers that nothing of ours stands beside."""
    if unmatched.empty:
        return []
    lines = []
    for paper, own in unmatched.groupby("paper", sort=False):
        reasons = [
            f"{reason} {rows}" + (f" ({some(names)})" if names else "")
            for reason, rows, names in zip(own["reason"], own["rows"], own["names"], strict=True)
        ]
        lines.append(f"{paper}: {', '.join(reasons)}")
    numbers = counted(int(unmatched["rows"].sum()), "further number")
    return [f"**Nothing of ours beside {numbers}**\n\n" + listed(lines)]


def studies_board(found: Studies, ours: Side, theirs: Side) -> str:
    """What `disentangle.compare_studies` found as Markdown: a table for each data set, source and setting.

    Args:
        found: its result.
        ours, theirs: the two studies.
    """
    frame, (scores, ids) = found.frame, _scores(found.frame)
    fields = _common(frame), _common(frame, "theirs_")
    both = {name: value for name, value in fields[0].items() if fields[1].get(name) == value}
    about = []
    for called, side, own in (("Ours", ours, fields[0]), ("Theirs", theirs, fields[1])):
        rest = [f"{k} {v}" for k, v in own.items() if k not in both and k not in side.filters()]
        about.append(f"{called}: {side.text()}{_after(rest)}.")
    about += [f"Both: {', '.join(f'{k} {v}' for k, v in both.items())}."] if both else []
    parts = ["# Two studies", listed([*about, *ids])]
    named = zip(_names(frame, ours.filters()), _names(frame, theirs.filters(), "theirs_"), strict=True)
    names = dict(
        zip(frame.index, (one if one == other else f"{one} / {other}" for one, other in named), strict=True)
    )
    shown = frame[frame["verdict"] != SAME]
    for (dataset, source), lines in shown.groupby(["dataset", "source"], sort=True):
        parts.append(f"## {dataset} ({source})")
        for setting in dict.fromkeys(names[i] for i in lines.index):
            some_lines = lines[[names[i] == setting for i in lines.index]]
            parts += [f"{setting}:", _studies_table(some_lines, scores)]
    if frame.empty:
        parts.append("No cell of one study has a counterpart in the other.")
    tests, lower = int(frame["p"].notna().sum()), int((frame["p_holm"] < LEVEL).sum())
    shows = "none of which shows" if lower == 0 else f"of which {lower} show{'s' * (lower == 1)}"
    parts += [f"{counted(tests, 'test')}, {shows} a difference (Holm < {LEVEL})."] if tests else []
    sentences = [*_same(frame, names), *_shared(frame), *_seeds_alone(frame), *found.told]
    parts += [listed(sentences)] if sentences else []
    return "\n\n".join([*parts, *([] if shown.empty else [_STUDIES_RULE])]) + "\n"


def _studies_table(lines: pd.DataFrame, scores: Mapping[Any, str]) -> str:
    records: list[dict[Any, Any]] = lines.to_dict("records")
    rows = [["score", "n", "ours", "theirs", "difference", "effect", "p", "Holm", "verdict"]]
    for place, line in zip(lines.index, records, strict=True):
        tested = not math.isnan(line["p"])
        rows.append([
            scores[place],
            str(line["n"]) if line["n"] == line["theirs_n"] else f"{line['n']}, {line['theirs_n']}",
            f"{line['mean']:.3f}",
            f"{line['theirs_mean']:.3f}",
            signed(line["difference"]) + (f" ± {line['ci95_half_width']:.3f}" if tested else ""),
            f"{line['effect_name']} {line['effect']:+.2f}" if tested else "",
            _p(line["p"]),
            _p(line["p_holm"]),
            _SHORT.get(line["verdict"], line["verdict"]),
        ])  # fmt: skip
    return table(rows)


def _same(frame: pd.DataFrame, names: Mapping[Any, str]) -> list[str]:
    """Cells of runs that are the same models in both studies, by setting."""
    same = frame[frame["verdict"] == SAME]
    if same.empty:
        return []
    runs = same.drop_duplicates(["dataset", "source", *UNIT])
    seeds = runs["shared"].unique().tolist()
    of = f"{counted(int(runs['n_shared'].sum()), 'run')} of {counted(len(runs), 'setting')}"
    if len(seeds) == 1:
        of += f", {ranges_told(seeds[0])}"
    settings = some([f"{names[i]} on {same['dataset'][i]}" for i in runs.index])
    return [
        f"The same models in both, with the same values, and in no test ({of}; "
        f"{counted(len(same), 'cell')}): {settings}."
    ]


def _shared(frame: pd.DataFrame) -> list[str]:
    """Runs that both studies have, and that are left out of a test or have other values."""
    found = []
    tested = frame[~frame["verdict"].isin([SAME, UNEQUAL])]
    for seeds, cells in _cells_of(tested["shared"]):
        found.append(f"The same models in both, left out of ours and theirs: {ranges_told(seeds)} ({cells}).")
    for seeds, cells in _cells_of(frame["shared_unequal"]):
        found.append(
            f"The same runs in both, with other values (one was trained or scored anew), and in no test: "
            f"{ranges_told(seeds)} ({cells})."
        )
    return found


def _seeds_alone(frame: pd.DataFrame) -> list[str]:
    """Seeds that a difference of runs with the same seeds leaves out; once for each set."""
    by_seed = frame[frame["seeds"] != ""]
    return [
        f"Seeds in {side} only, and not in the difference: {seeds} ({cells})."
        for side in ("ours", "theirs")
        for seeds, cells in _cells_of(by_seed[f"only_{side}"])
    ]


def _cells_of(seeds: pd.Series[Any]) -> list[tuple[str, str]]:
    """Each text of seeds that is not empty, and how many cells have it."""
    counts = seeds[seeds != ""].value_counts(sort=False)
    return [(str(text), counted(count, "cell")) for text, count in counts.items()]


def _scores(frame: pd.DataFrame) -> tuple[dict[Any, str], list[str]]:
    """What each line's score is called, by its id too where it has several, and a sentence on the others."""
    ids = frame.groupby("score", sort=True)["metric_id"].unique()
    pairs = zip(frame.index, frame["score"], frame["metric_id"], strict=True)
    names = {i: score if len(ids[score]) == 1 else f"{score} of {id}" for i, score, id in pairs}
    # An id of another beginning does not tell its score.
    own = ((str(score), str(of[0])) for score, of in ids.items() if len(of) == 1)
    known = [id if id.startswith(f"{score}@") else f"{id} ({score})" for score, id in own]
    return names, [f"Metric ids: {', '.join(known)}."] if known else []


def _common(frame: pd.DataFrame, side: str = "") -> dict[str, str]:
    """The fields of training that all lines share, as texts."""
    return {
        name: told(name, frame[side + name].iloc[0])
        for name in UNIT
        if name not in ("method", "setting") and frame[side + name].nunique() == 1
    }


def _names(frame: pd.DataFrame, free: Iterable[str] = (), side: str = "") -> list[str]:
    columns = [frame[f"{side}{name}"].tolist() for name in UNIT]
    units = [dict(zip(UNIT, unit, strict=True)) for unit in zip(*columns, strict=True)]
    return labels(units, set(free) - {"method"})  # without it a name may be empty


def _after(texts: Sequence[str]) -> str:
    return f"; {', '.join(texts)}" if texts else ""


def _value(mean: float, spread: float | None, n: Any) -> str:
    width = "" if empty(spread) else f" ± {spread:.3f}"
    return f"{mean:.3f}{width} ({'n not told' if empty(n) else n})"


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return "< .001" if value < 0.001 else f"{value:.3f}"
