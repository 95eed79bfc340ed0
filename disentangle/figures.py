"""The study's figures: scores as violins and against hyperparameters, rank correlation, shares of variance.

Each is of one data set, source and split and names the metric ids it shows; nothing is joined across these.
The numbers in them are those of `disentangle.analysis`.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle import figure_style as style
from disentangle import find
from disentangle.analysis import (
    PARTS,
    PLACE,
    lower_is_better,
    models,
    rank_correlation,
    responses,
    variance_shares,
)
from disentangle.board import UNIT, Unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from matplotlib.lines import Line2D
    from numpy.typing import NDArray


PAGE = 60  # settings in one figure of scores
LEAST, MOST = 5, 20  # seeds for a violin, and models that are drawn one by one
OUTLINE = 20  # points of a violin's outline, on each side
LABEL = 44  # characters in a line of a setting's label
REFERENCES = {"true_factors": "--", "noise": ":"}
CELL = (0.52, 0.34)  # of the heat map, in inches
BAR, ROW = 4.2, 0.42  # inches that stand for 100 %, and from one score's bars to the next
CURVE: dict[str, Any] = {"ms": 3.5, "mew": 0, "lw": 1.1}
FILLS = ((style.COLOURS[0], 1.0), (style.COLOURS[1], 0.45), (style.INK, 0.12))  # dark, middle and pale
LOG = 8  # an axis is logarithmic where its last value is so many times its first


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of a study.

    Attributes:
        name: a file's name without its ending, of letters, digits and ``.-_``; unique in a study.
        dataset, source, split: what it is of.
        kind: ``"scores"``, ``"against"``, ``"correlation"`` or ``"variance"``.
        title: one line, which is in the picture.
        caption: what it shows, of how many models, what bars and bands are, and the metric ids.
        png: the picture on white.
        svg: an ``<svg>`` element to put into a page; it takes text colour and font from there.
        numbers: what is drawn.
    """

    name: str
    dataset: str
    source: str
    split: str
    kind: str
    title: str
    caption: str
    png: bytes
    svg: str
    numbers: pd.DataFrame | None


@dataclass(frozen=True, eq=False)
class _Place:
    """The models of one data set, source and split, and what all of its figures need."""

    dataset: str
    source: str
    split: str
    runs: pd.DataFrame  # a line per model and metric, with the number of its setting as unit
    units: dict[int, Unit]  # the settings in their order
    scores: dict[str, str]  # metric id to score, of those that have some
    references: dict[tuple[str, str], float]  # metric id and calibration representation to its score
    colours: dict[str, int]  # a method's number, the same in all figures
    about: str  # the last sentences of each caption
    responses: pd.DataFrame
    correlation: pd.DataFrame
    shares: pd.DataFrame

    def __str__(self) -> str:
        return f"{self.dataset} ({self.source})" + (f", trained on {self.split}" if self.split else "")

    def models(self) -> str:
        return _count(self.runs["run_key"].nunique(), "model")


@dataclass(frozen=True, eq=False)
class _Drawn:
    kind: str
    title: str
    caption: str
    drawing: Drawing
    numbers: pd.DataFrame
    suffix: str = ""  # tells figures of one kind apart


