"""Laws that every metric obeys. A new metric needs an entry in LAWS, or a test here fails."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

import disentangle.metrics
from disentangle.errors import InputError
from disentangle.find import get, names

SIZES = (2, 3)
FACTORS = np.tile(np.indices(SIZES).reshape(len(SIZES), -1).T, (40, 1))
SPREAD = 2.0 * FACTORS / (np.array(SIZES) - 1) - 1  # each factor over [-1, 1]
REPRESENTATIONS = {
    "identity": SPREAD,
    "noise": np.random.default_rng(1).normal(size=(len(FACTORS), 3)),
    "duplicated": np.hstack([SPREAD, SPREAD]),
    "dead": np.hstack([SPREAD, np.zeros((len(FACTORS), 1))]),
    "constant": np.full((len(FACTORS), 2), 0.3),
    "entangled": SPREAD @ np.array([[1.0, 0.5, -1.0], [0.5, 1.0, 1.0]]),
    "rotated": SPREAD @ np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2),
}


@dataclass(frozen=True, kw_only=True)
class Law:
    """What a metric's definition promises.

    Attributes:
        options: sizes that keep the test short.
        bounds: (least, most) of the headline for the representations above; all that the definition
            says something of.
        ranges: (least, most) of the scores that do not lie in 0..1.
        scale: how much scaling each code by a power of two may change a score; None: no promise.
        permutation: how much another order of the codes may change a score.
        factor_order: how much another order of the factors may change the headline.
        one_factor: ``"works"``, or a pattern of the message that refuses a single factor.
        drawn: options that draw points from the table, and how far the headline may then lie from the
            one of the whole table; or why there are no two forms.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    scale: float | None
    permutation: float = 1e-9
    factor_order: float = 1e-9
    one_factor: str = "works"
    drawn: tuple[Mapping[str, Any], float] | str


