"""Arrays that are made once and then mapped from a file in the data folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle.files import UNFINISHED, data_folder, whole_file, write_bytes

Array = NDArray[Any]
CHUNK_BYTES = 1 << 24  # hashed or written at a time


def cached_array(name: str, draw: Callable[[], Array]) -> tuple[Array, str]:
    """An array that is drawn once and then opened as a read-only memory map.

    Of several processes one draws and the others wait for it. Where the folder cannot be written or the
    disk is full, there is a warning and the array stays in memory.

    Args:
        name: the file's name in the data folder, without suffix; must change when the content does.
        draw: makes the array; called if there is no file, or if it is damaged.

    Returns:
        The array and the SHA-256 of its content (the elements' bytes, not the file's).
    """

    def make() -> tuple[Array, str]:
        array = np.ascontiguousarray(draw())
        try:
            return _save(name, array.shape, array.dtype, _pieces(array))
        except OSError as error:
            _warn_unwritten(name, error)
            return array, _sha256(_pieces(array))

    return _opened_or_made(name, make)


def cached_chunks(
    name: str, shape: tuple[int, ...], dtype: Any, chunks: Callable[[], Iterable[Array]]
) -> tuple[Array, str]:
    """As `cached_array`, for an array too large to draw in memory: ``chunks`` yields its rows in order.

    Only where it cannot be written it is held in memory all the same, with a warning; ``chunks`` is called
    again then.
    """

    def make() -> tuple[Array, str]:
        try:
            return _save(name, shape, np.dtype(dtype), chunks())
        except OSError as error:
            _warn_unwritten(name, error)
        array, start = np.empty(shape, dtype), 0
        for chunk in chunks():
            array[start : start + len(chunk)] = chunk
            start += len(chunk)
        return array, _sha256(_pieces(array))

    return _opened_or_made(name, make)


def _file(name: str) -> Path:
    return data_folder() / f"{name}.npy"


def _opened_or_made(name: str, make: Callable[[], tuple[Array, str]]) -> tuple[Array, str]:
    found = _open(name)
    if found is None:
        with _alone(name):
            found = _open(name, quiet=True) or make()  # another process may have made it meanwhile
    return found


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold the file's lock. Where there can be none, several may draw: each file still appears whole."""
    from filelock import FileLock

    folder = data_folder()
    lock = FileLock(folder / f"{name}.lock", fallback_to_soft=False)  # one that a kill cannot leave behind
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        for left in folder.glob(f".{name}.*{UNFINISHED}"):  # by a process that was killed
            left.unlink()
    except (OSError, NotImplementedError):
        yield
    else:
        try:
            yield
        finally:
            lock.release()


def _save(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], chunks: Iterable[Array]
) -> tuple[Array, str]:
    """Write the array and, beside it, its checksum; each file appears whole or not at all."""
    digest, written, path = hashlib.sha256(), 0, _file(name)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with whole_file(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            content = _bytes(chunk.astype(dtype, copy=False))
            digest.update(content)
            file.write(content)
            written += content.nbytes
        if written != prod(shape) * dtype.itemsize:
            raise AssertionError(f"{name}: drew {written} bytes for an array of shape {shape}")
    description = {"sha256": digest.hexdigest(), "shape": shape, "dtype": dtype.str}
    write_bytes(path.with_suffix(".json"), json.dumps(description).encode())
    return np.load(path, mmap_mode="r", allow_pickle=False), digest.hexdigest()


def _open(name: str, quiet: bool = False) -> tuple[Array, str] | None:
    """The cached array if it is there and undamaged."""
    path = _file(name)
    try:
        expected = json.loads(path.with_suffix(".json").read_bytes())
        state = path.stat()
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        form = (list(array.shape), array.dtype.str)
        if form == (expected["shape"], expected["dtype"]):
            sha256 = _sha256_of_file(path, state.st_size, state.st_mtime_ns)
            if sha256 == expected["sha256"]:
                return array, sha256
        problem = "its content does not match its checksum"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, SyntaxError, EOFError) as error:
        problem = str(error)
    if not quiet:
        warnings.warn(f"{path} is damaged ({problem}): it is made again", stacklevel=4)
    return None


@cache  # once per process, and again when the file's size or time has changed
def _sha256_of_file(path: Path, size: int, modified: int) -> str:
    return _sha256(_pieces(np.load(path, mmap_mode="r", allow_pickle=False)))


def _sha256(chunks: Iterable[Array]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(_bytes(chunk))
    return digest.hexdigest()


def _bytes(array: Array) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _pieces(array: Array) -> Iterator[Array]:
    """The array's rows, some megabytes at a time."""
    rows = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _warn_unwritten(name: str, error: OSError) -> None:
    warnings.warn(
        f"{_file(name)} could not be written ({error}): the array is kept in memory and will be made again"
        " next time. Set DISENTANGLE_DATA to a folder with room.",
        stacklevel=6,
    )
