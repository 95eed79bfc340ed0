"""Leaderboards as the page's template reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from disentangle.board import Board, Cell, Line
from disentangle.rules import Rule, parse_rule

if TYPE_CHECKING:
    from disentangle.table import Tables


def place(dataset: str, source: str, split: str) -> str:
    """What a board or a figure is of, in one text."""
    return f"{dataset}|{source}|{split}"


def view(board: Board, keys: Callable[[Board, Line], list[str]], tables: Tables) -> dict[str, Any]:
    """A leaderboard in the template's terms.

    Args:
        board: the leaderboard.
        keys: of `disentangle.board.keys_of`.
        tables: that it is of.
    """
    ends = [_ends(board, i) for i in range(len(board.columns))]
    rule = parse_rule(board.rule) if board.rule else None
    groups = []
    for kind in ("run", "calibration"):
        lines = [line for line in board.lines if line.kind == kind]
        made = [
            {"method": line.method, "title": line.before[0], "after": line.after,
             "before": [_text(text) for text in line.before[1:]],
             "text": " ".join(line.before).lower(),
             "cells": [_cell(c, e) for c, e in zip(line.cells, ends, strict=True)],
             "runs": keys(board, line)}
            for line in lines
        ]  # fmt: skip
        groups += [{"kind": kind, "lines": made}] if made or kind == "run" else []
    return {
        "dataset": board.dataset,
        "source": board.source,
        "source_kind": board.source.partition(":")[0].replace(" ", "-"),
        "split": board.split,
        "rule": board.rule,
        "about": rule.about if rule else "",
        "label": board.title.replace("`", "") + (f", selection rule {board.rule}" if board.rule else ""),
        "told": _told(board, tables),
        "place": place(board.dataset, board.source, board.split),
        "before": [_head(text, board, i, rule) for i, text in enumerate(board.before)],
        "columns": board.columns,
        "after": board.after,
        "groups": groups,
        "width": len(board.before) + len(board.columns) + len(board.after),
        "notes": board.notes,
    }


def _told(board: Board, tables: Tables) -> str:
    """Where the images come from, in a sentence."""
    frame = tables.frame
    here = frame[(frame["dataset"] == board.dataset) & (frame["source"] == board.source)]
    if here.empty:
        return f"{board.source}."
    checksum = here["data_checksum"].iloc[0]  # one source of a data set has one
    own = (row["data"] for row in tables.joined.rows if row["data"]["checksum"] == checksum)
    note = next((data["note"] for data in own if data.get("note")), "")
    return f"{board.source}, checksum {checksum}.{' ' if note else ''}{note}"


def _head(text: str, board: Board, place: int, rule: Rule | None) -> dict[str, Any]:
    """A column before the scores, and how it is sorted: as numbers where it has no other texts."""
    first, *ids = text.split("<br>")
    numbers = any(line.before[place] for line in board.lines)
    numbers &= all(_text(line.before[place])["value"] or not line.before[place] for line in board.lines)
    up = rule is None or rule.lower_is_better or not first.startswith("chosen by")
    return {"text": first, "ids": [i.strip("`") for i in ids],
            "kind": "number" if numbers else "text", "up": up}  # fmt: skip


def _text(text: str) -> dict[str, str]:
    """A cell before the scores, and its number if it is one."""
    try:
        return {"text": text, "value": f"{float(text.replace(',', '')):g}"}
    except ValueError:
        return {"text": text, "value": ""}


def _ends(board: Board, i: int) -> tuple[float, float]:
    """The least and the largest mean of a column, for the bars."""
    means = [cell.mean for line in board.lines if isinstance(cell := line.cells[i], Cell)]
    return (min([0.0, *means]), max(means)) if means else (0.0, 0.0)


def _cell(cell: Cell | str, ends: tuple[float, float]) -> dict[str, Any] | str:
    if isinstance(cell, str):
        return cell
    known, share = cell.n > 1, None
    if ends[1] > ends[0]:
        share = round(100 * (cell.mean - ends[0]) / (ends[1] - ends[0]))
    spread = f"standard deviation {cell.std:.4f}, 95 % interval of the mean ± {cell.half:.4f}"
    return {
        "value": f"{cell.mean:.9g}",
        "mean": f"{cell.mean:.3f}",
        "half": f"{cell.half:.3f}" if known else "",
        "std": f"{cell.std:.3f}" if known else "",
        "n": cell.n,
        "best": cell.best,
        "share": share,
        "title": f"mean {cell.mean:.4f} of {cell.n}" + (f", {spread}" if known else " seed, no interval"),
    }
