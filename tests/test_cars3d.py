"""The official Cars3D archive, played by small files of the same format, good and bad."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from disentangle.datasets import _read_cars3d as reader
from disentangle.datasets import _read_smallnorb, cars3d
from disentangle.datasets._mat import read_bytes
from disentangle.errors import DataError, InputError
from disentangle.files import file_md5

from . import _official_files as official

SIZES, SIDE = (2, 3, 5), 128  # elevation, azimuth, object
EXPECTED = reader.Expected(SIZES, SIDE, md5="0" * 32)


def contents() -> dict[str, np.ndarray]:
    return official.cars(SIZES, SIDE)


def shuffled(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return random.Random(3).sample(list(files.items()), len(files))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path / "data"))
    path = tmp_path / reader.ARCHIVE
    official.write_archive(path, shuffled(dict(official.car_files(contents()))))
    return path


def grid(images: dict[str, np.ndarray]) -> np.ndarray:
    """Pillow's images, row-major over elevation, azimuth and object."""
    rows = []
    for elevation in range(SIZES[0]):
        for azimuth in range(SIZES[1]):
            for name in sorted(images):
                picture = Image.fromarray(images[name][:, :, :, azimuth, elevation])
                rows.append(np.asarray(picture.resize((64, 64), Image.Resampling.LANCZOS)))
    return np.stack(rows)


