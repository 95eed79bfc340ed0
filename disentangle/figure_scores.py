"""The figure of scores: every setting's models in each metric as dots, violins or both, and their means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle import figure_style as style
from disentangle.board import UNIT, told
from disentangle.figure_place import REFERENCES, Drawn, Place, count, heads, span
from disentangle.frame import summarise

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import NDArray

    Groups = Mapping[tuple[str, int], pd.DataFrame]  # the models of a metric id and a setting

PAGE = 60  # settings in one figure
LEAST, MOST = 5, 20  # seeds for a violin, and models that are drawn one by one
OUTLINE = 20  # points of a violin's outline, on each side
LABEL = 44  # characters in a line of a setting's label


def scores(place: Place) -> Iterator[Drawn]:
    """A figure for each `PAGE` settings."""
    numbers, models = [*place.units], place.runs.groupby("unit")["run_key"].nunique()
    known = {name for i in place.scores for name in _near(place, i)[1]}
    runs, pages = place.runs, math.ceil(len(numbers) / PAGE)
    summary = summarise(runs if "metric_std" in runs else runs.assign(metric_std=math.nan, repeats=1))
    every: Any = runs.groupby(["metric_id", "unit"])
    for k in range(pages):
        page = numbers[k * PAGE : (k + 1) * PAGE]
        part = f", part {k + 1} of {pages}" if pages > 1 else ""
        title = f"{place}: scores of {count(runs['run_key'].nunique(), 'model')}{part}"
        groups = {key: own for key, own in every if key[1] in page}
        dots, violins = any(map(_has_dots, groups.values())), any(map(_is_violin, groups.values()))
        drawing = _violins(place, page, title, groups, _handles(dots, violins, known))
        shapes = f"Violins: the density of {LEAST} seeds or more, over their range, all equally wide."
        caption = [
            f"Models by method and setting, {span(models)} of each. Upright marks: means, no error bars.",
            "Dots: single models." if dots else "",
            shapes if violins else "",
            f"Where there are more than {MOST} models no dots are drawn." if models.max() > MOST else "",
            "Lines across: calibration representations, where they are near." if known else "",
        ]
        yield Drawn(title, " ".join(filter(None, caption)), drawing, summary, f"{k + 1}" if k else "")


def _is_violin(own: pd.DataFrame) -> bool:
    return own["seed"].nunique() >= LEAST and bool(own["value"].min() < own["value"].max())


def _has_dots(own: pd.DataFrame) -> bool:
    return len(own) <= MOST or not _is_violin(own)


def _labels(place: Place, page: Sequence[int]) -> list[list[str]]:
    """What each setting is called, in lines; with the number of models and other fields where they differ."""
    counts = place.runs.groupby("unit")["run_key"].nunique()
    units = place.units.values()
    varied = [i for i in range(2, len(UNIT)) if len({unit[i] for unit in units}) > 1]
    labels = []
    for number in page:
        unit = place.units[number]
        extra = [f"{UNIT[i]}={f'{unit[i]:g}' if isinstance(unit[i], float) else unit[i]}" for i in varied]
        extra += [f"n = {counts[number]}"] if counts.nunique() > 1 else []
        labels.append(", ".join(filter(None, [told(unit[0]), unit[1], *extra])))
    return [style.wrap(text, LABEL) for text in labels]


def _violins(
    place: Place, page: Sequence[int], title: str, groups: Groups, handles: Sequence[Any]
) -> Drawing:
    labels = _labels(place, page)
    heights = [max(0.23, 0.1 + 0.12 * len(lines)) for lines in labels]
    ends = [*accumulate(heights, initial=0.0)]
    y = {unit: ends[k] + heights[k] / 2 for k, unit in enumerate(page)}
    methods = [place.units[unit][0] for unit in page]
    left = style.EDGE + max(style.width_of(line, 7) for line in chain(*labels)) + 0.1
    size = 1.75 if len(page) <= PAGE / 3 else 1.45, ends[-1]
    around = left, 0.22, 0.4 + 0.11 * max(map(len, place.references.values()))
    drawing, axes = style.panels(title, heads(place.scores, size[0]), size, around, handles)
    edge = min(panel.get_position().x0 for panel in axes.values())
    for metric_id, panel in axes.items():
        _axis(panel, place, metric_id, size[1])
        _models(panel, place, {unit: own for (i, unit), own in groups.items() if i == metric_id}, y)
        for k in range(1, len(page)):
            if methods[k] != methods[k - 1]:
                panel.axhline(ends[k], color=style.INK, alpha=0.15, lw=0.5)
        if panel.get_position().x0 == edge:
            for unit, lines in zip(page, labels, strict=True):
                style.beside(panel, y[unit], lines, 7)
    return drawing


def _near(place: Place, metric_id: str) -> tuple[tuple[float, float], dict[str, float]]:
    """The limits of a metric's axis, and the calibration representations that are within them."""
    values = place.runs["value"][place.runs["metric_id"] == metric_id]
    low, high = float(values.min()), float(values.max())
    reach = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-9)
    known = place.references[metric_id]
    for value in known.values():
        if max(high, value) - min(low, value) <= 1.4 * reach:
            low, high = min(low, value), max(high, value)
    near = {name: value for name, value in known.items() if low <= value <= high}
    return (low - 0.07 * reach, high + 0.07 * reach), near


