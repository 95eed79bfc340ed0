"""Our cells beside published numbers: the difference where all is alike, else what is not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from disentangle import published_names as names
from disentangle.board import UNIT, by_size
from disentangle.compare_cells import hyper, scored
from disentangle.compare_text import told
from disentangle.frame import half_width, summarise
from disentangle.published_checks import MEANS
from disentangle.published_scores import Published

if TYPE_CHECKING:
    import pandas as pd

OURS = ["dataset", "source", *UNIT, "metric_id", "score", "mean", "std", "n", "ci95_half_width"]
THEIRS = (
    "paper", "table", "dataset", "method", "hyperparameter", "metric", "statistic", "value", "std",
    "n_seeds", "source", "sureness", "protocol",
)  # fmt: skip
COLUMNS = [
    *OURS,
    *(f"published_{field}" for field in THEIRS),
    "published_ci95_half_width",
    "difference",
    "in_intervals",
    "verdict",
    "differs",
]
NOT_COMPARED = "not compared"
_MEANS = set(map(names.plain, MEANS))
_POSTERIOR = {"mean", "posteriormean", "code", "codes"}
Cell = dict[str, Any]


def compare_published(cells: Sequence[Cell], published: Iterable[Published]) -> pd.DataFrame:
    """Every published number beside each of our settings that fits it.

    A setting fits where data set, method and score are the same and every hyperparameter that the paper
    tells has its value. With m the means, and h the half widths of their 95 % intervals (Student's)::

        difference = m(ours) - m(theirs)
        in_intervals = difference / sqrt(h(ours)^2 + h(theirs)^2)

    Both are empty unless nothing that matters differs or is unknown: data source, steps, batch, learning
    rate, latents (where told), every hyperparameter, precision, split, metric id, and that theirs is
    a mean over seeds of models that nobody chose. A difference beyond 1 is "ours higher" or "ours lower";
    where one of the two intervals is unknown there is the difference alone, and no verdict on it. Of
    pairs of equal means at most about one in twenty is beyond 1, and with few seeds far fewer (of normal
    values with two seeds each .006, with five .024, with fifty .047). No correction for many.

    Args:
        cells: of `cells_of`.
        published: of `disentangle.published_scores.read_published`.

    Returns:
        A line per pair with the columns `COLUMNS`, in the order of the published numbers; ``differs`` holds
        all that differs or is unknown, joined by "; ". Networks, initial weights and optimisers are not
        compared unless a paper's line in ``published/protocols.csv`` says that they differ.
    """
    import pandas as pd

    lines = [_line(cell, row) for row in published for cell in _fitting(cells, row)]
    found = pd.DataFrame(lines, columns=COLUMNS)
    numbers = ["mean", "std", "ci95_half_width", "published_value", "published_std"]
    numbers += ["published_ci95_half_width", "difference", "in_intervals"]
    whole = ["n", "steps", "batch", "latents", "published_n_seeds"]
    return found.astype(dict.fromkeys(numbers, "float64") | dict.fromkeys(whole, "Int64"))


def unmatched(cells: Sequence[Cell], published: Iterable[Published]) -> pd.DataFrame:
    """How many published numbers have nothing of ours beside them, per paper and reason.

    Returns:
        The columns ``paper``, ``reason``, ``rows``, and ``names``, those that the suite does not know; the
        first reason of each number counts.
    """
    import pandas as pd

    found: dict[tuple[str, str], list[str]] = {}
    for row in published:
        if not _fitting(cells, row):
            reason, name = _why_not(cells, row)
            found.setdefault((row.paper, reason), []).append(name)
    lines = [(*key, len(of), list(dict.fromkeys(filter(None, of)))) for key, of in found.items()]
    return pd.DataFrame(lines, columns=["paper", "reason", "rows", "names"])


def cells_of(runs: pd.DataFrame) -> list[Cell]:
    """The means of a study's settings, with the fields `OURS`, in an order of their own.

    Args:
        runs: of `disentangle.compare_cells.runs_of`.
    """
    lines: Any = summarise(scored(runs))[OURS].to_dict("records")
    return sorted(lines, key=lambda cell: (cell["dataset"], cell["method"], by_size(cell["setting"])))


def _fitting(cells: Sequence[Cell], row: Published) -> list[Cell]:
    """Our cells that a published number is set beside; of one setting those with its metric id, if any."""
    found = [cell for cell in _alike(cells, row) if _setting_fits(cell, row)]
    ids = row.metric_ids
    exact = {_unit(cell) for cell in found if cell["metric_id"] in ids}
    return [cell for cell in found if cell["metric_id"] in ids or _unit(cell) not in exact]


def _alike(cells: Iterable[Cell], row: Published) -> list[Cell]:
    return [
        cell
        for cell in cells
        if cell["dataset"] in row.datasets and cell["method"] in row.methods and cell["score"] == row.score
    ]


def _unit(cell: Cell) -> tuple[Any, ...]:
    return tuple(cell[field] for field in ("dataset", "source", *UNIT))


def _setting_fits(cell: Cell, row: Published) -> bool:
    own = hyper(cell["setting"])
    return all(names.same(own[name], value) for name, value in row.settings or () if name in own)


def _why_not(cells: Sequence[Cell], row: Published) -> tuple[str, str]:
    """The first reason why a number has nothing beside it, and the name that the suite does not know."""
    known = {field: {cell[field] for cell in cells} for field in ("dataset", "method", "score")}
    if not known["dataset"] & set(row.datasets):
        return "data set not in the study", names.strange("dataset", row.dataset, known["dataset"])
    if not row.methods:
        return "method not in the suite", names.strange("method", row.method)
    if not row.score:
        return "metric not in the suite", names.strange("metric", row.metric)
    if not any(cell["dataset"] in row.datasets and cell["method"] in row.methods for cell in cells):
        return "method not in the study", ""
    return "setting not in the study" if _alike(cells, row) else "metric not scored in the study", ""


def _line(cell: Cell, row: Published) -> dict[str, Any]:
    reasons = [reason.replace(";", ",") for reason in _reasons(cell, row)]
    h = math.nan if row.std is None or row.n_seeds is None else half_width(row.std, row.n_seeds)
    line = cell | {f"published_{field}": getattr(row, field) for field in THEIRS}
    line |= {"published_ci95_half_width": h, "differs": "; ".join(reasons), "verdict": NOT_COMPARED}
    if reasons:
        return line
    difference = cell["mean"] - row.value
    line |= {"difference": difference}
    unknown = [
        side for side, width in (("ours", cell["ci95_half_width"]), ("theirs", h)) if math.isnan(width)
    ]
    if unknown:
        return line | {"verdict": f"no verdict: no interval of {' and '.join(unknown)}"}
    unit = math.hypot(cell["ci95_half_width"], h)
    if unit == 0:
        return line | {"verdict": "no verdict: neither varies"}
    verdict = "no difference shown"
    if abs(difference) > unit:
        verdict = "ours higher" if difference > 0 else "ours lower"
    return line | {"in_intervals": difference / unit, "verdict": verdict}


def _reasons(cell: Cell, row: Published) -> Iterator[str]:
    """All that stands against a comparison, in words that are the same for the same reason."""
    yield from row.unclear
    if cell["source"] != (row.data_source or "official"):
        yield f"data: ours {cell['source']}, theirs {row.data_source or 'not told'}"
    if names.plain(row.statistic) not in _MEANS:
        yield f"statistic: theirs is {row.statistic!r}, no mean over seeds"
    if row.selection:
        yield f"selection: theirs of models chosen by {row.selection}, ours of every seed"
    yield from _setting_reasons(cell, row)
    for field in ("steps", "batch", "lr", "latents"):
        value = getattr(row, field)
        if (value is None and field != "latents") or (value is not None and value != cell[field]):
            yield f"{field}: ours {told(field, cell[field])}, theirs {told(field, value)}"
    if cell["precision"] != "fp32":
        yield f"precision: ours {cell['precision']}, theirs not told"
    if cell["split"] != row.split:
        yield f"split: ours {told('split', cell['split'])}, theirs {told('split', row.split)}"
    if row.representation and names.plain(row.representation) not in _POSTERIOR:
        yield f"representation: ours the posterior mean, theirs {row.representation}"
    if cell["metric_id"] not in row.metric_ids:
        theirs = row.metric_id or "not known (scored by code of their own)"
        yield f"metric: ours {cell['metric_id']}, theirs {theirs}"


def _setting_reasons(cell: Cell, row: Published) -> Iterator[str]:
    own = hyper(cell["setting"])
    if row.settings is None:
        yield f"setting: theirs, {row.hyperparameter!r}, is not understood"
        return
    given = dict(row.settings)
    if strange := [k for k in given if k not in own]:
        theirs = ", ".join(f"{name}={given[name]}" for name in strange)
        meant = " and ".join(filter(None, (names.near(name, own) for name in strange)))
        hint = f"; did you mean {meant}?" if meant else ""
        yield f"setting: theirs is {theirs}, which is no hyperparameter of {cell['method']} here{hint}"
    told_of = {**row.fixed.get((cell["dataset"], cell["method"]), {}), **given}
    if own and not told_of:
        yield f"setting: theirs of {row.method} is not told"
        return
    for name, value in own.items():
        if name in told_of and not names.same(value, told_of[name]):
            yield f"{name}: ours {value}, theirs {told_of[name]}"
    if untold := [name for name in own if name not in told_of]:
        yield f"setting: theirs does not tell {', '.join(untold)}"
