"""Verify a published study: checksums, schema, and whether tables and descriptor are what the rows give."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from disentangle.errors import InputError, convert, cut, short
from disentangle.publish_files import (
    DESCRIPTOR,
    SUMS,
    TEXTS,
    Contents,
    contents,
    file_of,
    folder_of,
    rebuilt,
    stale,
)
from disentangle.publish_package import departures, describe, maker
from disentangle.schema import TABLES

LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
WORDS = {"title", "description"}  # for people; another version may word them otherwise
SHOWN = 10  # problems that a message lists
NOTHING = object()


class Named(msgspec.Struct):
    """A licence."""

    name: str


class Titled(msgspec.Struct):
    """A contributor."""

    title: str


class Located(msgspec.Struct):
    """A resource."""

    path: str


class Lacking(msgspec.Struct):
    """A task that is not as planned."""

    key: str
    why: str


class Missing(msgspec.Struct):
    """What of the study is not there."""

    of: list[Lacking] = []


class Told(msgspec.Struct):
    """What of a descriptor is taken as it stands; all else is compared with the rows and files."""

    title: str
    licenses: list[Named]
    resources: list[Located]
    missing: Missing
    made_by: dict[str, Any] = {}
    contributors: list[Titled] = []


def verify(folder: str | Path) -> tuple[list[str], str]:
    """The problems that `check` finds in a package, and what is to be said of it."""
    problems = check(folder)
    if problems:
        hint = "If it is your own study and its tables were built again since, publish it again."
        return problems, f"{folder}: {len(problems)} problems:\n{some(problems)}\n{hint}"
    place = folder_of(folder)
    names = [*listed(place)]
    ours = _is_ours(place)
    again = [name for name in (*TABLES, *(TEXTS if ours else ())) if name in names]
    others = Counter(name.partition("/")[0] for name in names if name not in (*again, DESCRIPTOR))
    parts = [f"{part}/ ({n})" if (place / part).is_dir() else part for part, n in sorted(others.items())]
    lines = [
        f"{folder}: all {len(names)} files that it lists are as they were published",
        f"built from the rows again and compared: {', '.join(again)}, and what {DESCRIPTOR} says (but for "
        f"title, licence and contributors{'' if ours else ', and the texts of another version'})",
        f"by checksum only: {', '.join(parts)}",
    ]
    return [], "\n".join(lines)


def some(problems: list[str]) -> str:
    """The first problems, one a line, and how many others there are."""
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return "\n".join(f"  {line}" for line in [*problems[:SHOWN], *more])


def check(folder: str | Path) -> list[str]:
    """What is wrong with a package, a sentence each; none if all is well. Nothing is changed.

    - Every file of ``SHA256SUMS`` is there with its checksum, and no published file beside them.
    - The CSV files keep to their schema.
    - The rows give the tables again, within rounding. This needs no data set.
    - ``datapackage.json`` tells of files, schema, sources, commits and whatever else the rows say, but for
      title, licence and contributors, which only its author knows.

    Args:
        folder: the package's, such as one that was received, or its study file; it may be the study's own.
    """
    folder = folder_of(folder)
    if not (folder / SUMS).is_file():
        return [f"{folder / SUMS} is missing; expected a folder that `disentangle publish` made"]
    problems = list[str]()
    try:
        problems += _checksums(folder)
        found = contents(folder)
        told, texts = departures(found), _is_ours(folder)
        problems += _unlike(found)
        problems += [*told, *stale(folder, rebuilt(found.study, folder, found.rows), texts)]
        problems += [] if told else _descriptor(found)
    except InputError as error:
        problems.append(str(error))
    return [*_other_version(folder), *problems] if problems else []


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
    seen = set[str]()
    for number, line in enumerate(lines, 1):
        match = LINE.fullmatch(line)
        if not match or not _inside(match[2]):
            yield f"{folder / SUMS}: line {number}: found {short(line)}, expected a SHA-256 and a path here"
        elif match[2] in seen:
            yield f"{folder / SUMS}: line {number}: {match[2]} is there twice; expected each file once"
        else:
            seen.add(match[2])
    known = listed(folder)
    for name, expected in known.items():
        try:
            if not (folder / name).is_file():
                yield f"{folder / name} is missing"
                continue
            found = file_of(folder / name).sha256
        except (InputError, OSError) as error:  # the latter of a name that no disk takes
            yield cut(str(error), 300)
            continue
        if found != expected:
            yield f"{folder / name}: its SHA-256 is {found[:12]}..., expected {expected[:12]}..."


def _read(folder: Path) -> tuple[dict[str, Any], Told]:
    """The descriptor, and what of it is taken as it stands."""
    path = folder / DESCRIPTOR
    try:
        content = json.loads(path.read_bytes())
        return content, convert(content, Told, f"{path}:")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no descriptor of a package: {error}") from error


def _descriptor(found: Contents) -> Iterator[str]:
    """What the descriptor says otherwise than the files and the rows."""
    content, told = _read(found.folder)
    path = found.folder / DESCRIPTOR
    states = {one.key: one.why for one in told.missing.of if one.why in ("failed", "running")}
    if len(told.licenses) != 1:
        yield f"{path}: licenses has {len(told.licenses)} entries; expected one"
        return
    authors = [author.title for author in told.contributors]
    expected = describe(
        found,
        license=told.licenses[0].name,
        state=lambda task: states.get(task.key(), ""),
        title=told.title,
        contributors=authors,
    )
    paths = Counter(one.path for one in told.resources)
    yield from (f"{path}: resource {short(one)} is there {n} times" for one, n in paths.items() if n > 1)
    one, other = (_comparable(each, told.made_by == maker()) for each in (content, expected))
    yield from (f"{path}: {told}, by the rows and files" for told in differences(one, other))


def _comparable(descriptor: dict[str, Any], words: bool) -> dict[str, Any]:
    """A descriptor with its resources by path and without its maker; of another version's without texts."""
    kept = {name: value for name, value in descriptor.items() if words or name not in WORDS}
    resources = {one["path"]: one if words else _without_words(one) for one in descriptor["resources"]}
    return kept | {"made_by": "", "resources": resources}


