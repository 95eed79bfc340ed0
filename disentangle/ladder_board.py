"""The calibration ladder as Markdown: what each score is on each rung, and what it can tell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle import find
from disentangle.files import write_bytes
from disentangle.ladder import CASES, RUNGS, SIZES, VALUES
from disentangle.ladder_published import published
from disentangle.ladder_scores import INSTANCES, LEFT_OUT
from disentangle.rules import lower_is_better

if TYPE_CHECKING:
    import pandas as pd

# The best, and the two that know nothing: a score is read between them.
BEST, NOISE, EMPTY = "identity", "random", "constant"
SHARE, LEAST = 0.1, 0.05  # of the way from the best to noise, a fall that counts; and at least so much
# What is shown beside the headline of each metric.
ALSO = ("dci_completeness", "dci_informativeness_test", "dci_es_informativeness", "downstream_100",
        "infomec_e", "infomec_c")  # fmt: skip
NO_PICTURE = "no picture: it needs matplotlib; pip install matplotlib"


def write_ladder(folder: str | Path, frame: pd.DataFrame) -> list[str]:
    """Write ``ladder.csv``, ``ladder.md`` and, where matplotlib is installed, ``ladder.png``.

    Args:
        folder: where they go.
        frame: of `disentangle.ladder_scores.measure`.

    Returns:
        What was written, a line each, or how to get the picture.
    """
    folder = Path(folder)
    write_bytes(folder / "ladder.csv", frame.to_csv(index=False, float_format="%.9g").encode())
    write_bytes(folder / "ladder.md", markdown(frame).encode())
    told = [f"written: {folder / 'ladder.csv'}", f"written: {folder / 'ladder.md'}"]
    try:
        from disentangle.ladder_picture import draw

        write_bytes(folder / "ladder.png", draw(frame))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        return [*told, NO_PICTURE]
    return [*told, f"written: {folder / 'ladder.png'}"]


def keyed(frame: pd.DataFrame) -> pd.DataFrame:
    """With a column ``key``: the score, and the variant in brackets."""
    variant = frame["variant"].str.replace(r"^.*=", "", regex=True)
    return frame.assign(key=frame["score"] + (" (" + variant + ")").where(variant != "", ""))


def table(frame: pd.DataFrame, set: str = "ladder", mode: str = "default") -> pd.DataFrame:
    """The values of one set and mode: a row per key, a column per representation."""
    used = keyed(frame[(frame["set"] == set) & (frame["mode"] == mode) & (frame["metric"] != "")])
    wide = used.pivot(index="key", columns="representation", values="value")
    order = [rung.name for rung in (RUNGS if set == "ladder" else CASES)]
    return wide.reindex(index=used["key"].unique(), columns=[name for name in order if name in wide.columns])


def shown(frame: pd.DataFrame) -> list[str]:
    """The keys of each metric's headline and its variants, and of the scores in `ALSO`."""
    heads = {find.get("metric", name).headline for name in frame["metric"].unique() if name}
    return [key for key in table(frame).index if key in ALSO or key.partition(" ")[0] in heads]


def markdown(frame: pd.DataFrame) -> str:
    """The whole document."""
    parts = ["# The calibration ladder", _intro(), "## Scores", _scores(frame)]
    parts += ["## What a score tells", *_notices(frame), "## The default against the other modes"]
    parts += [*_gaps(frame), "## Not there", _absent(frame)]
    if (frame["set"] == "carbonneau").any():
        parts += ["## Beside Carbonneau et al. 2022", *_beside(frame)]
    return "\n\n".join([*parts, _made(frame)]) + "\n"


def _rows(lines: Iterable[Iterable[str]]) -> str:
    head, *body = [list(line) for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *body])


def _name(key: str) -> str:
    return key.replace("_", " ")


def _number(value: Any, form: str = ".3f") -> str:
    text = "" if value is None or value != value else f"{value:{form}}"
    return text.lstrip("-") if text.strip("-0.") == "" else text  # no -0.000


