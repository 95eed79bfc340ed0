"""Every metric on every rung of the calibration ladder, as a tidy frame, with published numbers beside."""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle import find
from disentangle.draws import generator
from disentangle.errors import InputError
from disentangle.ladder import CASES, RUNGS, Rung
from disentangle.ladder_published import counterparts
from disentangle.provenance import provenance
from disentangle.score import MetricSpec, metric_id, parse_metric, score

if TYPE_CHECKING:
    import pandas as pd

    from disentangle.ladder import Codes, Factors

Line = dict[str, Any]
# Of one metric, several numbers that are read on their own.
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {"sap": ({"kind": "continuous"},)}
LEFT_OUT = {
    ("dci", "dlib"): "scikit-learn's trees, about six minutes of one core for each representation; on the "
    "reference's golden cases it is within .0033 of the default",
    ("downstream", "dlib"): "scikit-learn's cross-validation, about half a minute of one core for each "
    "representation; the metric's documentation has the differences that were measured",
}
INSTANCES = 3  # of a rung, for the metrics that compare models
TEXTS = ["metric", "metric_id", "mode", "variant", "score", "points", "published_metric", "published_source",
         "differs", "message"]  # fmt: skip
NUMBERS = ["value", "std", "seconds", "published"]
ORIGIN = ["version", "commit", "dirty", "python", "numpy", "scikit_learn", "hardware"]
COLUMNS = [
    "set", "representation", "about", "metric", "metric_id", "mode", "variant", "score", "value", "std",
    "repeats", "points", "seconds", "published", "published_metric", "published_source", "differs", "message",
    *ORIGIN,
]  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A metric in one form: the default, a variant of it, or another mode."""

    metric: str
    options: dict[str, Any] = field(default_factory=dict)
    variant: str = ""
    mode: str = "default"

    @property
    def spec(self) -> dict[str, Any]:
        mode = {} if self.mode == "default" else {"mode": self.mode}
        return {"name": self.metric, **self.options, **mode}

    def line(self, score: str, id: str, **rest: Any) -> Line:
        kept = {"metric": self.metric, "mode": self.mode, "variant": self.variant}
        return {**kept, "score": score, "metric_id": id, **rest}


def entries(metrics: Iterable[MetricSpec] | None = None) -> list[Entry]:
    """Each metric in all its forms, without those of `LEFT_OUT`; all metrics where none are named."""
    found = []
    for spec in find.names("metric") if metrics is None else metrics:
        if isinstance(spec, str) and spec in find.names("metric") and find.get("metric", spec).of_models:
            name, options = spec, dict[str, Any]()
        else:
            name, options = parse_metric(spec)
        if (mode := options.pop("mode", "default")) != "default":  # that one only
            found.append(Entry(name, options, mode=mode))
            continue
        found.append(Entry(name, options))
        for extra in VARIANTS.get(name, ()):
            text = ",".join(f"{k}={v}" for k, v in extra.items())
            found.append(Entry(name, {**options, **extra}, variant=text))
        modes = (mode for mode in find.get("metric", name).modes if (name, mode) not in LEFT_OUT)
        found += [Entry(name, options, mode=mode) for mode in modes]
    return found


def measure(
    metrics: Iterable[MetricSpec] | None = None,
    *,
    rungs: Sequence[Rung] = RUNGS,
    cases: Sequence[Rung] = CASES,
    seed: int = 0,
    repeats: int = 3,
    slow: float = 3.0,
) -> pd.DataFrame:
    """Score the ladder and the published cases.

    Args:
        metrics: as for `disentangle.score.score`, and those that compare models by their name; all
            where not given.
        rungs: the ladder, from the best to the worst; scored in every mode.
        cases: constructed cases that published numbers stand beside; scored in the default mode.
        seed: of the constructions and of the metrics' draws.
        repeats: draws of the points in the default mode; one in the others.
        slow: a metric whose first draw takes more seconds than this has that one only.

    Returns:
        One line per representation and score, with the columns `COLUMNS`. A metric that refuses a
        representation has one line with an empty value and the message; a published number that has
        no counterpart here has one without a metric.
    """
    import pandas as pd
    from tqdm import tqdm

    forms, pace, lines = entries(metrics), _Pace(seed, repeats, slow), []
    pace.warm_up(forms)
    # Many minutes: where the output goes to a file, a line of it every half a minute.
    pause = 0.1 if sys.stderr.isatty() else 30
    for rung in tqdm([*rungs, *cases], desc="ladder", mininterval=pause, unit="representation"):
        known = {"set": "carbonneau" if rung.case else "ladder", "representation": rung.name}
        found = list(_scores(rung, forms, pace))
        found = [*counterparts(rung.case, found)] if rung.case else found
        lines += [{**known, "about": rung.about, **line} for line in found]
    frame = pd.DataFrame(lines, columns=COLUMNS)
    frame[TEXTS] = frame[TEXTS].astype(object).fillna("")
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    frame["repeats"] = frame["repeats"].astype("Int64")
    origin = {k.replace("-", "_"): v for k, v in provenance("cpu").items()}
    for column in ORIGIN:
        frame[column] = origin[column]
    return frame


def _scores(rung: Rung, forms: Iterable[Entry], pace: _Pace) -> Iterator[Line]:
    factors = rung.factors()
    codes = rung.codes(factors, pace.seed)
    for form in forms:
        if rung.case and form.mode != "default":
            continue
        metric = find.get("metric", form.metric)
        try:
            if metric.of_models:
                yield from [] if rung.case else _of_models(rung, factors, form, pace)
            else:
                yield from pace.of_codes(codes, factors, form)
        except InputError as error:
            name = metric.named({"mode": form.mode}) if metric.of_models else metric_id(form.spec)
            yield form.line(metric.headline, name, message=str(error))


@dataclass
class _Pace:
    """How often each metric draws: decided once, so that all of its lines have one id."""

    seed: int
    repeats: int
    slow: float
    known: dict[tuple[str, str], int] = field(default_factory=dict)

    def warm_up(self, forms: Iterable[Entry]) -> None:
        """What is imported and compiled on the first call is not the metric's time."""
        grid = np.tile(np.indices((2, 3)).reshape(2, -1).T, (20, 1))
        for form in forms:
            if form.mode == "default" and not find.get("metric", form.metric).of_models:
                try:
                    score(grid.astype(np.float32), grid, [form.spec], published_sizes=False)
                except InputError:
                    continue

    def of_codes(self, codes: Codes, factors: Factors, form: Entry) -> Iterator[Line]:
        for s in self._drawn(codes, factors, form):
            rest = {"repeats": s.repeats, "points": s.points, "seconds": round(s.seconds, 3)}
            yield form.line(s.name, s.id, value=s.value, std=s.std, **rest)

    def _drawn(self, codes: Codes, factors: Factors, form: Entry) -> list[Any]:
        key = (form.metric, form.variant)
        if form.mode != "default" or self.known.get(key) == 1 or self.repeats == 1:
            return score(codes, factors, [form.spec], seed=self.seed)
        if key not in self.known:
            wall, cpu = time.perf_counter(), time.process_time()
            first = score(codes, factors, [form.spec], seed=self.seed)
            seconds = min(time.perf_counter() - wall, time.process_time() - cpu)  # less for others' load
            self.known[key] = 1 if seconds > self.slow else self.repeats
            if self.known[key] == 1:
                return first
        return score(codes, factors, [form.spec], seed=self.seed, repeats=self.repeats)


