"""color_dsprites, noisy_dsprites, scream_dsprites: the formulas, keys, sources and background pictures."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from disentangle import DataError, InputError
from disentangle import random_images as recipes
from disentangle.data import FactorData
from disentangle.datasets import (
    _draw_scream,
    _read_dsprites,
    _read_scream,
    color_dsprites,
    noisy_dsprites,
    scream_dsprites,
)
from disentangle.datasets import dsprites as dsprites_set
from disentangle.find import get
from disentangle.images import PackedBits, Pixels
from disentangle.pixel_noise import _words, by_tensors, positions, uniforms

NAMES = ("color_dsprites", "noisy_dsprites", "scream_dsprites")
# Of the drawn background's bytes. Another one is another picture: then `scream_dsprites.RECIPE` must rise.
BACKGROUND = "b1df79aa1c9c8fe27bff1acb576370ed31529d867250fb463f8f5c49bd2a5918"


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest) -> FactorData:
    return get("dataset", request.param).load("drawn")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for the user's files, beside the session's data folder, which all tests share."""
    monkeypatch.setattr("disentangle.files._user_cache", lambda: tmp_path)
    return tmp_path


def drawn_keys(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 2**63 - 1, n, endpoint=True))


def some(n: int = 12) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).integers(0, 737_280, n))


def sprites(dsprites: FactorData, index: torch.Tensor) -> np.ndarray:
    return dsprites.store.gather(index).numpy()[:, 0, :, :, None]


# The formulas, in NumPy from the uniform numbers.


def test_color_is_the_sprite_times_a_colour(dsprites: FactorData) -> None:
    index, keys = some(), drawn_keys(12)
    u = uniforms(keys, positions(3)).numpy().astype(float)
    expected = sprites(dsprites, index) * (0.5 + u / 2).reshape(-1, 1, 1, 3)
    found = color_dsprites.load("drawn").images(index, keys).numpy()
    np.testing.assert_allclose(found, np.moveaxis(expected, 3, 1), rtol=0, atol=1e-7)
    shown = np.moveaxis(found, 1, 3)[sprites(dsprites, index)[..., 0] == 1]
    assert 0.5 <= shown.min() < shown.max() <= 1


def test_noise_is_added_and_clipped(dsprites: FactorData) -> None:
    index, keys = some(), drawn_keys(12)
    u = uniforms(keys, positions(64 * 64 * 3)).numpy().astype(float)
    expected = np.minimum(sprites(dsprites, index) + u.reshape(-1, 64, 64, 3), 1)
    found = noisy_dsprites.load("drawn").images(index, keys).numpy()
    np.testing.assert_allclose(found, np.moveaxis(expected, 3, 1), rtol=0, atol=1e-7)


def test_scream_inverts_a_tinted_piece(dsprites: FactorData) -> None:
    index, keys = some(), drawn_keys(12)
    u = uniforms(keys, positions(5)).numpy().astype(float)
    picture = _draw_scream.draw() / 255
    expected = np.empty((12, 64, 64, 3))
    for i in range(12):
        top, left = int(u[i, 3] * (274 - 64)), int(u[i, 4] * (221 - 64))
        expected[i] = (picture[top : top + 64, left : left + 64] + u[i, :3]) / 2
        mask = sprites(dsprites, index[i : i + 1])[0, ..., 0] == 1
        expected[i][mask] = 1 - expected[i][mask]
    found = scream_dsprites.load("drawn").images(index, keys).numpy()
    np.testing.assert_allclose(found, np.moveaxis(expected, 3, 1), rtol=0, atol=1e-7)


def test_pieces_are_from_everywhere_but_the_last_row_and_column() -> None:
    """As in the reference: `randint(0, height - 64)` never gives height - 64."""
    place = np.zeros((70, 67, 3), np.float32)
    place[..., 0], place[..., 1] = np.mgrid[0:70, 0:67] / 100
    black = Pixels(np.zeros((1, 64, 64), np.uint8), scale=1)
    keys = drawn_keys(2000)
    corner = recipes.Inverting(black, torch.from_numpy(place)).gather(torch.zeros(2000, dtype=int), keys)
    tint = uniforms(keys, positions(5)).numpy()
    where = np.round((2 * corner[:, :2, 0, 0].numpy() - tint[:, :2]) * 100).astype(int)
    counts = np.unique(where, axis=0, return_counts=True)
    assert counts[0].tolist() == [[top, left] for top in range(6) for left in range(3)]
    assert counts[1].min() > 70  # of 111


