"""What two studies, or a study and published numbers, are compared by: runs of a table, and filters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from disentangle import published_names as names
from disentangle.board import UNIT
from disentangle.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd

NEEDED = (
    "kind", "run_key", "dataset", "source", "method", "setting", "seed", "steps", "batch", "lr", "latents",
    "status", "metric_id", "score", "value",
)  # fmt: skip
_ADDED: dict[str, Any] = {"split": "", "precision": "fp32", "metric_std": None, "repeats": 1}
_TEXTS = ["run_key", "dataset", "source", "method", "setting", "precision", "split", "metric_id", "score"]
_NUMBERS = ["seed", "steps", "batch", "lr", "latents", "value", "metric_std", "repeats"]
_ONCE = ["dataset", "source", *UNIT, "seed", "metric_id", "score"]


def runs_of(frame: pd.DataFrame, name: str = "the table") -> pd.DataFrame:
    """The scores of a tidy frame's runs, in an order of their own; of a CSV file, with its types mended.

    Diverged runs and scores without a value are left out.

    Args:
        frame: of `disentangle.table.tidy`, or of a ``table.csv``.
        name: what it is called in messages.

    Raises:
        InputError: a column is missing or holds what it cannot, there is no scored run, or a run has a
            score twice.
    """
    import pandas as pd

    missing = [column for column in NEEDED if column not in frame]
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(missing)}; expected a table.csv, as `disentangle table` writes"
        )
    # Older tables lack some columns; in a CSV file an empty text is NaN.
    runs = frame.assign(**{k: v for k, v in _ADDED.items() if k not in frame})
    runs = runs[(runs["kind"] == "run") & (runs["status"] == "done")]
    runs = runs.assign(**{c: runs[c].astype(object).fillna(_ADDED.get(c, "")).astype(str) for c in _TEXTS})
    for column in _NUMBERS:
        try:
            # A seed may have more digits than a float holds.
            kind: Any = "int64" if column == "seed" else "float64"
            runs = runs.assign(**{column: pd.to_numeric(runs[column]).astype(kind)})
        except (ValueError, TypeError) as error:
            raise InputError(f"{name}: {column}: {error}; expected numbers") from None
    runs = runs[(runs["score"] != "") & runs["value"].notna()].sort_values(_ONCE, ignore_index=True)
    if runs.empty:
        raise InputError(f"{name} has no scored run to compare; expected lines of kind 'run', status 'done'")
    for one in runs[runs.duplicated(_ONCE)].to_dict("records"):
        what = f"{one['method']} {one['setting']}".strip()
        raise InputError(
            f"{name}: {what}, seed {one['seed']}, on {one['dataset']} ({one['source']}) has "
            f"{one['metric_id']} {one['score']} twice; expected each score of a run once"
        )
    return runs


def chosen(runs: pd.DataFrame, wanted: Mapping[str, str], side: str) -> pd.DataFrame:
    """The runs that have the wanted values.

    Args:
        runs: of `runs_of`.
        wanted: a field of `disentangle.board.UNIT` or a hyperparameter (``beta`` or ``hyper.beta``), and its
            value as text.
        side: whose runs they are, for messages.

    Raises:
        InputError: no run has such a field, that value, or all of them together.
    """
    for field, value in bare(wanted).items():
        texts = _texts(runs, field)
        known = sorted({text for text in texts if text is not None})
        if field not in UNIT and not known:
            left = " that are left" if len(wanted) > 1 else ""
            raise unknown(f"field among the runs of {side}{left}:", field, {*UNIT, *hypers(runs)})
        if not any(names.same(text, value) for text in known):
            everywhere = ", ".join(map(repr, known))
            raise InputError(
                f"{side}: {field}={value} is in no run{' that is left' if len(wanted) > 1 else ''}; there is "
                f"{everywhere}"
            )
        runs = runs[[text is not None and names.same(text, value) for text in texts]]
    return runs.reset_index(drop=True)


def bare(wanted: Mapping[str, str]) -> dict[str, str]:
    """Fields without the ``hyper.`` that a table's column has.

    >>> bare({"hyper.beta": "4", "steps": "10"})
    {'beta': '4', 'steps': '10'}
    """
    return {field.removeprefix("hyper."): value for field, value in wanted.items()}


def hypers(runs: pd.DataFrame) -> set[str]:
    """The hyperparameters that any of the runs has."""
    return {name for setting in runs["setting"].unique() for name in hyper(setting)}


def hyper(setting: str) -> dict[str, str]:
    """The hyperparameters of a run's setting, as texts.

    >>> hyper("beta=1, k=rnd, pairs=paper")
    {'beta': '1', 'k': 'rnd', 'pairs': 'paper'}
    """
    return names.setting(setting) or {}


def by_size(text: str) -> list[Any]:
    """What texts are sorted by: numbers in them by their size.

    >>> sorted(["beta=16", "beta=4"], key=by_size)
    ['beta=4', 'beta=16']
    """
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[-+]\d+)?)", text)
    return [float(part) if i % 2 else part for i, part in enumerate(parts)]


def _texts(runs: pd.DataFrame, field: str) -> list[str | None]:
    """A field of each run as text; None where a run has no such hyperparameter."""
    if field in UNIT:
        return [as_text(value) for value in runs[field]]
    return [hyper(setting).get(field) for setting in runs["setting"]]


def as_text(value: Any) -> str:
    """A value as people write it.

    >>> as_text(2400.0), as_text(0.001), as_text("fp32")
    ('2400', '0.001', 'fp32')
    """
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else f"{value:g}"
    return str(value)


def told(field: str, value: Any) -> str:
    """A field's value in a sentence, with thousands apart, and an empty one in words.

    >>> told("steps", 300000.0), told("split", ""), told("lr", None)
    ('300,000', 'none', 'not told')
    """
    if value is None:
        return "not told"
    if isinstance(value, float) and value == int(value):
        return f"{value:,.0f}"
    return as_text(value) or "none"


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
