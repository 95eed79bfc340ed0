"""The numbers behind a study's figures: correlation of metrics, shares of variance, scores against settings.

Everything is per data set, source and split, which are never joined, and of headline scores. A model is a
run with a finite score; calibration representations are no models. Frames are those of
`disentangle.table.tidy`, or ``table.csv`` read by pandas.

>>> import pandas as pd
>>> shared = dict(kind="run", dataset="toy", source="drawn", steps=5, batch=4, lr=1e-3, latents=2,
...               precision="fp32", split="", metric_id="mig@1", score="mig")
>>> found = [("vae", "", .1), ("vae", "", .3), ("ae", "", .5), ("ae", "", .7)]
>>> frame = pd.DataFrame([{**shared, "run_key": str(i), "seed": i % 2, "method": m, "setting": s, "value": v}
...                       for i, (m, s, v) in enumerate(found)])
>>> variance_shares(frame, {"mig@1": "mig"})[["share_method", "share_seed", "chance_method"]].round(3).values
array([[0.8  , 0.2  , 0.333]])
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle.board import UNIT
from disentangle.errors import InputError
from disentangle.rules import meaning

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

PLACE = ["dataset", "source", "split"]  # nothing is joined across these
TRAINING = ["steps", "batch", "lr", "latents"]  # what can be varied beside a method's own hyperparameters
NEEDED = ["kind", "run_key", "dataset", "source", *UNIT[:-1], "seed", "metric_id", "score", "value"]
PARTS = ("method", "setting", "seed")
CORRELATION = [*PLACE, *(f"{name}_{of}" for of in "ab" for name in ("metric_id", "score", "lower_is_better")),
               "spearman", "n"]  # fmt: skip
SHARES = [*PLACE, "metric_id", "score", "methods", "settings", "models",
          *(f"{what}_{part}" for what in ("share", "chance", "adjusted") for part in PARTS),
          "note"]  # fmt: skip
RESPONSES = [*PLACE, "hyperparameter", "method", "others", "hyper_value", "metric_id", "score",
             "mean", "std", "n", "ci95_half_width"]  # fmt: skip


def models(frame: pd.DataFrame, headlines: Mapping[str, str]) -> pd.DataFrame:
    """The frame's lines of models: runs with a finite headline score, sorted, each model and metric once.

    Args:
        frame: of `disentangle.table.tidy`.
        headlines: metric id to the score that stands for it, of `disentangle.board.headlines`.

    Returns:
        The same columns, with empty texts as ``""`` and ``value`` as float. A run that is there twice, as in
        two studies put together, counts once.

    Raises:
        InputError: a column is missing, or a value is no number.
    """
    missing = [name for name in NEEDED if name not in frame]
    if missing:
        raise InputError(f"the frame has no column {', '.join(missing)}; expected those of table.csv")
    runs: pd.DataFrame = frame[frame["kind"] == "run"]
    if "split" not in runs:  # of a version that had none
        runs = runs.assign(split="")
    texts = ("setting", "split", "precision", "metric_id", "score")  # from a CSV file an empty one is NaN
    runs = runs.assign(**{name: runs[name].astype(object).fillna("").astype(str) for name in texts})
    runs = runs.assign(value=_values(runs["value"]))
    headline = np.array(
        [headlines.get(i) == s for i, s in zip(runs["metric_id"], runs["score"], strict=True)]
    )
    runs = runs[headline.astype(bool) & np.isfinite(runs["value"].to_numpy())]
    runs = runs.sort_values([*PLACE, *UNIT[:-1], "seed", "run_key", "metric_id"], ignore_index=True)
    return runs.drop_duplicates([*PLACE, "run_key", "metric_id"], ignore_index=True)


def _values(column: pd.Series[Any]) -> NDArray[np.float64]:
    """The scores as floats, NaN where there is none."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").astype("Float64")
    for wrong in column[numbers.isna() & column.notna()]:
        raise InputError(f"the frame's column value has {wrong!r}; expected a number")
    return np.asarray(numbers.to_numpy(float, na_value=math.nan), np.float64)


def lower_is_better(score: str) -> bool:
    """Whether less of a headline score is better.

    >>> lower_is_better("mig"), lower_is_better("unsupervised_gaussian_total_correlation")
    (False, True)
    """
    return meaning(score)[1]


