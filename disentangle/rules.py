"""The named rules of model selection: what a rule's text means.

- ``"every"``: no selection, every setting is there;
- ``"fixed"``: the setting that the study file fixes for each method;
- ``"oracle:mig"``, or another score: the setting with the best mean of it, which uses the labels;
- ``"udr"``, ``"weak_reconstruction"``: the setting with the best mean of that score, without labels.

The last two kinds choose a single model (a setting and a seed) with ``/model`` behind them. A metric's id,
as in ``"oracle:mig@1[rows=50000]"``, means its headline under that protocol alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from disentangle import find
from disentangle.errors import InputError, unknown
from disentangle.run import Hyper, Run

LESS = {"udr": False, "weak_reconstruction": True}  # the scores without labels: is less of them better?
KNOWN = ("every", "fixed", *(f"{name}{end}" for name in ("oracle:<score>", *LESS) for end in ("", "/model")))


@dataclass(frozen=True)
class Rule:
    """How settings or models are chosen; `parse_rule` makes it.

    Attributes:
        name: the text that it was made from.
        criterion: the score that decides, or None.
        level: whether a ``"setting"``, by its mean over seeds, or a single ``"model"`` is chosen.
        lower_is_better: of the criterion.
        about: one sentence for people.
        metric_id: the criterion's, where the text gave it.
        fixed: each method's setting, for ``"fixed"``.
    """

    name: str
    criterion: str | None
    level: Literal["setting", "model"]
    lower_is_better: bool
    about: str
    metric_id: str | None = None
    fixed: tuple[tuple[str, str], ...] = ()


def parse_rule(text: str, fixed: Mapping[str, Mapping[str, Hyper]] | None = None) -> Rule:
    """The rule that a text names; the module's docstring lists them.

    Args:
        text: the rule.
        fixed: method to hyperparameters, read by ``"fixed"`` alone; those left out take their defaults.

    Raises:
        InputError: an unknown rule, method, hyperparameter or metric, or a score without labels as oracle.

    >>> rule = parse_rule("oracle:mig@1[rows=50000]/model")
    >>> rule.criterion, rule.metric_id, rule.level
    ('mig', 'mig@1[rows=50000]', 'model')
    >>> parse_rule("fixed", {"beta_vae": {"beta": 4.0}}).fixed
    (('beta_vae', 'beta=4'),)
    """
    if text == "every":
        return Rule(text, None, "setting", False, "No selection: every setting is a line.")
    if text == "fixed":
        runs = [Run(method=m, dataset="", hyper=dict(hyper)).complete() for m, hyper in (fixed or {}).items()]
        about = "Each method has the setting that the study file fixes for it, whatever the scores say."
        return Rule(text, None, "setting", False, about, None, tuple((r.method, r.setting()) for r in runs))
    named = text.removesuffix("/model")
    criterion = named.removeprefix("oracle:")
    score, less = meaning(criterion)
    if named != criterion and score in LESS:
        raise InputError(f"{text!r}: {score} uses no labels, so that it is no oracle; expected {score!r}")
    if not criterion or (named == criterion) != (score in LESS):
        raise unknown("selection rule", text, KNOWN)
    level: Literal["setting", "model"] = "setting" if named == text else "model"
    return Rule(
        text, score, level, less, sentence_of(score, level, less), criterion if "@" in criterion else None
    )


def meaning(criterion: str) -> tuple[str, bool]:
    """The score that a name or a metric's id means, and whether less of it is better."""
    stem, is_id, _ = criterion.partition("@")
    if stem in LESS:
        return stem, LESS[stem]
    metrics = by_id()
    if is_id and stem not in metrics:
        raise unknown("metric id", criterion, [metric.id for metric in metrics.values()])
    score = metrics[stem].headline if is_id else criterion
    return score, score in lower_is_better()


@cache
def lower_is_better() -> frozenset[str]:
    """The metrics' headlines of which less is better."""
    return frozenset(metric.headline for metric in by_id().values() if metric.lower_is_better)


@cache
def by_id() -> dict[str, find.Metric]:
    """Every metric by the beginning of its id."""
    found = (find.get("metric", name) for name in find.names("metric"))
    return {metric.id.partition("@")[0]: metric for metric in found}


def sentence_of(score: str, level: str, less: bool) -> str:
    best = "lowest" if less else "highest"
    what = f"setting with the {best} mean {score} over its seeds"
    if level == "model":
        what = f"single model, a setting and a seed, with the {best} {score}"
    if score not in LESS:
        return (
            f"Oracle: each method has the {what}, which uses the labels, and on the same seeds that are "
            f"reported: lucky {level}s are favoured, so that the {score} shown is optimistic."
        )
    other = "; another k or pair rule means other pairs" if score == "weak_reconstruction" else ""
    return f"Each method has the {what}; no label is used to choose{other}."
