"""Two studies, cell by cell: paired by seed where possible, with effect sizes, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from disentangle.board import UNIT
from disentangle.compare_cells import bare, chosen, runs_of
from disentangle.compare_pairs import Cell, cells_of, lonely, pairs_of
from disentangle.compare_statistics import Test, holm, paired, welch

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    "dataset", "source", *UNIT, *(f"theirs_{name}" for name in UNIT), "metric_id", "score",
    "mean", "n", "theirs_mean", "theirs_n", "seeds", "only_ours", "only_theirs", "test", "difference",
    "ci95_half_width", "effect", "effect_name", "p", "p_holm", "comparisons", "verdict",
]  # fmt: skip
LEVEL = 0.05  # of the corrected p
SAME = "the same models"
UNTESTED = "not tested: one seed"


@dataclass(frozen=True)
class Studies:
    """What comparing two studies found.

    Attributes:
        frame: a line per pair of cells, with the columns `COLUMNS`.
        told: what is not compared, and why, in sentences.
    """

    frame: pd.DataFrame
    told: tuple[str, ...]


def compare_studies(
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    *,
    ours_where: Mapping[str, str] | None = None,
    theirs_where: Mapping[str, str] | None = None,
    all_scores: bool = False,
    called: tuple[str, str] = ("ours", "theirs"),
) -> Studies:
    """Compare the cells that two studies share, or that filters set against each other.

    Two cells are a pair where data set, source, score, metric id and everything of
    `disentangle.board.UNIT` are the same, but for the fields that a filter names; where a hyperparameter is
    named, the others must agree, and where the method is, those that both methods have. With two seeds or
    more in both, the runs of one seed are compared with each other (`disentangle.compare_statistics.paired`),
    otherwise the two means where each has two seeds (`welch`). All p are corrected together (`holm`).
    Runs that are the same models (key and value) are told and not tested.

    Args:
        ours, theirs: of `disentangle.table.tidy`, or of a ``table.csv``.
        ours_where, theirs_where: keep only the runs with these values, such as ``{"precision": "bf16"}`` or
            ``{"beta": "4"}``; the same study may stand on both sides.
        all_scores: all scores instead of each metric's headline. UDR is never compared.
        called: what the two are called in messages.

    Returns:
        The lines, in which ``difference`` is ours - theirs, and what was not compared. Means and n are of
        the seeds that the difference is of; ``comparisons`` is the number of tests that were corrected for.

    Raises:
        InputError: a frame is no table; a filter names what is not there; or two settings of one side are
            like one of the other.

    >>> import pandas as pd
    >>> run = {"kind": "run", "dataset": "toy", "source": "drawn", "method": "vae", "setting": "", "steps": 5,
    ...        "batch": 4, "lr": 1e-3, "latents": 10, "status": "done", "metric_id": "mig@1", "score": "mig"}
    >>> def table(name, values):
    ...     lines = [{**run, "run_key": f"{name}{i}", "seed": i, "value": v} for i, v in enumerate(values)]
    ...     return pd.DataFrame(lines)
    >>> found = compare_studies(table("a", [0.3, 0.5, 0.4]), table("b", [0.2, 0.3, 0.1])).frame
    >>> found[["test", "difference", "p"]].round(4).values.tolist()
    [['paired t', 0.2, 0.0742]]
    """
    import pandas as pd

    wanted = bare(ours_where or {}), bare(theirs_where or {})
    free = {name for one in wanted for name in one}
    first, second = (
        cells_of(chosen(runs_of(frame, name), where, side), all_scores)
        for frame, name, where, side in zip((ours, theirs), called, wanted, ("ours", "theirs"), strict=True)
    )
    pairs = pairs_of(first, second, free)
    lines = [_line(one, other) for one, other in pairs]
    _correct(lines)
    numbers = ["mean", "theirs_mean", "difference", "ci95_half_width", "effect", "p", "p_holm"]
    whole = ["n", "theirs_n", "comparisons"]
    for side in ("", "theirs_"):
        whole += [f"{side}{name}" for name in ("steps", "batch", "latents")]
    kinds = dict.fromkeys(numbers, "float64") | dict.fromkeys(whole, "Int64")
    frame = pd.DataFrame(lines, columns=COLUMNS).astype(kinds)
    return Studies(frame, tuple(lonely(first, second, pairs, free)))


def _line(one: Cell, other: Cell) -> dict[str, Any]:
    both = sorted(one.values.keys() & other.values.keys())
    same = [s for s in both if one.runs[s] == other.runs[s] and one.values[s] == other.values[s]]
    first, second = ([cell.values[s] for s in sorted(cell.values)] for cell in (one, other))
    if len(both) > 1 or (both and same == both):
        first, second = ([cell.values[s] for s in both] for cell in (one, other))
    means = [sum(values) / len(values) for values in (first, second)]
    line = {
        **one.fields,
        **{f"theirs_{name}": other.fields[name] for name in UNIT},
        "mean": means[0],
        "n": len(first),
        "theirs_mean": means[1],
        "theirs_n": len(second),
        "seeds": _seeds(both),
        "only_ours": _seeds(sorted(one.values.keys() - other.values.keys())),
        "only_theirs": _seeds(sorted(other.values.keys() - one.values.keys())),
        "test": "none",
        "difference": means[0] - means[1],
    }
    if both and same == both:
        return line | {"verdict": SAME}
    if min(len(first), len(second)) < 2:
        return line | {"verdict": UNTESTED}
    return line | _tested(paired(first, second) if len(both) > 1 else welch(first, second))


def _tested(test: Test) -> dict[str, Any]:
    return {
        "test": test.kind,
        "difference": test.difference,
        "ci95_half_width": test.half_width,
        "effect": test.effect,
        "effect_name": test.effect_name,
        "p": test.p,
    }


def _correct(lines: Sequence[dict[str, Any]]) -> None:
    """Add the corrected p and what it says to the lines that have a test."""
    tested = [line for line in lines if "p" in line]
    for line, p in zip(tested, holm([line["p"] for line in tested]), strict=True):
        verdict = "no difference shown"
        if p < LEVEL:
            verdict = "ours higher" if line["difference"] > 0 else "ours lower"
        line |= {"p_holm": p, "comparisons": len(tested), "verdict": verdict}


def _seeds(seeds: Sequence[int]) -> str:
    """Seeds as text, a run of them as a range.

    >>> _seeds([0, 1, 2, 7]), _seeds([])
    ('0-2, 7', '')
    """
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