def _of_models(rung: Rung, factors: Factors, form: Entry, pace: _Pace) -> Iterator[Line]:
    """A metric that compares models, on instances of one rung."""
    metric, repeats = find.get("metric", form.metric), pace.repeats if form.mode == "default" else 1
    tables = [rung.codes(factors, pace.seed, instance) for instance in range(INSTANCES)]
    options = {**metric.published, **({} if form.mode == "default" else {"mode": form.mode})}
    part, began, draws = zlib.crc32(form.metric.encode()), time.perf_counter(), []
    for repeat in range(repeats):
        own = generator(pace.seed, "score", step=repeat, part=part)
        rng: Any = own if form.mode == "default" else pace.seed
        draws.append(metric.function(tables, rng=rng, **options).scores())
    seconds = round((time.perf_counter() - began) / repeats, 3)
    extra = {"instances": INSTANCES, **({"repeats": repeats} if repeats > 1 else {})}
    name = metric.named({**options, **extra})
    for key in draws[0]:
        values = [draw[key] for draw in draws]
        std = float(np.std(values, ddof=1)) if repeats > 1 else None
        yield form.line(
            key, name, value=float(np.mean(values)), std=std, repeats=repeats,
            points=str(metric.published.get("points", len(factors))), seconds=seconds,
        )  # fmt: skip