LAWS = {
    "mig": Law(
        bounds={
            "identity": (0.99, 1.0),
            "noise": (0.0, 0.1),
            "duplicated": (0.0, 1e-9),
            "dead": (0.99, 1.0),
            "constant": (0.0, 0.0),
            "rotated": (0.0, 0.5),
        },
        scale=0.0,
        drawn=({"points": 2000}, 0.05),
    ),
    "dci": Law(
        bounds={
            "identity": (0.99, 1.0),
            "noise": (0.0, 0.1),
            "duplicated": (0.99, 1.0),  # completeness is what falls
            "dead": (0.99, 1.0),
            "constant": (0.0, 0.0),
            "rotated": (0.0, 0.6),
        },
        scale=0.0,
        permutation=0.02,  # the trees break ties at random
        factor_order=0.02,
        drawn=({"train_points": 200, "test_points": 100}, 0.1),
    ),
    "beta_vae": Law(
        options={"train_points": 400, "test_points": 200},
        bounds={
            "identity": (0.99, 1.0),
            "noise": (0.3, 0.7),  # chance is a half
            "duplicated": (0.99, 1.0),
            "dead": (0.99, 1.0),
            "constant": (0.3, 0.7),
        },
        scale=None,  # the penalty of the classifier
        permutation=0.01,
        factor_order=0.1,
        one_factor="factors have 1 column; expected at least 2",
        drawn="it always draws",
    ),
    "factor_vae": Law(
        options={"train_points": 400, "test_points": 200, "variance_points": 400},
        bounds={
            "identity": (1.0, 1.0),
            "noise": (0.3, 0.7),  # chance is a half
            "duplicated": (1.0, 1.0),
            "dead": (1.0, 1.0),
            "constant": (0.0, 0.0),
        },
        ranges={"factor_vae_active": (0.0, 10.0)},
        scale=0.0,  # while every code stays above the threshold of activity
        permutation=0.0,
        factor_order=0.1,
        one_factor="factors have 1 column; expected at least 2",
        drawn="it always draws",
    ),
    "irs": Law(
        bounds={
            "identity": (1.0, 1.0),
            "noise": (0.0, 0.5),  # extremes of all rows lie further out than quantiles of groups
            "duplicated": (1.0, 1.0),
            "dead": (1.0, 1.0),
            "constant": (0.0, 0.0),
            "entangled": (0.2, 0.8),
            "rotated": (0.2, 0.6),
        },
        ranges={"irs": (-1.0, 1.0), "irs_active_codes": (0.0, 10.0)},
        scale=None,  # codes count by their range
        drawn=({"points": 2000}, 0.05),
    ),
    "unsupervised": Law(
        bounds={  # of the total correlation: 0 is independent
            "identity": (0.0, 0.0),
            "noise": (0.0, 0.1),
            "duplicated": (30.0, 32.0),  # infinite; each dependency counts as 15.9
            "dead": (0.0, 0.0),
            "constant": (0.0, 0.0),
            "entangled": (15.0, 17.0),
            "rotated": (0.01, 0.05),
        },
        ranges={
            "unsupervised_gaussian_total_correlation": (0.0, 50.0),
            "unsupervised_gaussian_wasserstein_correlation": (0.0, 10.0),
            "unsupervised_gaussian_wasserstein_correlation_norm": (0.0, 2.0),
            "unsupervised_mutual_info_score": (0.0, 3.0),  # log 20
        },
        scale=None,  # the Wasserstein correlation has units
        drawn=({"points": 2000}, 0.05),
    ),
    "sap": Law(
        bounds={
            "identity": (0.3, 0.7),  # a guess is right too; a line cannot single out the middle class
            "noise": (0.0, 0.1),
            "duplicated": (0.0, 0.0),
            "dead": (0.3, 0.7),
            "constant": (0.0, 0.0),
            "rotated": (0.0, 0.2),
        },
        scale=None,  # the penalty of the classifier
        drawn=({"train_points": 400, "test_points": 200}, 0.1),
    ),
    "modularity": Law(
        bounds={
            "identity": (1.0, 1.0),
            "noise": (0.3, 0.9),
            "duplicated": (1.0, 1.0),
            "dead": (2 / 3, 2 / 3),  # one code of three
            "constant": (0.0, 0.0),
            "entangled": (0.5, 0.9),
            "rotated": (0.5, 0.9),
        },
        scale=0.0,
        drawn=({"points": 2000}, 0.05),
    ),
    "explicitness": Law(
        bounds={
            "identity": (1.0, 1.0),
            "noise": (0.4, 0.6),  # chance is a half
            "duplicated": (1.0, 1.0),
            "dead": (1.0, 1.0),
            "constant": (0.5, 0.5),
            "entangled": (1.0, 1.0),  # a linear mixture
            "rotated": (1.0, 1.0),
        },
        scale=0.0,
        permutation=1e-3,  # the last digits of the fit can swap two points
        drawn=({"train_points": 400, "test_points": 200}, 0.05),
    ),
    "mig_sup": Law(
        bounds={
            "identity": (0.99, 1.0),
            "noise": (0.0, 0.1),
            "duplicated": (0.99, 1.0),  # MIG is what falls
            "dead": (0.99, 1.0),
            "constant": (0.0, 0.0),
            "rotated": (0.0, 0.5),
        },
        scale=None,  # a code counts from a certain variance on
        drawn=({"points": 2000}, 0.05),
    ),
    "downstream": Law(
        options={"sizes": (20, 100), "test_points": 100},
        bounds={
            "identity": (0.99, 1.0),
            "noise": (0.3, 0.6),  # chance is 5/12; some rows are drawn for both parts
            "duplicated": (0.99, 1.0),
            "dead": (0.99, 1.0),
            "constant": (0.25, 0.55),
            "entangled": (0.99, 1.0),
        },
        ranges={"downstream_efficiency_20": (0.0, 2.0)},  # above 1 by accident
        scale=None,  # the penalty of the classifier
        permutation=0.02,  # rounding may decide between penalties
        drawn="it always draws",
    ),
    "infomec": Law(
        bounds={  # nothing of noise: its InfoM is a quotient of accidents
            "identity": (0.9, 1.0),
            "duplicated": (0.9, 1.0),  # InfoC is what falls
            "dead": (0.9, 1.0),
            "constant": (0.0, 0.0),
            "rotated": (0.0, 0.7),
        },
        scale=None,  # a code counts from a share of the largest range on
        permutation=1e-4,  # the last digits of the fit
        # A row that is drawn twice is its own nearest neighbour, and the table has 240.
        drawn=({"train_points": 200, "test_points": 100}, 0.1),
    ),
    "dci_es": Law(
        bounds={
            "identity": (0.99, 1.0),
            "noise": (0.9, 1.0),  # no probe gains: informativeness is what falls
            "duplicated": (0.99, 1.0),
            "dead": (0.99, 1.0),
            "constant": (1.0, 1.0),
            "entangled": (0.99, 1.0),  # a linear mixture
            "rotated": (0.99, 1.0),
        },
        ranges={"dci_es_explicitness": (-1.0, 1.0), "dci_es_size": (0.0, np.inf)},
        scale=1e-6,
        permutation=0.05,  # the codes' random frequencies
        drawn=({"train_points": 400, "test_points": 200}, 0.05),
    ),
}