def _intro() -> str:
    sizes, rows = ", ".join(map(str, SIZES)), 1
    for size in SIZES:
        rows *= size
    about = _rows([["representation", "what is known of it"], *([rung.name, rung.about] for rung in RUNGS)])
    return (
        f"Representations made from the factors alone, so that all is known of them, on the full grid of "
        f"dSprites' factor sizes ({sizes}: {rows:,} rows), scored by every metric at its published sizes. "
        "This shows what a score can tell and what it cannot; no model and no image is involved. "
        f"`ladder.csv` has every number with its spread over draws and its origin.\n\n{about}\n\n"
        f"UDR compares {INSTANCES} instances of a representation that differ in their noise, rotation or "
        "mixture where there is one, and in the order and the signs of the codes."
    )


def _scores(frame: pd.DataFrame) -> str:
    wide, lines = table(frame), keyed(frame[(frame["set"] == "ladder") & (frame["mode"] == "default")])
    spread = lines.groupby("key")["std"].max()
    ids = lines.drop_duplicates("key").set_index("key")["metric_id"]
    body = [
        [_name(key), f"`{ids[key]}`", *map(_number, row), _number(spread[key])]
        for key, row in zip(wide.index, wide.to_numpy().tolist(), strict=True)
    ]
    head = ["score", "id", *wide.columns, "largest sd"]
    return (
        _rows([head, *body])
        + "\n\nThe last column is the largest standard deviation over draws of the points, "
        "the metric's own noise; empty where a metric draws once, for the time it takes. An empty cell "
        "elsewhere: the metric refuses the representation."
    )


def _notices(frame: pd.DataFrame) -> list[str]:
    wide = table(frame)
    if not {BEST, NOISE, EMPTY} <= {*wide.columns}:
        return [f"This needs the rungs {BEST}, {NOISE} and {EMPTY}."]
    rows = wide.loc[shown(frame)].to_dict("index")
    body = [_notice(str(key), {str(name): v for name, v in row.items()}) for key, row in rows.items()]
    head = ["score", BEST, NOISE, EMPTY, "notices", "does not notice"]
    rule = (
        f"A score *notices* a representation if it is worse there than for *{BEST}* by at least {SHARE:.0%} "
        f"of the way from *{BEST}* to *{NOISE}*, and by at least {LEAST}. In brackets: the score there."
    )
    return [rule, _rows([head, *body])]


def _notice(key: str, row: dict[str, float]) -> list[str]:
    sign = -1.0 if key in lower_is_better() else 1.0
    least = max(LEAST, SHARE * abs(row[BEST] - row[NOISE]))
    rest = [name for name in row if name not in (BEST, NOISE, EMPTY) and row[name] == row[name]]
    seen = [name for name in rest if sign * (row[BEST] - row[name]) >= least]
    unseen = [
        name + (f" (better: {_number(row[name], '.2f')})" if sign * (row[name] - row[BEST]) >= least else "")
        for name in rest
        if name not in seen
    ]
    notices = [f"{name} ({_number(row[name], '.2f')})" for name in seen]
    ends = [_number(row[name], ".2f") for name in (BEST, NOISE, EMPTY)]
    return [_name(key), *ends, ", ".join(notices), ", ".join(unseen)]


def _gaps(frame: pd.DataFrame) -> list[str]:
    default, keys, body = table(frame), shown(frame), []
    used = frame[(frame["set"] == "ladder") & (frame["mode"] != "default")]
    for _, lines in used.groupby(["metric", "mode"], sort=False):
        wide = table(lines, mode=lines["mode"].iloc[0]).reindex(columns=default.columns)
        for key in (key for key in wide.index if key in keys):
            gaps = wide.loc[key] - default.loc[key]
            cells = [_gap(value, gap) for value, gap in zip(wide.loc[key], gaps, strict=True)]
            body.append([_name(key), f"`{lines['metric_id'].iloc[0]}`", *cells, _number(gaps.abs().max())])
    if not body:
        return ["No other mode was scored."]
    told = (
        "The scores in the other modes, from one draw (`dlib`, `dlib2019`: the reference library's numbers "
        "with the scikit-learn of today and of 2019; `paper`: those of the authors' code), and in brackets "
        "how far they are from the default. Each draws its own points, so gaps of the size of the standard "
        "deviations above are no difference between the modes."
    )
    return [told, _rows([["score", "id", *default.columns, "largest gap"], *body])]


