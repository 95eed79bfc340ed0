"""Score a representation: apply metrics to a table of codes and factors."""

from __future__ import annotations

import inspect
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from disentangle import find
from disentangle.draws import generator
from disentangle.errors import DataError, InputError, convert, unknown
from disentangle.metrics._points import check_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MetricSpec = str | Mapping[str, Any]
# What the suite hands in, and nobody sets in a study.
FIXED = {"codes", "factors", "rng", "test", "threads", "device"}


@dataclass(frozen=True)
class Score:
    """One number of one metric.

    Attributes:
        name: which number, such as ``"mig"`` or ``"dci_completeness"``.
        id: the metric's estimator and protocol, such as ``"mig@1"``; options that depart from the
            published protocol stand in brackets.
        value: the number; with repeats the mean over them.
        points: the points it was computed from, such as ``"10000"`` or ``"1000 train, 500 test"``.
        seconds: wall-clock time of the metric, of one draw of its points (the same on each of its
            numbers). DCI's first call on a machine compiles its trees, for up to a minute.
        repeats: how often the metric drew its points anew.
        std: standard deviation of the number over those draws (n - 1 in the denominator), the
            metric's own noise; None for a single draw. A metric that draws nothing has 0.
        matrices: of the metric's headline, the matrices (D, F) that it names in its descriptor, to six
            digits; with repeats the means over them.
    """

    name: str
    id: str
    value: float
    points: str
    seconds: float
    repeats: int = 1
    std: float | None = None
    matrices: dict[str, list[list[float]]] = field(default_factory=dict)


def parse_metric(spec: MetricSpec) -> tuple[str, dict[str, Any]]:
    """A metric's name and options: ``"mig"``, ``"sap@dlib"``, ``{"name": "dci", "train_points": 1000}``.

    Raises:
        InputError: an unknown metric or option.

    >>> parse_metric({"name": "mig", "bins": 30})
    ('mig', {'bins': 30})
    """
    if isinstance(spec, str):
        name, _, mode = spec.partition("@")
        options = {"mode": mode} if mode else {}
    else:
        options = dict(spec)
        if "name" not in options:
            raise InputError(f"a metric with options needs a name, got {dict(spec)}")
        name = str(options.pop("name"))
    metric = find.get("metric", name)
    if metric.of_models:
        raise InputError(
            f"{name} compares several models of one setting and cannot score one; "
            f"use the command disentangle {name} RUN RUN ..., or call disentangle.{name} with a list of codes"
        )
    function = metric.function
    known, types = set(inspect.signature(function).parameters) - FIXED, get_type_hints(function)
    for option, value in options.items():
        if option not in known:
            raise unknown(f"option of metric {name}", option, known)
        options[option] = convert(value, types[option], f"metric {name}: option {option}")
    return name, options


def metric_id(spec: MetricSpec, rows: int | None = None, n: int | None = None, *, repeats: int = 1) -> str:
    """The id that stands in a row for a metric with these options.

    Args:
        spec: the metric.
        rows: scored on so many random images of the grid.
        n: computed from so many rows as they are, instead of the published number of points.
        repeats: the mean over so many draws of the points.

    >>> metric_id("mig", rows=50_000)
    'mig@1[rows=50000]'
    """
    name, options = parse_metric(spec)
    extra = {k: v for k, v in (("rows", rows), ("n", n)) if v is not None}
    extra |= {"repeats": repeats} if repeats > 1 else {}
    metric = find.get("metric", name)
    return metric.named({**options, **extra}, None if n is None else metric.defaults())


