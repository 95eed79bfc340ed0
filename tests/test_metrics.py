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
    "rotated": SPREAD @ np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2),
}


@dataclass(frozen=True)
class Law:
    """What a metric's definition promises of its headline.

    Attributes:
        options: sizes that keep the test short.
        bounds: (least, most) for the representations above of which the definition says something.
        scale: whether scaling the codes by powers of two leaves the number as it is.
        permutation: how much another order of the codes may change it.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    scale: bool = False
    permutation: float = 1e-12


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
        scale=True,
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
        scale=True,
        permutation=0.02,  # the trees break ties at random
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
        permutation=0.01,
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


each = pytest.mark.parametrize("name", [n for n in names("metric") if n in LAWS])


def test_every_metric_has_its_laws() -> None:
    assert set(names("metric")) == set(LAWS)


@pytest.mark.parametrize("name", names("metric"))
def test_descriptor_is_complete(name: str) -> None:
    metric = get("metric", name)
    assert re.fullmatch(r"[a-z0-9_]+@[0-9]+", metric.id)
    assert metric.title
    assert metric.paper
    assert metric.headline
    assert metric.published
    parameters = inspect.signature(metric.function).parameters
    assert list(parameters)[:2] == ["codes", "factors"]
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[2:])
    assert {"rng", *metric.published} <= set(parameters)
    assert metric.named(dict(metric.published)) == metric.id
    assert inspect.getdoc(metric.function)


@each
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_scores_lie_between_0_and_1(name: str, representation: str) -> None:
    for key, value in of(name, representation).items():
        assert type(value) is float, key
        assert -1e-9 <= value <= 1 + 1e-9, key


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


@pytest.mark.parametrize("name", [n for n, law in LAWS.items() if law.scale])
def test_scale_of_codes_does_not_matter(name: str) -> None:
    scaled = REPRESENTATIONS["noise"] * np.array([0.125, 1.0, 32.0])
    assert score(name, scaled) == of(name, "noise")


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