def _gap(value: float, gap: float) -> str:
    return _number(value) + ("" if gap != gap else f" ({gap:+.3f})" if abs(gap) >= 5e-4 else " (0)")


def _absent(frame: pd.DataFrame) -> str:
    told = [f"- `{name}@{mode}`: {reason}." for (name, mode), reason in LEFT_OUT.items()]
    refused = frame[(frame["message"] != "") & (frame["metric"] != "")]
    for line in refused[["representation", "metric_id", "message"]].to_numpy().tolist():
        told.append(f"- `{line[1]}` of *{line[0]}*: {line[2]}.")
    return "\n".join(told)


def _beside(frame: pd.DataFrame) -> list[str]:
    known = [row for row in published() if row["statistic"] != "score"]
    errors = "; ".join(
        f"{row['statistic']} {row['value']} ({row['metric']}, {row['table']})" for row in known
    )
    told = (
        "Their constructed representations, which are modular and explicit, but not compact. *Grid*: ours "
        f"with {VALUES} values of each factor, as their text says. *Binned*: ours with continuous factors, "
        f"of which the metrics see {VALUES} equal bins, as in their code. *Theirs*: published, rounded to "
        "one decimal, means over 100 representations of 20,000 points; by their own account with an "
        f"{errors}. Each published number stands under their name for the metric, ours under our ids. "
        "Equal numbers mean agreement only where the last column does not say *another quantity* or "
        "*another scale*."
    )
    cases = frame[(frame["set"] == "carbonneau") & (frame["published_metric"] != "")]
    lines = keyed(cases[cases["representation"].isin([rung.name for rung in CASES[::2]])])
    sources = "; ".join(lines["published_source"].unique())
    head = ["theirs", "ours", "id"]
    for rung in CASES[::2]:
        head += [f"{rung.name}:<br>theirs", "grid", "binned"]
    body = [
        [str(name), *_against(frame, of, str(key))]
        for (name, key), of in lines.groupby(["published_metric", "key"], sort=False)
    ]
    order = list(dict.fromkeys(row["metric"] for row in published()))
    body.sort(key=lambda line: order.index(line[0]))
    return [told, _rows([[*head, "how the definitions differ"], *body]), f"Source: {sources}."]


def _against(frame: pd.DataFrame, lines: pd.DataFrame, key: str) -> list[str]:
    """Of one published metric: our score, its id, per case their number and ours, and what differs."""
    ours, theirs = table(frame, "carbonneau"), lines.set_index("representation")["published"]
    cells = [_name(key) or "not scored here", f"`{lines['metric_id'].iloc[0]}`" if key else ""]
    for grid, binned in zip(CASES[::2], CASES[1::2], strict=True):
        found = [ours.at[key, r.name] if key and r.name in ours else None for r in (grid, binned)]
        cells += [_number(theirs.get(grid.name), ".1f"), *map(_number, found)]
    return [*cells, lines["differs"].iloc[0]]


def _made(frame: pd.DataFrame) -> str:
    one, each = frame.iloc[0], frame.drop_duplicates(["representation", "metric_id"])
    seconds = (each["seconds"] * each["repeats"].astype(float)).sum()  # they are those of one draw
    commit = (
        f"{one['commit'][:10]}{' with changes' if one['dirty'] else ''}" if one["commit"] else "not known"
    )
    return (
        f"Made by `disentangle ladder` of disentangle-bench {one['version']}, commit {commit}, Python "
        f"{one['python']}, NumPy {one['numpy']}, scikit-learn {one['scikit_learn']}, on {one['hardware']}; "
        f"{seconds / 60:.0f} minutes of scoring."
    )
