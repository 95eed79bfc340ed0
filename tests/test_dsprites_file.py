"""The official dSprites file, played by small files of the same format, good and bad."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from disentangle.datasets import _read_dsprites as reader
from disentangle.datasets import dsprites
from disentangle.errors import DataError
from disentangle.files import file_md5
from disentangle.images import PackedBits

SIZES, SIDE = (1, 2, 3, 4), 8
COUNT = 24


class Trap:
    """Whoever unpickles this notices."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (pytest.fail, ("metadata was unpickled",))


def contents() -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 2, (COUNT, SIDE, SIDE), np.uint8)
    classes = np.indices(SIZES).reshape(len(SIZES), -1).T.astype(np.int64)
    return {"metadata": np.array(Trap(), object), "imgs": images, "latents_classes": classes}


EXPECTED = reader.Expected(SIZES, SIDE, white=int(contents()["imgs"].sum()), md5="0" * 32)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(reader, "CHUNK_BYTES", 5 * SIDE * SIDE)  # five images: several chunks
    return tmp_path / "file.npz"


def save(file: Path, **changes: Any) -> None:
    np.savez_compressed(file, **{k: v for k, v in {**contents(), **changes}.items() if v is not None})


def test_a_file_saved_again_is_official_by_its_content(file: Path) -> None:
    save(file)
    packed, md5 = reader.read(file, EXPECTED)
    assert md5 == file_md5(file)
    images = PackedBits(packed, (SIDE, SIDE)).gather(torch.arange(COUNT))
    assert np.array_equal(images[:, 0].numpy(), contents()["imgs"])


def test_arrays_may_lie_in_either_order(file: Path) -> None:
    for order in (np.ascontiguousarray, np.asfortranarray):
        save(file, **{key: order(contents()[key]) for key in ("imgs", "latents_classes")})
        packed, _ = reader.read(file, EXPECTED)
        images = PackedBits(packed, (SIDE, SIDE)).gather(torch.arange(COUNT))
        assert np.array_equal(images[:, 0].numpy(), contents()["imgs"])


def test_the_published_file_is_official_by_its_md5(file: Path) -> None:
    save(file)
    packed, _ = reader.read(file, replace(EXPECTED, white=-1, md5=file_md5(file)))
    assert packed.shape == (COUNT, 8)


def test_the_second_start_reads_the_packed_images(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(file)
    first, _ = reader.read(file, EXPECTED)
    monkeypatch.setattr(reader, "_read_checked", None)
    again, _ = reader.read(file, EXPECTED)
    assert np.array_equal(first, again)


def test_load_labels_it_official(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    black = np.broadcast_to(np.zeros(512, np.uint8), (737_280, 512))
    monkeypatch.setattr(reader, "read", lambda path: (black, path.name))
    file.touch()
    data = dsprites.load("auto", file)
    assert (data.source, data.checksum, data.note) == ("official", "md5:file.npz", "")


def swap(classes: np.ndarray) -> np.ndarray:
    classes[[7, 8]] = classes[[8, 7]]
    return classes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"imgs": 1 - contents()["imgs"]}, r"not the official.*white pixels; expected MD5 0000"),
        ({"imgs": contents()["imgs"] * 2}, "pixel of 2; expected only 0 and 1"),
        ({"imgs": contents()["imgs"].astype(np.int32)}, r"imgs is int32 \(24, 8, 8\); expected bytes"),
        (
            {"imgs": contents()["imgs"][:-1]},
            r"imgs is uint8 \(23, 8, 8\); expected .*\(24, 8, 8\)",
        ),
        ({"imgs": np.full((COUNT, SIDE, SIDE), Trap(), object)}, "imgs is object"),
        ({"imgs": None}, "imgs"),
        ({"latents_classes": None}, "latents_classes"),
        (
            {"latents_classes": swap(contents()["latents_classes"])},
            r"classes\[7\] is \[0, 0, 2, 0\]",
        ),
        ({"latents_classes": contents()["latents_classes"][:, 1:]}, r"latents_classes is int64 \(24, 3\)"),
        ({"latents_classes": contents()["latents_classes"] * 1.0}, "latents_classes is float64"),
    ],
)
def test_a_wrong_file_is_refused(file: Path, changes: dict[str, Any], words: str) -> None:
    save(file, **changes)
    with pytest.raises(DataError, match=words) as caught:
        reader.read(file, EXPECTED)
    assert str(file) in str(caught.value)


def test_every_damage_is_refused(file: Path) -> None:
    save(file, metadata=None)
    whole = file.read_bytes()
    for length in range(0, len(whole), 97):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"file\.npz"):
            reader.read(file, EXPECTED)


def test_flipped_bytes_never_pass_as_other_images(file: Path) -> None:
    save(file, metadata=None)
    whole = file.read_bytes()
    refused = 0
    for place in range(0, len(whole), 41):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            packed, _ = reader.read(file, EXPECTED)
        except DataError:
            refused += 1
        else:  # a byte that does not matter, such as a time stamp
            images = PackedBits(packed, (SIDE, SIDE)).gather(torch.arange(COUNT))
            assert np.array_equal(images[:, 0].numpy(), contents()["imgs"])
    assert refused > 5


def test_no_array_inside(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("latents_classes.npy", b"text")
    with pytest.raises(DataError, match="latents_classes is no NumPy array"):
        reader.read(file, EXPECTED)
