"""The weakly supervised reconstruction loss: the number by hand, and what it does not depend on."""

import zlib

import msgspec
import numpy as np
import pytest
import torch

from disentangle import InputError, Run, find
from disentangle.build import build_model
from disentangle.draws import generator
from disentangle.losses import LossResult
from disentangle.pairs import sample_pairs
from disentangle.train import train
from disentangle.weak import PAIRS, weak_reconstruction

TOY = find.get("dataset", "toy").load()
RUN = Run(method="ada_gvae", dataset="toy", steps=20, batch=8, lr=1e-3, latents=4)


def changed(**changes):
    return msgspec.structs.replace(RUN, **changes)


@pytest.fixture(scope="module")
def model():
    [trained] = train([RUN], TOY, device="cpu", progress=False)
    return trained.model


def by_hand(run, model, pairs):
    """The mean over single pairs, one after the other, from the model's own forward and loss."""
    part = zlib.crc32(b"weak_reconstruction")
    k, rule = run.settings().k, run.settings().pairs
    drawn = sample_pairs(TOY.sizes, pairs, k, rule, generator(0, "score", part=part))
    rng = generator(0, "score", step=1, part=part)
    noise = torch.from_numpy(rng.standard_normal((pairs, 2, run.latents), dtype=np.float32))
    losses = []
    for first, second, one in zip(drawn.first, drawn.second, noise, strict=True):
        x = TOY.images(TOY.index([first])), TOY.images(TOY.index([second]))
        with torch.no_grad():
            out = model(x, noise=(one[:1, None], one[1:, None]))
            told = model.compute_loss(x, out, likelihood="bernoulli").diagnostics
        losses.append(-(told["log_likelihood_x1"].item() + told["log_likelihood_x2"].item()) / 2)
    return np.mean(losses)


@pytest.mark.parametrize("hyper", [{}, {"k": 2}, {"k": "rnd", "pairs": "dlib"}])
def test_it_is_the_mean_over_pairs_of_the_methods_own_loss(model, hyper):
    run = changed(hyper=hyper)
    score = weak_reconstruction(run, model, TOY, pairs=100)  # a batch of 64 and one of 36
    assert score.value == pytest.approx(by_hand(run, model, 100), rel=1e-5)
    assert score.value > 0


def test_its_name_id_and_points(model):
    full, part = weak_reconstruction(RUN, model, TOY), weak_reconstruction(RUN, model, TOY, pairs=10)
    assert (full.name, full.id) == ("weak_reconstruction", "weak_reconstruction@1")
    assert (full.points, PAIRS) == ("2048 pairs", 2048)
    assert (part.id, part.points) == ("weak_reconstruction@1[pairs=10]", "10 pairs")
    assert full.seconds > 0


def test_it_is_the_same_each_time_and_for_every_seed(model):
    before = torch.get_rng_state()
    first = weak_reconstruction(RUN, model, TOY, pairs=70).value
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    for run in (RUN, changed(seed=9), changed(steps=3, lr=0.5, batch=2, precision="bf16")):
        assert weak_reconstruction(run, model, TOY, pairs=70).value == first
    torch.set_rng_state(before)


def test_the_weight_of_the_kl_plays_no_part_and_the_pairs_do(model):
    values = {
        (k, rule): weak_reconstruction(changed(hyper={"k": k, "pairs": rule}), model, TOY, pairs=70).value
        for k, rule in ((1, "paper"), (2, "paper"), (1, "dlib"))
    }
    assert len(set(values.values())) == 3
    assert weak_reconstruction(changed(hyper={"beta": 9.0}), model, TOY, pairs=70).value == values[1, "paper"]


def test_training_lowers_it_and_the_mode_of_the_model_does_not_matter(model):
    untrained = build_model(RUN, TOY)
    assert (
        weak_reconstruction(RUN, model, TOY, pairs=64).value
        < 0.9 * weak_reconstruction(RUN, untrained, TOY, pairs=64).value
    )
    expected = weak_reconstruction(RUN, model, TOY, pairs=64).value
    assert weak_reconstruction(RUN, model.train(), TOY, pairs=64).value == expected
    assert not model.training
    # Nothing of the inference stays with the model: it can be trained on.
    model(tuple(TOY.images([i]) for i in (0, 1))).output1.x_hat.sum().backward()
    model.zero_grad()


@pytest.mark.parametrize("method", [name for name in find.names("method") if find.get("method", name).pairs])
def test_every_method_on_pairs_has_it(method):
    run = Run(method=method, dataset="toy", latents=3)
    assert np.isfinite(weak_reconstruction(run, build_model(run, TOY), TOY, pairs=5).value)


def test_what_cannot_have_it_is_told(model, monkeypatch):
    vae = Run(method="vae", dataset="toy")
    with pytest.raises(InputError, match="and vae trains on single images; expected a method that trains on"):
        weak_reconstruction(vae, build_model(vae, TOY), TOY)
    for pairs in (0, 2.5, True):
        with pytest.raises(InputError, match=f"pairs is {pairs}; expected a whole number of at least 1"):
            weak_reconstruction(RUN, model, TOY, pairs=pairs)
    with pytest.raises(InputError, match=r"k must be 'rnd' or an integer in 1..3 .* got 7"):
        weak_reconstruction(changed(hyper={"k": 7}), model, TOY)

    def loss(model, images, noise, settings):
        assert torch.is_inference_mode_enabled()
        return LossResult(torch.zeros(()), {"elbo": torch.zeros(()), "log_likelihood_x1": torch.zeros(())})

    method = find.get("method", "ada_gvae")
    monkeypatch.setitem(method.__dict__, "loss", loss)
    with pytest.raises(
        InputError, match=r"diagnostics elbo, log_likelihood_x1; .* needs log_likelihood_x2 too"
    ):
        weak_reconstruction(RUN, model, TOY, pairs=3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_gives_nearly_the_same(model):
    here = weak_reconstruction(RUN, model, TOY).value
    there = weak_reconstruction(RUN, model.to("cuda"), TOY.to("cuda")).value
    model.to("cpu")
    assert there == pytest.approx(here, rel=1e-5)