def draw(frame: pd.DataFrame, headlines: Mapping[str, str], order: Sequence[Unit] = ()) -> list[Figure]:
    """The figures of a study: of each data set, source and split those that there is something for.

    - ``scores``: every setting's models, a panel per metric; a violin (a density, over the range of the
      scores) of five seeds or more, and no single models beside it where there are over twenty.
    - ``against``: mean scores with Student's 95 % interval against a hyperparameter; where one is varied.
    - ``correlation``: Spearman's rank correlation of the metrics; of three models and two metrics at least.
    - ``variance``: the shares of method, setting and seed; where two settings and some seeds are.

    Args:
        frame: of `disentangle.table.tidy`.
        headlines: metric id to the score that stands for it, of `disentangle.board.headlines`.
        order: the study's settings in their order, of `disentangle.board.settings`; others come after these.

    Returns:
        The figures, the same from the same lines whatever their order.

    Raises:
        InputError: see `disentangle.analysis.models`.
        ModuleNotFoundError: matplotlib is not installed.

    >>> import pandas as pd
    >>> shared = dict(kind="run", dataset="toy", source="drawn", method="vae", setting="", steps=5, batch=4,
    ...               lr=1e-3, latents=2, precision="fp32", split="", metric_id="mig@1", score="mig")
    >>> frame = pd.DataFrame([{**shared, "run_key": str(i), "seed": i, "value": 0.1 * i} for i in range(2)])
    >>> [figure.name for figure in draw(frame, {"mig@1": "mig"})]
    ['toy-drawn-scores']
    """
    places, figures, taken = _places(frame, headlines, order), [], set[str]()
    with style.look():
        for place in places:
            for kind in (_scores, _against, _correlation, _variance):
                for drawn in kind(place):
                    name = _name(place, drawn, taken)
                    title = f"{place}: {drawn.title}"
                    pictures = style.png(drawn.drawing), style.svg(drawn.drawing, name, title)
                    where = (place.dataset, place.source, place.split, drawn.kind)
                    figures.append(Figure(name, *where, title, drawn.caption, *pictures, drawn.numbers))
    return figures


def _name(place: _Place, drawn: _Drawn, taken: set[str]) -> str:
    """A file's name that no other figure has, whether or not a disk tells capitals apart."""
    told = [place.dataset, place.source, place.split, drawn.kind, drawn.suffix]
    name = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(filter(None, told))).strip("-.")
    if len(name) > 100:
        name = f"{name[:90].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    numbered = (f"{name}-{i}" if i else name for i in itertools.count())
    unique = next(one for one in numbered if one.lower() not in taken)
    taken.add(unique.lower())
    return unique


def _places(frame: pd.DataFrame, headlines: Mapping[str, str], order: Sequence[Unit]) -> list[_Place]:
    runs = models(frame, headlines)
    each = [*runs[UNIT].itertuples(index=False, name=None)]
    units = sorted(set(each), key=_key(order))
    colours = {method: i for i, method in enumerate(dict.fromkeys(unit[0] for unit in units))}
    numbers = {unit: i for i, unit in enumerate(units)}
    tables = [make(frame, headlines) for make in (responses, rank_correlation, variance_shares)]
    found = []
    groups: Any = runs.assign(unit=[numbers[unit] for unit in each]).groupby(PLACE)  # keys are texts
    for place, mine in groups:
        there = set(mine["metric_id"])
        scores = {i: score for i, score in headlines.items() if i in there}
        here = {i: units[i] for i in sorted(set(mine["unit"]))}
        about = _about(scores, [i for i in headlines if i not in there], _diverged(frame, place))
        of, heat, shares = (table[(table[PLACE] == list(place)).all(axis=1)] for table in tables)
        known = _references(frame, place, scores)
        dataset, source, split = place
        found.append(
            _Place(dataset, source, split, mine, here, scores, known, colours, about, of, heat, shares)
        )
    return found


def _key(order: Sequence[Unit]) -> Callable[[Unit], Any]:
    """What settings are sorted by: their place in the study, then their texts with numbers by their size."""
    places = {tuple(unit): place for place, unit in enumerate(order)}

    def key(unit: Unit) -> Any:
        texts = re.split(r"(\d+(?:\.\d+)?(?:e[-+]\d+)?)", unit[1])
        parts = [float(text) if i % 2 else text for i, text in enumerate(texts)]
        return places.get(unit, len(places)), unit[0], parts, unit[2:]

    return key


def _diverged(frame: pd.DataFrame, place: tuple[str, str, str]) -> int:
    if "status" not in frame:
        return 0
    runs = frame[(frame["kind"] == "run") & (frame["status"] == "diverged")]
    runs = runs.assign(split=runs["split"].astype(object).fillna("") if "split" in runs else "")
    return int(runs[(runs[PLACE] == list(place)).all(axis=1)]["run_key"].nunique())


