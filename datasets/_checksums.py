"""The checksums of files of many gigabytes, kept in the data folder so that a file is read through once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from disentangle.files import data_folder, write_bytes


class Checksums(msgspec.Struct, frozen=True):
    """What was found in which state of a file.

    Attributes:
        path: the file.
        size: of the file.
        mtime_ns: when it was last changed.
        md5: of the file.
        sha256: of a part of it.
    """

    path: str
    size: int
    mtime_ns: int
    md5: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


def kept(path: Path, size: int, mtime_ns: int, compute: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """The MD5 and SHA-256 of a file in a state, computed only where they were not kept.

    Whoever changes a file and puts its time back is not noticed. Where the data folder cannot be written
    they are computed again next time; what is there and damaged is made again.

    Args:
        path: the file.
        size: of the file.
        mtime_ns: when it was last changed.
        compute: gives both checksums.
    """
    name = str(path.resolve())
    place = data_folder() / f"checksums-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
    found = None
    with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError, RecursionError):
        found = msgspec.json.decode(place.read_bytes(), type=Checksums)
    if found is None or (found.path, found.size, found.mtime_ns) != (name, size, mtime_ns):
        found = Checksums(name, size, mtime_ns, *compute())
        with contextlib.suppress(OSError):
            write_bytes(place, msgspec.json.encode(found))
    return found.md5, found.sha256
