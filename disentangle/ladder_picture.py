"""The calibration ladder in one picture: a heat map of the rungs, and Carbonneau et al. 2022 beside ours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from disentangle.ladder import CASES, RUNGS, Rung
from disentangle.ladder_board import keyed, shown, table
from disentangle.ladder_published import COUNTERPARTS, Counterpart
from disentangle.rules import lower_is_better

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, HEIGHT = 0.58, 0.39  # of a cell, in inches
LEFT, TOP, RIGHT, NOTE = 4.0, 1.5, 0.7, 4.2  # for row and column labels, slanted ends, the notes
BLOCK = 3.3  # rows of a case, and a gap
DPI, COLOURS = 120, 128
INK, PALE = "#1d2a33", "#66757f"
SPANS = {"explicitness": (0.5, 1.0)}  # a score's own scale, where it is not 0 to 1
NAMES = {
    "dci_informativeness_test": "dci informativeness",
    "unsupervised_gaussian_total_correlation": "total correlation †",
    "explicitness": "explicitness ‡",
    "infomec_m": "infomec modularity",
    "infomec_e": "infomec explicitness",
    "infomec_c": "infomec compactness",
}
NOTES = (
    "Colour: 0 (pale) to 1 (dark), as far as a score's range goes.\n"
    "‡ explicitness: coloured from 0.5, which is chance, to 1.\n"
    "† in nats, unbounded, lower is better: not coloured.\n"
    "Chance is not 0 for beta vae, factor vae, downstream and\n"
    "dci informativeness: see the row of random codes.\n"
    "Grey: the metric refuses the representation.\n\n"
    "Published numbers have one decimal and other definitions;\n"
    "* marks another quantity or another scale, whose numbers do\n"
    "not compare. ladder.md says how each differs, and ladder.csv\n"
    "has the spread over draws."
)

Span = tuple[float, float] | None  # the ends of the colours; None for a score without


def draw(frame: pd.DataFrame) -> bytes:
    """The picture as PNG.

    Args:
        frame: of `disentangle.ladder_scores.measure`.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    keys, used = shown(frame), _used(frame)
    rungs = [rung for rung in RUNGS if rung.name in set(frame["representation"])]
    width = LEFT + RIGHT + max(CELL * len(keys), CELL * len(used) + NOTE)
    below = HEIGHT * BLOCK * len(CASES) / 2 + TOP + 0.6 if used else 0.0
    height = 0.4 + TOP + HEIGHT * len(rungs) + 0.2 + below
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    title = "The calibration ladder: what each metric says of representations of which everything is known"
    figure.text(0.15 / width, 1 - 0.2 / height, title, size=14, weight="bold", color=INK, va="top")
    _ladder(_axes(figure, 0.35 + TOP, len(keys), len(rungs)), frame, keys, rungs)
    if used:
        top = 0.35 + TOP + HEIGHT * len(rungs) + 0.5 + TOP
        _beside(_axes(figure, top, len(used), BLOCK * len(CASES) / 2), frame, used)
        at = (LEFT + CELL * len(used) + RIGHT + 0.2) / width
        figure.text(at, 1 - (top - 0.3) / height, NOTES, size=9, color=INK, va="top", linespacing=1.5)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    """A third of the size with a palette, and no loss that one sees."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        small, "PNG", optimize=True
    )
    return small.getvalue()


def _used(frame: pd.DataFrame) -> list[tuple[Counterpart, str]]:
    """The published metrics that ours stand beside, and the keys of ours."""
    lines = keyed(frame[(frame["published_metric"] != "") & (frame["metric"] != "")])
    columns = lines[["score", "variant", "key"]].drop_duplicates().to_numpy().tolist()
    found = {(score, variant): str(key) for score, variant, key in columns}
    return [(c, found[c.score, c.variant]) for c in COUNTERPARTS if (c.score, c.variant) in found]


def _axes(figure: Figure, top: float, columns: float, rows: float) -> Axes:
    """Axes in which a cell is a unit square, `top` inches below the figure's edge."""
    width, height = figure.get_size_inches()
    size = (CELL * columns / width, HEIGHT * rows / height)
    axes = figure.add_axes((LEFT / width, 1 - top / height - size[1], *size))
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    axes.axis("off")
    return axes


def _ladder(axes: Axes, frame: pd.DataFrame, keys: Sequence[str], rungs: Sequence[Rung]) -> None:
    wide, plain = table(frame).loc[list(keys)], lower_is_better()
    _columns(axes, [_name(key) for key in keys])
    spans = [None if key in plain else SPANS.get(key, (0.0, 1.0)) for key in keys]
    for y, rung in enumerate(rungs):
        _row(axes, y, rung.name, rung.about)
        _cells(axes, y, wide[rung.name].tolist(), spans)


def _beside(axes: Axes, frame: pd.DataFrame, used: Sequence[tuple[Counterpart, str]]) -> None:
    keys = [key for _, key in used]
    ours, spans = table(frame, "carbonneau").loc[keys], [SPANS.get(key, (0.0, 1.0)) for key in keys]
    marked = [f"{c.published}{'' if c.same else ' *'}\n{_name(key).rstrip(' ‡')}" for c, key in used]
    _columns(axes, marked)
    left = -LEFT / CELL + 0.2
    axes.text(left, -3.4, "Carbonneau et al. 2022, Table 1", size=12, weight="bold", color=INK)
    axes.text(left, -2.8, "their metric above, our score below", size=9, color=PALE)
    lines = keyed(frame[(frame["published_metric"] != "") & (frame["metric"] != "")])
    theirs = lines.pivot(index="key", columns="representation", values="published").loc[keys]
    for i, (grid, binned) in enumerate(zip(CASES[::2], CASES[1::2], strict=True)):
        about, _, values = grid.about.partition("; ")
        _row(axes, BLOCK * i, "published", about)
        _cells(axes, BLOCK * i, theirs[grid.name].tolist(), [(0.0, 1.0)] * len(keys), decimals=1)
        for row, rung, how in ((1, grid, values), (2, binned, binned.about.partition("; ")[2])):
            _row(axes, BLOCK * i + row, "ours", how)
            _cells(axes, BLOCK * i + row, ours[rung.name].tolist(), spans)


def _name(key: str) -> str:
    return NAMES.get(key, key.replace("_", " "))


def _columns(axes: Axes, names: Sequence[str]) -> None:
    for x, name in enumerate(names):
        text = axes.text(x + 0.5, -0.15, name, ha="left", va="bottom", size=9, color=INK, linespacing=1.1)
        text.set(rotation=50, rotation_mode="anchor")


def _row(axes: Axes, y: float, name: str, about: str) -> None:
    axes.text(-0.15, y + 0.33, name, ha="right", va="center", size=10, weight="bold", color=INK)
    axes.text(-0.15, y + 0.73, about, ha="right", va="center", size=7.5, color=PALE)


def _cells(axes: Axes, y: float, values: Sequence[float], spans: Sequence[Span], decimals: int = 2) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    for x, (value, span) in enumerate(zip(values, spans, strict=True)):
        face, ink, text = colormaps["GnBu"](0.0, alpha=0.0), INK, f"{value:.{decimals}f}"
        if value != value:
            face, text = colormaps["Greys"](0.2), ""
        elif span is not None:
            share = min(1.0, max(0.0, (value - span[0]) / (span[1] - span[0])))
            face, ink = colormaps["GnBu"](0.03 + 0.85 * share), "white" if share > 0.62 else INK
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=face, edgecolor="white", linewidth=1.2))
        text = text.replace("-0.00", "0.00")
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", size=8.5, color=ink)
