"""The figures of mean scores against a hyperparameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle import figure_style as style
from disentangle.board import by_size, told
from disentangle.figure_place import Drawn, Place, heads, span

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from matplotlib.lines import Line2D

SIZE = (1.95, 1.5)  # of a panel, in inches
CURVE: dict[str, Any] = {"ms": 3.5, "mew": 0, "lw": 1.1}
LOG = 8  # an axis is logarithmic where its last value is so many times its first


def against(place: Place) -> Iterator[Drawn]:
    """A figure for each hyperparameter that is varied."""
    for name, mine in place.responses.groupby("hyperparameter"):
        title = f"{place}: scores against {name}"
        caption = (
            f"Means over models against {name}, all else equal along a line, with Student's 95 % interval "
            "where there are two models or more; n is the number of models behind a point. Lines are moved "
            f"apart a little. Where {name} has one value, or none that is a number, a setting is left out."
        )
        yield Drawn(title, caption, _curves(mine, place, title, str(name)), mine, str(name))


def _curves(mine: pd.DataFrame, place: Place, title: str, name: str) -> Drawing:
    looks = _looks(mine, place)
    scores = {i: score for i, score in place.scores.items() if i in set(mine["metric_id"])}
    drawing, axes = style.panels(title, heads(scores, SIZE[0]), SIZE, (0.55, 0.55, 0.5), [*looks.values()])
    for i, panel in axes.items():
        here = mine[mine["metric_id"] == i]
        place_x = _x_axis(panel, sorted(set(mine["hyper_value"])), name)
        for k, ((method, others), look) in enumerate(looks.items()):
            own = here[(here["method"] == method) & (here["others"] == others)]
            x, mean, half = (own[c].to_numpy(float) for c in ("hyper_value", "mean", "ci95_half_width"))
            x = place_x(x, (k + 0.5) / len(looks) - 0.5)
            colour, cap = look.get_color(), 0.025 * np.ptp(panel.get_xlim())
            panel.plot(x, mean, color=colour, ls=look.get_linestyle(), marker=look.get_marker(), **CURVE)
            for y, across, down in ((mean, 0, 2 * half), (mean - half, cap, 0), (mean + half, cap, 0)):
                style.dashes(panel, x, y, across, down, color=colour, lw=0.7, solid_capstyle="butt")
        style.ticks(panel.yaxis)
        panel.tick_params(labelsize=style.SMALL, pad=1.5)
    return drawing


def _looks(mine: pd.DataFrame, place: Place) -> dict[tuple[str, str], Line2D]:
    """A method's colour, a marker for each line and a dash for each of its own, as entries of the legend."""
    from matplotlib.lines import Line2D

    methods, found = [*place.colours], dict[tuple[str, str], Line2D]()
    lines: Any = mine.groupby(["method", "others"])["n"]
    ordered = sorted(lines, key=lambda line: (methods.index(line[0][0]), by_size(line[0][1])))
    for k, ((method, others), n) in enumerate(ordered):
        within = sum(other == method for other, _ in found)
        label = f"{told(method)}{f' ({others})' if others else ''}, n = {span(n)}"
        dash, marker = style.DASHES[within % len(style.DASHES)], style.MARKERS[k % len(style.MARKERS)]
        look: dict[str, Any] = {"color": place.colours[method], "ls": dash, "marker": marker, **CURVE}
        found[method, others] = Line2D([], [], label=label, **look)
    return found


def _x_axis(axes: Axes, values: Sequence[float], name: str) -> Callable[..., Any]:
    """The axis of a hyperparameter, with its values as ticks; returns what places values on it."""
    log = values[0] > 0 and values[-1] >= LOG * values[0]
    scale = [math.log(value) if log else value for value in values]
    reach = scale[-1] - scale[0]
    kept: list[tuple[float, str]] = []
    free = -math.inf
    for at, value in zip(scale, values, strict=True):  # as many as have room
        text = style.number(value, "g")
        half = style.width_of(text, style.SMALL) / 2 + 0.02
        where = (at - scale[0]) / reach * SIZE[0] / 1.16
        if where - half >= free:
            kept.append((at, text))
            free = where + half
    axes.set_xlim(scale[0] - 0.08 * reach, scale[-1] + 0.08 * reach)
    axes.set_xticks([at for at, _ in kept], [text for _, text in kept])
    axes.set_xlabel(name + (", logarithmic" if log else ""), size=style.NORMAL, labelpad=1.5)
    return lambda x, moved: (np.log(x) if log else x) + moved * 0.04 * reach