def score(name: str, codes: Any, factors: Any = FACTORS, rng: Any = 0) -> dict[str, float]:
    metric = get("metric", name)
    result = metric.function(codes, factors, rng=rng, **LAWS[name].options)
    scores: dict[str, float] = result.scores()
    assert float(result) == scores[metric.headline]
    return scores


@cache
def of(name: str, representation: str) -> dict[str, float]:
    return score(name, REPRESENTATIONS[representation])


def headline(name: str, scores: dict[str, float]) -> float:
    return scores[get("metric", name).headline]


OF_CODES = [name for name in names("metric") if not get("metric", name).of_models]
each = pytest.mark.parametrize("name", [n for n in OF_CODES if n in LAWS])


def test_every_metric_has_its_laws() -> None:
    assert set(OF_CODES) == set(LAWS)


def within(name: str, key: str, value: float) -> bool:
    least, most = LAWS[name].ranges.get(key, (0.0, 1.0))
    return bool(least - 1e-9 <= value <= most + 1e-9)


@pytest.mark.parametrize("name", names("metric"))
def test_descriptor_is_complete(name: str) -> None:
    metric = get("metric", name)
    assert re.fullmatch(r"[a-z0-9_]+@[0-9]+", metric.id)
    assert metric.title
    assert metric.paper
    assert metric.headline
    assert metric.published
    parameters = inspect.signature(metric.function).parameters
    first = ["codes"] if metric.of_models else ["codes", "factors"]
    assert list(parameters)[: len(first)] == first
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[len(first) :])
    assert set(metric.published) <= set(parameters)
    assert ("mode" in parameters) == bool(metric.modes)
    assert metric.named(dict(metric.published)) == metric.id
    assert inspect.getdoc(metric.function)


@each
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_scores_lie_in_their_range(name: str, representation: str) -> None:
    for key, value in of(name, representation).items():
        assert type(value) is float, key
        assert within(name, key, value), (key, value)


@pytest.mark.parametrize(("name", "representation"), [(n, r) for n, law in LAWS.items() for r in law.bounds])
def test_known_answers(name: str, representation: str) -> None:
    least, most = LAWS[name].bounds[representation]
    assert least - 1e-9 <= headline(name, of(name, representation)) <= most + 1e-9


@each
def test_order_of_codes_does_not_matter(name: str) -> None:
    codes = np.hstack([REPRESENTATIONS["rotated"], REPRESENTATIONS["noise"]])
    swapped = score(name, codes[:, ::-1])
    for key, value in score(name, codes).items():
        assert swapped[key] == pytest.approx(value, abs=LAWS[name].permutation), key


@each
def test_order_of_factors_does_not_matter(name: str) -> None:
    codes = REPRESENTATIONS["noise"] + np.pad(SPREAD, ((0, 0), (0, 1)))
    there, back = (headline(name, score(name, codes, factors)) for factors in (FACTORS, FACTORS[:, ::-1]))
    assert back == pytest.approx(there, abs=LAWS[name].factor_order)


@pytest.mark.parametrize("name", [n for n, law in LAWS.items() if law.scale is not None])
def test_scale_of_codes_does_not_matter(name: str) -> None:
    scaled = score(name, REPRESENTATIONS["noise"] * np.array([0.125, 1.0, 32.0]))
    for key, value in of(name, "noise").items():
        assert scaled[key] == pytest.approx(value, abs=LAWS[name].scale, rel=0), key


@each
def test_one_factor(name: str) -> None:
    codes, factor = REPRESENTATIONS["identity"], FACTORS[:, 1:]
    if LAWS[name].one_factor == "works":
        assert all(within(name, key, value) for key, value in score(name, codes, factor).items())
    else:
        with pytest.raises(InputError, match=LAWS[name].one_factor):
            score(name, codes, factor)


