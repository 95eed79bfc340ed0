"""Pictures of data and models, as PNG: contact sheet, reconstructions, latent traversals."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from disentangle import find
from disentangle.draws import generator
from disentangle.files import write_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from disentangle.data import FactorData
    from disentangle.run import Run

SCALE = 2  # screen pixels per image pixel
GAP = 4  # between images
LABEL = 150  # width of the column of labels
HEAD = 26  # height of the title
INK, PAPER = (30, 30, 30), (255, 255, 255)


def sheet(title: str, rows: Sequence[tuple[str, Tensor]], path: str | Path) -> None:
    """Write rows of images with a label each to a PNG file.

    Args:
        title: one line over the picture.
        rows: per row a label (``\\n`` breaks it) and images ``(n, C, H, W)`` in [0, 1].
        path: the file to write.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = (SCALE * side + GAP for side in rows[0][1].shape[-2:])
    columns = max(len(images) for _, images in rows)
    canvas = Image.new("RGB", (LABEL + columns * width + GAP, HEAD + len(rows) * height + GAP), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=14)
    draw.text((GAP, GAP), title, INK, font)
    for r, (label, images) in enumerate(rows):
        top = HEAD + GAP + r * height
        draw.multiline_text((GAP, top + 8), label, INK, font)
        for c, image in enumerate(images):
            canvas.paste(_picture(image), (LABEL + c * width, top))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", optimize=True)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())


def _picture(image: Tensor) -> Image.Image:  # type: ignore[name-defined]  # noqa: F821
    from PIL import Image

    pixels = (image.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    pixels = pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous()
    side = (SCALE * pixels.shape[1], SCALE * pixels.shape[0])
    return Image.fromarray(pixels.numpy()).resize(side, Image.Resampling.NEAREST)


def contact_sheet(data: FactorData, path: str | Path, columns: int = 10) -> None:
    """One row per factor: the factor runs over its values, the others stay at one image's.

    Values that have no image with these others are left out.
    """
    middle = _middle(data)
    rows = []
    for i, (name, size) in enumerate(zip(data.factor_names, data.sizes, strict=True)):
        factors = np.tile(middle, (size, 1))
        factors[:, i] = np.arange(size)
        there = factors[_has_image(data, factors)]
        factors = there[
            np.unique(np.linspace(0, len(there) - 1, min(columns, len(there))).round().astype(int))
        ]
        first, last = (_short(data.factor_values[i][j]) for j in (factors[0, i], factors[-1, i]))
        counted = f"{size} values" + (f", {len(factors)} shown" if len(factors) < size else "")
        rows.append((f"{name}\n{counted}\n{first} to {last}", data.images(data.index(factors))))
    sheet(f"{data.name}, {data.source}: {len(data):,} images", rows, path)


def _middle(data: FactorData) -> NDArray[np.int64]:
    """The factors of the image to show: not all in the middle, so that factors of one kind are told apart."""
    sizes = np.array(data.sizes)
    wanted = (sizes * ((0.5 + np.arange(len(sizes)) / 3) % 1)).astype(np.int64)
    if _has_image(data, wanted[None])[0]:
        return wanted
    factors = data.all_factors()
    nearest = (np.abs(factors - wanted) / sizes).sum(axis=1).argmin()
    return np.asarray(factors[nearest], np.int64)


def _has_image(data: FactorData, factors: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows of factors ``(n, F)`` some image has."""
    if data.cells is None:
        return np.ones(len(factors), bool)
    return np.isin(np.ravel_multi_index(tuple(factors.T), data.sizes), data.cells)


def _short(value: Any) -> str:
    """A factor's value, in a few letters."""
    return str(value)[:8] if isinstance(value, str) else f"{float(value):.3g}"


def _title(run: Run, what: str) -> str:
    return f"{run.dataset} ({run.source}), {run.label()}, seed {run.seed}, {run.steps} steps: {what}"


@torch.inference_mode()
def reconstructions(
    run: Run, model: nn.Module, data: FactorData, path: str | Path, columns: int = 10
) -> None:
    """Ten images of the data and what the model makes of them, through the mean code."""
    method = find.get("method", run.method)
    images = data.images(generator(0, "pictures").integers(0, len(data), columns))
    decoded = method.decode(model, method.represent(model, images))
    sheet(_title(run, "reconstructions"), [("image", images), ("reconstruction", decoded)], path)


@torch.inference_mode()
def traversal(run: Run, model: nn.Module, data: FactorData, path: str | Path, columns: int = 9) -> None:
    """One row per latent, the most active first: it moves two standard deviations to each side.

    Mean and deviation are those of the codes of 512 random images; the other latents stay at the code
    of one image. A latent that knows nothing of the image has a deviation near 0 and moves nothing.
    """
    method = find.get("method", run.method)
    chosen = generator(0, "pictures", part=1).integers(0, len(data), 512)
    codes = method.represent(model, data.images(chosen)).float()
    mean, deviation = codes.mean(0), codes.std(0)
    rows = []
    for latent in torch.argsort(deviation, descending=True).tolist():
        moved = codes[:1].repeat(columns, 1)
        steps = torch.linspace(-2, 2, columns, device=codes.device)
        moved[:, latent] = mean[latent] + steps * deviation[latent]
        rows.append((f"latent {latent}\nsd {deviation[latent]:.2f}", method.decode(model, moved)))
    sheet(_title(run, "each latent from -2 to +2 sd about its mean"), rows, path)


KINDS = {"reconstructions": reconstructions, "traversal": traversal}  # what every run gets
