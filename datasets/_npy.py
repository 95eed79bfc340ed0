"""Reads the head of a NumPy array in an archive, and tells where the array lies in the file."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from disentangle.errors import DataError
from disentangle.files import reading

# What zipfile raises for a damaged archive, or one that it cannot read.
DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError),
    *(KeyError, RuntimeError, NotImplementedError),
)
# What NumPy raises for a damaged head, which it parses as Python.
DAMAGED = (ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError)


def header(path: Path, member: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether columns come first, and the element type of the array that a member begins.

    Args:
        path: the archive, for the message.
        member: opened at its beginning; left at the first element.
        name: the member's, for the message.

    Raises:
        DataError: it begins no array.
    """
    try:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, columns_first, dtype = read_header(member)
    except DAMAGED as error:
        raise DataError(f"{path}: {name} is no NumPy array ({error})") from error
    return shape, columns_first, dtype


def member_begin(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a stored member's content begins: after its local header, a name and a field of any length.

    Raises:
        DataError: there is no such header.
    """
    with reading(path), path.open("rb") as file:
        file.seek(info.header_offset)
        local = file.read(30)
    if len(local) != 30 or local[:4] != b"PK\3\4":
        raise DataError(
            f"{path}: found no header of {info.filename} at {info.header_offset:,}; expected a whole .npz"
        )
    name, extra = struct.unpack("<HH", local[26:])
    begin: int = info.header_offset + 30 + name + extra
    return begin
