"""What a selection rule chose, as Markdown: a table for one rule, never for two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from disentangle import find
from disentangle.board import UNIT, told
from disentangle.errors import InputError
from disentangle.rules import Rule, meaning, parse_rule
from disentangle.selection import plain

if TYPE_CHECKING:
    import pandas as pd


def selection_board(selected: pd.DataFrame, headlines: Mapping[str, str]) -> str:
    """What one rule chose, as Markdown: a table per data set, source and split, a line per choice.

    Args:
        selected: of `select`, with one rule.
        headlines: metric id to the score that stands for it.

    Raises:
        InputError: several rules, or none: what different rules chose is never ranked together.
    """
    names = sorted(set(selected["rule"]))
    if len(names) != 1:
        raise InputError(f"the frame has the rules {names}; expected one: a table never mixes rules")
    rule, selected = parse_rule(names[0]), selected.fillna({"chosen": "", "left_out": "", "split": ""})
    parts = [f"# Selection rule: {rule.name}", rule.about]
    groups: Any = selected.groupby(["dataset", "source", "split"])  # whose keys are tuples of texts
    for (dataset, source, split), of in groups:
        parts += [f"## {dataset} ({source}){told(split)}", _table(of, rule, headlines)]
        lost = of.drop_duplicates("method")[["method", "left_out"]].itertuples(index=False, name=None)
        parts += [f"Left out: {_title(method)}: {text}." for method, text in lost if text]
    parts.append(
        "Cells: mean over seeds ± standard deviation (n - 1 in the denominator). **Bold**: the best mean of "
        "a column. Candidates: how many there were to choose from; of equal ones the first is taken."
    )
    return "\n\n".join(parts) + "\n"


def _table(of: pd.DataFrame, rule: Rule, headlines: Mapping[str, str]) -> str:
    extra = [*(["seed"] if rule.level == "model" else []), "steps"]
    extra += [name for name in UNIT[3:] if of[name].nunique() > 1]
    less = {score for score in headlines.values() if meaning(score)[1]}
    heads = [f"{s}{' (less is better)' if s in less else ''}<br>`{i}`" for i, s in headlines.items()]
    ids = [rule.metric_id] if rule.metric_id else sorted(set(of["metric_id"][of["score"] == rule.criterion]))
    by = [f"chosen by {rule.criterion}" + "".join(f"<br>`{i}`" for i in ids)] if rule.criterion else []
    table = [["method", "setting", *extra, *by, *heads, "seeds", "candidates"]]
    best = {}
    for i, score in headlines.items():
        means = of["mean"][(of["metric_id"] == i) & (of["score"] == score)]
        best[i] = means.min() if score in less else means.max()
    for _, own in of.groupby(["method", "chosen", *UNIT[2:]], dropna=False, sort=False):
        one = own.iloc[0]
        shown = ["*none*", *("" for _ in [*extra, *by])]
        if own["steps"].notna().all():
            value = [f"{one['criterion_value']:.3f}" for _ in by]
            shown = [one["chosen"], *(plain(one[name]) for name in extra), *value]
        cells = [_cell(own, i, score, best[i]) for i, score in headlines.items()]
        lost = "" if own["diverged"].isna().all() else int(own["diverged"].max())
        seeds = f"{own['n'].max()}" + (f", {lost} diverged" if lost else "")
        table.append([_title(one["method"]), *shown, *cells, seeds, str(one["candidates"])])
    return "\n".join("| " + " | ".join(row) + " |" for row in [table[0], ["---"] * len(table[0]), *table[1:]])


def _cell(own: pd.DataFrame, metric_id: str, score: str, best: float) -> str:
    found = own[(own["metric_id"] == metric_id) & (own["score"] == score) & (own["n"] > 0)]
    if found.empty:
        return "missing"
    one = found.iloc[0]
    text = f"{one['mean']:.3f}" + (f" ± {one['std']:.3f}" if one["n"] > 1 else "")
    text = f"**{text}**" if one["mean"] == best else text
    return text if one["n"] == own["n"].max() else f"{text} (n = {one['n']})"


def _title(method: str) -> str:
    return find.get("method", method).title if method in find.names("method") else method
