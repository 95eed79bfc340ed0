"""Publish a study: check its tables, describe them, and give every file a checksum.

`publish` writes a ``datapackage.json`` (a Data Package, datapackage.org) and ``SHA256SUMS`` into the study's
folder; `check` verifies a package that was received; `read` gives a table with its types.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle.errors import InputError
from disentangle.files import UNFINISHED, write_bytes
from disentangle.publish_check import check, listed
from disentangle.publish_files import DESCRIPTOR, SUMS, Contents, contents, file_of, rebuilt, stale
from disentangle.publish_missing import missing_text
from disentangle.publish_origins import dirty_text
from disentangle.publish_package import describe, license_of
from disentangle.schema import TABLES, check_csv

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Package", "check", "publish", "read"]
SHOWN = 10  # problems that a message lists


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
        rows = sum(name.startswith("rows/") for name in self.files)
        license = self.descriptor["licenses"][0]["name"]
        size = f"{len(self.files)} files, {self.bytes / 1e6:.1f} MB"
        lines = [
            f"checked: {tables}: what {rows} rows give, and as their schema says",
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
    """Check a study's tables and write its ``datapackage.json`` and ``SHA256SUMS``.

    The same files give the same bytes again. What of the study is missing is no error; the package tells it.

    Args:
        folder: the study's, or its study file.
        license: of tables, rows and figures; a name of `disentangle.publish_package.LICENSES`.
        allow_dirty: take rows too whose code is in no commit; the package says so.
        out: copy the published files into this folder too, and nothing else: no models, logs or locks. It is
            new, empty, or holds an earlier package of the study, which is replaced.
        title: for people; made of the study's name if left out.
        contributors: names of the authors.

    Returns:
        The package, in ``out`` if that was given.

    Raises:
        InputError: no rows, a table is not what the rows give now, rows whose code is in no commit, a table
            departs from its schema, an unknown licence, or ``out`` holds something else. Nothing is written.
    """
    folder = _folder(folder)
    license_of(license)
    found = contents(folder)
    place = None if out is None else _place(Path(out), found)
    _refuse(found, allow_dirty)
    descriptor = describe(found, license=license, title=title, contributors=contributors)
    text = (json.dumps(descriptor, indent=2, ensure_ascii=False) + "\n").encode()
    if place is None:
        _write(folder, found, text)
    else:
        _copy(folder, place, found, text)
    files = (*found.files, DESCRIPTOR, SUMS)
    where = Path(out) if out is not None else folder
    size = sum((where / name).stat().st_size for name in files)
    return Package(where, descriptor, tuple(sorted(files)), size, dirty_text(found.rows))


def _folder(path: str | Path) -> Path:
    """The folder of a study that a path names, itself or by its study file."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} is no folder of a study: it does not exist")
    return path if path.is_dir() else path.parent


def _refuse(found: Contents, allow_dirty: bool) -> None:
    """Refuse a study whose tables are old or depart from their schema, or whose code is in no commit."""
    folder = found.folder
    for problem in stale(folder, rebuilt(found.study, folder, found.rows), exact=True):
        raise InputError(f"{problem}; run `disentangle table {folder}` first")
    if not allow_dirty and (told := dirty_text(found.rows)):
        raise InputError(
            f"{folder}: {told} Nobody could make these rows again. To publish them all the same, and have "
            "the package say so, add --allow-dirty; or commit the code and make the rows anew in its checkout"
        )
    problems = [problem for name in TABLES if name in found.files for problem in check_csv(folder / name)]
    if problems:
        raise InputError(f"{folder} is not published:\n{some(problems)}")


def some(problems: Sequence[str]) -> str:
    """The first problems, one a line, and how many others there are."""
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return "\n".join(f"  {line}" for line in [*problems[:SHOWN], *more])


def verify(folder: str | Path) -> tuple[list[str], str]:
    """The problems that `check` finds in a package, and what is to be said of it."""
    problems = check(folder)
    if problems:
        return problems, f"{folder}: {len(problems)} problems:\n{some(problems)}"
    files = len(listed(Path(folder)))
    return [], f"{folder}: all {files} files are as they were published, and the rows give its tables"


