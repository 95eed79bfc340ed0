"""What of a study's folder is published: its files, their checksums, and whether the tables are the rows'."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from disentangle.errors import InputError
from disentangle.files import reading
from disentangle.publish_columns import FORMS, csv_reader, long_cells
from disentangle.rows import FIELDS, Row
from disentangle.rules import parse_rule
from disentangle.schema import TABLES
from disentangle.study import Study, read_study

DESCRIPTOR, SUMS = "datapackage.json", "SHA256SUMS"
FILES = ("study.toml", *TABLES, "table.md", "table.tex", "index.html")
FOLDERS = {"figures": (".csv", ".png", ".svg"), "pictures": (".gif", ".png", ".webp"), "rows": (".json",)}
# Sums may round otherwise elsewhere; summaries are written with six digits.
TOLERANCE = {"table.csv": 1e-9, "summary.csv": 1e-5, "selection.csv": 1e-5}


class File(NamedTuple):
    """What is known of a published file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Contents:
    """What a study's folder has to publish.

    Attributes:
        folder: the study's.
        study: what ``study.toml`` says.
        rows: all rows, in the order of their keys.
        files: every published file by its path in the folder, in order; neither the descriptor nor the
            checksums.
    """

    folder: Path
    study: Study
    rows: list[Row]
    files: dict[str, File]


def contents(folder: Path) -> Contents:
    """Look at a study's folder; nothing in it is changed.

    Raises:
        InputError: there is no study file or row, a row is damaged, or a file's name cannot stand in a list
            of checksums.
    """
    study = read_study(folder, data=False)
    names = published(folder)
    rows = [read_row(folder / name) for name in names if name.startswith("rows/")]
    if not rows:
        raise InputError(f"{folder} has no rows to publish; run `disentangle study {folder}` first")
    return Contents(folder, study, rows, {name: file_of(folder / name) for name in names})


def published(folder: Path) -> list[str]:
    """The paths, in a study's folder, of the files that are published; models, logs and locks are not."""
    found = [name for name in FILES if (folder / name).is_file()]
    for place, endings in FOLDERS.items():
        paths = (folder / place).glob("*") if (folder / place).is_dir() else []
        files = [path for path in paths if path.suffix in endings and path.is_file()]
        found += [f"{place}/{path.name}" for path in files if not path.name.startswith(".")]
    for name in found:
        if re.search(r"[\\\n\r]", name):
            raise InputError(f"{folder} has the file {name!r}; expected a name without \\ and line ends")
    return sorted(found)


def file_of(path: Path) -> File:
    """A file's SHA-256 and size.

    Raises:
        DataError: it cannot be read.
    """
    with reading(path), path.open("rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def read_row(path: Path) -> Row:
    """A row as it is, where `disentangle.rows.read_row` would set a damaged one aside.

    Raises:
        InputError: the file is no row.
    """
    try:
        row = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict) and all(field in row for field in FIELDS) and row["key"] == path.stem:
        return row
    raise InputError(
        f"{path} is no row of a study; expected JSON with {', '.join(FIELDS)} and its file's name as key. "
        f"`disentangle table {path.parent.parent}` sets it aside"
    )


def rebuilt(study: Study, folder: Path, rows: list[Row]) -> dict[str, bytes]:
    """The tables that rows give now, by file name. Nothing in the folder is changed.

    Selection is by the study's rules, or by those that ``selection.csv`` names if others are among them.

    Args:
        study: the study.
        folder: its folder.
        rows: of the folder; see `read_row`.

    Raises:
        InputError: a row lacks what a table needs.
    """
    from disentangle.joined import join
    from disentangle.table import make_tables, save_tables

    rules = _other_rules(study, folder / "selection.csv")
    with tempfile.TemporaryDirectory() as place:
        try:
            save_tables(make_tables(join([study], {folder: rows}), rules), Path(place))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            told = f"{type(error).__name__}: {error}"
            raise InputError(f"{folder}: no tables can be built from its rows: {told}") from error
        files = {path.name: path.read_bytes() for path in sorted(Path(place).iterdir())}
    # Of other rules it is not known which could choose nothing, as the texts say.
    return files if rules is None else {name: content for name, content in files.items() if name in TABLES}