@each
def test_too_few_rows_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="expected at least"):
        score(name, SPREAD[:1], FACTORS[:1])


@pytest.mark.parametrize("name", [n for n, law in LAWS.items() if not isinstance(law.drawn, str)])
def test_drawn_points_and_the_whole_table_agree(name: str) -> None:
    options, tolerance = LAWS[name].drawn
    metric, codes = get("metric", name), REPRESENTATIONS["rotated"] + 0.1 * REPRESENTATIONS["noise"][:, :2]
    whole = metric.function(codes, FACTORS, rng=0, **LAWS[name].options)
    drawn = metric.function(codes, FACTORS, rng=0, **{**LAWS[name].options, **options})
    assert float(drawn) == pytest.approx(float(whole), abs=tolerance)


@pytest.mark.parametrize("name", [n for n, law in LAWS.items() if not isinstance(law.drawn, str)])
def test_other_seeds_draw_other_points(name: str) -> None:
    codes = REPRESENTATIONS["noise"]  # of which every sample scores differently
    options = {**LAWS[name].options, **LAWS[name].drawn[0]}
    for mode in ("default", *get("metric", name).modes):
        chosen = options if mode == "default" else {**options, "mode": mode}
        found = [get("metric", name).function(codes, FACTORS, rng=r, **chosen).scores() for r in (0, 0, 1)]
        assert found[0] == found[1]
        assert found[0] != found[2]
        if mode != "default":  # a state goes on, so the same one draws other points the next time
            state = np.random.RandomState(3)
            first, second = (
                get("metric", name).function(codes, FACTORS, rng=state, **chosen).scores() for _ in range(2)
            )
            assert first != second


@pytest.mark.parametrize(("name", "mode"), [(n, m) for n in OF_CODES for m in get("metric", n).modes])
def test_every_mode_gives_scores_and_has_an_id(name: str, mode: str) -> None:
    grid = np.indices((5, 6, 4)).reshape(3, -1).T
    codes = np.hstack([grid + 0.3 * np.random.default_rng(2).normal(size=grid.shape), grid[:, :1]])
    options = {**LAWS[name].options, "mode": mode}
    metric = get("metric", name)
    result = metric.function(codes, grid, rng=0, **options)
    assert all(within(name, key, value) for key, value in result.scores().items())
    assert metric.named({**metric.published, "mode": mode}) == f"{metric.id.split('@')[0]}@{mode}"


@each
def test_seed_decides_the_numbers(name: str) -> None:
    codes = REPRESENTATIONS["noise"]
    assert score(name, codes, rng=0) == of(name, "noise")
    assert score(name, codes, rng=np.random.default_rng(0)) == of(name, "noise")


@each
def test_inputs_are_untouched_and_their_layout_does_not_matter(name: str) -> None:
    codes, factors = np.asfortranarray(REPRESENTATIONS["noise"]), np.asfortranarray(FACTORS)
    kept = codes.copy(), factors.copy()
    codes.flags.writeable = factors.flags.writeable = False
    assert score(name, codes, factors) == of(name, "noise")
    np.testing.assert_array_equal(codes, kept[0])
    np.testing.assert_array_equal(factors, kept[1])


@each
def test_factors_may_have_gaps_and_float_type(name: str) -> None:
    gaps = np.array([0, 3, 2**40])[FACTORS]
    assert score(name, REPRESENTATIONS["identity"], gaps.astype(np.float64)) == of(name, "identity")


@each
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_integer_codes_are_numbers(name: str, dtype: Any) -> None:
    codes = (40 * (REPRESENTATIONS["identity"] + 1)).astype(dtype)
    assert score(name, codes) == score(name, codes.astype(np.float64))


@each
def test_frames_and_tensors_are_read(name: str) -> None:
    pd, torch = pytest.importorskip("pandas"), pytest.importorskip("torch")
    codes = REPRESENTATIONS["identity"]
    assert score(name, pd.DataFrame(codes), pd.DataFrame(FACTORS)) == of(name, "identity")
    tensor = torch.tensor(codes, requires_grad=True)
    assert score(name, tensor, torch.tensor(FACTORS)) == of(name, "identity")


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(disentangle.metrics.__path__)])
def test_examples_in_docstrings(module: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(f"disentangle.metrics.{module}"))
    assert failed == 0
