"""Finding, writing and downloading data files."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from disentangle import files
from disentangle.errors import DataError


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """DISENTANGLE_DATA and the user's cache, both empty."""
    named, cache = tmp_path / "named", tmp_path / "cache"
    monkeypatch.setenv("DISENTANGLE_DATA", str(named))
    monkeypatch.setattr(files, "_user_cache", lambda: cache)
    named.mkdir()
    cache.mkdir()
    return named, cache


def test_data_folder(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.data_folder() == folders[0]
    monkeypatch.setenv("DISENTANGLE_DATA", "")
    assert files.data_folder() == folders[1]


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    files.write_bytes(path, b"one")
    files.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")

    def fail() -> None:
        with files.whole_file(path) as file:
            file.write(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_find_file_prefers_the_named_folder(folders: tuple[Path, Path]) -> None:
    assert files.find_file("a.h5") is None
    for folder in reversed(folders):
        (folder / "a.h5").touch()
        assert files.find_file(["none.h5", "a.h5"]) == folder / "a.h5"


def test_find_file_with_a_path(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[0] / "a.h5").touch()  # must not be taken for the one the user named
    own = tmp_path / "own"
    own.mkdir()
    for path in (own, own / "a.h5", own / "a.h5" / "deeper"):
        with pytest.raises(DataError, match=r"own.*expected a\.h5"):
            files.find_file("a.h5", path)
    (own / "renamed.h5").touch()
    (own / "a.h5").touch()
    assert files.find_file("a.h5", own) == own / "a.h5"
    assert files.find_file("a.h5", own / "renamed.h5") == own / "renamed.h5"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path("/proc/self/mem")):
        with pytest.raises(DataError, match=rf"{path} could not be read: "):
            files.file_md5(path)


class Quiet(http.server.SimpleHTTPRequestHandler):
    agents: ClassVar[list[str]] = []  # who asked

    def log_message(self, *_: object) -> None:
        self.agents.append(self.headers["User-Agent"])


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a file with the content b"official", on this machine."""
    monkeypatch.setenv("DISENTANGLE_OFFLINE", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)  # between the tries
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.h5").write_bytes(b"official")
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.h5"
        server.shutdown()


MD5 = hashlib.md5(b"official", usedforsecurity=False).hexdigest()


def test_download(folders: tuple[Path, Path], served: str) -> None:
    path = files.download(served, "a.h5", MD5)
    assert path == folders[0] / "a.h5"
    assert path.read_bytes() == b"official"
    assert files.file_md5(path) == MD5
    assert Quiet.agents[-1].startswith("disentangle-bench/")
    assert "requests" not in Quiet.agents[-1]
    assert files.download("http://127.0.0.1:9/gone", "a.h5", MD5) == path  # it is there: not fetched again


@pytest.mark.parametrize("kind", ["other content", "no such page", "no server"])
def test_a_failed_download_says_what_to_do(folders: tuple[Path, Path], served: str, kind: str) -> None:
    url = {"other content": served, "no such page": served + "x", "no server": "http://127.0.0.1:9/a.h5"}[
        kind
    ]
    md5 = "0" * 32 if kind == "other content" else MD5
    with pytest.raises(DataError) as caught:
        files.download(url, "a.h5", md5)
    assert url in str(caught.value)
    assert str(folders[0] / "a.h5") in str(caught.value)
    assert list(folders[0].iterdir()) == []  # nothing half fetched


def test_offline_is_refused_at_once(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISENTANGLE_OFFLINE", "1")
    with pytest.raises(DataError, match=r"DISENTANGLE_OFFLINE.*https://example\.org/a.*named.*a\.h5"):
        files.download("https://example.org/a", "a.h5", MD5)
