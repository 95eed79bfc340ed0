"""A picture of matrices of codes and factors: what each code tells of each factor, as numbers and shades."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle.pictures import GAP, HEAD, INK, PAPER, save

if TYPE_CHECKING:
    from PIL import ImageDraw

CELL, LINE = 76, 22  # width and height of a cell, in pixels
SIDE, BETWEEN = 70, 40  # width of the codes' names; between two matrices
DARK = (122, 144, 175)  # of the largest number, on which black can be read; the smallest is white


def draw(title: str, matrices: Sequence[dict[str, Any]], factors: Sequence[str], path: str | Path) -> None:
    """Draw matrices side by side, a line per code and a column per factor, and write a PNG file.

    The darker a cell the larger its number, from 0 (white) to the largest of its matrix: readable without
    colours. Numbers are rounded to two digits.

    Args:
        title: one line over the picture.
        matrices: each with ``id`` of a metric, ``name``, ``unit``, and ``values`` (D, F), where None is no
            number; as in a row.
        factors: names of the F columns.
        path: the file to write.
    """
    from PIL import Image, ImageDraw, ImageFont

    wide = SIDE + len(factors) * CELL + BETWEEN
    tall = max(len(one["values"]) for one in matrices) * LINE
    canvas = Image.new("RGB", (max(len(matrices) * wide, 640), 3 * HEAD + 3 * GAP + tall), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.fontmode = "L"
    fonts = ImageFont.load_default(size=14), ImageFont.load_default(size=12)
    pen.text((GAP, GAP), title, INK, fonts[0])
    for i, one in enumerate(matrices):
        unit = f" ({one['unit']})" if one["unit"] else ""
        head = f"{one['name'].replace('_', ' ')}{unit}, {one['id']}"
        pen.text((GAP + i * wide, HEAD), head, INK, fonts[1])
        _grid(pen, one["values"], factors, (GAP + i * wide, 2 * HEAD), fonts[1])
    save(canvas, path, colours=64)


def _grid(
    pen: ImageDraw.ImageDraw, values: Any, factors: Sequence[str], corner: tuple[int, int], font: Any
) -> None:
    left, top = corner[0] + SIDE, corner[1] + HEAD
    largest = max((v for line in values for v in line if v is not None), default=0.0) or 1.0
    for f, name in enumerate(factors):
        pen.text((left + f * CELL + CELL // 2, top - 5), _fitting(name), INK, font, anchor="ms")
    for d, line in enumerate(values):
        middle = top + d * LINE + LINE // 2
        pen.text((left - 8, middle), f"code {d}", INK, font, anchor="rm")
        for f, value in enumerate(line):
            share = max(0.0, value or 0.0) / largest
            shade = tuple(round(255 + share * (dark - 255)) for dark in DARK)
            box = (left + f * CELL, top + d * LINE, left + (f + 1) * CELL - 2, top + (d + 1) * LINE - 2)
            pen.rectangle(box, shade)
            text = "none" if value is None else f"{value:.2f}"
            pen.text((left + f * CELL + CELL // 2 - 1, middle - 1), text, INK, font, anchor="mm")


def _fitting(name: str) -> str:
    """A factor's name, cut where it would run into the next one."""
    return name if len(name) <= 11 else f"{name[:10]}."
