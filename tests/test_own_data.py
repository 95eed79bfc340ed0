"""A user's own images: arrays in any order and coding, their files, and the whole road of a study."""

import contextlib
import os
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle import DataError, FactorData, InputError, find, launch, own_files, pictures
from disentangle.calibrate import NAMES, Calibration
from disentangle.own_data import save
from disentangle.perform import load_once
from disentangle.rows import read_rows
from disentangle.study import read_study, resolve_sources
from disentangle.table import write_tables


def numbered(n, side=2):
    """Images whose pixels tell their number; one is never black or white alone."""
    return (
        np.arange(128 << 24, (128 << 24) + n, dtype="<u4")
        .view(np.uint8)
        .reshape(n, 2, 2)
        .repeat(side // 2, 1)
        .repeat(side // 2, 2)
    )


def number_of(data):
    """The numbers of all images, in the data's order."""
    pixels = (data.images(np.arange(len(data))) * 255).round().numpy().astype(np.uint8)
    return pixels[:, 0, :: pixels.shape[2] // 2, :: pixels.shape[3] // 2].reshape(-1, 4).copy().view("<u4")[
        :, 0
    ] - (128 << 24)


def gappy(side=64):
    """60 images of 4 x 3 x 5 cells, some with several, some with none; in no order."""
    rng = np.random.default_rng(0)
    factors = np.stack([10 * rng.integers(0, 4, 60), rng.integers(0, 3, 60) - 1, rng.integers(0, 5, 60)], 1)
    images = np.zeros((60, side, side), np.uint8)
    for image, (a, b, c) in zip(images, factors, strict=True):
        image[8 + 10 * c : 18 + 10 * c, a : a + 20] = 100 + 50 * b
    images[:, 0, 0] = np.arange(60)
    return images, factors


NAMED = {"factor_names": ["left", "grey", "top"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder, and an empty folder beside it."""
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@st.composite
def tables(draw):
    """Rows of factors in which each column has two values or more, as numbers or texts."""
    rows, columns = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    values = draw(st.sampled_from([st.integers(-3, 3), st.sampled_from(["a", "b", "-", "É", "aa"])]))
    column = st.lists(values, min_size=rows, max_size=rows).filter(lambda c: len(set(c)) > 1)
    return np.array([draw(column) for _ in range(columns)]).T


@given(tables())
def test_each_image_keeps_its_factors(table):
    data = FactorData.from_arrays(numbered(len(table)), table)
    shown = number_of(data)
    assert sorted(shown) == list(range(len(table)))
    for i, row in enumerate(shown):
        ranks = [sorted(set(column)).index(value) for column, value in zip(table.T, table[row], strict=True)]
        assert data.factors(i).tolist() == ranks
        assert [v[r] for v, r in zip(data.factor_values, ranks, strict=True)] == table[row].tolist()
    cells = np.ravel_multi_index(tuple(data.all_factors().T), data.sizes)
    assert (np.diff(cells) >= 0).all()
    assert (data.cells is None) == np.array_equal(cells, np.arange(data.grid))
    again = FactorData.from_arrays(numbered(len(table))[shown], table[shown])
    assert again.checksum == data.checksum


@given(st.permutations(range(12)))
def test_a_full_grid_in_any_order_is_a_plain_grid(order):
    factors = np.stack(np.unravel_index(order, (3, 4)), 1)
    data = FactorData.from_arrays(numbered(12)[list(order)], factors)
    assert data.cells is None
    assert number_of(data).tolist() == list(range(12))


def test_several_images_of_a_cell_stay_in_their_order():
    data = FactorData.from_arrays(numbered(5), [[1], [0], [1], [0], [1]])
    assert number_of(data).tolist() == [1, 3, 0, 2, 4]
    assert data.index([[1]]).tolist() == [2]


def test_a_column_of_numerals_is_in_the_order_of_numbers():
    data = FactorData.from_arrays(numbered(3), np.array([["10", "x"], ["2", "y"], ["2", "x"]]))
    assert data.factor_values[0].tolist() == [2, 10]
    assert data.factor_values[1].tolist() == ["x", "y"]
    kept = FactorData.from_arrays(numbered(2), np.array([["1"], ["01"]]))
    assert kept.factor_values[0].tolist() == ["01", "1"]


def test_a_data_frame_is_a_table():
    frame = pd.DataFrame({"colour": ["red", "blue", "red"], "turn": [30, 10, 10]})
    data = FactorData.from_arrays(numbered(3), frame, factor_names=list(frame))
    assert data.factor_names == ("colour", "turn")
    assert data.factor_values[1].tolist() == [10, 30]
    frame["colour"] = ["red", np.nan, "red"]
    with pytest.raises(InputError, match=r"column 0 \('factor_0'\) holds Python objects \(float, str\)"):
        FactorData.from_arrays(numbered(3), frame)


PICTURE = np.random.default_rng(1).random((4, 6, 6, 3))


@pytest.mark.parametrize(
    ("images", "expected", "note"),
    [
        ((PICTURE * 255).astype(np.uint8), (PICTURE * 255).astype(np.uint8) / 255, ""),
        ((PICTURE * 255).astype(np.int64), (PICTURE * 255).astype(np.uint8) / 255, ""),
        (PICTURE > 0.5, PICTURE > 0.5, ""),
        ((PICTURE > 0.5).astype(np.uint8), PICTURE > 0.5, ""),
        ((PICTURE > 0.5).astype(np.int32), PICTURE > 0.5, ""),
        (PICTURE, np.rint(PICTURE * 255) / 255, "rounded to 8 bits"),
        (PICTURE.astype(np.float32), np.rint(PICTURE * 255) / 255, "rounded to 8 bits"),
        ((PICTURE > 0.5) * 1.0, PICTURE > 0.5, "rounded to 8 bits"),
        (PICTURE[..., :1], np.rint(PICTURE[..., :1] * 255) / 255, "rounded to 8 bits"),
        (np.zeros((4, 3, 5)), np.zeros((4, 3, 5, 1)), "rounded to 8 bits"),
    ],
)
def test_pixels_of_any_form_become_what_they_mean(images, expected, note):
    data = FactorData.from_arrays(images, np.arange(4)[:, None], note="Mine.")
    shown = data.images(np.arange(4)).permute(0, 2, 3, 1)
    assert np.allclose(shown, expected, atol=1e-6)
    assert data.note.startswith("Mine.")
    assert note in data.note
    assert (data.source, data.name, data.factor_names) == ("user", "own", ("factor_0",))


def test_images_are_resized_when_asked_and_then_only():
    bits = np.zeros((2, 128, 96), bool)
    bits[:, :64] = True
    factors = [[0], [1]]
    assert FactorData.from_arrays(bits, factors).image_shape == (1, 128, 96)
    data = FactorData.from_arrays(bits, factors, size=64)
    assert data.image_shape == (1, 64, 64)
    assert data.images([0])[0, 0, 0, 0] == 1
    assert data.images([0])[0, 0, -1, 0] == 0
    assert "Resized from 128x96 to 64x64" in data.note
    colour = FactorData.from_arrays(PICTURE, np.arange(4)[:, None], size=3)
    assert colour.image_shape == (3, 3, 3)
    same = FactorData.from_arrays(bits, factors, size=64, note="")
    assert same.checksum == data.checksum != FactorData.from_arrays(bits, factors).checksum


FACTORS = [[0, 0], [0, 1], [1, 0], [1, 1]]


def numbers(*shape):
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("images", "factors", "options", "message"),
    [
        (numbers(4, 2, 2), FACTORS[:3], {}, "images has 4 images and factors 3 rows"),
        (numbers(4, 2), FACTORS, {}, r"images has shape \(4, 2\); expected \(N, H, W\)"),
        (numbers(0, 2, 2), FACTORS, {}, r"images has shape \(0, 2, 2\)"),
        (
            numbers(4, 3, 64, 64),
            FACTORS,
            {},
            r"64 channels; expected .*C 1 or 3; move .*transpose\(0, 2, 3, 1\)",
        ),
        (numbers(4, 8, 8, 4), FACTORS, {}, "4 channels"),
        (numbers(4, 2, 2).astype(str), FACTORS, {}, "images has dtype <U"),
        (numbers(4, 2, 2) - np.int64(1), FACTORS, {}, "images has the pixel -1; expected 0..255"),
        (numbers(4, 2, 2) + np.int16(256), FACTORS, {}, "images has the pixel 256; expected 0..255"),
        (numbers(4, 2, 2) + 255.0, FACTORS, {}, "pixel 255.0 in image 0; expected floats in"),
        (numbers(4, 2, 2) * np.nan, FACTORS, {}, "images has the pixel nan in image 0"),
        (numbers(4, 2, 2) - 0.5, FACTORS, {}, "images has the pixel -0.5"),
        (numbers(4, 2, 2) + 0.004, FACTORS, {}, "images has no pixel above 1/255 of white"),
        (
            numbers(4, 2, 2),
            [0, 1, 2, 3],
            {},
            r"factors has shape \(4,\); .* single column is factors\[:, None\]",
        ),
        (numbers(4, 2, 2), numbers(4, 0), {}, r"factors has shape \(4, 0\)"),
        (numbers(4, 2, 2), np.array(FACTORS) / 2, {}, r"factors column 0 \('factor_0'\) has 0.5 in row 2"),
        (
            numbers(4, 2, 2),
            np.full((4, 2), np.nan),
            {},
            r"column 0 .* has nan in row 0; expected whole numbers",
        ),
        (numbers(4, 2, 2), np.array(FACTORS) * 2.0**60, {}, "has 1.15.*e.18 in row 2"),
        (numbers(4, 2, 2), np.array(FACTORS) * 1j, {}, "has dtype complex128"),
        (
            numbers(4, 2, 2),
            [[0, 7], [1, 7], [2, 7], [3, 7]],
            {"factor_names": ["x", "colour"]},
            r"factors column 1 \('colour'\) has one value, 7, in all 4 rows; .*Leave the column out",
        ),
        (numbers(4, 2, 2), FACTORS, {"factor_names": ["x"]}, "factor_names has 1 names; expected 2"),
        (numbers(4, 2, 2), FACTORS, {"factor_names": "xy"}, "factor_names has 1 names; expected 2"),
        (numbers(4, 2, 2), FACTORS, {"factor_names": ["x", "x"]}, "factor_names has 'x' 2 times"),
        (
            numbers(4, 2, 2),
            FACTORS,
            {"factor_names": ["x", "y z"]},
            "factor_names has 'y z'; expected letters",
        ),
        (numbers(4, 2, 2), FACTORS, {"factor_names": ["x", 3]}, "factor_names has 3; expected letters"),
        (numbers(4, 2, 2), FACTORS, {"factor_values": [[1, 2]]}, "factor_values has 1 lists; expected 2"),
        (
            numbers(4, 2, 2),
            FACTORS,
            {"factor_values": [None, [1, 2, 3]]},
            r"factor_values of 'factor_1' has shape \(3,\) .* expected 2 numbers or texts",
        ),
        (numbers(4, 2, 2), FACTORS, {"size": 0}, "size is 0; expected"),
        (numbers(4, 2, 2), FACTORS, {"size": 2.5}, "size is 2.5; expected"),
        (
            numbers(4, 2, 2),
            FACTORS,
            {"name": "dsprites"},
            "name is 'dsprites'; expected one that no data set",
        ),
        (numbers(4, 2, 2), FACTORS, {"name": ""}, "name is ''"),
        (
            numbers(700, 1, 1),
            np.tile(np.arange(700)[:, None], 3),
            {},
            "which combine to 343,000,000; expected at most 67,108,864",
        ),
    ],
)
def test_a_mistake_is_told_with_the_argument_and_the_value(images, factors, options, message):
    with pytest.raises(InputError, match=message):
        FactorData.from_arrays(images, factors, **options)


def test_values_that_are_given_are_kept():
    data = FactorData.from_arrays(
        numbered(4), FACTORS, factor_values=[None, ["low", "high"]], factor_names=["x", "y"]
    )
    assert data.factor_values[0].tolist() == [0, 1]
    assert data.factor_values[1].tolist() == ["low", "high"]


# Files


def same(a, b):
    assert a.checksum == b.checksum
    assert a.factor_names == b.factor_names
    assert [v.tolist() for v in a.factor_values] == [v.tolist() for v in b.factor_values]
    assert a.note == b.note
    assert np.array_equal(a.all_factors(), b.all_factors())
    assert np.array_equal(a.images(np.arange(len(a))), b.images(np.arange(len(b))))


@pytest.mark.parametrize("kind", [np.uint8, bool, float])
def test_what_is_saved_is_read(tmp_path, kind):
    images, factors = gappy(8)
    images = images > 5 if kind is bool else images / 255 if kind is float else images
    options = {**NAMED, "factor_values": [None, ["dark", "mid", "light"], None], "note": "Grüße."}
    found = own_files.read(save(tmp_path / "own.npz", images, factors, **options))
    same(found, FactorData.from_arrays(images, factors, **options))
    assert found.name == "own"


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["given", "sorted", "columns first", "wide"])
def test_a_file_of_plain_arrays_is_read_however_it_was_written(tmp_path, write, order):
    images, factors = gappy(8)
    expected = FactorData.from_arrays(images, factors)
    if order == "sorted":
        rows = np.lexsort(factors.T[::-1])
        images, factors = images[rows], factors[rows]
    images = np.asfortranarray(images) if order == "columns first" else images
    images = images.astype(np.int32) if order == "wide" else images
    write(tmp_path / "own.npz", images=images, factors=factors)
    same(own_files.read(tmp_path / "own.npz"), expected)


def test_saved_images_are_mapped_and_read_once(tmp_path, monkeypatch):
    path = save(tmp_path / "own.npz", *gappy(8))
    calls = []
    checked = own_files.checked
    monkeypatch.setattr(own_files, "checked", lambda *a, **k: calls.append(a[0]) or checked(*a, **k))
    first, second = own_files.read(path), own_files.read(path)
    assert first.store._pixels.data_ptr() == second.store._pixels.data_ptr()
    [images] = calls
    assert isinstance(images, np.memmap)
    assert images.__array_interface__["data"][0] == first.store._pixels.data_ptr()
    save(path, *gappy(10))  # another file under the name is read again
    assert own_files.read(path).image_shape == (1, 10, 10)


def test_no_file_is_left_by_arrays_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError):
        save(tmp_path / "own.npz", numbers(4, 2, 2), FACTORS[:2])
    with pytest.raises(InputError, match=r"own.npy'; expected a name that ends with .npz"):
        save(tmp_path / "own.npy", numbers(4, 2, 2), FACTORS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"images": numbers(4, 2, 2)},
            "has no member 'factors', its members are images; expected an .npz with",
        ),
        ({"codes": numbers(4, 2), "factors": FACTORS}, "has no member 'images'"),
        ({"images": numbers(4, 2, 2), "factors": FACTORS, "label": 1}, "unknown member 'label'"),
        (
            {"images": numbers(4, 2, 2), "factors": FACTORS, "factor_names": ["x", "y"], "values_z": [1, 2]},
            "unknown member 'values_z'; did you mean 'values_",
        ),
        (
            {"images": numbers(4, 2, 2), "factors": FACTORS, "values_x": [1, 2]},
            "values_x names a factor, and there is no factor_names",
        ),
        ({"images": numbers(4, 2, 2), "factors": FACTORS, "factor_names": 3}, "factor_names has dtype int"),
        ({"images": numbers(4, 2, 2), "factors": FACTORS, "note": 3}, "note has dtype int64"),
        ({"images": numbers(4, 2, 2), "factors": FACTORS[:2]}, "images has 4 images and factors 2 rows"),
        ({"images": numbers(4, 2, 2), "factors": 3}, r"factors has shape \(\)"),
        ({"images": numbers(4, 2, 2), "factors": np.array([[{}]] * 4)}, "factors holds Python objects"),
        (
            {"images": np.array([{}]), "factors": FACTORS},
            "images holds Python objects, which are never unpickled",
        ),
    ],
)
def test_a_file_of_another_form_is_told_with_its_member(tmp_path, members, message):
    np.savez(tmp_path / "own.npz", **members)
    with pytest.raises(DataError, match=message) as caught:
        own_files.read(tmp_path / "own.npz")
    assert str(tmp_path / "own.npz") in str(caught.value)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_file_is_told_wherever_the_damage_is(tmp_path, compression):
    whole, path = tmp_path / "whole.npz", tmp_path / "own.npz"
    (np.savez if compression == zipfile.ZIP_STORED else np.savez_compressed)(
        whole, images=np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8), factors=FACTORS
    )
    content = whole.read_bytes()
    expected = own_files.read(whole)
    unnoticed = 0
    for place in range(0, len(content), 3):
        path.unlink(missing_ok=True)
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        own_files._read.cache_clear()
        with contextlib.suppress(DataError):  # unless the byte means nothing, such as that of a date
            assert own_files.read(path).checksum == expected.checksum
            unnoticed += 1
    assert unnoticed < len(content) / 9
    for length in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"is not a whole \.npz"):
            own_files.read(path)


def test_what_is_no_file_is_told(tmp_path):
    np.save(tmp_path / "array.npy", numbers(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "folder.npz").mkdir()
    for name, message in (("none", "No such file"), ("array", "not a whole .npz"), ("folder", "directory")):
        with pytest.raises(DataError, match=f"{name}.npz.*{message}"):
            own_files.read(tmp_path / f"{name}.npz")


# By name


def test_a_file_in_the_data_folder_is_a_data_set(folder):
    place, data, new = own_files.add(save(folder / "mine.npz", *gappy(), **NAMED, note="Of mine."))
    assert (place, new) == (folder / "data" / "mine.npz", True)
    assert find.own_names() == ("mine",)
    assert "mine" not in find.names("dataset")
    described = find.get("dataset", "mine")
    assert (described.title, described.paper) == ("mine", "own data")
    for source in ("auto", "user"):
        same(described.load(source), data)
    for source in ("official", "drawn"):
        with pytest.raises(DataError, match=f"mine is your own data and has no {source} images"):
            described.load(source)
    with pytest.raises(InputError, match="unknown source 'web'"):
        described.load("web")
    same(described.load("user", folder / "mine.npz"), data)


def test_adding_twice_changes_nothing_and_other_images_are_refused(folder):
    path = save(folder / "mine.npz", *gappy())
    place, _, _ = own_files.add(path)
    before = place.read_bytes()
    assert own_files.add(path)[2] is False
    assert own_files.add(place)[2] is False
    images, factors = gappy()
    save(path, images[::-1], factors)
    with pytest.raises(InputError, match=r"is there and holds other images or factors .* rename yours"):
        own_files.add(path)
    assert place.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dsprites", "name is 'dsprites'; expected one that no data set of the suite has"),
        ("Mine", "would be 'Mine'; expected small letters, digits and '_'"),
        ("my-own", "would be 'my-own'"),
        ("2nd", "would be '2nd'"),
    ],
)
def test_a_name_that_studies_could_not_use_is_refused(folder, name, message):
    path = save(folder / f"{name}.npz", *gappy())
    with pytest.raises(InputError, match=message):
        own_files.add(path)
    (folder / "data").mkdir()
    path.rename(folder / "data" / path.name)
    assert find.own_names() == ()


def test_images_of_another_size_are_resized_when_asked(folder):
    path = save(folder / "mine.npz", *gappy(96))
    with pytest.raises(InputError, match=r"images are 96x96, and the networks take 64x64; .*--size 64"):
        own_files.add(path)
    assert not (folder / "data").exists()
    _, data, _ = own_files.add(path, size=64)
    same(find.get("dataset", "mine").load(), data)
    assert data.image_shape == (1, 64, 64)
    assert "Resized from 96x96 to 64x64 pixels (Lanczos)." in data.note


def test_other_files_in_the_folder_are_no_data_sets(folder):
    (folder / "data").mkdir()
    np.savez(folder / "data" / "codes.npz", codes=numbers(3, 2), factors=numbers(3, 2))
    (folder / "data" / "broken.npz").write_bytes(b"PK no archive")
    assert find.own_names() == ()
    with pytest.raises(DataError, match=r"codes.npz has no member 'images'"):
        find.get("dataset", "codes").load()
    with pytest.raises(DataError, match=r"broken.npz is not a whole .npz"):
        find.get("dataset", "broken").load()


def test_an_unknown_name_tells_how_to_bring_ones_own(folder):
    own_files.add(save(folder / "mine.npz", *gappy()))
    with pytest.raises(
        InputError, match=r"'mien'; did you mean 'mine'\?.*disentangle data mien.npz --add.*/data"
    ):
        find.get("dataset", "mien")
    with pytest.raises(InputError, match=r"unknown dataset '\.\./mine'"):
        find.get("dataset", "../mine")


# The whole road

STUDY = """
name = "own"
steps = 3
batch = 4
lr = 1e-3
metrics = [{ name = "mig", points = 50 }, { name = "beta_vae", train_points = 50, test_points = 20 }]
selection = ["weak_reconstruction"]
[[runs]]
dataset = "mine"
method = ["vae", "ada_gvae"]
"""


def test_a_study_of_ones_own_images(folder):
    _, data, _ = own_files.add(save(folder / "mine.npz", *gappy(), **NAMED, note="Of mine."))
    assert data.cells is not None
    assert 1 < len(set(data.cells.tolist())) < min(len(data), data.grid)
    (folder / "study.toml").write_text(STUDY)
    study = read_study(folder)
    assert resolve_sources(study) == {"mine": "user"}
    outcomes = launch.carry_out(study, folder, workers=1, device="cpu", say=lambda text: None)
    assert [o.status for o in outcomes] == ["done"] * (2 + len(NAMES)), [o.message for o in outcomes]
    text = write_tables(folder)
    assert f"mine (user:{data.checksum.removeprefix('sha256:')[:8]})" in text
    assert "missing" not in text.split("Cells:")[0]
    with pytest.MonkeyPatch.context() as elsewhere:  # where only the rows are
        elsewhere.setenv("DISENTANGLE_DATA", str(folder / "nothing"))
        assert write_tables(folder) == text
        with pytest.raises(InputError, match="unknown dataset 'mine'"):
            read_study(folder)
    table = pd.read_csv(folder / "table.csv")
    assert table["source"].str.startswith("user:").all()
    assert table["data_checksum"].unique().tolist() == [data.checksum]
    assert set(table["method"]) == {"vae", "ada_gvae", *NAMES}
    for row in read_rows(folder):
        assert row["data"]["note"] == "Of mine."
        for picture in row["pictures"]:
            kind = b"RIFF" if picture.endswith(".webp") else b"\x89PNG"
            assert (folder / picture).read_bytes().startswith(kind)
    assert {len(r["pictures"]) for r in read_rows(folder) if r["kind"] == "run"} == {4}
    again = launch.carry_out(study, folder, workers=1, device="cpu", say=lambda text: None)
    assert [o.status for o in again] == ["done"] * len(outcomes)
    images, factors = gappy()
    save(
        own_files.data_folder() / "mine.npz", 255 - images, factors, **NAMED
    )  # by hand, others under this name
    own_files._read.cache_clear()
    load_once.cache_clear()
    with pytest.raises(
        InputError, match=rf"has rows of mine with the checksum '{data.checksum}', here it is"
    ):
        launch.carry_out(study, folder, workers=1, device="cpu", say=lambda text: None)


@pytest.mark.parametrize("source", ["official", "drawn"])
def test_a_study_that_wants_another_source_is_refused_at_once(folder, source):
    own_files.add(save(folder / "mine.npz", *gappy()))
    (folder / "study.toml").write_text(f'source = "{source}"\n' + STUDY)
    with pytest.raises(DataError, match=f"mine is your own data and has no {source} images"):
        launch.carry_out(read_study(folder), folder, workers=1, device="cpu")
    (folder / "study.toml").write_text('source = "user"\n' + STUDY)
    assert resolve_sources(read_study(folder)) == {"mine": "user"}


def test_calibration_codes_are_of_the_images_that_are_there():
    images, factors = gappy()
    data = FactorData.from_arrays(images, factors, name="mine")
    rows = np.arange(0, 60, 2)
    for name in NAMES:
        codes = Calibration(name=name, dataset="mine", source="user").codes(data, rows)
        assert len(codes) == 30
        assert np.isfinite(codes).all()
        if name == "true_factors":
            assert np.allclose(codes * (np.array(data.sizes) - 1), data.factors(rows))


def test_pairs_are_of_images_that_are_there():
    data = FactorData.from_arrays(*gappy())
    pairs = data.pairs(500, k=1, rng=0)
    assert (pairs.changed.sum(1) == 1).all()
    data.index(pairs.first)
    data.index(pairs.second)


def test_a_contact_sheet_shows_what_is_there(tmp_path, monkeypatch):
    factors = np.array([["a", 0], ["a", 1], ["b", 3], ["c", 0], ["c", 3]])  # none in the middle
    data = FactorData.from_arrays(numbered(5, 64), factors, factor_names=["letter", "number"])
    rows = []
    monkeypatch.setattr(pictures, "sheet", lambda title, found, path: rows.extend(found))
    pictures.contact_sheet(data, tmp_path / "sheet.png")
    assert [label for label, _ in rows] == [
        "letter\n3 values, 2 shown\nb to c",
        "number\n3 values, 1 shown\n3 to 3",
    ]
    assert [len(images) for _, images in rows] == [2, 1]


def test_a_contact_sheet_is_written(tmp_path):
    pictures.contact_sheet(FactorData.from_arrays(*gappy(), **NAMED), tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


# The command line


def cli(*arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "COLUMNS": "200"}
    command = [sys.executable, "-m", "disentangle", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_the_command_line_checks_adds_and_trains(folder):
    save(folder / "mine.npz", *gappy(), **NAMED)
    shown = cli("data", "mine.npz", "--picture", "sheet.png")
    assert shown.returncode == 0, shown.stderr
    assert "mine: 60 images of shape 1x64x64" in shown.stdout
    assert "source    user" in shown.stdout
    assert "of 60 combinations have images" in shown.stdout
    assert "factor    grey            3 values from -1 to 1" in shown.stdout
    assert (folder / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "data").exists()
    added = cli("data", "mine.npz", "--add")
    assert f"added: {folder}/data/mine.npz" in added.stdout
    assert "there already" in cli("data", "mine.npz", "--add").stdout
    by_name = cli("data", "mine")
    assert by_name.stdout.splitlines()[:4] == shown.stdout.splitlines()[:4]
    trained = cli(
        "train", "--method", "vae", "--dataset", "mine", "--steps", 2, "--batch", 2, "--device", "cpu"
    )
    assert trained.returncode == 0, trained.stderr
    assert "vae on mine (user), seed 0" in trained.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.npz"], "none.npz: No such file or directory; expected an .npz with images"),
        (["odd.npz"], "odd.npz has no member 'images'"),
        (["odd.npz", "--download"], "odd.npz is a file of your own"),
        (["odd.npz", "--source", "drawn"], "odd.npz is a file of your own"),
        (["toy", "--add"], "--add and --size are for a file of your own, FILE.npz, got 'toy'"),
        (["tory"], "disentangle data tory.npz --add"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(folder, arguments, message):
    np.savez(folder / "odd.npz", factors=FACTORS)
    done = cli("data", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_added_values_and_notes_are_not_dropped_in_silence(folder):
    images, factors = gappy()
    path = save(folder / "mine.npz", images, factors, **NAMED, note="One.")
    own_files.add(path)
    own_files.add(save(path, images, factors, **NAMED, note="One."))
    with pytest.raises(InputError, match=r"another note or other values of a factor; remove it first"):
        own_files.add(save(path, images, factors, **NAMED, note="Two."))
    count = len(np.unique(np.asarray(factors)[:, 0]))
    with pytest.raises(InputError, match=r"factor_values of .* has nan"):
        save(
            path, images, factors, **NAMED, factor_values=[[np.nan] * count, *[None] * (len(factors[0]) - 1)]
        )
