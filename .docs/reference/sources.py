"""Where formulas, settings and published numbers come from, by descriptors, docstrings and files."""

from __future__ import annotations

import ast
import csv
import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from disentangle import find
from disentangle.listing import KINDS
from reference import rst
from reference.entries import module
from reference.presets import all_sweeps


def pages(root: Path) -> dict[str, str]:
    """The tables of papers, of presets and of published numbers."""
    head = ["preset", "method", "data sets", "values", "seeds", "steps"]
    return {
        "made/papers.inc": papers(),
        "made/presets.inc": rst.table(head, all_sweeps()),
        "made/published.inc": published(root / "disentangle" / "published"),
    }


def papers() -> str:
    """Of each kind a table: the paper, and what the docstrings say of their source."""
    parts = []
    for plural, kind in KINDS.items():
        lines = []
        for name in find.names(kind):
            described: Any = find.get(kind, name)
            told = "\n\n".join(said(Path(module(kind, name).__file__)))
            paper = rst.linked(getattr(described, "paper", ""))
            lines.append([f":doc:`{name} <{plural}/{name}>`", paper, told])
        if any(line[1] for line in lines):
            title = rst.heading({"datasets": "Data sets"}.get(plural, plural.capitalize()), 3)
            parts.append(f"{title}\n{rst.table(['name', 'paper', 'source, as its text says'], lines)}")
    return "\n".join(parts)


def said(file: Path) -> Iterator[str]:
    """The paragraphs of a file's docstrings that begin with ``Source:``, each once."""
    kinds = (ast.Module, ast.FunctionDef, ast.ClassDef)
    seen = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        text = ast.get_docstring(node) if isinstance(node, kinds) else None
        for paragraph in inspect.cleandoc(text or "").split("\n\n"):
            if paragraph.startswith("Source:") and paragraph not in seen:
                seen.add(paragraph)
                yield paragraph.removeprefix("Source:").strip()


def published(folder: Path) -> str:
    """Of each CSV file with published values: its papers, where each was read, and how many lines."""
    parts = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        known = filter(None, dict.fromkeys(map(_paper, rows)))
        lines = [[rst.linked(paper), _read(rows, paper)] for paper in known]
        table = rst.table(["paper", "read from (lines)"], lines)
        parts.append(f"{rst.heading(path.name, 3)}\n{len(rows):,} lines.\n\n{table}")
    return "\n".join(parts)


def _paper(row: dict[str, str]) -> str:
    return row.get("paper") or ""


def _read(rows: list[dict[str, str]], paper: str) -> str:
    found = Counter(row.get("source") or "not said" for row in rows if _paper(row) == paper)
    return "\n".join(f"- {rst.linked(source)} ({count})" for source, count in found.items())
