"""UDR of trained runs: which belong together, and the same numbers as by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from disentangle import udr
from disentangle.__main__ import app
from disentangle.data import FactorData
from disentangle.errors import InputError
from disentangle.find import get
from disentangle.ranking import Ranking, rank
from disentangle.run import Run
from disentangle.train import train

STEPS = 3


def test_keys_are_those_of_versions_without_splits() -> None:
    run = Run(method="vae", dataset="toy", steps=5)
    assert (run.key(), Ranking(runs=(run.complete(),)).key()) == ("6e675d496716e338", "82f70a56fb99fed6")
    other = Run(method="vae", dataset="toy", steps=5, split="without size=1")
    assert Ranking(runs=(other,)).key() != Ranking(runs=(run,)).key()


@pytest.fixture(scope="module")
def toy() -> FactorData:
    return get("dataset", "toy").load()


@pytest.fixture(scope="module")
def runs(toy: FactorData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a few short runs."""
    folder = tmp_path_factory.mktemp("runs")
    made = {
        f"{method}{seed}": Run(
            method=method, dataset="toy", steps=STEPS, batch=4, latents=3, seed=seed
        ).complete()
        for method in ("vae", "ada_gvae", "ae")
        for seed in (0, 1)
    }
    train(list(made.values()), toy, folder, device="cpu")
    return {name: folder / run.key() for name, run in made.items()}


def test_ranking_is_udr_of_means_and_kl(runs: dict[str, Path], toy: FactorData) -> None:
    models, result, named = rank([runs["vae0"], runs["vae1"]], rows=len(toy), device="cpu")
    assert [model.run.seed for model in models] == [0, 1]
    assert named == "udr@1[rows=192]"
    means, kls = [], []
    for model in models:
        with torch.no_grad():
            mu, log_var = model.model.sampling_layer.get_params(
                model.model.encoder(toy.images(np.arange(len(toy))))
            )
        means.append(mu.numpy())
        kls.append((0.5 * (mu**2 + log_var.exp() - log_var - 1)).mean(0).numpy())
    by_hand = udr(means, kl=kls)
    np.testing.assert_allclose(result.model_scores, by_hand.model_scores, atol=1e-4)


def test_every_method_with_a_posterior_can_be_ranked(runs: dict[str, Path]) -> None:
    _, result, _ = rank([runs["ada_gvae0"], runs["ada_gvae1"]], rows=50, correlation="spearman", device="cpu")
    assert np.isfinite(result.model_scores).all()


def test_what_does_not_belong_together(runs: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="1 given; expected at least 2"):
        rank([runs["vae0"]], device="cpu")
    with pytest.raises(InputError, match=r"has method 'ada_gvae' and .* 'vae'; UDR compares runs"):
        rank([runs["vae0"], runs["ada_gvae1"]], device="cpu")
    with pytest.raises(InputError, match=r"seeds \[0, 0\]; expected each once"):
        rank([runs["vae0"], runs["vae0"]], device="cpu")
    with pytest.raises(InputError, match="needs a Gaussian posterior, which ae has not"):
        rank([runs["ae0"], runs["ae1"]], device="cpu")


def test_the_command(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["udr", str(runs["vae0"]), str(runs["vae1"]), "--rows", "50", "--device", "cpu"]
    app(command, result_action="return_value")
    printed = capsys.readouterr().out
    assert "UDR of vae, udr@1[rows=50]" in printed
    assert str(runs["vae0"]) in printed
    assert "seed 1" in printed
