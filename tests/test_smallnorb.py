"""The official SmallNORB files, played by small files of the same format, good and bad."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disentangle.datasets import _read_smallnorb as reader
from disentangle.datasets import smallnorb
from disentangle.errors import DataError, InputError
from disentangle.files import file_md5

from . import _official_files as official

SIZES, SIDE = (2, 4, 3, 2, 2), 96  # category, instance, elevation, azimuth, lighting
DAT, CAT, INFO, TEST_DAT, TEST_CAT, TEST_INFO = reader.STEMS
EXPECTED = reader.Expected(SIZES, SIDE)
Change = Callable[[dict[str, np.ndarray]], object]


def contents() -> dict[str, np.ndarray]:
    return official.smallnorb(SIZES, SIDE, reader.STEMS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(reader, "CHUNK_BYTES", 5 * 2 * SIDE * SIDE)  # so that there are several chunks
    return tmp_path / "norb"


def read(folder: Path, expected: reader.Expected = EXPECTED) -> np.ndarray:
    return reader.read(reader.find(folder, "fetch it"), expected)[0]


def sorted_images(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Pillow's images of the first camera, sorted by the factors and then the instance."""
    pairs = np.concatenate((arrays[DAT], arrays[TEST_DAT]))
    category = np.concatenate((arrays[CAT], arrays[TEST_CAT]))
    instance, elevation, azimuth, lighting = np.concatenate((arrays[INFO], arrays[TEST_INFO])).T
    order = np.lexsort((instance, lighting, azimuth, elevation, category))
    small = [
        Image.fromarray(pair[0].astype(np.int32)).resize((64, 64), Image.Resampling.LANCZOS)
        for pair in pairs[order]
    ]
    return np.stack([np.asarray(image).clip(0, 255) for image in small])


def test_the_format_is_that_of_the_published_files() -> None:
    """Three of the published files are what their description says; their MD5s were published."""
    training, test = official.norb_factors(reader.OFFICIAL.sizes)
    rebuilt = {CAT: training[:, 0], TEST_CAT: test[:, 0], TEST_INFO: test[:, 1:]}
    for stem, array in rebuilt.items():
        content = official.binary_matrix(array)
        assert hashlib.md5(content).hexdigest() == reader.MD5[f"{stem}.mat"], stem


def test_the_published_tables_are_read(tmp_path: Path) -> None:
    training, test = official.norb_factors(reader.OFFICIAL.sizes)
    arrays = {CAT: training[:, 0], INFO: training[:, 1:], TEST_CAT: test[:, 0], TEST_INFO: test[:, 1:]}
    official.write_matrices(tmp_path, arrays)
    files = {stem: tmp_path / f"{stem}.mat" for stem in reader.STEMS}
    numbers = reader._numbers(files, reader.OFFICIAL)
    assert sorted(numbers) == list(range(48_600))
    assert numbers[24_300:24_306].tolist() == [0, 9720, 19440, 29160, 38880, 10]  # category first, then light


@pytest.mark.parametrize("packed", [False, True])
def test_images_are_sorted_and_resized(folder: Path, packed: bool) -> None:
    official.write_matrices(folder, contents(), packed)
    images = read(folder)
    assert isinstance(images, np.memmap)
    assert images.shape == (96, 64, 64)
    assert np.array_equal(images, sorted_images(contents()))


def test_the_checksum_is_of_the_images_however_the_files_are_packed(folder: Path) -> None:
    found = []
    for packed in (False, True):
        place = folder.with_name(f"norb{packed}")
        official.write_matrices(place, contents(), packed)
        found.append(reader.read(reader.find(place, ""), EXPECTED)[1])
    assert found == [hashlib.sha256(sorted_images(contents()).astype(np.uint8)).hexdigest()] * 2


def test_files_are_known_by_their_checksums(folder: Path) -> None:
    official.write_matrices(folder, contents())
    files = reader.find(folder, "")
    md5 = {file.name: file_md5(file) for file in files.values()}
    assert reader.read(files, replace(EXPECTED, md5=md5))[2] == {}
    one = {**md5, f"{CAT}.mat": "0" * 32}
    assert reader.read(files, replace(EXPECTED, md5=one))[2] == {f"{CAT}.mat": md5[f"{CAT}.mat"]}


def test_the_second_start_maps_the_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official.write_matrices(folder, contents())
    first = read(folder)
    monkeypatch.setattr(reader, "_read_checked", None)
    assert np.array_equal(read(folder), first)
    changed = contents()
    changed[DAT][0, 0] ^= 1
    official.write_matrices(folder, changed)
    with pytest.raises(TypeError):  # other files: read again
        read(folder)


