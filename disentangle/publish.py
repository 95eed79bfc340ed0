"""Publish a study: build its tables and page, describe them, and give every file a checksum.

`publish` writes a ``datapackage.json`` (a Data Package, datapackage.org) and ``SHA256SUMS`` into the study's
folder; `check` verifies a package that was received.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disentangle.errors import InputError
from disentangle.files import UNFINISHED, write_bytes
from disentangle.publish_check import check, listed, some, verify
from disentangle.publish_facts import dirty_text, missing_text, state_now
from disentangle.publish_files import (
    DESCRIPTOR,
    SUMS,
    Contents,
    building,
    contents,
    file_of,
    files_of,
    folder_of,
    other_rules,
    published,
    rows_of,
)
from disentangle.publish_package import departures, describe, license_of
from disentangle.schema import TABLES
from disentangle.study import Study, read_study
from disentangle.work import Work

__all__ = ["Package", "check", "publish", "verify"]


@dataclass(frozen=True)
class Package:
    """A published study.

    Attributes:
        folder: where it is.
        descriptor: the content of its ``datapackage.json``.
        files: the paths in it of all published files, with the descriptor and the checksums.
        bytes: their size.
        dirty: one sentence on rows whose code no commit holds; empty without any.
    """

    folder: Path
    descriptor: dict[str, Any]
    files: tuple[str, ...]
    bytes: int
    dirty: str = ""

    def text(self) -> str:
        """What was checked and written, for people."""
        tables = ", ".join(name for name in TABLES if name in self.files)
        rows, figures = (
            sum(name.startswith(place) for name in self.files) for place in ("rows/", "figures/")
        )
        license = self.descriptor["licenses"][0]["name"]
        size = f"{len(self.files)} files, {self.bytes / 1e6:.1f} MB"
        lines = [
            f"built:   {tables}, leaderboards, page and {figures} files of figures, from {rows} rows",
            f"study:   {missing_text(self.descriptor['missing'])}",
            *([f"warning: {self.dirty} The package says so."] if self.dirty else []),
            f"written: {self.folder / DESCRIPTOR} and {SUMS} ({size}, {license})",
            f'read it: pandas.read_csv("{(self.folder / "table.csv").as_posix()}")',
            f"verify:  disentangle publish {self.folder} --check",
        ]
        return "\n".join(lines)


def publish(
    folder: str | Path,
    *,
    license: str = "CC-BY-4.0",
    allow_dirty: bool = False,
    out: str | Path | None = None,
    title: str = "",
    contributors: Sequence[str] = (),
) -> Package:
    """Build a study's tables, figures and page anew, and write its ``datapackage.json`` and ``SHA256SUMS``.

    The same rows and pictures give the same bytes again. What of the study is missing is no error; the
    package tells it.

    Args:
        folder: the study's, or its study file.
        license: of tables, rows and figures; a name of `disentangle.publish_package.LICENSES`.
        allow_dirty: take rows too whose code is in no commit; the package says so.
        out: copy the published files into this folder too, and nothing else: no models, logs or locks. It is
            new, empty, or holds an earlier package of the study, which is replaced.
        title: for people; made of the study's name if left out.
        contributors: names of the authors; empty ones are left out.

    Returns:
        The package, in ``out`` if that was given.

    Raises:
        InputError: no rows, rows whose code is in no commit, an unknown licence, or ``out`` holds something
            else or the current directory: nothing is written then. Or a CSV file departs from its schema,
            or rows change meanwhile: no descriptor is written then.
    """
    from disentangle.commands import write_tables_and_page

    folder = folder_of(folder)
    license_of(license)
    before = files_of(folder, "rows/")
    study, rows = read_study(folder, data=False), rows_of(folder)
    place = None if out is None else _place(Path(out), folder, study)
    _refuse_foreign(folder)
    if not allow_dirty and (told := dirty_text(rows)):
        raise InputError(
            f"{folder}: {told} Nobody could make these rows again. To publish them all the same, and have "
            "the package say so, add --allow-dirty; or commit the code and make the rows anew in its checkout"
        )
    with building(folder):
        write_tables_and_page([folder], other_rules(study, folder))
    found = contents(folder, rows)
    if before != {name: file for name, file in found.files.items() if name.startswith("rows/")}:
        raise InputError(f"{folder}: its rows changed while it was published; publish again when they do not")
    if problems := departures(found):
        raise InputError(f"{folder} is not published:\n{some(problems)}")
    state = state_now(Work(study, folder.resolve()))
    descriptor = describe(found, license=license, state=state, title=title, contributors=contributors)
    text = (json.dumps(descriptor, indent=1, ensure_ascii=False) + "\n").encode()
    if place is None:
        _write(folder, found, text)
    else:
        _copy(folder, place, found, text)
    files = (*found.files, DESCRIPTOR, SUMS)
    size = sum((folder / name).stat().st_size for name in files)
    return Package(
        folder if out is None else Path(out), descriptor, tuple(sorted(files)), size, dirty_text(rows)
    )


def _refuse_foreign(folder: Path) -> None:
    """Refuse to write over a descriptor, or over checksums, that are not the suite's."""
    for name in (DESCRIPTOR, SUMS):
        if (folder / name).exists() and "made_by" not in _descriptor(folder):
            raise InputError(
                f"{folder / name} was not written by `disentangle publish`; move it, or use --out"
            )


