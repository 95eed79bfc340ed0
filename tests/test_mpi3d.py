"""The official MPI3D files, played by small files of the same format, good and bad."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from disentangle import find
from disentangle.datasets import _mpi3d, mpi3d_complex, mpi3d_real, mpi3d_realistic, mpi3d_toy
from disentangle.datasets import _read_mpi3d as reader
from disentangle.errors import DataError, InputError
from disentangle.files import file_md5
from disentangle.images import Pixels

LAYOUTS, SIDE = ((3, 3, 2, 1, 2, 2, 2), (2, 2, 2, 1, 2, 2, 2)), 8
FULL, SMALL = 144, 64
EXPECTED = reader.Expected(LAYOUTS, "0" * 32, side=SIDE)
MODULES = (mpi3d_toy, mpi3d_realistic, mpi3d_real, mpi3d_complex)
SAVES = (np.savez, np.savez_compressed)


class Trap:
    """Whoever unpickles this notices."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (pytest.fail, ("the images were unpickled",))


def contents(count: int = FULL, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(reader, "CHUNK_BYTES", 10 * SIDE * SIDE * 3)  # ten images: several chunks
    return tmp_path / "mpi3d_toy.npz"


@pytest.mark.parametrize("save", SAVES)
def test_images_are_read_and_the_layout_is_told_by_their_number(file: Path, save: Any) -> None:
    for count, layout in ((FULL, LAYOUTS[0]), (SMALL, LAYOUTS[1])):
        save(file, images=contents(count))
        found = reader.read(file, EXPECTED)
        assert isinstance(found.images, np.memmap)
        assert np.array_equal(found.images, contents(count))
        assert (found.sizes, found.md5, found.known) == (layout, file_md5(file), False)


def test_a_stored_file_is_mapped_where_it_lies(file: Path) -> None:
    np.savez(file, other=np.arange(5), images=contents())
    images = reader.read(file, EXPECTED).images
    assert images.filename == file  # type: ignore[attr-defined]
    assert not images.flags.writeable
    assert [path.suffix for path in (file.parent / "data").iterdir()] == [".json"]  # of the checksums


def test_the_member_may_begin_anywhere(file: Path) -> None:
    """A local header may have a field more than the directory says, and something may lie before it."""
    np.save(file.with_suffix(".npy"), contents())
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("before.txt", "odd")
        info = zipfile.ZipInfo("images.npy")
        info.extra = b"\x99\x99\x03\x00abc"
        archive.writestr(info, file.with_suffix(".npy").read_bytes())
    file.write_bytes(b"before it all" + file.read_bytes())
    assert np.array_equal(reader.read(file, EXPECTED).images, contents())


def test_a_compressed_file_is_unpacked_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(file, images=contents())
    first = reader.read(file, EXPECTED).images
    monkeypatch.setattr(reader, "_chunks", None)
    assert np.array_equal(reader.read(file, EXPECTED).images, first)


@pytest.mark.parametrize("save", SAVES)
def test_the_published_file_is_known_by_its_md5(file: Path, save: Any) -> None:
    save(file, images=contents())
    assert reader.read(file, replace(EXPECTED, md5=file_md5(file))).known


@pytest.mark.parametrize("save", SAVES)
def test_or_by_the_checksum_of_its_images(file: Path, save: Any) -> None:
    np.save(file.with_suffix(".npy"), contents())
    sha256 = hashlib.sha256(file.with_suffix(".npy").read_bytes()).hexdigest()
    save(file, images=contents(), other=np.arange(3))
    assert reader.read(file, replace(EXPECTED, sha256=sha256)).known
    assert loaded(file, "official", sha256=sha256).source == "official"
    assert not reader.read(file, replace(EXPECTED, sha256="0" * 64)).known
    assert not reader.read(file, replace(EXPECTED, md5="", sha256="")).known


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Whose checksums were computed."""
    paths: list[Path] = []
    compute = reader._computed

    def counted(path: Path, form: reader.Form) -> tuple[str, str]:
        paths.append(path)
        return compute(path, form)

    monkeypatch.setattr(reader, "_computed", counted)
    return paths


def found_in_a_new_process(file: Path) -> tuple[str, bool]:
    reader._checksums.cache_clear()
    found = reader.read(file, replace(EXPECTED, sha256="0" * 64))
    return found.md5, found.known


@pytest.mark.parametrize("save", SAVES)
def test_a_file_is_read_through_once(file: Path, save: Any, computed: list[Path]) -> None:
    save(file, images=contents())
    first = found_in_a_new_process(file)
    assert first == (file_md5(file), False)
    assert found_in_a_new_process(file) == first
    assert computed == [file]
    (kept,) = (file.parent / "data").glob("checksums-*.json")
    whole = kept.read_bytes()
    damages = (
        b"",
        b"{}",
        b"[1]",
        whole[:-9],
        whole.replace(first[0].encode(), b"?" * 32),
        b"\xff",
        b"[" * 9999,
    )
    for damaged in damages:
        kept.write_bytes(damaged)
        assert found_in_a_new_process(file) == first
        assert kept.read_bytes() == whole
    assert len(computed) == 1 + len(damages)


def test_another_state_of_a_file_is_read_again(file: Path, computed: list[Path]) -> None:
    np.savez(file, images=contents())
    first = found_in_a_new_process(file)[0]
    os.utime(file, ns=(0, 10**18))
    assert found_in_a_new_process(file)[0] == first
    state = file.stat()
    np.savez(file, images=255 - contents())  # of the same size
    os.utime(file, ns=(0, 10**18 + 1))
    assert file.stat().st_size == state.st_size
    assert found_in_a_new_process(file)[0] == file_md5(file) != first
    np.savez(file, images=contents(), other=np.arange(3))  # of the same time
    os.utime(file, ns=(0, 10**18 + 1))
    assert found_in_a_new_process(file)[0] == file_md5(file)
    copy = file.with_name("copy.npz")
    copy.write_bytes(file.read_bytes())
    os.utime(copy, ns=(0, 10**18 + 1))
    found_in_a_new_process(copy)
    assert computed == [file] * 4 + [copy]


def test_a_folder_that_cannot_be_written_only_costs_time(
    file: Path, monkeypatch: pytest.MonkeyPatch, computed: list[Path]
) -> None:
    np.savez(file, images=contents())
    (file.parent / "no folder").touch()
    monkeypatch.setenv("DISENTANGLE_DATA", str(file.parent / "no folder" / "below"))
    first = found_in_a_new_process(file)
    assert reader.read(file, EXPECTED).md5 == first[0]  # this process remembers it
    assert computed == [file]
    assert found_in_a_new_process(file) == first
    assert computed == [file, file]


def test_a_file_that_cannot_be_read_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (file.parent, file.parent / "none", Path("/proc/self/mem")):
        with pytest.raises(DataError, match=str(path)):
            reader.read(path, EXPECTED)
    np.savez(file, images=contents())

    def fail(*_: object) -> None:
        raise OSError("Input/output error")

    monkeypatch.setattr(np, "memmap", fail)
    with pytest.raises(DataError, match=r"toy\.npz could not be read: Input/output error"):
        reader.read(file, EXPECTED)


@pytest.mark.parametrize("save", SAVES)
def test_it_never_holds_more_than_a_few_chunks(
    file: Path, monkeypatch: pytest.MonkeyPatch, save: Any
) -> None:
    images = contents(1440, 64)  # 17.7 MB
    expected = replace(EXPECTED, layouts=((1440,),), side=64)
    save(file, images=images)
    monkeypatch.setattr(reader, "CHUNK_BYTES", 1 << 18)
    monkeypatch.setattr("disentangle.cached.CHUNK_BYTES", 1 << 18)
    tracemalloc.start()
    try:
        found = reader.read(file, expected).images
        store = Pixels(found)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 18
    assert np.array_equal(found, images)
    assert store.nbytes == images.nbytes


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (
            contents(FULL - 1),
            r"images has the shape \(143, 8, 8, 3\); expected \(144, 8, 8, 3\) or \(64, 8, 8, 3\)",
        ),
        (contents(FULL, 16), r"shape \(144, 16, 16, 3\)"),
        (contents()[..., :1], r"shape \(144, 8, 8, 1\)"),
        (contents()[..., 0], r"images is uint8 \(144, 8, 8\)"),
        (contents().astype(np.int16), r"images is int16 .*expected uint8"),
        (contents().view(np.int8), "images is int8"),
        (np.asfortranarray(contents()), r"column-major; expected uint8 \(N, H, W, 3\), row-major"),
        (np.full((FULL, SIDE, SIDE, 3), Trap(), object), r"images is object \(144"),
    ],
)
def test_a_wrong_array_is_refused(file: Path, images: np.ndarray, words: str) -> None:
    for save in SAVES:
        save(file, images=images)
        with pytest.raises(DataError, match=words) as caught:
            reader.read(file, EXPECTED)
        assert str(file) in str(caught.value)


def test_a_file_of_another_kind_is_refused(file: Path) -> None:
    for content in (b"", b"text", b"PK\3\4" + bytes(100)):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"toy\.npz: expected a whole \.npz file"):
            reader.read(file, EXPECTED)
    np.savez(file, imgs=contents())
    with pytest.raises(
        DataError, match=r"expected a whole .npz file with images, found KeyError.*images\.npy"
    ):
        reader.read(file, EXPECTED)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", b"text")
    with pytest.raises(DataError, match="images is no NumPy array"):
        reader.read(file, EXPECTED)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_array_that_is_longer_or_shorter_than_it_says_is_refused(file: Path, compression: int) -> None:
    np.save(file.with_suffix(".npy"), contents())
    whole = file.with_suffix(".npy").read_bytes()
    for content in (whole[:-1], whole[:-700], whole + b"x"):
        with zipfile.ZipFile(file, "w", compression) as archive:
            archive.writestr("images.npy", content)
        with pytest.raises(
            DataError, match=r"images takes [\d,]+ bytes; expected 27,648 of \(144, 8, 8, 3\)"
        ):
            reader.read(file, EXPECTED)


@pytest.mark.parametrize("save", SAVES)
def test_every_truncation_is_refused(file: Path, save: Any) -> None:
    save(file, images=contents())
    whole = file.read_bytes()
    for length in range(0, len(whole), 977):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"toy\.npz"):
            reader.read(file, EXPECTED)


@pytest.mark.parametrize("save", SAVES)
def test_flipped_bytes_never_pass_as_other_images(file: Path, save: Any) -> None:
    save(file, images=contents())
    whole, refused = file.read_bytes(), 0
    for place in [*range(0, 200, 3), *range(200, len(whole), 1999), *range(len(whole) - 120, len(whole), 3)]:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        os.utime(file, ns=(0, place))  # files of one size, which may be written within one tick of the clock
        try:
            found = reader.read(file, EXPECTED)
        except DataError:
            refused += 1
        else:  # a byte that does not matter, such as a time stamp
            assert np.array_equal(found.images, contents())
    assert refused > 20


def loaded(file: Path, source: str = "auto", **expected: Any) -> Any:
    variant = replace(mpi3d_toy.VARIANT, expected=replace(EXPECTED, **expected))
    return _mpi3d.load_variant(variant, source, file)


def test_a_known_file_is_official(file: Path) -> None:
    np.savez(file, images=contents())
    md5 = file_md5(file)
    for source, label in (("auto", "official"), ("official", "official"), ("user", "user")):
        data = loaded(file, source, md5=md5)
        assert (data.source, data.checksum, data.note) == (label, f"md5:{md5}", "")
    assert data.factor_names == _mpi3d.FACTORS
    assert (data.sizes, data.cells, len(data)) == (LAYOUTS[0], None, FULL)
    index = np.random.default_rng(0).integers(0, FULL, 20)
    assert np.array_equal(data.index(data.factors(index)), index)
    assert data.factors([1, 2, 4]).tolist() == [
        [0, 0, 0, 0, 0, 0, 1],
        [0] * 5 + [1, 0],
        [0, 0, 0, 0, 1, 0, 0],
    ]
    assert np.array_equal(
        data.images(index).numpy(), (contents()[index] / np.float32(255)).transpose(0, 3, 1, 2)
    )


def test_another_file_is_the_users(file: Path) -> None:
    np.savez(file, images=contents(SMALL))
    md5 = file_md5(file)
    for source in ("auto", "user"):
        data = loaded(file, source)
        assert (data.source, data.checksum, data.sizes) == ("user", f"md5:{md5}", LAYOUTS[1])
        assert data.note.endswith(f"(found md5:{md5}, expected md5:{'0' * 32}).")
    with pytest.raises(DataError, match=rf"toy\.npz: found md5:{md5}, expected md5:0000.*as source 'user'"):
        loaded(file, "official")
    with pytest.raises(DataError, match="expected a published checksum"):
        loaded(file, "official", md5="")


FULL_SIZES, SMALL_SIZES = (6, 6, 2, 3, 3, 40, 40), (4, 4, 2, 3, 3, 40, 40)
COUNTS = {FULL_SIZES: 1_036_800, SMALL_SIZES: 460_800}


@pytest.mark.parametrize(
    ("module", "layouts"),
    [
        (mpi3d_toy, (FULL_SIZES, SMALL_SIZES)),
        (mpi3d_realistic, (FULL_SIZES, SMALL_SIZES)),
        (mpi3d_real, (FULL_SIZES,)),
        (mpi3d_complex, (SMALL_SIZES,)),
    ],
)
def test_the_published_layouts(module: Any, layouts: tuple[tuple[int, ...], ...], file: Path) -> None:
    """Of files that say how many images they have, and have none."""
    assert module.VARIANT.expected.layouts == layouts
    assert module.VARIANT.expected.side == 64
    for sizes, count in COUNTS.items():
        head = {"descr": "|u1", "fortran_order": False, "shape": (count, 64, 64, 3)}
        with zipfile.ZipFile(file, "w") as archive, archive.open("images.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, head)
        words = rf"takes 0 bytes; expected {count * 64 * 64 * 3:,}"
        if sizes not in layouts:
            words = rf"shape \({count}, 64, 64, 3\); expected \({COUNTS[layouts[0]]}, 64, 64, 3\)"
        with pytest.raises(DataError, match=words):
            module.load("auto", file)


@pytest.mark.parametrize("module", MODULES)
def test_it_cannot_be_drawn_and_is_not_there(module: Any, file: Path) -> None:
    name, first = module.VARIANT.name, module.VARIANT.files[0]
    assert find.get("dataset", name) is module.DATASET
    with pytest.raises(
        DataError, match=rf"{name} cannot be drawn.*fetch https://.* put it at .*data/{first}"
    ):
        module.load("drawn")
    for source in ("auto", "official", "user"):
        with pytest.raises(DataError, match=rf"{first} was not found: fetch https://"):
            module.load(source)
    with pytest.raises(DataError, match=r"nowhere: found no file there; expected .*\.npz"):
        module.load("auto", file.parent / "nowhere")
    with pytest.raises(InputError, match="unknown source 'internet'"):
        module.load("internet")


@pytest.mark.parametrize(("module", "size"), [*zip(MODULES, (12.7, 12.7, 12.7, 5.7), strict=True)])
def test_it_is_told_how_to_download_it(module: Any, size: float, file: Path) -> None:
    first = module.VARIANT.files[0]
    with pytest.raises(
        DataError,
        match=rf"{first} \({size} GB\) is not downloaded.*https://.*by hand and put it at .*data/{first}",
    ):
        module.DATASET.download()
    place = file.parent / "data" / first
    place.parent.mkdir()
    place.touch()
    assert module.DATASET.download() == place


def test_the_file_is_found_in_the_data_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(file, images=contents())
    monkeypatch.setenv("DISENTANGLE_DATA", str(file.parent))
    for path in (None, file.parent, file):
        assert loaded(path).source == "user"  # type: ignore[arg-type]
