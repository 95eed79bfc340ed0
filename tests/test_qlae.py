"""QLAE: its quantisation, losses and gradients, recomputed independently."""

import numpy as np
import pytest
import torch
from torch import nn

from disentangle import InputError, Run, find, load
from disentangle.build import build_model
from disentangle.models.qlae import QLAE, Quantizer, Settings, quantize
from disentangle.stack import Stack
from disentangle.train import train

B, D, V = 7, 3, 5
TOY = find.get("dataset", "toy").load()
METHOD = find.get("method", "qlae")


def run(**changes):
    return Run(**{"method": "qlae", "dataset": "toy", "steps": 60, "batch": 8, "lr": 1e-3, **changes})


def make(seed=0, scale=1.0):
    """A small model in double precision, its codebooks moved from where they begin."""
    torch.manual_seed(seed)
    model = QLAE(nn.Linear(6, D), nn.Sequential(nn.Linear(D, 6), nn.Tanh()), D, V).double()
    with torch.no_grad():
        model.quantizer.values.add_(0.2 * torch.randn(D, V))
        model.encoder.weight.mul_(scale)
    return model, torch.rand(B, 6, dtype=torch.float64)


def nearest(codes, values):
    """The quantised codes, one by one."""
    places = [[int(np.argmin(abs(c - v))) for c, v in zip(row, values, strict=True)] for row in codes]
    return np.array([[v[i] for i, v in zip(row, values, strict=True)] for row in places]), np.array(places)


def test_codes_are_the_nearest_values_of_their_own_codebooks():
    model, x = make()
    code = model.encode(x)
    codes, values = code.continuous.numpy(), model.quantizer.values.detach().numpy()
    expected, places = nearest(codes, values)
    assert np.array_equal(code.indices.numpy(), places)
    assert np.array_equal(code.z.numpy(), expected)
    assert np.array_equal(code.quantized.numpy(), expected)
    assert torch.equal(model.decode(code.z).x_hat, model(x).x_hat)


def test_the_codebook_begins_evenly_spaced():
    values = Quantizer(2, 10).values
    assert np.allclose(values.detach(), np.linspace(-0.5, 0.5, 10))
    built = build_model(run(hyper={"values": 4}, latents=6), TOY)
    assert np.allclose(built.quantizer.values.detach(), [np.linspace(-0.5, 0.5, 4)] * 6)


@pytest.mark.parametrize("weights", [(0.01, 0.01), (0.5, 0.0), (0.0, 3.0)])
def test_the_objective_is_the_authors_times_the_number_of_features(weights):
    """Theirs: the mean cross-entropy of a pixel, and means over the latents."""
    model, x = make()
    out = model(x)
    loss = model.compute_loss(x, out, *weights, likelihood="bernoulli")
    targets, p = x.numpy(), 1 / (1 + np.exp(-out.x_hat.detach().numpy()))
    entropy = -(targets * np.log(p) + (1 - targets) * np.log(1 - p))
    codes = out.continuous.detach().numpy()
    error = ((codes - nearest(codes, model.quantizer.values.detach().numpy())[0]) ** 2).mean(1)
    theirs = (entropy.mean(1) + weights[0] * error + weights[1] * error).mean()
    assert loss.objective.item() == pytest.approx(6 * theirs, rel=1e-12)
    assert loss.diagnostics["log_likelihood"].item() == pytest.approx(-entropy.sum(1).mean(), rel=1e-12)
    assert loss.diagnostics["quantization_error"].item() == pytest.approx(error.mean(), rel=1e-12)
    assert not any(value.requires_grad for value in loss.diagnostics.values())