def score(
    codes: ArrayLike,
    factors: ArrayLike,
    metrics: Iterable[MetricSpec] | None = None,
    *,
    seed: int = 0,
    rows: int | None = None,
    published_sizes: bool = True,
    repeats: int = 1,
    threads: int = 1,
    device: str = "cpu",
) -> list[Score]:
    """Score codes against factors with several metrics.

    Every metric draws for itself, so its number does not depend on which others run: in the default
    mode from a stream of its own, in others from a generator of the seed, as the reference did.
    With ``repeats`` the metric draws its points so often anew; the standard deviation over those draws
    is the metric's own noise. The spread over models trained from other seeds is another matter:
    see ``metric_std`` and ``seed_std`` in `disentangle.table.summarise`.

    Args:
        codes: ``(N, D)``, one row per image.
        factors: ``(N, F)``, integer indices.
        metrics: names, or dicts with a name and options; all that score one representation where not
            given.
        seed: of the metrics' draws.
        rows: set by the suite when ``codes`` is a random part of the grid; stands in the id.
        published_sizes: draw as many points as the studies did (with replacement). Without it
            the metrics that can use the rows given, once each. Say so for a table of your own that is
            not the whole grid: ids without ``n`` mean points drawn from the grid.
        repeats: how many draws of the points.
        threads: how many processor cores a metric may use.
        device: where DCI's trees grow, ``"cpu"`` or ``"cuda"``; the latter stands in the id.

    Returns:
        The scores in the order of the metrics.

    Raises:
        InputError: an unknown metric or option, a metric that compares several models, or data a metric
            cannot use.

    >>> grid = np.stack(np.unravel_index(np.arange(60), (3, 4, 5)), 1)
    >>> [s] = score(grid.astype(float), grid, ["mig"], published_sizes=False)
    >>> s.name, round(s.value, 6), s.points
    ('mig', 1.0, '60')
    """
    codes, factors = np.asarray(codes), np.asarray(factors)
    from threadpoolctl import threadpool_limits

    repeats, threads = check_count(repeats, "repeats"), check_count(threads, "threads")
    found = []
    for spec in find.metrics_of_codes() if metrics is None else metrics:
        name, options = parse_metric(spec)
        metric = find.get("metric", name)
        used = {**(metric.published if published_sizes else _free(metric)), **options}
        hands = {"threads": threads, "device": device}
        taken = {k: v for k, v in hands.items() if k in inspect.signature(metric.function).parameters}
        began = time.perf_counter()
        with threadpool_limits(threads, "blas"):
            results = [
                metric.function(codes, factors, rng=_stream(name, used, seed, repeat), **used, **taken)
                for repeat in range(repeats)
            ]
        draws = [result.scores() for result in results]
        seconds = (time.perf_counter() - began) / repeats
        named = metric_id(spec, rows, None if published_sizes else len(codes), repeats=repeats)
        if taken.get("device", "cpu") != "cpu":  # sums in another order: near-ties can fall otherwise
            named += f"[device={device}]"
        for key in draws[0]:
            values = [float(draw[key]) for draw in draws]
            std = float(np.std(values, ddof=1)) if repeats > 1 else None
            value = float(np.mean(values)) if repeats > 1 else values[0]
            kept = _matrices(metric, results) if key == metric.headline else {}
            found.append(Score(key, named, value, _points(used, len(codes)), seconds, repeats, std, kept))
    return found


def _matrices(metric: find.Metric, results: list[Any]) -> dict[str, list[list[float]]]:
    """What a metric found of each code and factor, for people: a few digits are enough."""
    means = {name: np.mean([getattr(one, name) for one in results], axis=0) for name in metric.matrices}
    return {name: [[float(f"{v:.6g}") for v in row] for row in mean] for name, mean in means.items()}


def _stream(name: str, used: Mapping[str, Any], seed: int, repeat: int) -> Any:
    """What a metric draws from: a stream of its own, or a seed in the reference's order of draws."""
    if used.get("mode", "default") == "default":
        return generator(seed, "score", step=repeat, part=zlib.crc32(name.encode()))
    # The reference's own order of draws begins from its own kind of generator.
    return seed if repeat == 0 else int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])


def _free(metric: find.Metric) -> dict[str, Any]:
    """The defaults of the options that may be set."""
    return {name: default for name, default in metric.defaults().items() if name not in FIXED}


def _points(used: Mapping[str, Any], n: int) -> str:
    if "sizes" in used:
        tested = "the rest" if used["test_points"] is None else used["test_points"]
        return f"{', '.join(map(str, used['sizes']))} train, {tested} test"
    if used.get("train_points") is not None:
        text = f"{used['train_points']} train, {used['test_points']} test"
        return text + (f", batches of {used['batch']}" if "batch" in used else "")
    return str(used.get("points") or n)


def read_codes(path: str | Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """The arrays ``codes (N, D)`` and ``factors (N, F)`` of an ``.npz`` file, without unpickling.

    Raises:
        DataError: the file is missing, damaged, or lacks an array.
    """
    path = Path(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise DataError(f"{path} is a single array; expected an .npz with 'codes' and 'factors'")
        with loaded as archive:
            missing = [name for name in ("codes", "factors") if name not in archive.files]
            if missing:
                raise DataError(
                    f"{path} has no array {missing[0]!r} (it has {archive.files}); expected "
                    "'codes' (N, D) and 'factors' (N, F)"
                )
            return archive["codes"], archive["factors"]
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; expected an .npz with 'codes' and 'factors'") from None
    except DataError:
        raise
    except ValueError:  # numpy's advice would be to unpickle
        raise DataError(
            f"{path} is not a readable .npz of plain arrays: no zip archive, or it holds Python objects; "
            "write it with np.savez(path, codes=codes, factors=factors)"
        ) from None
    except Exception as error:  # zipfile, zlib and numpy each have their own for a damaged file
        raise DataError(f"{path} is not a readable .npz of plain arrays: {error}") from None