def _without_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_words(one) for name, one in value.items() if name not in WORDS}
    return [_without_words(one) for one in value] if isinstance(value, list) else value


def differences(found: Any, expected: Any, at: str = "") -> Iterator[str]:
    """Where two JSON values differ.

    >>> list(differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}], "c": "d"}))
    ['a[1].b: found 2, expected 3', "c: found nothing, expected 'd'"]
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in dict.fromkeys([*expected, *found]):
            place = f"{at}.{name}" if at else str(name)
            yield from differences(found.get(name, NOTHING), expected.get(name, NOTHING), place)
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from differences(one, other, f"{at}[{i}]")
    elif type(found) is not type(expected) or found != expected:
        yield f"{at}: found {_said(found)}, expected {_said(expected)}"


def _said(value: Any) -> str:
    """A JSON value in a message, cut where it is long."""
    if value is NOTHING:
        return "nothing"
    if isinstance(value, list):
        return f"{len(value)} ({cut(', '.join(map(str, value[:3])))})" if value else "none"
    return short(value) if isinstance(value, str) else cut(str(value))


def _unlike(found: Contents) -> Iterator[str]:
    """Files of the study that are not listed, and listed ones that nothing in the study accounts for."""
    known = listed(found.folder)
    for name in (*found.files, DESCRIPTOR):
        if name not in known:
            yield f"{found.folder / name} is not in {SUMS}"
    for name in known:
        if name not in (*found.files, DESCRIPTOR) and os.path.exists(found.folder / name):
            yield f"{found.folder / name} is in {SUMS}; expected what the study has alone"


def _is_ours(folder: Path) -> bool:
    """Whether this version and commit made a package, so that it words all as this one would."""
    try:
        return _read(folder)[1].made_by == maker()
    except InputError:
        return False


def _other_version(folder: Path) -> Iterator[str]:
    """That a package with problems was made by another version, which may be the reason."""
    try:
        made = _read(folder)[1].made_by
    except InputError:
        return
    if made != maker():
        yield (
            f"{folder / DESCRIPTOR}: made_by: {_version(made)}, and this is {_version(maker())}: that "
            "may be the reason for what follows; check with the former"
        )


def _version(made: dict[str, Any]) -> str:
    told = f"version {made.get('version', 'unknown')}, commit {str(made.get('commit') or 'unknown')[:12]}"
    return told + (" with changes" if made.get("dirty") else "")