def test_the_gradient_goes_straight_through():
    """What reaches the continuous codes is what reaches the quantised ones."""
    model, x = make()
    out = model(x)
    loss = out.x_hat.square().sum()
    straight, at_codes = torch.autograd.grad(loss, [out.continuous, out.z])
    fixed = out.z.detach().requires_grad_()
    [expected] = torch.autograd.grad(model.decoder(fixed).square().sum(), fixed)
    assert torch.equal(straight, at_codes)
    assert torch.allclose(straight, expected, rtol=1e-12)
    [through] = torch.autograd.grad(model(x).z.sum(), model.encoder.bias)
    assert torch.equal(through, torch.full((D,), float(B), dtype=torch.float64))  # as of the identity


def gradients(quantization, commitment, decoder=1.0):
    model, x = make()
    with torch.no_grad():
        model.decoder[0].weight.mul_(decoder)
    out = model(x)
    model.compute_loss(x, out, quantization, commitment, likelihood="bernoulli").objective.backward()
    return model, out


def test_the_codebook_learns_from_the_quantisation_loss_alone():
    model, out = gradients(0.3, 0.7)
    codes, values = out.continuous.detach().numpy(), model.quantizer.values.detach().numpy()
    quantized, places = nearest(codes, values)
    expected = np.zeros((D, V))
    for b in range(B):
        for d in range(D):
            expected[d, places[b, d]] += 6 * 0.3 * 2 * (quantized[b, d] - codes[b, d]) / (B * D)
    assert np.allclose(model.quantizer.values.grad, expected, rtol=1e-12)
    for other in (gradients(0.3, 0.0), gradients(0.3, 0.7, decoder=5.0)):
        assert torch.allclose(other[0].quantizer.values.grad, model.quantizer.values.grad, rtol=1e-12)
    assert not gradients(0.0, 0.7)[0].quantizer.values.grad.any()


def test_the_encoder_learns_from_reconstruction_and_commitment_alone():
    with_both, without = gradients(0.3, 0.7)[0], gradients(0.0, 0.7)[0]
    assert torch.equal(with_both.encoder.weight.grad, without.encoder.weight.grad)
    model, out = gradients(0.3, 0.7)
    free = gradients(0.3, 0.0)[0]
    pull = 6 * 0.7 * 2 * (out.continuous - out.quantized).detach() / (B * D)
    assert torch.allclose(model.encoder.bias.grad - free.encoder.bias.grad, pull.sum(0), rtol=1e-10)
    assert torch.equal(model.decoder[0].weight.grad, free.decoder[0].weight.grad)
    assert free.encoder.bias.grad.abs().min() > 0


def test_of_two_values_equally_near_the_first_is_taken():
    values = torch.tensor([[-1.0, 1.0, -1.0]])
    quantized, indices = quantize(torch.tensor([[0.0], [1e-6], [-1.0]]), values)
    assert indices.flatten().tolist() == [0, 1, 0]
    assert quantized.flatten().tolist() == [-1, 1, -1]
    even = Quantizer(1, 10)  # 0 lies between two of its values
    assert even(torch.zeros(1, 1))[2].item() == 4