def test_a_picture_of_a_piece_s_size_is_the_piece() -> None:
    picture = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0))
    black = Pixels(np.zeros((1, 64, 64), np.uint8), scale=1)
    image = recipes.Inverting(black, picture).gather(torch.tensor([0]))[0].permute(1, 2, 0)
    tint = uniforms(torch.tensor([-1]), positions(5))[0, :3]
    assert torch.equal(image, (picture + tint) / 2)


# Keys.


def test_a_key_gives_the_same_picture_in_any_batch_and_order(data: FactorData) -> None:
    index, keys = some(), drawn_keys(12)
    images = data.images(index, keys)
    order = torch.from_numpy(np.random.default_rng(1).permutation(12))
    assert torch.equal(data.images(index[order], keys[order]), images[order])
    for i in (0, 11):
        assert torch.equal(data.images(index[i : i + 1], keys[i : i + 1])[0], images[i])
    assert torch.equal(data.images(index, keys), images)


def test_another_key_gives_another_picture_of_the_same_sprite(data: FactorData) -> None:
    keys = torch.cat([drawn_keys(50), torch.arange(50)])
    images = data.images(torch.full((100,), 400_000), keys)
    assert len(torch.unique(images.flatten(1), dim=0)) == 100


def test_without_keys_an_image_always_looks_the_same(data: FactorData) -> None:
    index = some()
    images = data.images(index)
    assert torch.equal(images, data.images(index.numpy()))
    assert torch.equal(images, data.images(index, -1 - index))  # negative keys, which training never draws
    assert torch.equal(images.flip(0), data.images(index.flip(0)))
    neighbours = data.images(torch.arange(400_000, 400_100))
    assert len(torch.unique(neighbours.flatten(1), dim=0)) == 100


def test_of_a_pair_each_has_its_own_random_part(data: FactorData) -> None:
    """As training asks for them: of each pair the first images, then the second, in one batch."""
    pairs = data.pairs(20, 1, "paper", 0)
    first, second = (torch.from_numpy(data.index(f)) for f in (pairs.first, pairs.second))
    keys = drawn_keys(40)
    both = data.images(torch.cat([first, second]), keys)
    assert torch.equal(both[:20], data.images(first, keys[:20]))
    assert torch.equal(both[20:], data.images(second, keys[20:]))
    same = data.images(torch.cat([first, first]), keys)
    assert (same[:20] != same[20:]).flatten(1).any(1).all()


def test_images_are_in_range_and_channels_last(data: FactorData) -> None:
    assert data.random
    for n in (0, 1, 200):
        images = data.images(some(n), drawn_keys(n))
        assert images.shape == (n, 3, 64, 64)
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
    assert images.min() >= 0
    assert 0.9 < images.max() <= 1


# Stores.


