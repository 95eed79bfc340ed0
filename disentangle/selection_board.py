"""What a selection rule chose, as leaderboards: a table for one rule, never for two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from disentangle.board import UNIT, Board, Column, Line, best_of, cell, told
from disentangle.errors import InputError
from disentangle.rules import Rule, parse_rule
from disentangle.selection import plain

if TYPE_CHECKING:
    import pandas as pd


def selection_boards(selected: pd.DataFrame, columns: Sequence[Column]) -> list[Board]:
    """What one rule chose: a table per data set, source and split, a line per choice.

    Args:
        selected: of `disentangle.selection.select`, with one rule.
        columns: the scores that are shown.

    Raises:
        InputError: several rules, or none: what different rules chose is never ranked together.
    """
    names = sorted(set(selected["rule"]))
    if len(names) != 1:
        raise InputError(f"the frame has the rules {names}; expected one: a table never mixes rules")
    # Where nothing is chosen the texts' columns are of no numbers, and of no texts either.
    texts = ["chosen", "left_out", "split"]
    rule, selected = parse_rule(names[0]), selected.astype(dict.fromkeys(texts, object))
    selected = selected.fillna(dict.fromkeys(texts, ""))
    found = []
    groups: Any = selected.groupby(["dataset", "source", "split"])  # whose keys are tuples of texts
    for (dataset, source, split), of in groups:
        lost = of.drop_duplicates("method")[["method", "left_out"]].itertuples(index=False, name=None)
        notes = tuple(f"Left out: {told(method)}: {text}." for method, text in lost if text)
        varied = [name for name in UNIT[3:] if of[name].nunique() > 1]
        before = ("method", "setting", *(["seed"] if rule.level == "model" else []), "steps", *varied)
        before += tuple([_criterion(of, rule)] if rule.criterion else [])
        best = [best_of(of, column) for column in columns]
        chosen = of.groupby(["method", "chosen", *UNIT[2:]], dropna=False, sort=False)
        lines = tuple(_line(own, rule, varied, columns, best) for _, own in chosen)
        after = ("seeds", "candidates")
        found.append(Board(dataset, source, split, rule.name, before, tuple(columns), after, lines, notes))
    return found


def _criterion(of: pd.DataFrame, rule: Rule) -> str:
    """The head of the column with the value that decided."""
    ids = [rule.metric_id] if rule.metric_id else sorted(set(of["metric_id"][of["score"] == rule.criterion]))
    return f"chosen by {rule.criterion}" + "".join(f"<br>`{i}`" for i in ids)


def _line(
    own: pd.DataFrame, rule: Rule, varied: list[str], columns: Sequence[Column], best: list[float | None]
) -> Line:
    one = own.iloc[0]
    extra = [*(["seed"] if rule.level == "model" else []), "steps", *varied]
    value = [f"{one['criterion_value']:.3f}"] if rule.criterion else []
    there = bool(own["steps"].notna().all())
    texts = (f"{one[name]:,}" if name == "steps" else plain(one[name]) for name in extra if there)
    shown = [one["chosen"], *texts, *value] if there else ["none"]
    shown += [""] * (1 + len(extra) + len(value) - len(shown))
    n = int(own["n"].max())
    cells = tuple(cell(own, column, b, n) for column, b in zip(columns, best, strict=True))
    lost = 0 if own["diverged"].isna().all() else int(own["diverged"].max())
    after = f"{n}" + (f", {lost} diverged" if lost else ""), str(one["candidates"])
    unit = (one["method"], one["chosen"], *(one[name] for name in UNIT[2:])) if there else None
    seed = int(one["seed"]) if there and rule.level == "model" else None
    return Line("run", one["method"], (told(one["method"]), *shown), cells, after, unit, seed)
