"""Two studies, cell by cell: paired by seed where possible, with effect sizes, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from disentangle.board import UNIT
from disentangle.compare_cells import bare, chosen, of_several, runs_of, told_apart
from disentangle.compare_pairs import Cell, cells_of, lonely, pairs_of
from disentangle.compare_statistics import Test, holm, paired, welch
from disentangle.compare_text import left_out, ranges

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    "dataset", "source", *UNIT, *(f"theirs_{name}" for name in UNIT), "metric_id", "score",
    "mean", "n", "theirs_mean", "theirs_n", "seeds", "shared", "shared_unequal", "n_shared", "only_ours",
    "only_theirs", "test", "difference", "ci95_half_width", "effect", "effect_name", "p", "p_holm",
    "comparisons", "verdict",
]  # fmt: skip
SIDES = "ours", "theirs"
LEVEL = 0.05  # of the corrected p
SAME, UNEQUAL = "the same models", "the same runs, other values"
UNTESTED, FLAT = "not tested: one seed", "not tested: no spread"


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
    named, the others must agree, and where the method is, those that both methods have. Where both tell
    checksums of their images, and these differ, the sources are not the same.

    Runs with one key in both are the same models: they are left out of both, and told (``shared``, and
    those whose values differ all the same, as of models that were trained or scored again:
    ``shared_unequal``). Of the others, where every seed of one side was run by the other too, and two
    or more have a value in both, the runs of one seed are compared with each other
    (`disentangle.compare_statistics.paired`); seeds that diverged, and what other seeds the other side has,
    are left out. Else the means of all seeds are compared, where each side has two (`welch`): a few common
    seeds do not decide for many. One seed, or values without a spread, are not tested. All p are corrected
    together (`holm`).

    Args:
        ours, theirs: of `disentangle.table.tidy`, or of a ``table.csv``.
        ours_where, theirs_where: keep only the runs with these values, such as ``{"precision": "bf16"}`` or
            ``{"beta": "4"}``; the same study may stand on both sides. A data set or source only chooses.
        all_scores: all scores instead of each metric's headline. UDR is never compared.
        called: what the two are called in messages.

    Returns:
        The lines, in which ``difference`` is ours - theirs, and what was not compared. Means and n are of
        the ``seeds`` that the difference is of, where runs are paired or one side has none but shared
        ones; else ``seeds`` is empty, and they are of all that are not shared. ``n_shared`` counts
        ``shared``; ``comparisons`` is the number of tests that were corrected for.

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
    free = {name for one in wanted for name in one} - {"dataset", "source"}
    both = [runs_of(frame, name) for frame, name in zip((ours, theirs), called, strict=True)]
    several = of_several(*both)
    runs = [  # filters name sources as the tables do
        told_apart(chosen(some, where, side), several)
        for some, where, side in zip(both, wanted, SIDES, strict=True)
    ]
    first, second = (cells_of(some, all_scores) for some in runs)
    pairs = pairs_of(first, second, free)
    lines = [_line(one, other) for one, other in pairs]
    _correct(lines)
    numbers = ["mean", "theirs_mean", "difference", "ci95_half_width", "effect", "p", "p_holm"]
    whole = ["n", "theirs_n", "n_shared", "comparisons"]
    for side in ("", "theirs_"):
        whole += [f"{side}{name}" for name in ("steps", "batch", "latents")]
    kinds = dict.fromkeys(numbers, "float64") | dict.fromkeys(whole, "Int64")
    frame = pd.DataFrame(lines, columns=COLUMNS).astype(kinds)
    lost = [text for some, side in zip(runs, SIDES, strict=True) for text in left_out(some, side)]
    return Studies(frame, (*lonely(first, second, pairs, free), *lost))


def _line(one: Cell, other: Cell) -> dict[str, Any]:
    both = sorted(one.values.keys() & other.values.keys())
    shared = [s for s in both if one.runs[s] == other.runs[s]]
    same = [s for s in shared if one.values[s] == other.values[s]]
    unequal = [s for s in shared if s not in same]
    own = [sorted(cell.values.keys() - set(shared)) for cell in (one, other)]
    seeds = [s for s in both if s not in shared]
    if not all(own):  # one side has nothing that the other has not
        seeds, own = shared, [shared, shared]
    elif len(seeds) > 1 and not all(
        set(some) - set(seeds) - cell.lost for some, cell in zip(own, (other, one), strict=True)
    ):
        own = [seeds, seeds]
    else:
        seeds = []
    first, second = ([cell.values[s] for s in some] for cell, some in zip((one, other), own, strict=True))
    means = [sum(values) / len(values) for values in (first, second)]
    line = {
        **one.fields,
        **{f"theirs_{name}": other.fields[name] for name in UNIT},
        "mean": means[0],
        "n": len(first),
        "theirs_mean": means[1],
        "theirs_n": len(second),
        "seeds": ranges(seeds),
        "shared": ranges(same),
        "shared_unequal": ranges(unequal),
        "n_shared": len(same),
        "only_ours": ranges(sorted(one.values.keys() - other.values.keys() - other.lost)),
        "only_theirs": ranges(sorted(other.values.keys() - one.values.keys() - one.lost)),
        "test": "none",
        "difference": means[0] - means[1],
    }
    if own[0] == shared:
        return line | {"verdict": UNEQUAL if unequal else SAME}
    if min(len(first), len(second)) < 2:
        return line | {"verdict": UNTESTED}
    test = paired(first, second) if seeds else welch(first, second)
    return line | ({"verdict": FLAT} if test is None else _tested(test))


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