def test_the_tensor_form_of_the_noise_gives_the_same_images(
    data: FactorData, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, keys = some(), drawn_keys(12)
    images = data.images(index, keys)
    monkeypatch.setattr(recipes, "uniforms", lambda keys, table: by_tensors(*_words(keys), table))
    assert torch.equal(data.images(index, keys), images)


@pytest.mark.parametrize("store", [recipes.Coloured, recipes.Noisy, recipes.Inverting])
def test_no_value_is_read_on_the_host(store: Callable[..., recipes.RandomImages]) -> None:
    """Tensors of the device "meta" have no values: what works with them waits for none."""
    few = PackedBits(np.zeros((5, 512), np.uint8), (64, 64))
    extra = (torch.zeros(70, 80, 3),) if store is recipes.Inverting else ()
    there = store(few, *extra).to("meta")
    index = torch.zeros(7, dtype=torch.int64, device="meta")
    for images in (there.gather(index), there.gather(index, index)):
        assert images.shape == (7, 3, 64, 64)
        assert images.device.type == "meta"
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_store_moves_and_the_first_stays(data: FactorData) -> None:
    moved = data.store.to("meta")
    assert len(moved) == len(data.store)
    assert moved.nbytes == data.store.nbytes
    assert moved.random
    assert data.images([3]).device.type == "cpu"


def test_only_the_sprites_take_room(data: FactorData, dsprites: FactorData) -> None:
    assert 0 < data.store.nbytes - dsprites.store.nbytes < 1e6


def test_gather_leaves_sprites_and_background_alone() -> None:
    white = Pixels(np.ones((1, 64, 64), np.uint8), scale=1)
    picture = torch.full((64, 64, 3), 0.25)
    store = recipes.Inverting(white, picture)
    first = store.gather(torch.tensor([0])).clone()
    store.gather(torch.tensor([0])).zero_()
    assert torch.equal(store.gather(torch.tensor([0])), first)
    assert (picture == 0.25).all()


def test_wrong_sprites_and_pictures_are_refused() -> None:
    grey = Pixels(np.zeros((1, 64, 64), np.uint8), scale=1)
    with pytest.raises(InputError, match="one channel"):
        recipes.Noisy(Pixels(np.zeros((1, 64, 64, 3), np.uint8)))
    with pytest.raises(InputError, match="64x64 pixels or more, got 63x90"):
        recipes.Inverting(grey, torch.zeros(63, 90, 3))
    for wrong in (torch.zeros(90, 90), torch.zeros(90, 90, 4), torch.zeros(90, 90, 3).double()):
        with pytest.raises(InputError, match=r"float32 \(height, width, 3\)"):
            recipes.Inverting(grey, wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_cpus_bits_also_in_a_graph(data: FactorData) -> None:
    there, index, keys = data.store.to("cuda"), some(200), drawn_keys(200)
    for given in (keys, None):
        found = there.gather(index.cuda(), None if given is None else given.cuda())
        assert torch.equal(found.cpu(), data.store.gather(index, given))
    held, held_keys = index.cuda(), keys.cuda()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        images = there.gather(held, held_keys)
    held.copy_(index.flip(0))
    held_keys.copy_(keys.flip(0))
    graph.replay()
    assert torch.equal(images.cpu(), data.store.gather(index, keys).flip(0))


# Sources.


def test_drawn_data_are_the_same_each_time(data: FactorData, dsprites: FactorData) -> None:
    again = get("dataset", data.name).load("drawn")
    assert (again.source, again.checksum, again.note) == ("drawn", data.checksum, data.note)
    assert data.checksum.startswith("sha256:")
    assert len({get("dataset", name).load("drawn").checksum for name in (*NAMES, "dsprites")}) == 4
    assert data.factor_names == dsprites.factor_names
    assert data.sizes == dsprites.sizes
    assert "random" in data.note
    assert dsprites.note in data.note


def test_the_checksum_follows_the_sprites(
    data: FactorData, dsprites: FactorData, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(dsprites, source="official", checksum="md5:0", note="")
    monkeypatch.setattr("disentangle.datasets.dsprites.load", lambda *_: other)
    found = get("dataset", data.name).load("drawn")
    assert found.checksum != data.checksum
    if data.name != "scream_dsprites":
        assert found.source == "official"


def test_the_official_files_are_not_there(data: FactorData, folder: Path) -> None:
    load = get("dataset", data.name).load
    with pytest.raises(DataError, match=r"not found|found no background picture"):
        load("official")
    with pytest.raises(InputError, match="internet"):
        load("internet")
    assert load("auto").checksum == data.checksum


def test_the_background_is_drawn_alike_everywhere() -> None:
    picture = _draw_scream.draw()
    assert (picture.shape, picture.dtype) == ((274, 221, 3), np.uint8)
    assert hashlib.sha256(picture.tobytes()).hexdigest() == BACKGROUND


# A picture of the user's.


def saved(path: Path, size: tuple[int, int] = (300, 411), mode: str = "RGB") -> Path:
    """A picture in a file: a ramp in each direction, of a width and height."""
    width, height = size
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, width)
    ramp[..., 1] = np.linspace(0, 255, height)[:, None]
    Image.fromarray(ramp).convert(mode).save(path)
    return path


@pytest.fixture
def official(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, with a file that is taken for dSprites' official one; its sprites are black."""
    black = np.broadcast_to(np.zeros(512, np.uint8), (737_280, 512))
    monkeypatch.setattr(_read_dsprites, "read", lambda path: (black, "ab" * 16))
    (folder / dsprites_set.FILE).touch()
    return folder


def known(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a picture be taken for the reference's."""
    monkeypatch.setattr(_read_scream, "MD5", hashlib.md5(path.read_bytes()).hexdigest())
    return path


def test_a_user_s_picture_is_labelled_as_such(official: Path) -> None:
    path = saved(official / "scream.png")
    found = scream_dsprites.load("auto")
    assert found.source == "user"
    assert "scream.png" in found.note
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in found.note
    again = scream_dsprites.load("user")
    assert (again.source, again.checksum) == ("user", found.checksum)
    drawn = scream_dsprites.load("drawn")
    assert drawn.source == "drawn"
    assert drawn.checksum != found.checksum
    assert not torch.equal(drawn.images([5]), found.images([5]))
    with pytest.raises(DataError, match=r"scream\.png: not the official picture of MD5 46ef"):
        scream_dsprites.load("official")


def test_the_user_names_a_picture(official: Path) -> None:
    path = saved(official / "mine.png")
    assert scream_dsprites.load("auto").source == "drawn"
    found = scream_dsprites.load("auto", background=path)
    assert found.source == "user"
    assert "mine.png" in found.note
    assert scream_dsprites.load("drawn", background=path).source == "drawn"


def test_a_named_picture_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.png"):
        scream_dsprites.load("auto", background=tmp_path / "nowhere.png")


@pytest.mark.parametrize("source", ["official", "user"])
def test_these_sources_need_a_picture(folder: Path, source: str) -> None:
    with pytest.raises(DataError, match=r"scream\.jpg or scream\.png.*--download.*The_Scream\.jpg"):
        scream_dsprites.load(source)


# By whether there are dSprites' file and a picture: what "auto", "official" and "user" are labelled.
@pytest.mark.filterwarnings("ignore:scream_dsprites")
@pytest.mark.parametrize(
    ("sprites", "picture", "labels"),
    [
        (False, "", ["drawn", "", ""]),
        (False, "user", ["drawn", "", ""]),
        (False, "official", ["drawn", "", ""]),
        (True, "", ["drawn", "", ""]),
        (True, "user", ["user", "", "user"]),
        (True, "official", ["official", "official", "user"]),
    ],
)
def test_every_combination_of_files_and_sources(
    official: Path, monkeypatch: pytest.MonkeyPatch, sprites: bool, picture: str, labels: list[str]
) -> None:
    load = scream_dsprites.load
    drawn = load("drawn")
    if picture:
        path = saved(official / "scream.png")
        if picture == "official":
            known(path, monkeypatch)
    if not sprites:
        (official / dsprites_set.FILE).unlink()
    for source, label in zip(("auto", "official", "user"), labels, strict=True):
        if label:
            found = load(source)
            assert found.source == label
            again = load(label)  # what it is called loads as the same again
            assert (again.source, again.checksum) == (label, found.checksum)
            assert torch.equal(again.images([3]), found.images([3]))
            assert (found.checksum == drawn.checksum) == (label == "drawn")
        else:
            with pytest.raises(DataError, match=r"Source 'drawn' needs no file|not the official picture"):
                load(source)
    assert (load("drawn").checksum, load("drawn").note) == (drawn.checksum, drawn.note)


def test_drawn_sprites_are_never_the_user_s(folder: Path) -> None:
    """So a picture without the sprites' file is told, or refused where it was asked for."""
    path = saved(folder / "scream.png")
    with pytest.warns(
        UserWarning, match=r"scream\.png is shown behind official sprites only.*dsprites --down"
    ):
        assert scream_dsprites.load("auto").source == "drawn"
    for source, background in (("auto", path), ("user", None), ("official", path)):
        with pytest.raises(DataError, match=r"official sprites only, and dsprites_nd.*not found.*by hand"):
            scream_dsprites.load(source, background=background)


def test_sprites_that_are_named_need_a_picture(official: Path) -> None:
    path = official / dsprites_set.FILE
    for source in ("auto", "official", "user"):
        with pytest.raises(DataError, match=rf"{path} has the official sprites.*no background picture"):
            scream_dsprites.load(source, path)
    assert scream_dsprites.load("drawn", path).source == "drawn"
    saved(official / "scream.png")
    assert scream_dsprites.load("auto", path).source == "user"


@pytest.mark.parametrize(
    ("size", "reduced"),
    [
        ((300, 411), (200, 274)),
        ((700, 400), (350, 200)),
        ((100, 90), (100, 90)),
        ((64, 64), (64, 64)),
        ((1500, 1878), (218, 274)),  # 218.9: rounded down, as in 2019
        ((1000, 571), (350, 199)),  # 199.85
    ],
)
def test_a_picture_is_reduced_to_fit_and_never_enlarged(
    folder: Path, size: tuple[int, int], reduced: tuple[int, int]
) -> None:
    for name in ("a.png", "a.jpg"):
        pixels = _read_scream.read(saved(folder / name, size)).pixels
        assert pixels.shape == (*reversed(reduced), 3)
        assert pixels.dtype == np.uint8
        assert pixels[..., 0].min() < 10  # the ramps from corner to corner are whole
        assert pixels[..., 0].max() > 245


@pytest.mark.parametrize(
    ("size", "part"), [((1500, 1878), 4), ((3000, 3756), 8), ((700, 600), 2), ((400, 300), 1)]
)
def test_a_jpeg_is_reduced_by_its_decoder_first_as_in_2019(
    folder: Path, size: tuple[int, int], part: int
) -> None:
    path = saved(folder / "a.jpg", size)
    with Image.open(path) as image:
        image.draft("RGB", (size[0] // part, size[1] // part))
        assert image.width == -(-size[0] // part)
        pixels = _read_scream.read(path).pixels
        expected = image.resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BICUBIC)
    assert np.array_equal(pixels, np.asarray(expected))


def test_the_orientation_is_ignored(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a right angle
    Image.new("RGB", (100, 200)).save(folder / "a.jpg", exif=exif)
    assert _read_scream.read(folder / "a.jpg").pixels.shape == (200, 100, 3)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "EPS", "TIFF"])
def test_pictures_of_other_formats_are_refused(folder: Path, kind: str) -> None:
    """EPS above all, for which Pillow would start another program."""
    Image.new("RGB", (100, 100)).save(folder / "scream.png", kind)
    with pytest.raises(DataError, match=r"scream\.png: expected a picture \(JPEG or PNG\)"):
        _read_scream.read(folder / "scream.png")


def test_sixteen_bits_are_refused(folder: Path) -> None:
    Image.fromarray(np.full((100, 100), 40_000, np.uint16)).save(folder / "a.png")
    with pytest.raises(DataError, match=r"a\.png: the picture has pixels of kind I;16; expected 8 bits"):
        _read_scream.read(folder / "a.png")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_pictures_of_other_kinds_become_colours(folder: Path, mode: str) -> None:
    path = saved(folder / ("a.jpg" if mode == "CMYK" else "a.png"), mode=mode)
    assert _read_scream.read(path).pixels.shape == (274, 200, 3)


def damaged(content: bytes) -> bytes:
    """A PNG whose pixels are no zlib stream, with the checksum that belongs to them."""
    start = content.index(b"IDAT")
    length = int.from_bytes(content[start - 4 : start], "big")
    chunk = b"IDAT" + bytes(length)
    rest = content[start + 8 + length :]
    return content[:start] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + rest


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: b"GIF89a no picture at all",
        lambda content: content[:200],
        lambda content: content[:20] + b"\xff" * 20 + content[40:],
        damaged,
    ],
)
def test_what_is_no_picture_is_named(official: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = saved(official / "scream.png")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"scream\.png: expected a picture"):
        scream_dsprites.load("auto")


def test_a_damaged_jpeg_is_named(official: Path) -> None:
    path = saved(official / "scream.jpg")
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match=r"scream\.jpg: expected a picture"):
        scream_dsprites.load("user")


@pytest.mark.parametrize(
    ("size", "words"),
    [((63, 64), "has 63x64 pixels"), ((3000, 200), "has 3000x200 pixels, reduced to 350x23")],
)
def test_a_picture_too_small_for_a_piece_is_named(official: Path, size: tuple[int, int], words: str) -> None:
    saved(official / "scream.png", size)
    with pytest.raises(DataError, match=rf"scream\.png: the picture {words}.*expected 64x64 or more"):
        scream_dsprites.load("auto")


def test_a_file_that_claims_to_be_huge_is_refused(official: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    (official / "scream.png").write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"scream\.png: expected a picture.*DecompressionBomb"):
        scream_dsprites.load("auto")


def test_a_download_leaves_another_picture_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"DISENTANGLE_OFFLINE.*The_Scream.*by hand loads as source 'user'"):
        scream_dsprites.download()
    path = saved(tmp_path / "scream.jpg")
    content = path.read_bytes()
    with pytest.raises(DataError, match="move it away"):
        scream_dsprites.download()
    assert path.read_bytes() == content
