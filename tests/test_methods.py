"""What holds for every method; a stack against its runs alone is in `test_stack.py`."""

import re

import msgspec
import numpy as np
import pytest
import torch

from disentangle import Run, find, load
from disentangle.batches import Batches
from disentangle.build import build_model
from disentangle.finished import load_result
from disentangle.stack import Stack
from disentangle.train import train

TOY = find.get("dataset", "toy").load()
METHODS = find.names("method")
BASELINES = {"ae_pca", "ae_ica", "ae"}  # which have no paper of their own


def run(method, **changes):
    return Run(
        **{"method": method, "dataset": "toy", "steps": 6, "batch": 4, "lr": 1e-3, **changes}
    ).complete()


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("method", METHODS)
def test_it_is_described(method):
    described = find.get("method", method)
    assert described.title
    assert described.paper
    assert method in BASELINES or any(c.isdigit() for c in described.paper)
    names = {f.name for f in msgspec.structs.fields(described.settings)}
    text = described.settings.__doc__ or ""
    assert all(re.search(rf"\b{name}\b.*:", text) for name in names), text
    assert {"k", "pairs"} <= names or not described.pairs
    assert described.decay in {"", *names}
    msgspec.json.encode(described.settings())  # a value for each, which a row can hold


@pytest.mark.parametrize("method", METHODS)
def test_its_loss_falls_and_its_codes_and_images_have_the_stated_shapes(method):
    [trained] = train([run(method, steps=60, batch=8)], TOY, device="cpu")
    [begun] = train([run(method, steps=1, batch=8)], TOY, device="cpu")
    assert trained.status == "done"
    assert trained.values["objective"] < begun.values["objective"] / 2
    described, images = find.get("method", method), TOY.images(np.arange(5))
    with torch.inference_mode():
        codes = described.represent(trained.model, images)
        assert codes.shape == (5, 10)
        assert torch.isfinite(codes).all()
        assert torch.equal(codes, described.represent(trained.model, images))
        decoded = described.decode(trained.model, codes)
        assert decoded.shape == (5, 1, 64, 64)
        assert 0 <= decoded.min() <= decoded.max() <= 1
        if described.posterior is not None:
            mu, log_var = described.posterior(trained.model, images)
            assert mu.shape == log_var.shape == (5, 10)
            assert torch.equal(mu, codes)


@pytest.mark.parametrize("method", METHODS)
def test_its_numbers_depend_on_the_seed_alone(method):
    a, b = run(method), run(method, seed=1)
    torch.manual_seed(1)
    first = train([a, b], TOY, device="cpu")
    torch.manual_seed(2)
    second = train([b, a], TOY, device="cpu")
    assert torch.equal(weights(first[0].model), weights(second[1].model))
    assert torch.equal(weights(first[1].model), weights(second[0].model))
    assert not torch.equal(weights(first[0].model), weights(first[1].model))
    assert first[0].values == second[1].values