@pytest.mark.parametrize("size", [0.0, 1e6, -1e6, 1e15])
def test_codes_anywhere_give_their_value_exactly_and_finite_gradients(size):
    model = QLAE(nn.Linear(4, D, bias=False), nn.Linear(D, 4), D)
    with torch.no_grad():
        model.encoder.weight.fill_(size)
    x = torch.ones(2, 4)
    out = model(x)
    edge = {0.0: -1 / 18, 1e6: 0.5, -1e6: -0.5, 1e15: 0.5}[size]
    assert torch.equal(out.z, torch.full((2, D), edge))
    model.compute_loss(x, out, likelihood="bernoulli").objective.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_stacked_models_are_the_single_ones():
    models = [make(seed, scale=2.0)[0] for seed in range(4)]
    x = torch.rand(4, B, 6, dtype=torch.float64)
    weights = torch.tensor([0.01, 0.1, 1.0, 0.0], dtype=torch.float64)
    names = [name for name, _ in models[0].named_parameters()]
    stacked = {n: torch.stack([m.get_parameter(n).detach() for m in models]).requires_grad_() for n in names}

    class Loss(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = models[0]

        def forward(self, x, weight):
            loss = self.model.compute_loss(x, self.model(x), weight, 2 * weight, "bernoulli")
            return loss.objective, loss.diagnostics["quantization_error"]

    def one(parameters, x, weight):
        named = {f"model.{n}": p for n, p in parameters.items()}
        return torch.func.functional_call(Loss(), named, (x, weight))

    objectives, errors = torch.vmap(one)(stacked, x, weights)
    objectives.sum().backward()
    for i, model in enumerate(models):
        model.zero_grad()
        weight = weights[i].item()
        loss = model.compute_loss(x[i], model(x[i]), weight, 2 * weight, "bernoulli")
        loss.objective.backward()
        assert objectives[i].item() == pytest.approx(loss.objective.item(), rel=1e-12)
        assert errors[i].item() == pytest.approx(loss.diagnostics["quantization_error"].item(), rel=1e-12)
        for n in names:
            assert torch.allclose(stacked[n].grad[i], model.get_parameter(n).grad, rtol=1e-10, atol=1e-14)


def test_it_trains_and_its_model_is_loaded_again(tmp_path):
    [trained] = train([run(hyper={"values": 4})], TOY, tmp_path, device="cpu", progress=False)
    [begun] = train([run(hyper={"values": 4}, steps=1)], TOY, device="cpu", progress=False)
    # Between them the codes leave their codebooks behind, and the objective is twice that of the beginning.
    assert trained.values["objective"] < begun.values["objective"] / 2
    loaded, images = load(tmp_path / trained.run.key()), TOY.images(np.arange(50))
    codes = METHOD.represent(loaded, images)
    assert torch.equal(codes, METHOD.represent(trained.model, images))
    assert all(set(codes[:, d].tolist()) <= set(v.tolist()) for d, v in enumerate(loaded.quantizer.values))
    assert torch.equal(codes, loaded.encode(images).quantized)
    assert not torch.equal(loaded.quantizer.values, build_model(trained.run, TOY).quantizer.values)


@pytest.mark.parametrize("members", [1, 2])
def test_weights_decay_and_neither_biases_nor_the_codebook(members):
    """As the authors label their parameters for AdamW."""

    def after(decay):
        hyper = {"weight_decay": decay}
        stack = Stack([run(hyper=hyper, seed=s).complete() for s in range(members)], TOY, torch.device("cpu"))
        stack.advance(1)
        return dict(stack.finish(0).named_parameters())

    start = dict(build_model(run(), TOY).named_parameters())
    free, decayed = after(0.0), after(100.0)
    for name, value in start.items():
        decay = 1e-3 * 100 if name.endswith("weight") else 0
        assert torch.allclose(free[name] - decayed[name], decay * value, rtol=1e-3, atol=1e-6), name


def test_settings_are_the_published_and_wrong_ones_are_refused():
    assert Settings() == Settings(values=10, quantization=0.01, commitment=0.01, weight_decay=0.1)
    for hyper in ({"values": 1}, {"values": 2.5}, {"quantization": -1.0}, {"commitment": float("nan")}):
        with pytest.raises(InputError, match=next(iter(hyper))):
            run(hyper=hyper).complete()
    with pytest.raises(InputError, match="weight_decay"):
        run(hyper={"weight_decay": float("inf")}).complete()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="values 2 or more, got 3 and 1"):
        QLAE(nn.Identity(), nn.Identity(), 3, values=1)
    with pytest.raises(ValueError, match="latent_dim must be 1 or more"):
        Quantizer(0, 4)
    model = QLAE(nn.Identity(), nn.Identity(), 3)
    for shape in ((2, 4), (2,), (2, 3, 1)):
        with pytest.raises(ValueError, match=r"codes of shape \[B, 3\]"):
            model(torch.zeros(shape))
    with pytest.raises(ValueError, match="one shape"):
        model.compute_loss(torch.zeros(2, 4), model(torch.zeros(2, 3)))
