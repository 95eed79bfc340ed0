"""Model selection by named rules: what each rule chooses from a tidy frame, never two rules in one table.

`disentangle.rules` says which rules there are.

>>> import pandas as pd
>>> from disentangle.rules import parse_rule
>>> run = {"kind": "run", "dataset": "toy", "source": "drawn", "method": "beta_vae", "status": "done",
...        "steps": 5, "batch": 4, "lr": 1e-3, "latents": 10, "precision": "fp32", "metric_id": "mig@1",
...        "score": "mig", "repeats": 1, "metric_std": None}
>>> found = [("beta=1", 0, 0.1), ("beta=1", 1, 0.6), ("beta=4", 0, 0.4), ("beta=4", 1, 0.5)]
>>> frame = pd.DataFrame([{**run, "setting": s, "seed": seed, "value": value} for s, seed, value in found])
>>> chosen = select(frame, parse_rule("oracle:mig"))
>>> chosen[["chosen", "mean", "n", "candidates"]].values.tolist()
[['beta=4', 0.45, 2, 2]]
>>> select(frame, parse_rule("oracle:mig/model"))[["chosen", "seed", "mean"]].values.tolist()
[['beta=1', 1, 0.6]]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from disentangle.board import UNIT, by_size
from disentangle.errors import InputError, unknown
from disentangle.frame import summarise, twice
from disentangle.rules import Rule, by_id

if TYPE_CHECKING:
    import pandas as pd

Unit = tuple[Any, ...]  # the values of UNIT
PLACE = ["dataset", "source", "method", "split"]  # nothing is chosen across these
CELL = ["metric_id", "score", "mean", "std", "n", "ci95_half_width"]
COLUMNS = [
    *(
        "rule",
        *PLACE,
        "chosen",
        "seed",
        *(name for name in UNIT[2:] if name not in PLACE),
        "criterion",
        "criterion_value",
        "candidates",
        "diverged",
        "left_out",
    ),
    *CELL,
]
NOTHING: dict[str, Any] = {"metric_id": "", "score": "", "n": 0}


class _Candidate(NamedTuple):
    unit: Unit
    seed: int | None
    value: float  # of the criterion
    lines: pd.DataFrame  # of its done runs
    diverged: int  # runs


def select(frame: pd.DataFrame, rule: Rule, order: Sequence[Unit] = ()) -> pd.DataFrame:
    """The scores of what a rule chooses for each method on each data set and source.

    Diverged runs count nowhere. A candidate of which a done run lacks the criterion, or has it not finite, is
    left out and named in ``left_out``, as is one without a done run. Of equal ones the first is taken:
    first in ``order``, then by setting (numbers by their size), then by seed. Scores that are no metric's
    headline are better the higher they are.

    Args:
        frame: of `disentangle.table.tidy`; its calibration lines are not read.
        rule: of `parse_rule`.
        order: the study's settings in their order, which a frame does not keep, as values of
            `disentangle.board.UNIT`.

    Returns:
        The columns `COLUMNS`, a line per score of each choice, with mean, spread and n of
        `disentangle.table.summarise`. So many ``candidates`` were there to choose from. A method of which
        none can be chosen has one line, with n = 0 and ``chosen`` empty.

    Raises:
        InputError: no runs, or a score of a run twice; no run with the criterion, or several metric ids that
            carry it; a method with several settings of which `Rule.fixed` gives none.
    """
    import pandas as pd

    runs = _runs(frame)
    each = list(runs[UNIT].itertuples(index=False, name=None))
    units = sorted(set(each), key=_key(order))
    places = {unit: place for place, unit in enumerate(units)}
    runs = runs.assign(decides=_deciding(runs, rule), unit=[places[unit] for unit in each])
    lines: list[dict[str, Any]] = []
    groups: Any = runs.groupby(PLACE)  # its keys are tuples of texts, which the types do not say
    for place, of in groups:
        candidates, left_out = _candidates(of, rule, units)
        if rule.name == "fixed":
            fixed = _fixed(of, rule, units)
            chosen = [one for one in candidates if one.unit in fixed]
            left_out = left_out if fixed else [f"{dict(rule.fixed)[place[2]]}: no run"]
        else:
            chosen = candidates if rule.criterion is None else _best(candidates, rule)
        shared = dict(zip(PLACE, place, strict=True)) | {"candidates": len(candidates)}
        shared |= {"rule": rule.name, "criterion": rule.criterion, "left_out": "; ".join(left_out)}
        lines += [shared | line for one in chosen for line in _lines(one)] or [shared | NOTHING]
    kinds = dict.fromkeys(["seed", "steps", "batch", "latents", "diverged"], "Int64")
    kinds |= dict.fromkeys(["lr", "criterion_value", "mean", "std", "ci95_half_width"], "float64")
    return pd.DataFrame(lines, columns=COLUMNS).astype(kinds)


def _best(candidates: list[_Candidate], rule: Rule) -> list[_Candidate]:
    sign = 1 if rule.lower_is_better else -1
    return sorted(candidates, key=lambda one: sign * one.value)[:1]  # stable: the first of equal ones


def _runs(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of runs, in an order of their own: sums then round alike however the frame is sorted."""
    keys = ["dataset", "source", *UNIT, "seed", "metric_id", "score"]
    # From a CSV file an empty text is NaN.
    texts = ["setting", "split", "metric_id", "score"]
    runs = frame[frame["kind"] == "run"]
    if "split" not in runs:  # of a version that had none
        runs = runs.assign(split="")
    runs = runs.assign(**{name: runs[name].astype(object).fillna("") for name in texts})
    runs = runs.assign(value=runs["value"].astype(float)).sort_values(keys, ignore_index=True)
    if runs.empty:
        raise InputError("there are no runs to choose from; expected lines of the kind 'run'")
    for one in runs[runs.duplicated(keys)].to_dict("records"):
        raise twice(one)
    return runs