def _write(folder: Path, found: Contents, descriptor: bytes) -> None:
    """Write the descriptor, and the checksums of it and of all published files."""
    write_bytes(folder / DESCRIPTOR, descriptor)
    hashes = {name: file.sha256 for name, file in found.files.items()}
    hashes[DESCRIPTOR] = file_of(folder / DESCRIPTOR).sha256
    lines = [f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items())]
    write_bytes(folder / SUMS, "".join(lines).encode())


def _place(out: Path, folder: Path, study: Study) -> Path:
    """Where ``out`` leads, if a package of the study may be put there.

    Raises:
        InputError: it is in the study's folder, is or holds the current directory, is a file, or holds what
            is no earlier package of the study, or rows that the study has not.
    """
    place, here = out.resolve(), Path.cwd()
    if here.is_relative_to(place):
        raise InputError(f"--out {out} is, or holds, the current directory; expected a folder of its own")
    if place.is_relative_to(folder.resolve()):
        raise InputError(f"--out {out} is in the study's folder {folder}; expected one outside")
    for path in (place, *place.parents):
        if path.exists() and not path.is_dir():
            raise InputError(f"--out {out}: {path} is a file; expected a folder")
    if not place.exists():
        return place
    paths = (path for path in place.rglob("*") if path.is_symlink() or not path.is_dir())
    there = {path.relative_to(place).as_posix() for path in paths}
    other = f"expected a new folder, an empty one, or an earlier package of the study {study.name!r}"
    if there and _descriptor(place).get("study") != study.name:
        raise InputError(f"--out {out} holds {len(there)} files, such as {min(there)}; {other}")
    strange = there - {*listed(place), SUMS}
    if strange:
        raise InputError(f"--out {out} holds files that no package has, such as {min(strange)}; {other}")
    lost = sorted({name for name in there if name.startswith("rows/")}.difference(published(folder)))
    if lost:
        raise InputError(
            f"--out {out} holds {len(lost)} rows that {folder} has not, such as {lost[0]}; {other}"
        )
    return place


def _descriptor(folder: Path) -> dict[str, Any]:
    """The descriptor of the package in a folder; empty without one."""
    try:
        content = json.loads((folder / DESCRIPTOR).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _copy(folder: Path, place: Path, found: Contents, descriptor: bytes) -> None:
    """Write the package in the study's folder and put a copy in place of what is at ``place``."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(UNFINISHED, f".{place.name}.", place.parent) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        for name, file in found.files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, new / name)
            if file_of(new / name) != file:
                raise InputError(f"{folder / name} changed while it was copied; publish again")
        _write(new, found, descriptor)
        _write(folder, found, descriptor)
        if place.exists():
            os.rename(place, old)
        try:
            os.rename(new, place)
        except BaseException:
            if old.exists():
                os.rename(old, place)
            raise
