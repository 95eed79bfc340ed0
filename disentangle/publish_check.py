"""Verify a published study: checksums, schema, and whether the tables are what the rows give."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from disentangle.errors import InputError
from disentangle.publish_files import DESCRIPTOR, SUMS, file_of, published, read_row, rebuilt, stale
from disentangle.publish_origins import commits, hardware, unclean
from disentangle.publish_summary import check_summary
from disentangle.rows import Row
from disentangle.schema import TABLES, check_csv
from disentangle.study import read_study

LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def check(folder: str | Path) -> list[str]:
    """What is wrong with a package, a sentence each; none if all is well. Nothing is changed.

    - Every file of ``SHA256SUMS`` is there with its checksum, and no published file beside them.
    - ``datapackage.json`` tells the sizes, checksums, commits and hardware that are there.
    - The CSV files keep to their schema, and the summary is that of the table.
    - The rows give these tables again, within rounding. This needs no data set.

    Args:
        folder: the package's, such as one that was received; it may be the study's own.
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file():
        return [f"{folder / SUMS} is missing; expected a folder that `disentangle publish` made"]
    try:
        published(folder)
    except InputError as error:
        return [str(error)]
    problems = list(_checksums(folder))
    rows, told = _rows(folder)
    problems += told
    problems += _descriptor(folder, rows)
    for name in TABLES:
        problems += check_csv(folder / name) if (folder / name).exists() else []
    problems += check_summary(folder / "table.csv", folder / "summary.csv")
    return problems + ([] if told else list(_rebuilt(folder, rows)))


def listed(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file that ``SHA256SUMS`` lists; lines that are none are left out."""
    try:
        lines = _lines(folder)
    except (OSError, UnicodeDecodeError):
        return {}
    found = (LINE.fullmatch(line) for line in lines)
    return {match[2]: match[1] for match in found if match and _inside(match[2])}


def _lines(folder: Path) -> list[str]:
    """The lines of ``SHA256SUMS``, which end with a line end and nothing else."""
    return [line for line in (folder / SUMS).read_bytes().decode().split("\n") if line]


def _inside(name: str) -> bool:
    """Whether a path leads to a place in the folder: a list from elsewhere may name any."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _checksums(folder: Path) -> Iterator[str]:
    """What of the checksums is not so."""
    try:
        lines = _lines(folder)
    except (OSError, UnicodeDecodeError) as error:
        yield f"{folder / SUMS} cannot be read: {error}"
        return
    for number, line in enumerate(lines, 1):
        match = LINE.fullmatch(line)
        if not match or not _inside(match[2]):
            yield f"{folder / SUMS}: line {number}: found {line!r}, expected a SHA-256 and a path in here"
    known = listed(folder)
    for name, expected in known.items():
        if not (folder / name).is_file():
            yield f"{folder / name} is missing"
            continue
        try:
            found = file_of(folder / name).sha256
        except InputError as error:
            yield str(error)
            continue
        if found != expected:
            yield f"{folder / name}: its SHA-256 is {found[:12]}..., expected {expected[:12]}..."
    for name in [*published(folder), DESCRIPTOR]:
        if name not in known:
            yield f"{folder / name} is not in {SUMS}"


def _rows(folder: Path) -> tuple[list[Row], list[str]]:
    """The rows, and what is wrong with those that are none."""
    rows, problems = [], []
    for name in published(folder):
        if name.startswith("rows/"):
            try:
                rows.append(read_row(folder / name))
            except InputError as error:
                problems.append(str(error))
    return rows, problems or ([] if rows else [f"{folder} has no rows; expected rows/KEY.json"])


def _descriptor(folder: Path, rows: list[Row]) -> Iterator[str]:
    """What the descriptor says otherwise than the files and the rows."""
    path = folder / DESCRIPTOR
    try:
        content: Any = json.loads(path.read_bytes())
        told = {one["path"]: (one["bytes"], one["hash"]) for one in content["resources"]}
    except FileNotFoundError:  # which the checksums told
        return
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        yield f"{path} is no descriptor of a package: {type(error).__name__}: {error}"
        return
    here = {name: file_of(folder / name) for name in published(folder) if not name.startswith("rows/")}
    for name in sorted({*told, *here}):
        expected = (here[name].bytes, f"sha256:{here[name].sha256}") if name in here else "no such file"
        if told.get(name) != expected:
            found = told.get(name, "nothing")
            yield f"{path}: resource {name!r}: found {found}, expected {expected}"
    try:
        dirty = sorted(unclean(rows))
        facts: dict[str, Any] = {"commits": commits(rows), "hardware": hardware(rows)}
    except (KeyError, TypeError, AttributeError):  # a row of another form, of which no table can be built
        return
    facts |= {"dirty": bool(dirty), "dirty_rows": dirty}
    for name, expected in facts.items():
        if content.get(name) != expected:
            yield f"{path}: {name}: found {content.get(name)!r}, by the rows it is {expected!r}"


def _rebuilt(folder: Path, rows: list[Row]) -> Iterator[str]:
    """How the tables differ from those that the rows give."""
    try:
        study = read_study(folder, data=False)
        yield from stale(folder, rebuilt(study, folder, rows), exact=False)
    except InputError as error:
        yield str(error)