def _references(
    frame: pd.DataFrame, place: tuple[str, str, str], scores: Mapping[str, str]
) -> dict[tuple[str, str], float]:
    lines = frame[(frame["kind"] == "calibration") & frame["method"].isin([*REFERENCES])]
    lines = lines[(lines["dataset"] == place[0]) & (lines["source"] == place[1])]
    lines = lines[lines["metric_id"].map(scores) == lines["score"]]
    means: Any = lines["value"].astype(float).groupby([lines["metric_id"], lines["method"]]).mean()
    return {key: float(value) for key, value in means.items() if math.isfinite(value)}


def _about(scores: Mapping[str, str], missing: Sequence[str], diverged: int) -> str:
    less = dict.fromkeys(score for score in scores.values() if lower_is_better(score))
    parts = [
        f"Metrics: {', '.join(f'{score} ({i})' for i, score in scores.items())}.",
        f"Less is better of {', '.join(less)}." if less else "",
        f"Without scores: {', '.join(missing)}." if missing else "",
        f"{_count(diverged, 'diverged run')} left out." if diverged else "",
    ]
    return " ".join(filter(None, parts))


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _range(counts: pd.Series[int]) -> str:
    low, high = counts.min(), counts.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _title(method: str) -> str:
    return find.get("method", method).title if method in find.names("method") else method


def _labels(place: _Place, page: Sequence[int]) -> list[list[str]]:
    """What each setting is called, in lines; with the number of models and other fields where they differ."""
    counts = place.runs.groupby("unit")["run_key"].nunique()
    units = place.units.values()
    varied = [i for i in range(2, len(UNIT)) if len({unit[i] for unit in units}) > 1]
    told = []
    for number in page:
        unit = place.units[number]
        extra = [f"{UNIT[i]}={f'{unit[i]:g}' if isinstance(unit[i], float) else unit[i]}" for i in varied]
        extra += [f"n = {counts[number]}"] if counts.nunique() > 1 else []
        told.append(", ".join(filter(None, [_title(unit[0]), unit[1], *extra])))
    return [style.wrap(text, LABEL) for text in told]


def _heads(scores: Mapping[str, str], width: float) -> dict[str, list[tuple[str, bool]]]:
    """What stands over each panel so many inches wide: score, metric id, and which way is better."""
    letters = int(width / 0.07)
    return {
        i: [(line, True) for line in style.wrap(score, letters)]
        + [(line, False) for line in style.wrap(i, int(1.2 * letters))]
        + [("less is better", False)] * lower_is_better(score)
        for i, score in scores.items()
    }


def _scores(place: _Place) -> Iterator[_Drawn]:
    numbers = [*place.units]
    seeds = place.runs.groupby("unit")["run_key"].nunique()
    pages = math.ceil(len(numbers) / PAGE)
    for k in range(pages):
        page = numbers[k * PAGE : (k + 1) * PAGE]
        part = f", part {k + 1} of {pages}" if pages > 1 else ""
        title = f"scores of {place.models()}{part}"
        groups = {key: own for key, own in place.runs.groupby(["metric_id", "unit"]) if key[1] in page}
        violins = {key for key, own in groups.items() if _is_violin(own)}
        dots = any(key not in violins or len(own) <= MOST for key, own in groups.items())
        handles = _handles(place, dots, bool(violins))
        drawing = _violins(place, page, f"{place}: {title}", groups, violins, handles)
        caption = [
            f"Models by method and setting, {_range(seeds)} of each. Upright marks: means, no error bars.",
            "Dots: single models." if dots else "",
            f"Violins: the density of {LEAST} seeds or more, over their range, all equally wide."
            if violins
            else "",
            f"Where there are more than {MOST} models no dots are drawn." if seeds.max() > MOST else "",
            "Lines across: calibration representations, where they are near." if place.references else "",
            place.about,
        ]
        told = " ".join(filter(None, caption))
        yield _Drawn("scores", title, told, drawing, _summary(place), f"{k + 1}" if k else "")