def _other_rules(study: Study, path: Path) -> list[str] | None:
    """The rules of a ``selection.csv`` where one is not the study's; None otherwise."""
    try:
        with csv_reader(path) as reader:
            header: list[str] = next(reader, [])
            place = header.index("rule")
            names = list(dict.fromkeys(cells[place] for cells in reader))
        for name in names:
            parse_rule(name, study.fixed)
    except (OSError, ValueError, IndexError, csv.Error):  # none, or damaged, which shows as a difference
        return None
    return names if set(names) - set(study.selection) else None


def stale(folder: Path, expected: Mapping[str, bytes], *, exact: bool) -> Iterator[str]:
    """How the tables of a folder differ from those that its rows give, a sentence a file.

    Args:
        folder: the study's.
        expected: of `rebuilt`.
        exact: whether every byte of every table counts; otherwise only the CSV files are compared, and their
            numbers may differ within `TOLERANCE`, for sums round otherwise under other versions of libraries.
    """
    if "selection.csv" not in expected and (folder / "selection.csv").exists():
        yield f"{folder / 'selection.csv'} is there, but by the rows nothing is chosen"
    for name, content in expected.items() if exact else [one for one in expected.items() if one[0] in TABLES]:
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing"
        elif name not in TABLES:
            if path.read_bytes() != content:
                yield f"{path} is not what the rows give now: {_text_difference(path.read_bytes(), content)}"
        elif told := difference(path.read_bytes(), content, None if exact else TOLERANCE[name]):
            yield f"{path} is not what the rows give now: {told}"


def _text_difference(found: bytes, expected: bytes) -> str:
    """The first line in which two texts differ."""
    pairs = zip_longest(found.decode(errors="replace").split("\n"), expected.decode().split("\n"))
    for number, (one, other) in enumerate(pairs, 1):
        if one != other:
            return f"line {number}: found {_short(one, 'no line')}, expected {_short(other, 'no line')}"
    return "its text is damaged"


def difference(found: bytes, expected: bytes, tolerance: float | None = None) -> str:
    """Where two CSV files differ first; empty if they do not.

    Args:
        found: a file's content.
        expected: what it should be.
        tolerance: by how much, relative, numbers may differ; None where every byte counts.

    >>> difference(b"a,b\\n1,2\\n", b"a,b\\n1,3\\n")
    "line 2, column 'b': found '2', expected '3'"
    >>> difference(b"a\\n1.0000001\\n", b"a\\n1\\n", 1e-6)
    ''
    """
    if found == expected:
        return ""
    header: list[str] = []
    try:
        with long_cells():
            reader = csv.reader(io.StringIO(found.decode(), newline=""), strict=True)
            for one, other in zip_longest(reader, csv.reader(io.StringIO(expected.decode(), newline=""))):
                header = header or other or []
                if told := _line(header, one, other, tolerance):
                    return f"line {reader.line_num}{told}"
    except (csv.Error, UnicodeDecodeError) as error:
        return f"it is no CSV file in UTF-8: {error}"
    return "quotes or line ends are others" if tolerance is None else ""


def _line(header: list[str], one: list[str] | None, other: list[str] | None, tolerance: float | None) -> str:
    """How a line differs from what is expected; empty if it does not."""
    if one is None or other is None:
        return " is the last; expected more" if one is None else ": expected no more lines"
    for i, (cell, wanted) in enumerate(zip_longest(one, other)):
        if cell != wanted and not _close(cell, wanted, tolerance):
            name = header[i] if i < len(header) else i + 1
            return f", column {name!r}: found {_short(cell)}, expected {_short(wanted)}"
    return ""


def _close(cell: str | None, wanted: str | None, tolerance: float | None) -> bool:
    number = FORMS["number"][0]
    if tolerance is None or not (cell and wanted and number.fullmatch(cell) and number.fullmatch(wanted)):
        return False
    return math.isclose(float(cell), float(wanted), rel_tol=tolerance, abs_tol=1e-12)


def _short(text: str | None, none: str = "no cell") -> str:
    return none if text is None else repr(text if len(text) <= 60 else f"{text[:57]}...")
