"""The official 3DShapes file, played by small files of the same format, good and bad."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from disentangle.datasets import _read_shapes3d as reader
from disentangle.datasets import shapes3d
from disentangle.errors import DataError
from disentangle.files import file_md5

VALUES = (np.arange(3) / 10, np.linspace(0.75, 1.25, 2), np.linspace(-30, 30, 4))
COUNT, SIDE = 24, 4


def contents() -> dict[str, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
    labels = [[a, b, c] for a in VALUES[0] for b in VALUES[1] for c in VALUES[2]]
    return {"images": images, "labels": np.array(labels)}


MEANS = tuple(contents()["images"].mean((0, 1, 2)) / 255)
EXPECTED = reader.Expected(VALUES, SIDE, MEANS, md5="0" * 32)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(reader, "CHUNK_BYTES", 10 * SIDE * SIDE * 3)  # so that there are several chunks
    return tmp_path / "file.h5"


def save(path: Path, **changes: Any) -> None:
    with h5py.File(path, "w") as file:
        for key, value in {**contents(), **changes}.items():
            if value is not None:
                chunks = (5, *value.shape[1:])
                file.create_dataset(key, data=value, chunks=chunks, compression="gzip")


def test_a_file_saved_again_is_official_by_its_content(file: Path) -> None:
    save(file)
    images, md5 = reader.read(file, EXPECTED)
    assert md5 == file_md5(file)
    assert isinstance(images, np.memmap)
    assert np.array_equal(images, contents()["images"])


def test_labels_may_be_rounded_a_little(file: Path) -> None:
    save(file, labels=contents()["labels"] + 1e-9)
    assert len(reader.read(file, EXPECTED)[0]) == COUNT


def test_the_published_file_is_official_by_its_md5(file: Path) -> None:
    save(file)
    images, _ = reader.read(file, replace(EXPECTED, means=(0, 0, 0), md5=file_md5(file)))
    assert len(images) == COUNT


def test_the_second_start_maps_the_images(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(file)
    reader.read(file, EXPECTED)
    monkeypatch.setattr(reader, "_checked_chunks", None)
    assert np.array_equal(reader.read(file, EXPECTED)[0], contents()["images"])


def test_without_room_the_images_are_in_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(file)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="No space left"):
        images, _ = reader.read(file, EXPECTED)
    assert np.array_equal(images, contents()["images"])


def test_load_labels_it_official(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    black = np.broadcast_to(np.zeros((64, 64, 3), np.uint8), (480_000, 64, 64, 3))
    monkeypatch.setattr(reader, "read", lambda path: (black, path.name))
    file.touch()
    data = shapes3d.load("official", file)
    assert (data.source, data.checksum, data.note) == ("official", "md5:file.h5", "")
    assert data.images([0, 479_999]).max() == 0


def test_the_grid_of_the_published_labels() -> None:
    labels = reader.OFFICIAL.labels
    assert labels.shape == (480_000, 6)
    assert labels[1].tolist() == pytest.approx([0, 0, 0, 0.75, 0, -30 + 60 / 14])
    assert labels[-1].tolist() == pytest.approx([0.9, 0.9, 0.9, 1.25, 3, 30])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 255 - contents()["images"]}, r"not the official.*means \[.*expected MD5 0000"),
        (
            {"images": contents()["images"].astype(np.int16)},
            r"images is int16 .*expected uint8 \(24, 4",
        ),
        ({"images": contents()["images"][:-1]}, r"images is uint8 \(23, 4, 4, 3\)"),
        ({"images": None}, r"no 'images' but \['labels'\]"),
        ({"labels": None}, "no 'labels'"),
        ({"labels": contents()["labels"][::-1]}, r"labels\[0\] is \[0.2, 1.25, 30.0\]; expected \[0.0, 0.75"),
        ({"labels": contents()["labels"].astype(np.float32)}, "labels is float32"),
        ({"labels": contents()["labels"][:, :2]}, r"labels is float64 \(24, 2\)"),
        ({"labels": contents()["labels"] * np.nan}, r"labels\[0\] is \[nan"),
    ],
)
def test_a_wrong_file_is_refused(file: Path, changes: dict[str, Any], words: str) -> None:
    save(file, **changes)
    with pytest.raises(DataError, match=words) as caught:
        reader.read(file, EXPECTED)
    assert str(file) in str(caught.value)
    assert not list((file.parent / "data").glob("*.npy"))  # nothing refused is cached


def test_a_group_in_place_of_the_images(file: Path) -> None:
    save(file, images=None)
    with h5py.File(file, "a") as opened:
        opened.create_group("images")
    with pytest.raises(DataError, match="images is None None"):
        reader.read(file, EXPECTED)


def test_every_truncation_is_refused(file: Path) -> None:
    save(file)
    whole = file.read_bytes()
    for length in range(0, len(whole), 211):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"file\.h5"):
            reader.read(file, EXPECTED)


def test_a_damaged_chunk_is_refused(file: Path) -> None:
    save(file)
    with h5py.File(file) as opened:
        start = opened["images"].id.get_chunk_info(2).byte_offset
    content = bytearray(file.read_bytes())
    content[start + 20 : start + 60] = bytes(40)
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"file\.h5"):
        reader.read(file, EXPECTED)