def _is_violin(own: pd.DataFrame) -> bool:
    return own["seed"].nunique() >= LEAST and own["value"].min() < own["value"].max()


def _summary(place: _Place) -> pd.DataFrame:
    from disentangle.frame import summarise

    runs = place.runs
    return summarise(runs if "metric_std" in runs else runs.assign(metric_std=math.nan, repeats=1))


def _violins(
    place: _Place,
    page: Sequence[int],
    title: str,
    groups: Mapping[Any, pd.DataFrame],
    violins: set[Any],
    handles: Sequence[Any],
) -> Drawing:
    labels = _labels(place, page)
    heights = [max(0.23, 0.1 + 0.12 * len(lines)) for lines in labels]
    y = {unit: sum(heights[:k]) + heights[k] / 2 for k, unit in enumerate(page)}
    first = [k for k, unit in enumerate(page) if k and place.units[unit][0] != place.units[page[k - 1]][0]]
    left = style.EDGE + max(style.width_of(line, 7) for lines in labels for line in lines) + 0.1
    width = 1.75 if len(page) <= PAGE / 3 else 1.45
    below = 0.4 + 0.11 * len({name for _, name in place.references})
    size, around = (width, sum(heights)), (left, 0.22, below)
    drawing, axes = style.panels(title, _heads(place.scores, width), size, around, handles)
    edge = min(panel.get_position().x0 for panel in axes.values())
    for i, panel in axes.items():
        _axis(panel, place, i, size)
        _groups(
            panel,
            place,
            {u: own for (m, u), own in groups.items() if m == i},
            y,
            {u for m, u in violins if m == i},
        )
        for k in first:  # a line between methods
            panel.axhline(sum(heights[:k]), color=style.INK, alpha=0.15, lw=0.5)
        if panel.get_position().x0 == edge:
            for unit, lines in zip(page, labels, strict=True):
                _beside(panel, y[unit], lines, 7)
    return drawing


def _groups(
    axes: Axes, place: _Place, groups: Mapping[int, pd.DataFrame], y: Mapping[int, float], violins: set[int]
) -> None:
    """What each setting's models scored in one metric, and the means of two and more."""
    for unit, own in groups.items():
        colour = style.COLOURS[place.colours[place.units[unit][0]] % len(style.COLOURS)]
        _models(axes, own["value"].to_numpy(), y[unit], colour, unit in violins)
    means = [(own["value"].mean(), y[unit]) for unit, own in groups.items() if len(own) > 1]
    x, at = np.reshape(means, (-1, 2)).T
    _dashes(axes, x, at, 0, 0.14, color=style.INK, lw=1.4, solid_capstyle="butt")


def _beside(axes: Axes, y: float, lines: Sequence[str], size: float) -> None:
    """Lines of text left of axes of which a unit of y is an inch; each is aligned for itself."""
    inches = float(axes.get_position().width * axes.get_figure().get_size_inches()[0])  # type: ignore[union-attr]
    for k, line in enumerate(lines):
        at = -0.07 / inches, y + (k - (len(lines) - 1) / 2) * 0.12
        axes.text(
            *at, line, size=size, transform=axes.get_yaxis_transform(), ha="right", va="center_baseline"
        )