def _write(folder: Path, found: Contents, descriptor: bytes) -> None:
    """Write the descriptor, and the checksums of it and of all published files."""
    write_bytes(folder / DESCRIPTOR, descriptor)
    hashes = {name: file.sha256 for name, file in found.files.items()}
    hashes[DESCRIPTOR] = file_of(folder / DESCRIPTOR).sha256
    lines = [f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items())]
    write_bytes(folder / SUMS, "".join(lines).encode())


def _place(out: Path, found: Contents) -> Path:
    """Where ``out`` leads, if a package of the study may be put there.

    Raises:
        InputError: it is in the study's folder, is a file, or holds what is no earlier package of the study.
    """
    place, folder = out.resolve(), found.folder.resolve()
    if place == folder or folder in place.parents:
        raise InputError(f"--out {out} is in the study's folder {found.folder}; expected one outside")
    if not place.exists():
        return place
    if not place.is_dir():
        raise InputError(f"--out {out} is a file; expected a folder")
    paths = (path for path in place.rglob("*") if path.is_symlink() or not path.is_dir())
    there = {path.relative_to(place).as_posix() for path in paths}
    other = f"expected a new folder, an empty one, or an earlier package of the study {found.study.name!r}"
    if there and _study_of(place) != found.study.name:
        raise InputError(f"--out {out} holds {len(there)} files, such as {min(there)}; {other}")
    strange = there - {*listed(place), SUMS}
    if strange:
        raise InputError(f"--out {out} holds files that no package has, such as {min(strange)}; {other}")
    return place


def _study_of(folder: Path) -> str | None:
    """The study of which a folder holds a package."""
    try:
        name = json.loads((folder / DESCRIPTOR).read_bytes())["study"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(name)


def _copy(folder: Path, place: Path, found: Contents, descriptor: bytes) -> None:
    """Write the package in the study's folder and put a copy in place of what is at ``place``."""
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.parent / f".{place.name}.{uuid.uuid4().hex}{UNFINISHED}"
    old = new.with_suffix(".old")
    try:
        for name, file in found.files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, new / name)
            if file_of(new / name) != file:
                raise InputError(f"{folder / name} changed while it was copied; publish again")
        _write(new, found, descriptor)
        _write(folder, found, descriptor)
        _swap(new, place, old)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _swap(new: Path, place: Path, old: Path) -> None:
    """Put a folder in place of another, which stays if that fails."""
    if not place.exists():
        os.rename(new, place)
        return
    os.rename(place, old)
    try:
        os.rename(new, place)
    except BaseException:
        os.rename(old, place)
        raise
    shutil.rmtree(old)


def read(folder: str | Path, name: str = "table.csv") -> pd.DataFrame:
    """A table of a package with the types of its schema: what `disentangle.table.tidy` gave, to the bit.

    Whole numbers are ``Int64`` and truth values ``boolean``, which hold missing ones.

    Args:
        folder: the package's.
        name: ``"table.csv"``, ``"summary.csv"`` or ``"selection.csv"``.

    Raises:
        InputError: the folder holds no package with that table.
    """
    import pandas as pd

    path = Path(folder) / DESCRIPTOR
    try:
        described = json.loads(path.read_bytes())["resources"]
        [fields] = [one["schema"]["fields"] for one in described if one["path"] == name]
        kinds = {field["name"]: field["type"] for field in fields}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} describes no {name}; expected what `disentangle publish` writes") from error
    missing = {field["name"]: field.get("missingValues", [""]) for field in fields}
    types = {
        name: {"integer": "Int64", "boolean": "boolean"}.get(kind, "str") for name, kind in kinds.items()
    }
    frame = pd.read_csv(Path(folder) / name, dtype=types, keep_default_na=False, na_values=missing)
    # By Python's float, which is exact; not every version of pandas is.
    numbers = [name for name, kind in kinds.items() if kind == "number"]
    return frame.astype(dict.fromkeys(numbers, "object")).astype(dict.fromkeys(numbers, "float64"))
