"""Pictures of data and models: contact sheet, reconstructions, latent traversals (still and moving)."""

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
from disentangle.run import Run

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from disentangle.calibrate import Calibration
    from disentangle.data import FactorData

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
    save(canvas, path)


def save(canvas: Image.Image, path: str | Path, colours: int | None = None) -> None:
    """Write a PNG file, whole; without colours where it has none, or with so many, which makes it small."""
    if all(low == high == 0 for low, high in _tints(canvas)):
        canvas = canvas.convert("L")
    elif colours is not None:
        canvas = canvas.quantize(colours)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", optimize=True)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())


def _tints(canvas: Image.Image) -> Any:
    """The extremes of how far red and blue are from green."""
    from PIL import ImageChops

    red, green, blue = canvas.split()
    return [ImageChops.difference(one, green).getextrema() for one in (red, blue)]


def _picture(image: Tensor) -> Image.Image:
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


def title(task: Run | Calibration, what: str) -> str:
    """The line over a picture: data set, source, what was done with them, and what the picture shows."""
    steps = f", {task.steps} steps" if isinstance(task, Run) else ""
    return f"{task.dataset} ({task.source}), {task.label()}, seed {task.seed}{steps}: {what}"


@torch.inference_mode()
def reconstructions(
    run: Run, model: nn.Module, data: FactorData, path: str | Path, columns: int = 10
) -> None:
    """Ten images of the data and what the model makes of them, through the mean code."""
    method = find.get("method", run.method)
    images = data.images(generator(0, "pictures").integers(0, len(data), columns))
    decoded = method.decode(model, method.represent(model, images))
    sheet(title(run, "reconstructions"), [("image", images), ("reconstruction", decoded)], path)


def traversal(run: Run, model: nn.Module, data: FactorData, path: str | Path, columns: int = 9) -> None:
    """One row per latent, the most active first: it moves two standard deviations to each side.

    Mean and deviation are those of the codes of 512 random images; the other latents stay at the code
    of one image. A latent that knows nothing of the image has a deviation near 0 and moves nothing.
    """
    sheet(title(run, MOVED), _moved(run, model, data, torch.linspace(-2, 2, columns)), path)


def animation(run: Run, model: nn.Module, data: FactorData, path: str | Path, frames: int = 16) -> None:
    """The same as an animation (WebP): all latents at once, each in a place of its own, there and back.

    Positions follow a cosine, so that the turning points are calm; a round takes about two seconds.
    """
    positions = 2 * torch.cos(torch.linspace(torch.pi, 0, frames))
    rows = _moved(run, model, data, positions)
    there = [_frame(title(run, MOVED), rows, i) for i in range(frames)]
    buffer, path = io.BytesIO(), Path(path)
    there[0].save(
        buffer, "WEBP", save_all=True, append_images=[*there[1:], *there[-2:0:-1]], duration=70, loop=0,
        quality=60, method=4, minimize_size=True,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())


def _frame(head: str, rows: Sequence[tuple[str, Tensor]], i: int) -> Image.Image:
    """Image ``i`` of every row, in lines of five, each under its label."""
    from PIL import Image, ImageDraw, ImageFont

    across = min(5, len(rows))
    height, width = (SCALE * side + GAP for side in rows[0][1].shape[-2:])
    lines, height = -(-len(rows) // across), height + HEAD
    canvas = Image.new("RGB", (across * width + GAP, HEAD + lines * height + GAP), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=14)
    draw.text((GAP, GAP), head.partition(":")[0], INK, font)
    for r, (label, images) in enumerate(rows):
        left, top = GAP + r % across * width, HEAD + r // across * height
        draw.text((left, top + 6), label.replace("\n", ", "), INK, font)
        canvas.paste(_picture(images[i]), (left, top + HEAD))
    return canvas


@torch.inference_mode()
def _moved(run: Run, model: nn.Module, data: FactorData, positions: Tensor) -> list[tuple[str, Tensor]]:
    """A label and images per latent, the most active first, at so many deviations from its mean."""
    method = find.get("method", run.method)
    chosen = generator(0, "pictures", part=1).integers(0, len(data), 512)
    codes = method.represent(model, data.images(chosen)).float()
    mean, deviation = codes.mean(0), codes.std(0)
    rows = []
    for latent in torch.argsort(deviation, descending=True).tolist():
        moved = codes[:1].repeat(len(positions), 1)
        moved[:, latent] = mean[latent] + positions.to(codes.device) * deviation[latent]
        rows.append((f"latent {latent}\nsd {deviation[latent]:.2f}", method.decode(model, moved)))
    return rows


MOVED = "each latent from -2 to +2 sd about its mean"
# What every run gets, by the ends of the files' names.
KINDS = {"reconstructions.png": reconstructions, "traversal.png": traversal, "traversal.webp": animation}