def _deciding(runs: pd.DataFrame, rule: Rule) -> pd.Series[bool]:
    """Which lines are the criterion's."""
    own, column = runs["score"] == rule.criterion, "metric_id" if rule.metric_id else "score"
    if rule.metric_id:
        own &= runs["metric_id"] == rule.metric_id
    ids = sorted(set(runs["metric_id"][own]))
    if rule.criterion is not None and not ids:
        known = set(runs[column]) - {""}
        raise unknown(f"{column} among these runs", rule.metric_id or rule.criterion, known)
    metric = by_id().get(ids[0].partition("@")[0]) if ids else None
    headline = metric is None or metric.headline == rule.criterion
    if len(ids) > 1:
        one = f"a rule with one of them, such as {rule.name.replace(str(rule.criterion), ids[0])!r}"
        raise InputError(
            f"{rule.criterion} is there under {', '.join(ids)}, whose numbers are not to be mixed; expected "
            + (one if headline else "a frame with one of them")
        )
    if metric is not None and metric.lower_is_better and not headline:
        raise InputError(f"{metric.id} says of {metric.headline} alone whether less of it is better")
    return own


def _key(order: Sequence[Unit]) -> Callable[[Unit], Any]:
    """What settings are sorted by: their place in a study, then their texts with numbers by their size."""
    places = {unit: place for place, unit in enumerate(order)}

    def key(unit: Unit) -> Any:
        return places.get(unit, len(places)), unit[0], by_size(unit[1]), unit[2:]

    return key


def _candidates(of: pd.DataFrame, rule: Rule, units: list[Unit]) -> tuple[list[_Candidate], list[str]]:
    """What may be chosen of one method, in order, and the texts of what may not, with the reason."""
    found, left_out = [], []
    groups: Any = of.groupby(["unit"] if rule.level == "setting" else ["unit", "seed"])
    for (place, *seed), lines in groups:
        done, unit = lines[lines["status"] == "done"], units[place]
        values = [value for value in done["value"][done["decides"]] if math.isfinite(value)]
        n = done["seed"].nunique()
        if n and (rule.criterion is None or len(values) == n):
            # Summed exactly, so that the same values of other seeds are a tie.
            mean = math.fsum(values) / n if values else math.nan
            diverged = int(lines["seed"].nunique() - n)
            found.append(_Candidate(unit, seed[0] if seed else None, mean, done, diverged))
        else:
            name = ", ".join([_called(unit, of), *(f"seed {s}" for s in seed)])
            why = f"{rule.criterion} of {len(values)} of {n} runs" if n else "diverged"
            left_out.append(f"{name}: {why}")
    return found, left_out


def _called(unit: Unit, of: pd.DataFrame) -> str:
    """A setting's text, with what else tells it from the method's other ones."""
    differ = [i for i, name in enumerate(UNIT) if i > 1 and of[name].nunique() > 1]
    parts = [unit[1], *(f"{UNIT[i]}={plain(unit[i])}" for i in differ)]
    return ", ".join(part for part in parts if part) or "its only setting"


def plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fixed(of: pd.DataFrame, rule: Rule, units: list[Unit]) -> list[Unit]:
    """The method's fixed setting, in a list that is empty where no run has it."""
    here = [units[i] for i in sorted(set(of["unit"]))]
    method, wanted = here[0][0], dict(rule.fixed)
    found = [unit for unit in here if unit[1] == wanted.get(method, unit[1])]
    if len(found) > 1:
        names = "; ".join(_called(unit, of) for unit in found)
        expected = f"one that is {wanted[method]}" if method in wanted else "one of them in fixed"
        raise InputError(f"{method} has several settings ({names}); expected {expected}")
    return found


def _lines(one: _Candidate) -> list[dict[str, Any]]:
    """A choice's scores; one empty line where its runs have none."""
    about = {"chosen": one.unit[1], "seed": one.seed, "criterion_value": one.value, "diverged": one.diverged}
    about |= dict(zip(UNIT[2:], one.unit[2:], strict=True))
    cells: Any = summarise(one.lines)[CELL].to_dict("records")
    return [about | cell for cell in cells] or [about | NOTHING]