def test_the_files_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official.write_matrices(folder, contents())
    for path in (folder, str(folder), folder / f"{TEST_INFO}.mat"):
        assert reader.find(path, "")[CAT] == folder / f"{CAT}.mat"
    with pytest.raises(DataError, match=r"data has none of SmallNORB's six files; fetch it"):
        reader.find(None, "fetch it")
    monkeypatch.setenv("DISENTANGLE_DATA", str(folder))
    assert reader.find(None, "")[CAT] == folder / f"{CAT}.mat"
    (folder / f"{INFO}.mat").unlink()
    with pytest.raises(DataError, match=rf"norb lacks {INFO}.mat.gz of SmallNORB's six files; fetch"):
        reader.find(folder, "fetch it")
    (folder / f"{TEST_CAT}.mat").unlink()
    with pytest.raises(DataError, match=rf"norb lacks {INFO}.mat.gz and 1 more of SmallNORB's six"):
        reader.find(folder, "")


def test_a_path_that_is_no_place_of_the_files_is_refused(folder: Path) -> None:
    official.write_matrices(folder, contents())
    (folder / "readme.txt").touch()
    (folder / f"x{DAT}.mat").touch()
    for path in (folder / "nowhere", folder / "nowhere" / f"{DAT}.mat", folder / f"{DAT}.mat.gz"):
        with pytest.raises(DataError, match=f"^{path}: expected a folder of SmallNORB's six files"):
            reader.find(path, "")
    for path in (folder / "readme.txt", folder / f"x{DAT}.mat"):
        with pytest.raises(DataError, match=f"^{path}: expected"):
            reader.find(path, "")


@pytest.mark.parametrize("name", [f"{INFO}.mat", f"{INFO}.mat.gz"])
def test_a_file_that_cannot_be_opened_is_named(folder: Path, name: str) -> None:
    official.write_matrices(folder, contents())
    files = {**reader.find(folder, ""), INFO: folder / name}
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    with pytest.raises(DataError, match=rf"{name} could not be read.*directory"):
        reader._numbers(files, EXPECTED)


def relabelled(stem: str, row: int, column: int, value: int) -> Change:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[stem].reshape(len(arrays[stem]), -1)[row, column] = value

    return change


def as_type(stem: str, dtype: type) -> Change:
    return lambda arrays: arrays.update({stem: arrays[stem].astype(dtype)})


def shorter(stem: str) -> Change:
    return lambda arrays: arrays.update({stem: arrays[stem][:-1]})


@pytest.mark.parametrize(
    ("change", "file", "words"),
    [
        (as_type(DAT, np.int32), DAT, r"magic number 0x1e3d4c54, 4 dimensions.*expected 0x1e3d4c55"),
        (as_type(INFO, np.float32), INFO, "magic number 0x1e3d4c51.*expected 0x1e3d4c54"),
        (as_type(CAT, np.uint8), CAT, "magic number 0x1e3d4c55.*expected 0x1e3d4c54"),
        (shorter(TEST_DAT), TEST_DAT, r"sizes \[47, 2, 96, 96\]; expected .*\[48, 2, 96, 96\]"),
        (shorter(CAT), CAT, r"sizes \[47\]; expected .*\[48\]"),
        (lambda a: a.update({INFO: a[INFO][:, :3]}), INFO, r"\[48, 3\]; expected .*\[48, 4\]"),
        (lambda a: a.update({DAT: a[DAT][:, 0]}), DAT, r"3 dimensions.*expected 0x1e3d4c55, 4, \["),
        (lambda a: a.update({DAT: a[DAT][..., :64, :64]}), DAT, r"\[48, 2, 64, 64\]"),
        (relabelled(CAT, 5, 0, 2), CAT, r"category of image 5 is 2; expected 0\.\.1"),
        (relabelled(INFO, 7, 0, -1), INFO, r"instance of image 7 is -1; expected 0\.\.3"),
        (relabelled(INFO, 7, 1, 3), INFO, r"elevation of image 7 is 3; expected 0\.\.2"),
        (
            relabelled(TEST_INFO, 7, 2, 1),
            TEST_INFO,
            r"azimuth of image 7 is 1; expected an even number of 0\.\.2",
        ),
        (relabelled(TEST_INFO, 7, 3, 2), TEST_INFO, r"lighting of image 7 is 2; expected 0\.\.1"),
        # The first test image has all zeros; now the second of its category has, too.
        (
            relabelled(TEST_INFO, 2, 3, 0),
            "norb",
            "found 2 images of category 0, elevation 0, azimuth 0, lighting 0, instance 0 in .*expected 1",
        ),
    ],
)
def test_wrong_files_are_refused(folder: Path, change: Change, file: str, words: str) -> None:
    arrays = contents()
    change(arrays)
    official.write_matrices(folder, arrays)
    with pytest.raises(DataError, match=words) as caught:
        read(folder)
    assert file in str(caught.value)
    assert not list((folder.parent / "data").glob("*.npy"))  # nothing refused is cached