def density(values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian kernel density of some values (n,), not all equal, at others; Scott's bandwidth.

    The bandwidth is ``std * n ** (-1 / 5)``, with n - 1 in the standard deviation's denominator.

    >>> bool(np.isclose(density(np.array([-1.0, 1.0]), np.array([0.0])).item(), 0.2330, atol=1e-4))
    True
    """
    width = values.std(ddof=1) * len(values) ** -0.2
    kernels = np.exp(-(((at[:, None] - values) / width) ** 2) / 2)
    return np.asarray(kernels.mean(axis=1) / (width * math.sqrt(2 * math.pi)))


def _models(axes: Axes, values: NDArray[np.float64], y: float, colour: str, violin: bool) -> None:
    """The models of one setting and metric, as a violin or dots or both."""
    if violin:
        x = np.linspace(values.min(), values.max(), OUTLINE)
        high = density(values, x)
        half = 0.1 * high / high.max()
        outline = np.r_[x, x[::-1]], np.r_[y - half, (y + half)[::-1]]
        axes.fill(*outline, facecolor=_faded(colour, 0.4), edgecolor=colour, lw=0.7)
    if not violin or len(values) <= MOST:
        next_to_none = np.ptp(axes.get_xlim()) * 1e-4  # with round ends, a dot
        at = np.full(len(values), y)
        _dashes(axes, values, at, next_to_none, 0, color=colour, lw=3, solid_capstyle="round")


def _dashes(axes: Axes, x: Any, y: Any, across: Any, down: Any, **options: Any) -> None:
    """Short lines about points as one path, which in SVG takes a fifth of what markers do."""
    gap = np.full(len(x), math.nan)
    ends = [np.column_stack([at - d / 2, at + d / 2, gap]).ravel() for at, d in ((x, across), (y, down))]
    axes.plot(*ends, snap=False, **options)


def _axis(axes: Axes, place: _Place, metric_id: str, size: tuple[float, float]) -> None:
    """Limits, ticks and the lines of calibration representations of one panel of scores."""
    values = place.runs["value"][place.runs["metric_id"] == metric_id]
    low, high = float(values.min()), float(values.max())
    reach = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-9)
    known = {name: place.references.get((metric_id, name), math.nan) for name in REFERENCES}
    for value in known.values():  # those that are near are shown
        if max(high, value) - min(low, value) <= 1.4 * reach:
            low, high = min(low, value), max(high, value)
    axes.set(xlim=(low - 0.07 * reach, high + 0.07 * reach), ylim=(size[1], 0), yticks=[])
    style.ticks(axes.xaxis)
    axes.tick_params(axis="x", labelsize=style.SMALL, pad=1.5)
    axes.spines["left"].set_alpha(0.3)
    told = [(name, value) for name, value in known.items() if math.isfinite(value)]
    for k, (name, value) in enumerate(told):
        text = f"{name.replace('_', ' ')} {value:.3f}".replace("-", "\N{MINUS SIGN}")
        axes.text(
            0, size[1] + 0.3 + 0.11 * k, text, transform=axes.get_yaxis_transform(), size=6, va="baseline"
        )
        if low <= value <= high:
            axes.axvline(value, color=style.INK, lw=0.7, ls=REFERENCES[name], alpha=0.7)


def _handles(place: _Place, dots: bool, violins: bool) -> list[Any]:
    """The legend of the scores."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ink, grey = style.INK, style.COLOURS[-1]
    found: list[Any] = [Line2D([], [], color=ink, marker="|", ms=8, mew=1.4, ls="", label="mean")]
    if dots:
        found.append(Line2D([], [], color=grey, marker="o", ms=3, ls="", label="one model"))
    if violins:
        found.append(Patch(facecolor=_faded(grey, 0.4), edgecolor=grey, lw=0.7, label="density"))
    names = {name for _, name in place.references}
    for name in (name for name in REFERENCES if name in names):
        found.append(Line2D([], [], color=ink, lw=0.7, ls=REFERENCES[name], label=name.replace("_", " ")))
    return found


def _against(place: _Place) -> Iterator[_Drawn]:
    for name, mine in place.responses.groupby("hyperparameter"):
        pairs = mine[["method", "others"]].drop_duplicates().itertuples(index=False, name=None)
        lines = sorted(pairs, key=lambda line: (place.colours[line[0]], _key(())(("", line[1]))))
        title = f"scores against {name}"
        drawing = _curves(mine, lines, place, f"{place}: {title}", str(name))
        caption = (
            f"Means over models against {name}, all else equal along a line, with Student's 95 % interval "
            "where there are two models or more; n is the number of models behind a point. Lines are moved "
            f"apart a little. Where {name} has one value, or none that is a number, a setting is left out. "
        )
        yield _Drawn("against", title, caption + place.about, drawing, mine, str(name))


def _curves(
    mine: pd.DataFrame, lines: Sequence[tuple[str, str]], place: _Place, title: str, name: str
) -> Drawing:
    looks = _looks(mine, lines, place)
    scores = {i: score for i, score in place.scores.items() if i in set(mine["metric_id"])}
    size = (1.95, 1.5)
    drawing, axes = style.panels(title, _heads(scores, size[0]), size, (0.55, 0.55, 0.5), [*looks.values()])
    for i, panel in axes.items():
        here = mine[mine["metric_id"] == i]
        place_x = _x_axis(panel, sorted(set(mine["hyper_value"])), size[0], name)
        for k, ((method, others), look) in enumerate(looks.items()):
            own = here[(here["method"] == method) & (here["others"] == others)]
            x, mean, half = (own[c].to_numpy(float) for c in ("hyper_value", "mean", "ci95_half_width"))
            x = place_x(x, (k + 0.5) / len(lines) - 0.5)
            colour, cap = look.get_color(), 0.025 * np.ptp(panel.get_xlim())
            panel.plot(x, mean, color=colour, ls=look.get_linestyle(), marker=look.get_marker(), **CURVE)
            for y, across, down in ((mean, 0, 2 * half), (mean - half, cap, 0), (mean + half, cap, 0)):
                _dashes(panel, x, y, across, down, color=colour, lw=0.7, solid_capstyle="butt")
        style.ticks(panel.yaxis)
        panel.tick_params(labelsize=style.SMALL, pad=1.5)
    return drawing


def _looks(
    mine: pd.DataFrame, lines: Sequence[tuple[str, str]], place: _Place
) -> dict[tuple[str, str], Line2D]:
    """A method's colour, a marker for each line and a dash for each of its own, as entries of the legend."""
    from matplotlib.lines import Line2D

    found = {}
    for k, (method, others) in enumerate(lines):
        within = sum(other == method for other, _ in lines[:k])
        n = mine["n"][(mine["method"] == method) & (mine["others"] == others)]
        label = f"{_title(method)}{f' ({others})' if others else ''}, n = {_range(n)}"
        colour = style.COLOURS[place.colours[method] % len(style.COLOURS)]
        dash, marker = style.DASHES[within % len(style.DASHES)], style.MARKERS[k % len(style.MARKERS)]
        found[method, others] = Line2D([], [], label=label, color=colour, ls=dash, marker=marker, **CURVE)
    return found


def _x_axis(axes: Axes, values: Sequence[float], width: float, name: str) -> Callable[..., Any]:
    """The axis of a hyperparameter, with its values as ticks; returns what places values on it."""
    log = values[0] > 0 and values[-1] >= LOG * values[0]
    scale = [math.log(value) if log else value for value in values]
    reach = scale[-1] - scale[0]
    kept: list[tuple[float, str]] = []
    free = -math.inf
    for at, value in zip(scale, values, strict=True):  # as many as have room
        text = f"{value:g}".replace("-", "\N{MINUS SIGN}")
        half = style.width_of(text, style.SMALL) / 2 + 0.02
        where = (at - scale[0]) / reach * width / 1.16
        if where - half >= free:
            kept.append((at, text))
            free = where + half
    axes.set_xlim(scale[0] - 0.08 * reach, scale[-1] + 0.08 * reach)
    axes.set_xticks([at for at, _ in kept], [text for _, text in kept])
    axes.set_xlabel(name + (", logarithmic" if log else ""), size=style.NORMAL, labelpad=1.5)
    return lambda x, moved: (np.log(x) if log else x) + moved * 0.04 * reach


def _correlation(place: _Place) -> Iterator[_Drawn]:
    ids = [*place.scores]
    mine = place.correlation
    mine = mine[mine["metric_id_a"].isin(ids) & mine["metric_id_b"].isin(ids)]
    off = mine[mine["metric_id_a"] != mine["metric_id_b"]]
    if off["spearman"].isna().all():
        return
    title = f"rank correlation of metrics over {_range(off['n'])} models"
    caption = (
        "Spearman's rank correlation of the scores of models, of all methods, settings and seeds. Blue is "
        "positive, orange negative, the stronger the deeper; a dash: fewer than three models, or a constant "
        "score. No sign is turned where less is better. "
    )
    drawing = _heat(place.scores, mine, f"{place}: {title}")
    yield _Drawn("correlation", title, caption + place.about, drawing, mine)


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
    for row, a in enumerate(ids):
        _named(axes, (row + 0.5) * high, lines[a])
        slanted: dict[str, Any] = {"rotation": 40, "rotation_mode": "anchor", "size": style.NORMAL}
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
    _beside(axes, y - 0.055, lines[:1], style.NORMAL)
    _beside(axes, y + 0.065, lines[1:], style.SMALL)


def _cell(axes: Axes, x: float, y: float, value: float) -> None:
    from matplotlib.patches import Rectangle

    (wide, high), gap, text = CELL, 0.01, "\N{EN DASH}"
    if value == value:
        text = f"{value:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")
        colour = _faded(style.COLOURS[0] if value > 0 else style.COLOURS[1], 0.75 * abs(value))
        axes.add_patch(Rectangle((x + gap, y + gap), wide - 2 * gap, high - 2 * gap, facecolor=colour, lw=0))
    axes.text(x + wide / 2, y + high / 2, text, size=style.NORMAL, ha="center", va="center_baseline")


