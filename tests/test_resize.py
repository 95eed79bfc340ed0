"""Lanczos' filter against its formula, and against what the reference library does."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from disentangle.datasets._resize import resize


def lanczos(old: int, new: int) -> np.ndarray:
    """The matrix ``(new, old)`` of the filter sinc(x) sinc(x / 3), |x| < 3, stretched by old / new."""
    scale = old / new
    centers = (np.arange(new)[:, None] + 0.5) * scale
    x = (np.arange(old)[None] + 0.5 - centers) / scale
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def edges(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, shape, np.uint8)
    images[::2] = 255 * (images[::2] > 127)
    images[:, :20] = 0
    images[:, 30:50] = 255
    return images


@pytest.mark.parametrize(("old", "new"), [(96, 64), (128, 64)])
def test_grey_images_follow_the_formula_and_are_clamped_in_the_end(old: int, new: int) -> None:
    images, matrix = edges(4, old, old), lanczos(old, new)
    exact = np.einsum("ij,njk,lk->nil", matrix, images.astype(float), matrix)
    assert exact.min() < -1 or exact.max() > 256  # there is overshoot to clamp
    # Rows are rounded, weighted (the weights' sizes add up to 1.4) and rounded once more.
    assert np.abs(resize(images, new) - exact.clip(0, 255)).max() <= 1.25


def test_colour_images_follow_the_formula_and_are_clamped_after_either_pass() -> None:
    images, matrix = edges(3, 128, 128, 3), lanczos(128, 64)
    rows = np.einsum("lk,njkc->njlc", matrix, images.astype(float)).round().clip(0, 255)
    exact = np.einsum("ij,njlc->nilc", matrix, rows).clip(0, 255)
    assert np.abs(resize(images, 64) - exact).max() <= 1.25


def test_grey_images_equal_the_reference_wherever_it_stays_in_range() -> None:
    images = edges(4, 96, 96)
    # The reference reads bytes as int8, which Pillow takes for 32-bit integers.
    reference = np.stack(
        [
            np.asarray(Image.fromarray(image.view(np.int8)).resize((64, 64), Image.Resampling.LANCZOS))
            for image in images
        ]
    )
    assert reference.min() < 0
    assert reference.max() > 255
    assert np.array_equal(resize(images, 64), reference.clip(0, 255))


def test_colour_images_equal_the_reference() -> None:
    for image in edges(3, 128, 128, 3):
        picture = Image.fromarray(image)
        picture.thumbnail((64, 64), Image.Resampling.LANCZOS)
        assert np.array_equal(resize(image[None], 64)[0], np.asarray(picture))
