"""How the study's figures look: colours, panels placed in inches, text and marks in them, and PNG.

Text, axes and ticks are drawn in `INK`, which `disentangle.figure_svg` makes ``currentColor``, so that one
figure does for light and dark pages. The colours of data have a contrast of 3 or more with white and #111.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#14181c"  # of text and axes; nothing else has exactly this colour
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b8609a", "#947600", "#7a7a7a")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHES = ("-", "--", "-.", ":")
SMALL, NORMAL, LARGE = 6.5, 7.5, 10.0  # font sizes in points
LINE = 0.125  # inches from one line of text to the next
EDGE = 0.12  # inches around a figure
NARROWEST, WIDEST = 5.0, 11.0  # inches that a figure of panels is wide
DPI, PALETTE = 120, 128
SOFTWARE = "disentangle-bench"
RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # which matplotlib brings: the same layout everywhere
    "font.size": NORMAL,
    "text.parse_math": False,  # a dollar sign is one
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "disentangle",
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


@contextmanager
def look() -> Iterator[None]:
    """The style of the figures, whatever the user's own is, which is back afterwards.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from matplotlib import style

    with style.context(["default", RC]):
        yield


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, broken at spaces, and where that is not enough elsewhere.

    What has no space breaks after an underscore or comma, or before a bracket; what has none of these is cut.

    >>> wrap("beta=1, k=1, pairs=paper", 14)
    ['beta=1, k=1,', 'pairs=paper']
    >>> wrap("mig@1[rows=50000]", 14), wrap("dci_disentanglement", 12)
    (['mig@1', '[rows=50000]'], ['dci_', 'disentanglem', 'ent'])
    """
    pieces: list[str] = []
    for word in re.split(r"(?<= )", text):
        pieces += re.split(r"(?<=[,_])|(?=\[)", word) if len(word) > width + 1 else [word]
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.strip() for line in lines if line.strip()]


def width_of(text: str, size: float = NORMAL, weight: str = "normal") -> float:
    """Inches that a line of text is wide, a little more than less."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    return 1.04 * float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def write(
    figure: Figure, x: float, y: float, lines: Sequence[str], size: float = NORMAL, **options: Any
) -> None:
    """Lines of text, the first with its top ``y`` inches below the figure's, ``x`` inches from the left.

    Each is a text of its own: those of several lines are not aligned where a page has another font.
    """
    width, height = figure.get_size_inches()
    for i, line in enumerate(lines):
        figure.text(
            x / width, 1 - (y + i * LINE * size / NORMAL) / height, line, size=size, va="top", **options
        )


def sheet(title: str, width: float, height: float) -> tuple[Figure, float]:
    """A figure with a title at the top left, and how many inches that takes.

    Args:
        title: is wrapped where it is too long.
        width: in inches.
        height: of what comes below, in inches.
    """
    from matplotlib.figure import Figure

    lines = wrap(title, max(20, int((width - 2 * EDGE) / width_of("n" * 100, LARGE, "bold") * 100)))
    top = EDGE + LINE * LARGE / NORMAL * len(lines) + 0.06
    figure = Figure(figsize=(width, top + height), dpi=DPI)
    write(figure, EDGE, EDGE, lines, LARGE, weight="bold")
    return figure, top


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes ``top`` inches below the figure's upper edge."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def panels(
    title: str,
    heads: Mapping[str, Sequence[tuple[str, bool]]],
    size: tuple[float, float],
    around: tuple[float, float, float],
    handles: Sequence[Any],
) -> tuple[Figure, dict[str, Axes]]:
    """A figure with axes in rows, a head over each and a legend under all.

    Args:
        title: of the figure.
        heads: of each axes, by its key: lines, and whether they are bold.
        size: of the axes, in inches as all that follows.
        around: what is free left of the first axes of a row, between axes, and below them.
        handles: of the legend.
    """
    (width, height), (left, gap, below) = size, around
    columns = min(len(heads), max(1, int((WIDEST - left - EDGE + gap) / (width + gap))))
    wide = max(left + columns * (width + gap) - gap + EDGE, NARROWEST)
    entries = max(1, int((wide - 2 * EDGE) / max(width_of(handle.get_label()) + 0.5 for handle in handles)))
    foot = math.ceil(len(handles) / entries) * 0.15 + EDGE
    rows = [[*heads][i : i + columns] for i in range(0, len(heads), columns)]
    over = [max(len(heads[key]) for key in row) * LINE + 0.04 for row in rows]
    figure, y = sheet(title, wide, sum(over) + len(rows) * (height + below) + foot)
    axes = {}
    for row, high in zip(rows, over, strict=True):
        for key, x in zip(row, (left + k * (width + gap) for k in range(columns)), strict=False):
            first = y + high - 0.04 - len(heads[key]) * LINE
            for i, (line, bold) in enumerate(heads[key]):
                said: dict[str, Any] = {"size": NORMAL, "weight": "bold"} if bold else {"size": SMALL}
                write(figure, x, first + i * LINE, [line], **said)
            axes[key] = panel(figure, x, y + high, width, height)
        y += high + height + below
    legend(figure, handles, entries)
    return figure, axes


def beside(axes: Axes, y: float, lines: Sequence[str], size: float) -> None:
    """Lines of text left of axes of which a unit of y is an inch; each is aligned for itself."""
    inches = float(axes.get_position().width * axes.get_figure().get_size_inches()[0])  # type: ignore[union-attr]
    put: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center_baseline"}
    for k, line in enumerate(lines):
        axes.text(-0.07 / inches, y + (k - (len(lines) - 1) / 2) * 0.12, line, size=size, **put)


def dashes(axes: Axes, x: Any, y: Any, across: Any, down: Any, **options: Any) -> None:
    """Short lines about points as one path, which in SVG takes a fifth of what markers do."""
    gap = np.full(len(x), math.nan)
    ends = [np.column_stack([at - d / 2, at + d / 2, gap]).ravel() for at, d in ((x, across), (y, down))]
    axes.plot(*ends, snap=False, **options)


def number(value: float, form: str) -> str:
    """A number as text, with a real minus sign.

    >>> number(-0.001, "z.2f"), number(12, "g")
    ('0.00', '12')
    """
    return f"{value:{form}}".replace("-", "\N{MINUS SIGN}")


def ticks(axis: Any, most: int = 4) -> None:
    """A few round ticks, written in full."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, ".6g")))


def legend(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    """A legend in the lower left corner."""
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(EDGE / width, EDGE / height), ncols=columns,
        frameon=False, borderaxespad=0, borderpad=0, handlelength=2, handletextpad=0.6, columnspacing=1.2,
        fontsize=NORMAL, labelspacing=0.35,
    )  # fmt: skip


def png(figure: Figure, name: str) -> bytes:
    """The figure on white; a palette makes it a third of the size with no loss that one sees.

    Its text fields say whose it is and its file's name, see `is_ours`.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    drawn, small, said = io.BytesIO(), io.BytesIO(), PngInfo()
    said.add_text("Software", SOFTWARE)
    said.add_text("Title", name)
    figure.savefig(drawn, format="png", facecolor="white", dpi=DPI)
    image = Image.open(drawn).convert("RGB")
    image.quantize(PALETTE, dither=Image.Dither.NONE).save(small, "PNG", optimize=True, pnginfo=said)
    return small.getvalue()


def is_ours(path: Path) -> bool:
    """Whether a PNG file is a figure of the suite under the name that it was given.

    >>> is_ours(Path("nothing.png"))
    False
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return picture.info.get("Software") == SOFTWARE and picture.info.get("Title") == path.stem
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        return False
