"""The figures with a row per metric: the heat map of rank correlation, and the bars of shares of variance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from disentangle import figure_style as style
from disentangle.analysis import PARTS, lower_is_better
from disentangle.figure_place import Drawn, Place, count, span

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

CELL = (0.52, 0.34)  # of the heat map, in inches
BAR, ROW = 4.2, 0.42  # inches that stand for 100 %, and from one score's bars to the next
FILLS = ((style.COLOURS[0], 1.0), (style.COLOURS[1], 0.45), (style.INK, 0.12))  # dark, middle and pale


def correlation(place: Place) -> Iterator[Drawn]:
    """A figure where some metrics have a rank correlation."""
    mine = place.correlation
    mine = mine[mine["metric_id_a"].isin([*place.scores]) & mine["metric_id_b"].isin([*place.scores])]
    off = mine[mine["metric_id_a"] != mine["metric_id_b"]]
    if off["spearman"].isna().all():
        return
    title = f"{place}: rank correlation of metrics over {span(off['n'])} models"
    caption = (
        "Spearman's rank correlation of the scores of models, of all methods, settings and seeds. Blue is "
        "positive, orange negative, the stronger the deeper; a dash: fewer than three models, or a constant "
        "score. No sign is turned where less is better."
    )
    yield Drawn(title, caption, _heat(place.scores, mine, title), mine)


def _heat(scores: Mapping[str, str], mine: pd.DataFrame, title: str) -> Drawing:
    ids, (wide, high) = [*scores], CELL
    lines = {i: [score, i + "; less is better" * lower_is_better(score)] for i, score in scores.items()}
    twice = len(set(scores.values())) < len(scores)
    names = [i if twice else score for i, score in scores.items()]
    left, over = _left([*lines.values()]), 0.65 * max(map(style.width_of, names)) + 0.15
    # The slanted names reach over the last column.
    ends = [0.77 * style.width_of(name) + (k + 0.5) * wide for k, name in enumerate(names)]
    width = max(left + max(*ends, wide * len(ids)) + style.EDGE, style.NARROWEST)
    drawing, top = style.sheet(title, width, over + high * len(ids) + style.EDGE)
    axes = style.panel(drawing, left, top + over, wide * len(ids), high * len(ids))
    axes.set(xlim=(0, wide * len(ids)), ylim=(high * len(ids), 0))
    axes.axis("off")
    values = mine.set_index(["metric_id_a", "metric_id_b"])["spearman"]
    slanted: dict[str, Any] = {"rotation": 40, "rotation_mode": "anchor", "size": style.NORMAL}
    for row, a in enumerate(ids):
        _named(axes, (row + 0.5) * high, lines[a])
        axes.text((row + 0.45) * wide, -0.05, names[row], va="bottom", ha="left", **slanted)
        for column, b in enumerate(ids):
            _cell(axes, column * wide, row * high, float(values[a, b]))
    return drawing


def _left(labels: Sequence[Sequence[str]]) -> float:
    """Inches for labels of a score and a metric id each."""
    widths = [max(style.width_of(score), style.width_of(i, style.SMALL)) for score, i in labels]
    return style.EDGE + 0.1 + max(widths)


def _named(axes: Axes, y: float, lines: Sequence[str]) -> None:
    """A score and its metric id beside a row of which ``y`` is the middle."""
    style.beside(axes, y - 0.055, lines[:1], style.NORMAL)
    style.beside(axes, y + 0.065, lines[1:], style.SMALL)


def _cell(axes: Axes, x: float, y: float, value: float) -> None:
    from matplotlib.patches import Rectangle

    (wide, high), gap, text = CELL, 0.01, "\N{EN DASH}"
    if value == value:
        text = style.number(value, "z.2f")
        colour = style.COLOURS[0] if value > 0 else style.COLOURS[1], 0.75 * abs(value)
        axes.add_patch(Rectangle((x + gap, y + gap), wide - 2 * gap, high - 2 * gap, facecolor=colour, lw=0))
    axes.text(x + wide / 2, y + high / 2, text, size=style.NORMAL, ha="center", va="center_baseline")


def variance(place: Place) -> Iterator[Drawn]:
    """A figure where there are several settings, and several seeds of one."""
    mine = place.shares
    if not ((mine["settings"] > 1) & mine["share_seed"].notna()).any():
        return
    title = f"{place}: what explains the variance of {span(mine['models'])} models"
    methods, settings = mine["methods"].max(), mine["settings"].max()
    caption = (
        f"Shares of the sum of squares of each score: between {count(methods, 'method')}, between "
        f"{count(settings, 'setting')} within methods, and between seeds within settings. Thin bars: what "
        "chance alone would give, if nothing but seeds mattered. Adjusted for chance: shares of method and "
        "setting with that deducted (as omega squared); below 0 is less than chance would give. After "
        "Locatello et al. 2019, arXiv 1811.12359, section 5.4."
    )
    yield Drawn(title, caption, _bars(place.scores, mine, title), mine)


def _bars(scores: Mapping[str, str], mine: pd.DataFrame, title: str) -> Drawing:
    from matplotlib.patches import Patch

    left, height = _left([(score, i) for i, score in scores.items()]), ROW * len(mine)
    drawing, top = style.sheet(title, left + BAR + 1.75, 0.2 + height + 0.62)
    axes = style.panel(drawing, left, top + 0.2, BAR, height)
    axes.set(xlim=(0, 1), ylim=(height, 0), yticks=[])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(labelsize=style.SMALL, pad=1.5)
    axes.spines["left"].set_visible(False)
    axes.text(1 + 0.12 / BAR, -0.06, "adjusted for chance", size=style.SMALL)
    for k, line in enumerate(mine.to_dict("records")):
        y = k * ROW
        _named(axes, y + 0.16, [line["score"], line["metric_id"]])
        _stack(axes, y + 0.15, 0.22, [line[f"share_{part}"] for part in PARTS], line["note"])
        _stack(axes, y + 0.325, 0.06, [line[f"chance_{part}"] for part in PARTS])
        if line["adjusted_seed"] == line["adjusted_seed"]:
            told = ", ".join(f"{part} {_percent(line[f'adjusted_{part}'])}" for part in PARTS[:2])
            axes.text(1 + 0.12 / BAR, y + 0.15, told, size=style.SMALL, va="center_baseline")
    names = zip(FILLS, ("method", "setting within method", "seed"), strict=True)
    handles = [Patch(facecolor=fill, edgecolor=style.INK, lw=0.4, label=name) for fill, name in names]
    handles.append(Patch(facecolor="none", edgecolor="none", label="thin bars: by chance alone"))
    style.legend(drawing, handles, 4)
    return drawing


def _percent(share: float) -> str:
    return f"{style.number(100 * share, 'z.0f')} %"


def _stack(axes: Axes, y: float, high: float, shares: Sequence[float], note: str = "") -> None:
    """One bar of three parts, with the numbers in those that have room for them."""
    if any(share != share for share in shares):
        axes.text(0.01, y, note, size=style.SMALL, va="center_baseline")
        return
    put: dict[str, Any] = {"size": style.SMALL, "ha": "center", "va": "center_baseline"}
    start = 0.0
    for share, fill in zip(shares, FILLS, strict=True):
        axes.barh(y, share, high, start, facecolor=fill, edgecolor=style.INK, lw=0.4)
        if high > 0.1 and share > 0.06:
            ink = "white" if fill[1] == 1 else style.INK
            axes.text(start + share / 2, y, _percent(share), color=ink, **put)
        start += share