def _axis(axes: Axes, place: Place, metric_id: str, height: float) -> None:
    """Limits, ticks and the calibration representations of one panel: all as text, those near as lines."""
    limits, near = _near(place, metric_id)
    axes.set(xlim=limits, ylim=(height, 0), yticks=[])
    style.ticks(axes.xaxis)
    axes.tick_params(axis="x", labelsize=style.SMALL, pad=1.5)
    axes.spines["left"].set_alpha(0.3)
    put: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "size": 6, "va": "baseline"}
    for k, (name, value) in enumerate(place.references[metric_id].items()):
        text = f"{name.replace('_', ' ')} {style.number(value, '.3f')}"
        axes.text(0, height + 0.3 + 0.11 * k, text, **put)
        if name in near:
            axes.axvline(value, color=style.INK, lw=0.7, ls=REFERENCES[name], alpha=0.7)


def _models(axes: Axes, place: Place, groups: Mapping[int, pd.DataFrame], y: Mapping[int, float]) -> None:
    """What each setting's models scored in one metric, and the means of two and more."""
    dot = np.ptp(axes.get_xlim()) * 1e-4  # a line of next to no length with round ends
    for unit, own in groups.items():
        colour, values = place.colours[place.units[unit][0]], own["value"].to_numpy()
        if _is_violin(own):
            x = np.linspace(values.min(), values.max(), OUTLINE)
            high = density(values, x)
            half = 0.1 * high / high.max()
            outline = np.r_[x, x[::-1]], np.r_[y[unit] - half, (y[unit] + half)[::-1]]
            axes.fill(*outline, facecolor=(colour, 0.4), edgecolor=colour, lw=0.7)
        if _has_dots(own):
            at = np.full(len(values), y[unit])
            style.dashes(axes, values, at, dot, 0, color=colour, lw=3, solid_capstyle="round")
    means = [(own["value"].mean(), y[unit]) for unit, own in groups.items() if len(own) > 1]
    x, at = np.reshape(means, (-1, 2)).T
    style.dashes(axes, x, at, 0, 0.14, color=style.INK, lw=1.4, solid_capstyle="butt")


def density(values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian kernel density of some values (n,), not all equal, at others; Scott's bandwidth.

    The bandwidth is ``std * n ** (-1 / 5)``, with n - 1 in the standard deviation's denominator.

    >>> bool(np.isclose(density(np.array([-1.0, 1.0]), np.array([0.0])).item(), 0.2330, atol=1e-4))
    True
    """
    width = values.std(ddof=1) * len(values) ** -0.2
    kernels = np.exp(-(((at[:, None] - values) / width) ** 2) / 2)
    return np.asarray(kernels.mean(axis=1) / (width * math.sqrt(2 * math.pi)))


def _handles(dots: bool, violins: bool, known: set[str]) -> list[Any]:
    """The legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ink, grey = style.INK, style.COLOURS[-1]
    found: list[Any] = [Line2D([], [], color=ink, marker="|", ms=8, mew=1.4, ls="", label="mean")]
    if dots:
        found.append(Line2D([], [], color=grey, marker="o", ms=3, ls="", label="one model"))
    if violins:
        found.append(Patch(facecolor=(grey, 0.4), edgecolor=grey, lw=0.7, label="density"))
    lines = [(name.replace("_", " "), look) for name, look in REFERENCES.items() if name in known]
    return found + [Line2D([], [], color=ink, lw=0.7, ls=look, label=name) for name, look in lines]