def unpack(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_the_files_written_here_are_matlab_files() -> None:
    for name, content in official.car_files(contents()):
        found = scipy.io.loadmat(io.BytesIO(content))
        assert np.array_equal(found["im"], contents()[name])
        assert found["mask"].shape == (SIDE, SIDE, 3, 2)


def test_the_archive_is_read_in_the_order_of_the_names(archive: Path) -> None:
    images, _, md5 = reader.read(archive, EXPECTED)
    assert md5 == file_md5(archive)
    assert isinstance(images, np.memmap)
    assert np.array_equal(images, grid(contents()))


def test_the_unpacked_folder_gives_the_same(archive: Path) -> None:
    folder = unpack(archive.parent / "cars", dict(official.car_files(contents())))
    (folder / "list.txt").write_text("car_001_mesh\n")
    (folder / "._car_001_mesh.mat").write_bytes(b"a Mac's")
    images, sha256, md5 = reader.read(folder, EXPECTED)
    assert np.array_equal(images, grid(contents()))
    assert (md5, sha256) == ("", reader.read(archive, EXPECTED)[1])


def test_files_of_savemat_are_read(archive: Path) -> None:
    files = {}
    for name, image in contents().items():
        scipy.io.savemat(buffer := io.BytesIO(), {"im": image}, do_compression=True)
        files[name] = buffer.getvalue()
    official.write_archive(archive, files)
    assert np.array_equal(reader.read(archive, EXPECTED)[0], grid(contents()))


def test_the_second_start_maps_the_images(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = reader.read(archive, EXPECTED)[0]
    monkeypatch.setattr(reader, "_checked", None)
    assert np.array_equal(reader.read(archive, EXPECTED)[0], first)


def test_archive_and_folder_are_found(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = archive.parent
    for path in (archive, str(archive), home):
        assert reader.find(path, "") == archive
    folder = unpack(home / "own" / "data" / "cars", dict(official.car_files(contents())))
    for path in (folder, folder.parent, home / "own", folder / "car_001_mesh.mat"):
        assert reader.find(path, "") == folder
    for path in (None, home / "nowhere"):
        place = home / "data" if path is None else path
        with pytest.raises(
            DataError, match=rf"{place}: found neither {reader.ARCHIVE} nor a folder of car_\*.*fetch it"
        ):
            reader.find(path, "fetch it")
    monkeypatch.setenv("DISENTANGLE_DATA", str(home / "own"))
    assert reader.find(None, "") == folder
    monkeypatch.setenv("DISENTANGLE_DATA", str(home))
    assert reader.find(None, "") == archive


def test_other_sets_files_are_no_cars(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SmallNORB's files end in .mat, too, and lie in the data folder."""
    home = archive.parent / "home"
    home.mkdir()
    monkeypatch.setenv("DISENTANGLE_DATA", str(home))
    cars = dict(official.car_files(contents()))
    norb = home / f"{_read_smallnorb.STEMS[0]}.mat"
    norb.write_bytes(b"")
    for path in (None, home, norb):
        with pytest.raises(DataError, match="found neither"):
            reader.find(path, "")
    for name, content in cars.items():
        (home / name).write_bytes(content)
    with pytest.raises(DataError, match="found neither"):  # cars that lie among everything else
        reader.find(None, "")
    for path in (home, home / FIRST):
        assert reader.find(path, "") == home
    assert np.array_equal(reader.read(home, EXPECTED)[0], grid(contents()))
    for below in ("cars", "data/cars"):  # the one that is preferred comes last
        folder = unpack(home / below, {**cars, "list.mat": b""})
        assert reader.find(None, "") == reader.find(home, "") == folder
        assert np.array_equal(reader.read(folder, EXPECTED)[0], grid(contents()))


def test_a_file_that_cannot_be_read_is_named(archive: Path) -> None:
    folder = unpack(archive.parent / "cars", dict(official.car_files(contents())))
    (folder / FIRST).unlink()
    (folder / FIRST).mkdir()
    with pytest.raises(DataError, match=rf"{FIRST} could not be read.*directory"):
        reader.read(folder, EXPECTED)


def mat(**variables: object) -> bytes:
    scipy.io.savemat(buffer := io.BytesIO(), variables)
    return buffer.getvalue()


FIRST = "car_001_mesh.mat"
CELLS = np.empty((2, 2), object)
CELLS[:] = "text"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            mat(im=contents()[FIRST].astype(np.float64)),
            r"im is double .*expected uint8 \(128, 128, 3, 3, 2\)",
        ),
        (mat(im=contents()[FIRST][..., :1]), r"im is uint8 \(128, 128, 3, 3, 1\);"),
        (mat(im=CELLS), r"im is cell \(2, 2\); expected uint8"),
        (mat(im={"a": 1}), "im is struct"),
        (mat(mask=contents()[FIRST]), r"im is missing \(\); expected uint8"),
        (official.mat5({"im": contents()[FIRST]})[:-100], "expected a MATLAB file"),
        (
            official.mat5({"im": contents()[FIRST]}, compressed=False)[:5000],
            r"expected a MATLAB file \(version 5\), but an element of \d+ bytes is in the place of 4864",
        ),
        (b"", "expected a MATLAB file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(1000), "expected a MATLAB file"),
        (b"text " * 100, "expected a MATLAB file"),
        (official.mat5({"im": contents()[FIRST]})[:124] + b"\1\0MI" + bytes(64), "it is big-endian"),
        (official.mat5({"im": contents()[FIRST]})[:124] + b"\0\2IM" + bytes(64), "its version is 0x0200"),
        (mat(im=contents()[FIRST] > 127), "im is logical uint8"),
    ],
)
def test_a_wrong_matlab_file_is_refused(archive: Path, content: bytes, words: str) -> None:
    files = dict(official.car_files(contents())) | {FIRST: content}
    official.write_archive(archive, files)
    folder = unpack(archive.parent / "cars", files)
    for place in (archive, folder):
        with pytest.raises(DataError, match=words) as caught:
            reader.read(place, EXPECTED)
        assert f"{place}: {FIRST}" in str(caught.value)
    assert not list((archive.parent / "data").glob("*.npy"))  # nothing refused is cached


SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
OTHERS = {"mask": np.ones((5, 7), np.uint8), "big": np.ones((400, 400), np.uint8)}


@pytest.mark.parametrize("compressed", [[False, False, False], [True, False, True], [False, True, True]])
def test_an_array_is_read_beside_others_of_any_length(compressed: list[bool]) -> None:
    content = official.mat5({})
    for pair, packed in zip((*OTHERS.items(), ("im", SMALL)), compressed, strict=True):
        content += official.mat5(dict([pair]), packed)[128:]
    assert np.array_equal(read_bytes("a.mat", content, "im", SMALL.shape), SMALL)
    assert np.array_equal(read_bytes("a.mat", content, "mask", (5, 7)), OTHERS["mask"])


@pytest.mark.parametrize("compressed", [False, True])
def test_no_damage_of_a_matlab_file_ends_the_process(compressed: bool) -> None:
    """SciPy's reader dies of some of these, such as an element's kind that is none."""
    content = bytearray(official.mat5({"x": OTHERS["mask"], "im": SMALL}, compressed))
    content += mat(s={"a": 1}, text="text", im2=SMALL)[128:]
    refused = 0
    for place in range(len(content)):
        kept = content[place]
        for value in (kept ^ 0xFF, kept ^ 1, kept ^ 0x80, 0):
            content[place] = value
            try:
                image = read_bytes("a.mat", bytes(content), "im", SMALL.shape)
            except DataError:
                refused += 1
            else:  # a byte of the text, of padding or, where no checksum tells, of a pixel
                changed = int((image != SMALL).sum())
                assert changed <= (0 if compressed else 1)
        content[place] = kept
    assert refused > 100
    for length in range(len(content)):
        with pytest.raises(DataError):
            read_bytes("a.mat", bytes(content[:length]), "none", SMALL.shape)


def test_a_compressed_array_must_be_whole() -> None:
    """Its checksum, too, which comes last, though nothing else is lacking."""
    whole = official.mat5({"im": SMALL})
    packed = whole[136:]
    for left in (packed[:-1], packed[:-4], packed[:-1] + bytes([packed[-1] ^ 1])):
        content = whole[:128] + struct.pack("<II", 15, len(left)) + left
        with pytest.raises(DataError, match=r"expected a MATLAB file"):
            read_bytes("a.mat", content, "im", SMALL.shape)


def test_what_is_decompressed_is_no_more_than_needed() -> None:
    """A small file may say that it holds a gigabyte."""
    huge = zlib.compressobj(9)
    packed = b"".join(huge.compress(bytes(1 << 20)) for _ in range(64)) + huge.flush()
    content = official.mat5({}) + struct.pack("<II", 15, len(packed)) + packed
    tracemalloc.start()
    with pytest.raises(DataError, match="a variable is of kind 0"):
        read_bytes("a.mat", content, "im", SMALL.shape)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_file_too_few_or_twice_is_refused(archive: Path) -> None:
    files = list(official.car_files(contents()))
    official.write_archive(archive, files[1:])
    with pytest.raises(DataError, match=r"found 4 \.mat files of cars; expected 5"):
        reader.read(archive, EXPECTED)
    official.write_archive(archive, [*files, files[0]])
    with pytest.raises(DataError, match=rf"{FIRST} is there twice"):
        reader.read(archive, EXPECTED)
    folder = unpack(archive.parent / "cars", dict(files) | {"car_999_mesh.mat": files[0][1]})
    with pytest.raises(DataError, match=r"found 6 \.mat files of cars; expected 5"):
        reader.read(folder, EXPECTED)


def test_every_truncation_is_refused(archive: Path) -> None:
    whole = archive.read_bytes()
    for length in (0, 1, 5, 11, 100, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        archive.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"analogy-data\.tar\.gz"):
            reader.read(archive, EXPECTED)


def test_a_damaged_checksum_is_refused(archive: Path) -> None:
    whole = bytearray(archive.read_bytes())
    whole[-6] ^= 1
    archive.write_bytes(whole)
    with pytest.raises(DataError, match=r"expected a whole \.tar\.gz file, found BadGzipFile\('CRC"):
        reader.read(archive, EXPECTED)


@pytest.fixture
def black(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive and a folder that are taken for Cars3D of black images."""
    images = np.broadcast_to(np.zeros((64, 64, 3), np.uint8), (17_568, 64, 64, 3))
    md5 = reader.OFFICIAL.md5
    monkeypatch.setattr(reader, "read", lambda place: (images, "ab" * 32, "" if place.is_dir() else md5))
    return archive


def test_load_labels_the_known_archive_official(black: Path) -> None:
    for source, label in (("auto", "official"), ("official", "official"), ("user", "user")):
        data = cars3d.load(source, black)
        assert (data.source, data.checksum, data.note) == (label, f"md5:{reader.OFFICIAL.md5}", "")
    assert (data.sizes, data.cells) == ((4, 24, 183), None)
    assert data.factor_names == ("elevation", "azimuth", "object")
    assert data.factors([0, 1, 183, 17_567]).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [3, 23, 182]]
    assert data.index([[3, 0, 5]]) == 3 * 24 * 183 + 5
    assert data.images([0, 17_567]).shape == (2, 3, 64, 64)


def test_other_files_are_the_users(black: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = unpack(black.parent / "cars", {"car_001_mesh.mat": b""})
    for source in ("auto", "user"):
        data = cars3d.load(source, folder)
        assert (data.source, data.checksum) == ("user", "sha256:" + "ab" * 32)
        assert f"found unpacked files, expected md5:{reader.OFFICIAL.md5}" in data.note
    with pytest.raises(DataError, match=r"cars: found unpacked files, expected md5:4e86.*as source 'user'"):
        cars3d.load("official", folder)
    images = reader.read(black)[0]
    monkeypatch.setattr(reader, "read", lambda place: (images, "ab" * 32, "cd" * 16))
    assert cars3d.load("auto", black).source == "user"
    with pytest.raises(DataError, match=r"found md5:cdcd.*expected md5:4e86"):
        cars3d.load("official", black)


def test_it_cannot_be_drawn_and_is_not_there(archive: Path) -> None:
    with pytest.raises(
        DataError, match=r"cars3d cannot be drawn.*http://www.scottreed.info/.*by hand.*data/nips"
    ):
        cars3d.load("drawn")
    for source in ("auto", "official", "user"):
        with pytest.raises(DataError, match=r"found neither .*disentangle data cars3d --download.*by hand"):
            cars3d.load(source)
    with pytest.raises(InputError, match="unknown source 'internet'"):
        cars3d.load("internet")


def test_the_checksum_decides(archive: Path) -> None:
    assert replace(EXPECTED, md5=file_md5(archive)).md5 == reader.read(archive, EXPECTED)[2]
