"""Pictures: what is in them, whether they move, and that grey ones are kept grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from disentangle import matrices, pictures
from disentangle.find import get
from disentangle.run import Run
from disentangle.train import build_model

RUN = Run(method="vae", dataset="toy", steps=0, latents=7).complete()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures of an untrained model whose weights are large, so that latents show."""
    folder = tmp_path_factory.mktemp("pictures")
    data = get("dataset", "toy").load()
    model = build_model(RUN, data)
    with torch.no_grad():
        for weights in model.parameters():
            weights *= 3
    for name, draw in pictures.KINDS.items():
        draw(RUN, model, data, folder / name)
    return folder


def test_grey_pictures_are_kept_without_colours(drawn: Path, tmp_path: Path) -> None:
    for name in ("reconstructions.png", "traversal.png"):
        assert Image.open(drawn / name).mode == "L"
    colours = torch.zeros(1, 3, 8, 8)
    colours[:, 0] = 1
    pictures.sheet("red", [("one", colours)], tmp_path / "red.png")
    red = Image.open(tmp_path / "red.png")
    assert red.mode == "RGB"
    assert red.getpixel((pictures.LABEL + 3, pictures.HEAD + pictures.GAP + 3)) == (255, 0, 0)


def test_a_traversal_moves_there_and_back(drawn: Path) -> None:
    with Image.open(drawn / "traversal.webp") as moving:
        assert moving.n_frames == 30
        frames = []
        for i in range(moving.n_frames):
            moving.seek(i)
            frames.append(np.asarray(moving.convert("RGB"), float))
    there = frames[:16]
    assert np.abs(there[0] - there[-1]).max() > 0
    for i in range(1, 15):  # lossy, so alike and not equal
        assert np.abs(frames[i] - frames[30 - i]).mean() <= np.abs(there[0] - there[-1]).mean()
    # Seven latents stand in two lines of five.
    line = pictures.SCALE * 64 + pictures.GAP
    assert there[0].shape == (
        pictures.HEAD + 2 * (line + pictures.HEAD) + pictures.GAP,
        5 * line + pictures.GAP,
        3,
    )


def test_an_animation_is_of_the_same_images_as_the_still(tmp_path: Path) -> None:
    data = get("dataset", "toy").load()
    model = build_model(RUN, data)
    rows = pictures._moved(RUN, model, data, torch.tensor([-2.0, 0.0, 2.0]))
    again = pictures._moved(RUN, model, data, torch.tensor([2.0, -2.0]))
    assert [label for label, _ in rows] == [label for label, _ in again]
    deviations = [float(label.split("sd ")[1]) for label, _ in rows]
    assert deviations == sorted(deviations, reverse=True)
    for (_, three), (_, two) in zip(rows, again, strict=True):
        assert torch.allclose(three[[2, 0]], two, atol=1e-5)


def test_matrices_are_darker_where_they_are_larger(tmp_path: Path) -> None:
    values = [[0.0, 2.0, None], [1.0, -0.5, 0.5]]
    one = {"id": "mig@1", "name": "mutual_information", "unit": "nats", "values": values}
    matrices.draw("toy", [one, one], ["shape", "a_factor_with_a_long_name", "x"], tmp_path / "m.png")
    picture = np.asarray(Image.open(tmp_path / "m.png").convert("L"), float)

    def shade(code: int, factor: int, which: int) -> float:
        left = matrices.GAP + which * (matrices.SIDE + 3 * matrices.CELL + matrices.BETWEEN) + matrices.SIDE
        y = 3 * matrices.HEAD + code * matrices.LINE + 2
        return float(picture[y, left + factor * matrices.CELL + 3])

    for which in (0, 1):
        shades = [shade(0, 1, which), shade(1, 0, which), shade(1, 2, which), shade(0, 0, which)]
        assert shades == sorted(shades)
        assert len(set(shades)) == 4
        assert shade(1, 1, which) == shade(0, 2, which) == shade(0, 0, which)  # nothing is white