def _variance(place: _Place) -> Iterator[_Drawn]:
    mine = place.shares
    if not ((mine["settings"] > 1) & mine["share_seed"].notna()).any():
        return
    title = f"what explains the variance of {_range(mine['models'])} models"
    methods, settings = mine["methods"].max(), mine["settings"].max()
    caption = (
        f"Shares of the sum of squares of each score: between {_count(methods, 'method')}, between "
        f"{_count(settings, 'setting')} within methods, and between seeds within settings. Thin bars: what "
        "chance alone would give, if nothing but seeds mattered. Adjusted for chance: shares of method and "
        "setting with that deducted (as omega squared); below 0 is less than chance would give. After "
        "Locatello et al. 2019, arXiv 1811.12359, section 5.4. "
    )
    drawing = _bars(place.scores, mine, f"{place}: {title}")
    yield _Drawn("variance", title, caption + place.about, drawing, mine)


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
    handles = [
        Patch(facecolor=_faded(*fill), edgecolor=style.INK, lw=0.4, label=name) for fill, name in names
    ]
    handles.append(Patch(facecolor="none", edgecolor="none", label="thin bars: by chance alone"))
    style.legend(drawing, handles, 4)
    return drawing


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-0", "0").replace("-", "\N{MINUS SIGN}")


def _faded(colour: str, alpha: float) -> tuple[float, float, float, float]:
    from matplotlib.colors import to_rgba

    return to_rgba(colour, alpha)


def _stack(axes: Axes, y: float, high: float, shares: Sequence[float], note: str = "") -> None:
    """One bar of three parts, with the numbers in those that have room for them."""
    start = 0.0
    if any(share != share for share in shares):
        axes.text(0.01, y, note, size=style.SMALL, va="center_baseline")
        return
    for share, (colour, alpha) in zip(shares, FILLS, strict=True):
        face = _faded(colour, alpha)
        axes.barh(y, share, high, start, facecolor=face, edgecolor=style.INK, lw=0.4)
        if high > 0.1 and share > 0.06:
            ink = "white" if alpha == 1 else style.INK
            middle = start + share / 2
            put: dict[str, Any] = {"size": style.SMALL, "ha": "center", "va": "center_baseline"}
            axes.text(middle, y, _percent(share), color=ink, **put)
        start += share