def rank_correlation(frame: pd.DataFrame, headlines: Mapping[str, str]) -> pd.DataFrame:
    """Spearman's rank correlation of headline scores over models.

    The ranks of equal scores are averaged. Models of all methods and settings are pooled, so that it tells
    both of differences between methods and of those between seeds. No sign is turned: where
    ``lower_is_better`` is true of one of the two scores and not of the other, metrics that agree have a
    negative correlation.

    Args:
        frame: of `disentangle.table.tidy`.
        headlines: metric id to the score that stands for it.

    Returns:
        The columns `CORRELATION`, a line per ordered pair of metric ids (each with itself too). ``spearman``
        is in [-1, 1], and NaN where fewer than 3 models have both scores or one score is constant; ``n``
        counts the models that have both.

    Raises:
        InputError: see `models`.
    """
    import pandas as pd

    lines: list[dict[str, Any]] = []
    groups: Any = models(frame, headlines).groupby(PLACE)  # its keys are tuples of texts
    for place, mine in groups:
        wide = mine.pivot(index="run_key", columns="metric_id", values="value").reindex(
            columns=list(headlines)
        )
        for a, b in ((a, b) for a in headlines for b in headlines):
            value, n = _spearman(wide[a].to_numpy(float), wide[b].to_numpy(float))
            ends: dict[str, Any] = {f"metric_id_{of}": i for of, i in zip("ab", (a, b), strict=True)}
            ends |= {f"score_{of}": headlines[i] for of, i in zip("ab", (a, b), strict=True)}
            ends |= {f"lower_is_better_{of}": lower_is_better(ends[f"score_{of}"]) for of in "ab"}
            lines.append({**dict(zip(PLACE, place, strict=True)), **ends, "spearman": value, "n": n})
    return pd.DataFrame(lines, columns=CORRELATION)


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, int]:
    from scipy.stats import rankdata

    both = np.isfinite(a) & np.isfinite(b)
    n = int(both.sum())
    if n < 3:
        return math.nan, n
    x, y = (rankdata(scores[both]) - (n + 1) / 2 for scores in (a, b))
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return (float(np.clip(x @ y / spread, -1, 1)) if spread else math.nan), n


def variance_shares(frame: pd.DataFrame, headlines: Mapping[str, str]) -> pd.DataFrame:
    """How much of the variance of each headline score is due to method, to setting and to the seed.

    Sums of squares, nested, over n models x with the mean m of all, m_i of method i and m_ij of its
    setting j (method and every other field of `disentangle.board.UNIT`)::

        method   sum of (m_i - m)^2      df = methods - 1
        setting  sum of (m_ij - m_i)^2   df = settings - methods
        seed     sum of (x - m_ij)^2     df = n - settings

    ``share_*`` are these over their sum; method plus setting is what objective and hyperparameters explain.
    They are in [0, 1] and inflated by chance where seeds are few: ``chance_*`` is what to expect if nothing
    but seeds mattered, df / (n - 1), whatever the numbers of seeds. ``adjusted_*`` deducts that, as omega
    squared does, with MS the seeds' sum of squares over its df::

        (SS - df * MS) / (SS_total + MS)

    of method and of setting, and the rest for the seed. One below 0 says that the effect is smaller than
    chance alone would make it: none is seen. The method's is not cleared of what its settings happen to be.
    The idea: Locatello et al. 2019 (arXiv 1811.12359, section 5.4).

    Args:
        frame: of `disentangle.table.tidy`.
        headlines: metric id to the score that stands for it.

    Returns:
        The columns `SHARES`, a line per metric id with scores. Without two seeds of some setting, setting and
        seed cannot be told apart: their shares, and all adjusted ones, are NaN; where all scores are equal
        all shares are. ``note`` says so.

    Raises:
        InputError: see `models`.
    """
    import pandas as pd

    lines: list[dict[str, Any]] = []
    groups: Any = models(frame, headlines).groupby([*PLACE, "metric_id"])
    for place, mine in groups:
        lines.append(dict(zip([*PLACE, "metric_id"], place, strict=True)))
        lines[-1] |= {"score": headlines[place[-1]], **_shares(mine)}
    order = {metric_id: place for place, metric_id in enumerate(headlines)}
    lines.sort(key=lambda line: (*(line[name] for name in PLACE), order[line["metric_id"]]))
    return pd.DataFrame(lines, columns=SHARES)


def _shares(mine: pd.DataFrame) -> dict[str, Any]:
    """The shares of one metric's models."""
    x, n = mine["value"].to_numpy(float), len(mine)
    method = mine.groupby("method", sort=False).ngroup().to_numpy()
    setting = mine.groupby(UNIT, sort=False, dropna=False).ngroup().to_numpy()
    methods, settings = len(set(method.tolist())), len(set(setting.tolist()))
    free = dict(zip(PARTS, (methods - 1, settings - methods, n - settings), strict=True))
    found: dict[str, Any] = {"methods": methods, "settings": settings, "models": n, "note": ""}
    found |= {f"chance_{part}": df / (n - 1) if n > 1 else math.nan for part, df in free.items()}
    if x.min() == x.max():
        return found | {"note": "one model" if n == 1 else "all scores are equal"}
    sums = zip(free.items(), _squares(x, method, setting), strict=True)
    squares = {part: value if df else 0.0 for (part, df), value in sums}  # 0, not 1e-34
    total = sum(squares.values())
    found |= {f"share_{part}": value / total for part, value in squares.items()}
    if not free["seed"]:
        told = "no setting has two seeds: setting and seed cannot be told apart"
        return found | {"share_setting": math.nan, "share_seed": math.nan, "note": told}
    noise = squares["seed"] / free["seed"]
    for part in ("method", "setting"):
        found[f"adjusted_{part}"] = (squares[part] - free[part] * noise) / (total + noise)
    found["adjusted_seed"] = 1 - found["adjusted_method"] - found["adjusted_setting"]
    return found


