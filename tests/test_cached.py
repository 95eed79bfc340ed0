"""Cached arrays: drawn once, shared, and never the worse for a damaged file or a full disk."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from disentangle.cached import cached_array, cached_chunks


class Drawing:
    """Counts how often it is drawn."""

    def __init__(self) -> None:
        self.times = 0
        self.content = np.arange(3000, dtype=np.int16).reshape(30, 10, 10)

    def __call__(self) -> np.ndarray:
        self.times += 1
        return self.content

    def chunks(self) -> Iterator[np.ndarray]:
        self.times += 1
        yield from np.array_split(self.content, 4)


Cached = Callable[[Drawing], tuple[np.ndarray, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(params=["array", "chunks"])
def cached(request: pytest.FixtureRequest) -> Cached:
    """Both functions, called alike."""
    if request.param == "array":
        return lambda drawing: cached_array("name", drawing)
    return lambda drawing: cached_chunks("name", drawing.content.shape, np.int16, drawing.chunks)


def test_drawn_once_then_mapped(folder: Path, cached: Cached) -> None:
    drawing = Drawing()
    for _ in range(3):
        array, sha256 = cached(drawing)
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        assert np.array_equal(array, drawing.content)
        assert array.dtype == np.int16
    assert drawing.times == 1
    assert sha256 == hashlib.sha256(drawing.content.tobytes()).hexdigest()
    assert not list(folder.glob(".*"))  # no unfinished files


def damage_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    os.truncate(file, 1000)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def other_form(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"<i2", b">i2", 1))


def no_checksum(file: Path) -> None:
    file.with_suffix(".json").write_text("{}")


def torn_checksum(file: Path) -> None:
    file.with_suffix(".json").write_text('{"sha')


def pickled(file: Path) -> None:
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "damage", [damage_byte, truncate, empty, other_form, no_checksum, torn_checksum, pickled]
)
def test_a_damaged_file_is_drawn_again(folder: Path, cached: Cached, damage: Callable[[Path], None]) -> None:
    drawing = Drawing()
    _, sha256 = cached(drawing)
    damage(folder / "name.npy")
    with pytest.warns(UserWarning, match=r"name\.npy is damaged"):
        array, again = cached(drawing)
    assert np.array_equal(array, drawing.content)
    assert (again, drawing.times) == (sha256, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached(drawing)
    assert drawing.times == 2


def test_a_missing_checksum_or_array_is_drawn_again(folder: Path, cached: Cached) -> None:
    drawing = Drawing()
    for suffix in (".json", ".npy"):
        cached(drawing)
        (folder / f"name{suffix}").unlink()
        assert np.array_equal(cached(drawing)[0], drawing.content)
    assert drawing.times == 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_without_room_it_stays_in_memory(
    folder: Path, cached: Cached, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = Drawing()
    _, sha256 = cached(drawing)
    (folder / "name.npy").unlink()

    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="could not be written"):
        array, again = cached(drawing)
    assert np.array_equal(array, drawing.content)
    assert again == sha256
    assert sorted(p.name for p in folder.iterdir()) == ["name.json", "name.lock"]  # nothing half written


def test_a_folder_that_cannot_be_made(
    tmp_path: Path, cached: Cached, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="could not be written"):
        array, _ = cached(Drawing())
    assert np.array_equal(array, Drawing().content)


def test_an_error_while_drawing_is_passed_on(folder: Path) -> None:
    def chunks() -> Iterator[np.ndarray]:
        yield np.zeros(2)
        raise ValueError("bad input")

    with pytest.raises(ValueError, match="bad input"):
        cached_chunks("name", (4,), np.float64, chunks)
    assert [p.name for p in folder.iterdir()] == ["name.lock"]


def test_what_a_killed_process_left_is_cleared(folder: Path) -> None:
    folder.mkdir()
    (folder / ".name.npy.0123.part").write_bytes(b"half")
    cached_array("name", Drawing())
    assert not list(folder.glob("*.part"))


SCRIPT = """
import sys, time, numpy as np
from disentangle.cached import cached_array
def draw():
    with open(sys.argv[1], "a") as log:
        log.write("drawn\\n")
    time.sleep(0.5)
    return np.arange(1000)
assert cached_array("name", draw)[0].sum() == 499500
"""


def test_of_several_processes_one_draws(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "log")]
    root = str(Path(__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    started = [subprocess.Popen(command, env=env) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "drawn\n"