@pytest.mark.parametrize("packed", [False, True])
def test_every_truncation_is_refused(folder: Path, packed: bool) -> None:
    official.write_matrices(folder, contents(), packed)
    for file in reader.find(folder, "").values():
        whole = file.read_bytes()
        lengths = [*range(0, 60, 7), *range(61, len(whole), max(1, len(whole) // 4)), len(whole) - 1]
        for length in (length for length in lengths if length < len(whole)):
            file.write_bytes(whole[:length])
            with pytest.raises(DataError) as caught:
                read(folder)
            assert file.name in str(caught.value)
        file.write_bytes(whole + bytes(4))
        if not packed:  # gzip allows zeros after the end
            with pytest.raises(DataError, match="goes on after its 48 rows"):
                read(folder)
        file.write_bytes(whole)
    assert len(read(folder)) == 96


def test_damage_in_a_packed_file_is_refused(folder: Path) -> None:
    official.write_matrices(folder, contents(), packed=True)
    file = folder / f"{DAT}.mat.gz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"training-dat\.mat\.gz: expected a whole"):
        read(folder)


@pytest.fixture
def black(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six files that are taken for SmallNORB of black images."""
    folder.mkdir()
    for stem in reader.STEMS:
        (folder / f"{stem}.mat").touch()
    images = np.broadcast_to(np.zeros((64, 64), np.uint8), (48_600, 64, 64))
    monkeypatch.setattr(reader, "read", lambda files: (images, "ab" * 32, {}))
    return folder


def test_load_labels_known_files_official(black: Path) -> None:
    for source, label in (("auto", "official"), ("official", "official"), ("user", "user")):
        data = smallnorb.load(source, black)
        assert (data.source, data.checksum, data.note) == (label, "sha256:" + "ab" * 32, "")
    assert data.image_shape == (1, 64, 64)


def test_other_files_are_the_users(black: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, sha256, _ = reader.read({})
    monkeypatch.setattr(reader, "read", lambda files: (images, sha256, {f"{CAT}.mat": "0" * 32}))
    for source in ("auto", "user"):
        data = smallnorb.load(source, black)
        assert data.source == "user"
        assert f"(1 file is not the published one: {CAT}.mat (md5:0000" in data.note
    with pytest.raises(DataError, match=rf"norb: 1 file is not the published one: {CAT}\.mat \(md5:0000"):
        smallnorb.load("official", black)
    monkeypatch.setattr(reader, "read", lambda files: (images, sha256, dict.fromkeys(files, "0" * 32)))
    with pytest.raises(DataError, match=rf"6 files are not the published ones: {DAT} \(md5:0.* and 5 more:"):
        smallnorb.load("official", black)


def test_ten_instances_share_a_cell(black: Path) -> None:
    data = smallnorb.load("official", black)
    assert (len(data), data.sizes) == (48_600, (5, 9, 18, 6))
    assert data.factor_names == ("category", "elevation", "azimuth", "lighting")
    assert data.factor_values[1].tolist() == [30, 35, 40, 45, 50, 55, 60, 65, 70]
    assert data.factor_values[2].tolist() == list(range(0, 360, 20))
    assert data.factors([0, 9, 10, 48_599]).tolist() == [[0] * 4, [0] * 4, [0, 0, 0, 1], [4, 8, 17, 5]]
    cells = np.random.default_rng(0).integers(0, 4860, 50)
    factors = np.stack(np.unravel_index(cells, data.sizes), axis=1)
    assert np.array_equal(data.index(factors), 10 * cells)  # the first instance
    for instance in (0, 3, 9):
        assert np.array_equal(data.factors(10 * cells + instance), factors)
    assert data.images([0, 48_599]).shape == (2, 1, 64, 64)


def test_it_cannot_be_drawn_and_is_not_there(folder: Path) -> None:
    with pytest.raises(
        DataError,
        match=rf"smallnorb cannot be drawn.*gz at {smallnorb.URL}/ by hand and put them into .*data$",
    ):
        smallnorb.load("drawn")
    for source in ("auto", "official", "user"):
        with pytest.raises(DataError, match=r"data has none .*data smallnorb --download.*by hand") as caught:
            smallnorb.load(source)
        assert str(caught.value).count("https://") == 1
        assert len(str(caught.value).replace(str(folder.parent), "")) < 300
    with pytest.raises(InputError, match="unknown source 'internet'"):
        smallnorb.load("internet")


def test_all_six_files_are_downloaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    monkeypatch.setattr(smallnorb, "download_file", lambda *file: fetched.append(file))
    assert smallnorb.download() == folder.parent / "data"
    assert len(fetched) == len({md5 for _, _, md5 in fetched}) == 6
    assert all(url == f"{smallnorb.URL}/{name}" and reader.MD5[name] == md5 for url, name, md5 in fetched)