def _squares(
    x: NDArray[np.float64], method: NDArray[np.integer[Any]], setting: NDArray[np.integer[Any]]
) -> tuple[float, float, float]:
    """The nested sums of squares of method, setting and seed, in units of the largest deviation."""
    x = x - x.mean()
    x = x / np.abs(x).max()
    x = x - x.mean()
    of_method, of_setting = _means(x, method), _means(x, setting)
    parts = (of_method, of_setting - of_method, x - of_setting)
    method_ss, setting_ss, seed_ss = (float(part @ part) for part in parts)
    return method_ss, setting_ss, seed_ss


def _means(x: NDArray[np.float64], group: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Of each x the mean of its group."""
    means = np.bincount(group, weights=x) / np.bincount(group)
    return np.asarray(means[group])


def responses(frame: pd.DataFrame, headlines: Mapping[str, str]) -> pd.DataFrame:
    """Mean scores against each numeric hyperparameter of which a method has several values, all else equal.

    Steps, batch, learning rate and latents count as hyperparameters too. Values that are no numbers, such as
    ``k = "rnd"``, are left out.

    Args:
        frame: of `disentangle.table.tidy`.
        headlines: metric id to the score that stands for it.

    Returns:
        The columns `RESPONSES`, a line per value and metric id. ``others`` tells lines of one method
        apart that differ in something else, such as ``"k=1"``. The interval is Student's,
        ``t(0.975, n - 1) * std / sqrt(n)``, NaN for n = 1.

    Raises:
        InputError: see `models`.
    """
    import pandas as pd

    found = models(frame, headlines)
    hyper = sorted(name for name in map(str, found) if name.startswith("hyper."))
    fields = ["method", *hyper, *UNIT[2:-1]]
    plain = found[fields].astype(object).where(found[fields].notna(), None)
    texts = pd.DataFrame({name: [_text(value) for value in plain[name].tolist()] for name in fields})
    lines: list[dict[str, Any]] = []
    for name in [*hyper, *TRAINING]:
        x = np.array([_number(value) for value in plain[name].tolist()], float)
        if len({*x[np.isfinite(x)]}) < 2:
            continue
        rest = texts.drop(columns=name)
        keys: Any = [*zip(*(rest[field].tolist() for field in rest), strict=True)]
        alike = found[PLACE].assign(rest=keys, x=x)
        several = alike.groupby([*PLACE, "rest"])["x"].transform("nunique") > 1
        kept = several.to_numpy(bool) & np.isfinite(x)
        mine = found[kept].assign(hyper_value=x[kept], others=_others(found[kept], rest[kept]))
        lines += [
            {"hyperparameter": name.removeprefix("hyper."), **line} for line in _means_of(mine, headlines)
        ]
    by = [*PLACE, "hyperparameter", "method", "others"]
    return pd.DataFrame(lines, columns=RESPONSES).sort_values(by, kind="stable", ignore_index=True)


def _number(value: Any) -> float:
    """A hyperparameter as a number; NaN where it is none, as True, False and most texts."""
    if isinstance(value, bool | np.bool_) or value is None:
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan


def _text(value: Any) -> str:
    """A field's value as in a setting's text; empty where it has none."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _others(mine: pd.DataFrame, rest: pd.DataFrame) -> list[str]:
    """What else tells the lines of one method apart, such as ``"k=1"``."""
    found = [""] * len(mine)
    places = mine.reset_index().groupby([*PLACE, "method"]).indices
    for rows in places.values():
        own = rest.iloc[rows]
        names = [name for name in map(str, own) if own[name].nunique() > 1]
        for row, values in zip(rows, own[names].to_numpy().tolist(), strict=True):
            told = zip(names, values, strict=True)
            found[row] = ", ".join(f"{name.removeprefix('hyper.')}={v}" for name, v in told if v)
    return found


def _means_of(mine: pd.DataFrame, headlines: Mapping[str, str]) -> list[dict[str, Any]]:
    """Mean, spread and interval of each point of each line, in the order of the metrics."""
    from scipy.stats import t

    order = {metric_id: place for place, metric_id in enumerate(headlines)}
    keys = [*PLACE, "method", "others", "place", "hyper_value", "metric_id", "score"]
    grouped = mine.assign(place=mine["metric_id"].map(order)).groupby(keys)["value"]
    lines: Any = grouped.agg(mean="mean", std="std", n="count").reset_index().to_dict("records")
    for line in lines:
        n = line["n"]
        line["ci95_half_width"] = t.ppf(0.975, n - 1) * line["std"] / math.sqrt(n) if n > 1 else math.nan
    return [*lines]
