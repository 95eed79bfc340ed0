"""Data files: where they are looked for, how they are written and downloaded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from disentangle.errors import DataError, unknown

CONNECT_SECONDS = 5.0  # without a network, give up after this rather than after minutes
READ_SECONDS = 60.0
TRIES = 3
UNFINISHED = ".part"  # ends the names of files that are being written


def data_folder() -> Path:
    """The folder of data files and caches: ``$DISENTANGLE_DATA``, else the user's cache folder."""
    named = os.environ.get("DISENTANGLE_DATA")
    return Path(named).expanduser() if named else _user_cache()


def _user_cache() -> Path:
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("disentangle"))


@contextlib.contextmanager
def whole_file(path: Path, scratch: Path | None = None) -> Iterator[IO[bytes]]:
    """A file to write that appears under its name only when it is complete; makes its folder.

    On an error, or if the process dies, whatever was at ``path`` before stays.

    Args:
        path: the file.
        scratch: a folder on the same file system where it is written until then; its own if left out.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "row.json"
    >>> with whole_file(path) as file:
    ...     _ = file.write(b"{}")
    >>> path.read_bytes()
    b'{}'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = (scratch or path.parent) / f".{path.name}.{uuid.uuid4().hex}{UNFINISHED}"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_bytes(path: Path, content: bytes, scratch: Path | None = None) -> None:
    """Write a small file whole or not at all; see `whole_file`."""
    with whole_file(path, scratch) as file:
        file.write(content)


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed process left half written in a folder.

    Only for whoever holds the lock of what is written there.
    """
    for left in folder.glob(f".*{UNFINISHED}"):
        left.unlink(missing_ok=True)


def find_file(names: str | Iterable[str], path: str | os.PathLike[str] | None = None) -> Path | None:
    """The first of the named files that exists.

    Args:
        names: the file name, or several in order of preference.
        path: the file itself or the folder it is in, if the user named one; nothing else is searched then.
            Otherwise ``$DISENTANGLE_DATA`` is searched, then the user's cache folder.

    Raises:
        DataError: the user named a path and the file is not there.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    if path is None:
        places = [folder / name for folder in (data_folder(), _user_cache()) for name in wanted]
        return next((file for file in places if file.is_file()), None)
    named = Path(path).expanduser()
    places = [named / name for name in wanted] if named.is_dir() else [named]
    found = next((file for file in places if file.is_file()), None)
    if found is None:
        raise DataError(
            f"{named}: found no file there; expected {' or '.join(wanted)} or the folder it is in"
        )
    return found


def official_file(
    dataset: str, name: str, url: str, source: str, path: str | os.PathLike[str] | None = None
) -> Path | None:
    """A data set's official file, or None where its images are to be drawn.

    Args:
        dataset: the data set's name, for the message.
        name: the file's name.
        url: where it can be had, for the message.
        source: ``"official"``, ``"drawn"``, or ``"auto"``: official if the file is found.
        path: see `find_file`.

    Raises:
        DataError: the official file is asked for and not found, or not at the path the user named.
        InputError: there is no such source.
    """
    if source not in ("auto", "official", "drawn"):
        raise unknown("source", source, ("auto", "official", "drawn"))
    file = None if source == "drawn" else find_file(name, path)
    if file is None and source == "official":
        raise DataError(
            f"{name} was not found: download it with `disentangle data {dataset} --download`,"
            f" or {by_hand(url, name)}"
        )
    return file


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong while it is read: an OSError becomes a DataError.

    >>> try:
    ...     with reading(Path("a.npz")):
    ...         raise OSError("Input/output error")
    ... except DataError as error:
    ...     print(error)
    a.npz could not be read: Input/output error
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} could not be read: {error}") from error


def file_md5(path: Path) -> str:
    """The MD5 of a file, the checksum that official files are known by.

    Raises:
        DataError: it cannot be read.
    """
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def by_hand(url: str, name: str) -> str:
    """How to get a file without this program; part of every message about a missing file."""
    return f"fetch {url} by hand and put it at {data_folder() / name}"


def download(url: str, name: str, md5: str) -> Path:
    """Download a file into the data folder, unless it is there already with the right checksum.

    Raises:
        DataError: ``DISENTANGLE_OFFLINE=1`` is set, the network or the disk fails, or what arrives has
            another checksum. The message names the URL and where to put the file by hand.
    """
    if os.environ.get("DISENTANGLE_OFFLINE", "0") not in ("", "0"):
        raise DataError(f"DISENTANGLE_OFFLINE is set, so {name} is not downloaded: {by_hand(url, name)}")
    import pooch

    folder = data_folder()
    try:
        fetcher = pooch.create(
            folder, "", registry={name: f"md5:{md5}"}, urls={name: url}, retry_if_failed=TRIES - 1
        )
        web = pooch.HTTPDownloader(
            timeout=(CONNECT_SECONDS, READ_SECONDS), headers={"User-Agent": _user_agent()}
        )
        return Path(fetcher.fetch(name, downloader=web))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors, a wrong checksum is a ValueError
        raise DataError(f"{name} could not be downloaded; {by_hand(url, name)} ({_root(error)})") from error


def _user_agent() -> str:
    """Who asks: some servers (Wikimedia's) refuse a library that does not say what uses it."""
    from disentangle.provenance import DISTRIBUTION, version

    return f"{DISTRIBUTION}/{version().replace(' ', '-')} (benchmark of disentangled representations)"


def _root(error: BaseException) -> str:
    """What went wrong at the bottom of nested network errors, in one short line."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {str(error).splitlines()[0][:150] if str(error) else ''}"
