"""The numbers behind a study's figures: its models, the correlation of metrics and shares of variance.

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

import itertools
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
NEEDED = ["kind", "run_key", "dataset", "source", *UNIT[:-1], "seed", "metric_id", "score", "value"]
PARTS = ("method", "setting", "seed")
CORRELATION = [*PLACE, *(f"{name}_{of}" for of in "ab" for name in ("metric_id", "score", "lower_is_better")),
               "spearman", "n"]  # fmt: skip
SHARES = [*PLACE, "metric_id", "score", "methods", "settings", "models",
          *(f"{what}_{part}" for what in ("share", "chance", "adjusted") for part in PARTS),
          "note"]  # fmt: skip


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

    lines: list[tuple[Any, ...]] = []
    groups: Any = models(frame, headlines).groupby(PLACE)  # its keys are tuples of texts
    ends = {i: (i, score, lower_is_better(score)) for i, score in headlines.items()}
    for place, mine in groups:
        wide = mine.pivot(index="run_key", columns="metric_id", values="value").reindex(columns=[*headlines])
        for a, b in itertools.product(headlines, repeat=2):
            found = _spearman(wide[a].to_numpy(float), wide[b].to_numpy(float))
            lines.append((*place, *ends[a], *ends[b], *found))
    return pd.DataFrame(lines, columns=CORRELATION)


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, int]:
    import pandas as pd

    both = np.isfinite(a) & np.isfinite(b)
    n = int(both.sum())
    if n < 3:
        return math.nan, n
    x, y = (pd.Series(scores[both]).rank().to_numpy() - (n + 1) / 2 for scores in (a, b))
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
    groups: Any = models(frame, headlines).groupby(PLACE)
    for place, here in groups:
        for i, score in headlines.items():
            mine = here[here["metric_id"] == i]
            if len(mine):
                of = dict(zip([*PLACE, "metric_id", "score"], (*place, i, score), strict=True))
                lines.append(of | _shares(mine))
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
) -> list[float]:
    """The nested sums of squares of method, setting and seed, in units of the largest deviation."""
    x = x - x.mean()
    x = x / np.abs(x).max()
    x = x - x.mean()
    of_method, of_setting = _means(x, method), _means(x, setting)
    parts = (of_method, of_setting - of_method, x - of_setting)
    return [float(part @ part) for part in parts]


def _means(x: NDArray[np.float64], group: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Of each x the mean of its group."""
    means = np.bincount(group, weights=x) / np.bincount(group)
    return np.asarray(means[group])
