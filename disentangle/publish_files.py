"""What of a study's folder is published: files and their checksums, rows, and the tables that these give."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from disentangle.calibrate import Calibration
from disentangle.errors import InputError, convert, short
from disentangle.figure_style import is_ours
from disentangle.files import reading
from disentangle.publish_columns import FORMS, csv_reader, long_cells
from disentangle.rows import Row, stored_row
from disentangle.rules import parse_rule
from disentangle.run import Run
from disentangle.schema import TABLES
from disentangle.study import Study, read_study

DESCRIPTOR, SUMS = "datapackage.json", "SHA256SUMS"
FILES = ("study.toml", *TABLES, "table.md", "table.tex", "index.html")
TEXTS = ("table.md", "table.tex")
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
            checksums, nor pictures that no row names.
    """

    folder: Path
    study: Study
    rows: list[Row]
    files: dict[str, File]


def folder_of(path: str | Path) -> Path:
    """The folder of a study that a path names, itself or by its study file."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} is no folder of a study: it does not exist")
    if not path.is_dir() and path.name != "study.toml":
        raise InputError(f"{path} is no folder of a study; expected one, or its study.toml")
    return path if path.is_dir() else path.parent


def contents(folder: Path, rows: list[Row] | None = None) -> Contents:
    """Look at a study's folder; nothing in it is changed.

    Args:
        folder: the study's.
        rows: of `rows_of`, where they have been read.

    Raises:
        InputError: there is no study file or row, a row is damaged, or a file's name cannot stand in a list
            of checksums.
    """
    study, rows = read_study(folder, data=False), rows_of(folder) if rows is None else rows
    named = {name for row in rows for name in row.get("pictures", ())}
    files = {n: f for n, f in files_of(folder).items() if n in named or not n.startswith("pictures/")}
    return Contents(folder, study, rows, files)


def files_of(folder: Path, place: str = "") -> dict[str, File]:
    """Every published file by its path in the folder, or those in one place of it, such as ``"rows/"``."""
    return {name: file_of(folder / name) for name in published(folder) if name.startswith(place)}


def published(folder: Path) -> list[str]:
    """The paths, in a study's folder, of the files that are published; models, logs and locks are not.

    Of ``figures`` those are that the suite drew: a user's own may lie there too.
    """
    found = [name for name in FILES if (folder / name).is_file()]
    for place, endings in FOLDERS.items():
        paths = (folder / place).glob("*") if (folder / place).is_dir() else []
        files = [path for path in paths if path.suffix in endings and path.is_file()]
        found += [
            f"{place}/{path.name}"
            for path in files
            if not path.name.startswith(".") and (place != "figures" or is_ours(path.with_suffix(".png")))
        ]
    for name in found:
        if re.search(r"[\\\n\r\ud800-\udfff]", name):
            raise InputError(f"{folder} has the file {name!r}; expected UTF-8 without \\ and line ends")
    return sorted(found)


def file_of(path: Path) -> File:
    """A file's SHA-256 and size.

    Raises:
        DataError: it cannot be read.
    """
    with reading(path), path.open("rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def rows_of(folder: Path) -> list[Row]:
    """The rows, where `disentangle.rows.read_rows` would leave out a damaged one.

    Raises:
        InputError: there is none, a file is no row or of another form, or a row contradicts itself.
    """
    rows = []
    for path in (folder / name for name in published(folder) if name.startswith("rows/")):
        with reading(path):
            row = stored_row(path)
        if told := contradiction(row):
            raise InputError(f"{path}: {told}")
        rows.append(row)
    if not rows:
        raise InputError(f"{folder} has no rows to publish; run `disentangle study {folder}` first")
    return rows


def contradiction(row: Row) -> str:
    """What of a row's settings, images and key, a hash of the settings, does not go together, or nothing.

    A row of a method that this version does not have may have any key.
    """
    run, data = row["run"], row["data"]
    if row["kind"] == "ranking":
        return ""
    for name, field in (("dataset", "name"), ("source", "source")):
        if run.get(name, data[field]) != data[field]:
            return f"run.{name} is {run[name]!r} and data.{field} {data[field]!r}; expected the same"
    task: Any = {"source": data["source"], **run}
    if row["kind"] == "calibration":
        task |= {"name": task.pop("method")}
        del task["hyper"]
    try:
        key = convert(task, Run if row["kind"] == "run" else Calibration).key()
    except InputError:
        return ""
    return "" if key == row["key"] else f"key is {row['key']!r}, but its settings have the key {key!r}"


def rebuilt(study: Study, folder: Path, rows: list[Row]) -> dict[str, bytes]:
    """The tables that rows give now, by name. Nothing in the folder is changed.

    Args:
        study: the study.
        folder: its folder.
        rows: of the folder; see `rows_of`.

    Raises:
        InputError: a row lacks what a table needs.
    """
    from disentangle.joined import join
    from disentangle.table import make_tables, save_tables

    rules = other_rules(study, folder)
    with tempfile.TemporaryDirectory() as place, building(folder):
        save_tables(make_tables(join([study], {folder: rows}), rules), Path(place))
        return {path.name: path.read_bytes() for path in Path(place).iterdir()}


@contextmanager
def building(folder: Path) -> Iterator[None]:
    """Name the folder where its rows are not what tables can be built from."""
    try:
        yield
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"{type(error).__name__}: {error}"
        raise InputError(f"{folder}: no tables can be built from its rows: {told}") from error


def other_rules(study: Study, folder: Path) -> list[str] | None:
    """The rules of a folder's ``selection.csv`` where one is not the study's: somebody asked for them."""
    try:
        with csv_reader(folder / "selection.csv") as reader:
            header: list[str] = next(reader, [])
            place = header.index("rule")
            names = list(dict.fromkeys(cells[place] for cells in reader))
        for name in names:
            parse_rule(name, study.fixed)
    except (OSError, ValueError, IndexError, csv.Error):  # none, or damaged, which shows as a difference
        return None
    return names if set(names) - set(study.selection) else None


def stale(folder: Path, expected: Mapping[str, bytes], texts: bool) -> Iterator[str]:
    """How the tables of a folder differ from those that its rows give, a sentence a file.

    Numbers in CSV files may differ within `TOLERANCE`, for sums round otherwise under other versions of
    libraries.

    Args:
        folder: the study's.
        expected: of `rebuilt`.
        texts: whether to compare `TEXTS` too, which other versions of the suite word otherwise.
    """
    for name in TEXTS if texts else ():
        if (folder / name).is_file() and (folder / name).read_bytes() != expected[name]:
            yield f"{folder / name} is not what the rows give now"
    for name in TABLES:
        path = folder / name
        if name not in expected:
            if path.exists():
                yield f"{path} is there, but by the rows nothing is chosen"
        elif not path.is_file():
            yield f"{path} is missing"
        elif told := difference(path.read_bytes(), expected[name], TOLERANCE[name]):
            yield f"{path} is not what the rows give now: {told}"


def difference(found: bytes, expected: bytes, tolerance: float) -> str:
    """Where two CSV files differ first; empty if they do not.

    Args:
        found: a file's content.
        expected: what it should be.
        tolerance: by how much, relative, numbers may differ.

    >>> difference(b"a,b\\n1,2\\n", b"a,b\\n1,3\\n", 1e-6)
    "line 2, column 'b': found '2', expected '3'"
    >>> difference(b"a\\n1.0000001\\n", b"a\\n1\\n", 1e-6)
    ''
    """
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
    return ""


def _line(header: list[str], one: list[str] | None, other: list[str] | None, tolerance: float) -> str:
    """How a line differs from what is expected; empty if it does not."""
    if one is None or other is None:
        return " is the last; expected more" if one is None else ": expected no more lines"
    for i, (cell, wanted) in enumerate(zip_longest(one, other)):
        if cell != wanted and not _close(cell, wanted, tolerance):
            name = header[i] if i < len(header) else f"number {i + 1}"
            return f", column {short(name)}: found {_told(cell)}, expected {_told(wanted)}"
    return ""


def _close(cell: str | None, wanted: str | None, tolerance: float) -> bool:
    number = FORMS["number"][0]
    if not (cell and wanted and number.fullmatch(cell) and number.fullmatch(wanted)):
        return False
    return math.isclose(float(cell), float(wanted), rel_tol=tolerance, abs_tol=1e-12)


def _told(cell: str | None) -> str:
    return "no cell" if cell is None else short(cell)