@pytest.mark.parametrize("method", METHODS)
def test_its_state_goes_through_checkpoints_and_publication(method, tmp_path, monkeypatch):
    one, advance = run(method), Stack.advance
    [whole] = train([one], TOY, device="cpu")

    def killed(self, steps):
        if self.step >= 4:
            raise KeyboardInterrupt
        advance(self, steps)

    with monkeypatch.context() as patched:
        patched.setattr(Stack, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            train([one], TOY, tmp_path, device="cpu", checkpoint_every=2)
    [resumed] = train([one], TOY, tmp_path, device="cpu", checkpoint_every=2)
    published, result = load(tmp_path / one.key()), load_result(tmp_path / one.key())[0]
    for model in (resumed.model, published):
        assert list(model.state_dict()) == list(whole.model.state_dict())
        assert torch.equal(weights(model), weights(whole.model))
    assert result.run == one
    images, represent = TOY.images(np.arange(9)), find.get("method", method).represent
    with torch.inference_mode():
        # Equal weights in another order in memory give other kernels.
        torch.testing.assert_close(represent(whole.model.eval(), images), represent(published, images))


def heads(model, scale):
    """Make the codes extreme and differ from image to image: far means and, of a posterior, log-variances."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and module.out_features == 10:
            log_var = name.endswith("log_var")
            spread = torch.linspace(-1, 1, 10)
            values = torch.where(spread > 0, 20, scale) if log_var else spread * abs(scale) / 2
            with torch.no_grad():
                module.weight.mul_(abs(scale) * 3)
                module.bias.copy_(values)


@pytest.mark.parametrize("scale", [-100.0, -200.0, 0.0])
@pytest.mark.parametrize("method", METHODS)
def test_its_gradients_are_finite_at_extreme_codes(method, scale):
    """Log-variances of which the variances underflow float32, others that are large, means far off."""
    one, described = run(method), find.get("method", method)
    model = build_model(one, TOY)
    heads(model, scale)
    drawn = {name: torch.from_numpy(part[0]) for name, part in Batches(one, TOY).span(0, 1).items()}
    images = tuple(TOY.images(index) for index in drawn.pop("index"))
    noise = tuple(drawn.pop("noise").unsqueeze(2))
    if not described.pairs:
        images, noise = images[0], noise[0]
    extra = {name: part[0] for name, part in drawn.items()}
    if "step" in described.needs:
        extra["step"] = torch.tensor(3.0)
    assert set(extra) == set(described.needs)
    loss = described.loss(model.train(), images, noise, one.settings(), **extra)
    loss.objective.backward()
    assert all(v.dim() == 0 and not v.requires_grad and torch.isfinite(v) for v in loss.diagnostics.values())
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)


def test_factor_vae_trains_each_network_by_its_own_loss_with_its_own_adam():
    one = run("factor_vae")
    stack = Stack([one], TOY, torch.device("cpu"))
    [first, second] = stack.optimiser.param_groups
    assert (first["betas"], second["betas"]) == ((0.9, 0.999), (0.5, 0.9))
    assert len(second["params"]) == 14
    model, method = build_model(one, TOY), find.get("method", "factor_vae")
    drawn = Batches(one, TOY).span(0, 1)
    noise, shuffle = (torch.from_numpy(drawn[name][0]) for name in ("noise", "shuffle"))
    images = TOY.images(torch.from_numpy(drawn["index"][0, 0]))

    def gradients(gamma):
        model.zero_grad()
        settings = method.settings(gamma=gamma)
        method.loss(model, images, noise[0].unsqueeze(1), settings, shuffle=shuffle[0]).objective.backward()
        return [
            torch.cat([p.grad.flatten() for p in part.parameters()])
            for part in (model.vae, model.discriminator)
        ]

    (vae, discriminator), (other_vae, same) = gradients(1.0), gradients(1000.0)
    assert torch.equal(discriminator, same)  # it does not see the VAE's loss
    assert not torch.allclose(vae, other_vae)
    # The VAE does not see the discriminator's: without the total correlation it is a plain VAE.
    alone = find.get("method", "vae").loss(model.vae, images, noise[0].unsqueeze(1), None).objective
    plain = torch.autograd.grad(alone, list(model.vae.parameters()))
    torch.testing.assert_close(gradients(0.0)[0], torch.cat([g.flatten() for g in plain]))
    order = drawn["shuffle"][0, 0]
    assert np.array_equal(np.sort(order, axis=0), np.tile(np.arange(4), (10, 1)).T)


def test_factor_vae_counts_updates_as_the_released_code_does(tmp_path, monkeypatch):
    one = run("factor_vae", steps=20, hyper={"updates": "dlib"})
    advance = Stack.advance

    def killed(self, steps):
        if self.step >= 10:
            raise KeyboardInterrupt
        advance(self, steps)

    with monkeypatch.context() as patched:
        patched.setattr(Stack, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            train([one], TOY, tmp_path, device="cpu", checkpoint_every=5)
    [trained] = train([one], TOY, tmp_path, device="cpu")
    assert (trained.step, one.steps, one.updates()) == (11, 20, 11)
    assert [run("factor_vae", steps=n, hyper={"updates": "dlib"}).updates() for n in (0, 1, 2, 3, 21)] == [
        0,
        1,
        2,
        2,
        11,
    ]
    assert run("factor_vae", steps=20).updates() == 20
    [eleven] = train([run("factor_vae", steps=11)], TOY, device="cpu")
    assert torch.equal(weights(trained.model), weights(eleven.model))


def test_annealed_vae_s_capacity_is_that_of_the_run_s_step_also_after_a_break(tmp_path, monkeypatch):
    one = run("annealed_vae", hyper={"c_max": 10.0, "iteration_threshold": 10})
    stack = Stack([one], TOY, torch.device("cpu"))
    stack.advance(6)
    assert stack.read()["capacity"][:, 0] == pytest.approx([0, 1, 2, 3, 4, 5])
    later = Stack([one], TOY, torch.device("cpu"), step=8)
    later.advance(5)
    assert later.read()["capacity"][:, 0] == pytest.approx([8, 9, 10, 10, 10])


def test_labels_say_which_factor_changed():
    drawn = Batches(run("gvae", batch=64), TOY).span(0, 3)
    first, second = TOY.factors(drawn["index"]).swapaxes(0, 1)
    assert ((first != second).argmax(-1) == drawn["label"][:, 0]).all()
    with pytest.raises(Exception, match=r"3 factors: expected at least so many latents, got 2"):
        build_model(run("gvae", latents=2), TOY)
