"""What a study is asked by and what it leaves: fields of study files and rows, columns of the tables."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

from disentangle import study
from reference import rst, settings

EXAMPLE = Path("results/quick")
# The package may be older than its schema; the page then tells of everything else.
SCHEMA = importlib.util.find_spec("disentangle.schema") and importlib.import_module("disentangle.schema")
TABLES: dict[str, Any] = getattr(SCHEMA, "TABLES", {})


def pages(root: Path) -> dict[str, str]:
    """The fields of a study file, an example of a row, and the columns of the tables."""
    return {
        "made/study.inc": settings.table(study.Study),
        "made/grid.inc": settings.table(study.Grid),
        "made/row.inc": row(root / EXAMPLE / "rows"),
        "made/tables.inc": "\n".join(table(root / EXAMPLE / name) for name in TABLES),
    }


def row(folder: Path) -> str:
    """The first row of a study, with the first of its scores."""
    found = sorted(folder.glob("*.json"))
    if not found:
        return ""
    content: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
    content["scores"] = content["scores"][:1]
    return rst.block(json.dumps(content, indent=2, ensure_ascii=False), "json")


def table(path: Path) -> str:
    """The columns of a study's CSV file by its schema, each with the first value that is not empty.

    Args:
        path: the file; without it there are no examples.
    """
    rows: list[dict[str, str]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    known = TABLES[path.name]
    lines = [[rst.code(c.name), _said(c), _type(c), _example(rows, c.name)] for c in known.columns]
    about = rst.escape(known.description)
    head = rst.heading(path.name, 2)
    return f"{head}\n{about}\n\n{rst.table(['column', 'what it says', 'type', 'for example'], lines)}"


def _said(column: Any) -> str:
    return rst.escape(f"{column.title}. {column.description}".strip())


def _type(column: Any) -> str:
    limits = ", ".join(map(rst.code, column.enum))
    return rst.escape(" ".join(filter(None, [column.type, column.unit and f"({column.unit})"]))) + (
        f": {limits}" if limits else ""
    )


def short(text: str, most: int = 24) -> str:
    """A text, or its beginning where it is long.

    >>> short("sha256:faaf9cf5fa6256819224cb831e7")
    'sha256:faaf9cf5fa6256819...'
    """
    return text if len(text) <= most else f"{text[:most]}..."


def _example(rows: list[dict[str, str]], column: str) -> str:
    return rst.code(short(next((row[column] for row in rows if row.get(column)), "")))
