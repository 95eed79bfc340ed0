"""AE + PCA and AE + ICA: the coordinates, what is constant, and the way back."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA, FastICA
from torch import nn

from disentangle import Run, find, load
from disentangle.build import build_model
from disentangle.models import _linear_codes, ae_ica
from disentangle.models._linear_codes import LinearCodesAE, LinearMap, codes_to_fit, principal
from disentangle.models.ae_ica import independent
from disentangle.stack import Stack
from disentangle.train import train

TOY = find.get("dataset", "toy").load()
METHODS = ("ae_pca", "ae_ica")


def run(method="ae_pca", **changes):
    return Run(**{"method": method, "dataset": "toy", "steps": 6, "batch": 8, "lr": 1e-3, **changes})


def rng(seed=0):
    return np.random.default_rng(seed)


def mixed(n=4000, d=4, seed=0):
    """Independent uniform and Laplace sources, and codes that mix them."""
    draw = rng(seed)
    sources = np.concatenate([draw.random((n, d - 2)), draw.laplace(size=(n, 2))], axis=1)
    return sources, sources @ draw.normal(size=(d, d)) + 3


def apply(coordinates, codes):
    """By the formula of `Coordinates`, in double precision."""
    along = (codes - coordinates.mean) @ coordinates.basis
    inverse = np.divide(
        1, coordinates.scale, where=coordinates.scale > 0, out=np.zeros(len(coordinates.scale))
    )
    return along * inverse @ coordinates.rotation


def find_coordinates(method, codes):
    return principal(codes)[0] if method == "ae_pca" else independent(codes, rng())[0]


def test_principal_axes_are_scikit_learn_s():
    codes = mixed()[1]
    axes, deviations = principal(codes)
    reference = PCA().fit(codes)
    scale = np.sqrt(len(codes) / (len(codes) - 1))
    assert np.allclose(deviations * scale, np.sqrt(reference.explained_variance_))
    assert np.allclose(abs(axes.basis), abs(reference.components_.T))
    assert np.allclose(abs(apply(axes, codes)), abs(reference.transform(codes)))
    assert axes.scale.tolist() == [1] * 4  # not whitened
    assert (axes.basis[abs(axes.basis).argmax(0), range(4)] > 0).all()
    again = principal(codes[::-1])[0]
    assert np.allclose(again.basis, axes.basis)


def test_components_are_the_sources_that_were_mixed():
    sources, codes = mixed()
    found, converged = independent(codes, rng())
    components = apply(found, codes)
    assert converged
    assert np.allclose(np.cov(components.T, bias=True), np.eye(4), atol=1e-9)
    correlation = abs(np.corrcoef(components.T, sources.T)[:4, 4:])
    assert sorted(correlation.argmax(1)) == [0, 1, 2, 3]
    assert correlation.max(1).min() > 0.99


def test_components_are_scikit_learn_s():
    """Up to order and sign, which it leaves to chance."""
    codes = mixed()[1]
    start = rng(5).standard_normal((4, 4))
    reference = FastICA(whiten="unit-variance", w_init=start, max_iter=1000, tol=1e-10).fit_transform(codes)
    components = apply(independent(codes, rng(5))[0], codes)
    correlation = abs(np.corrcoef(components.T, reference.T)[:4, 4:])
    assert np.allclose(np.sort(correlation, axis=1)[:, -1], 1, atol=1e-4)


def test_order_and_sign_of_components_are_fixed():
    codes = mixed()[1]
    weights = []
    for seed in range(3):  # of FastICA's beginning
        found = independent(codes, rng(seed))[0]
        weights.append(found.basis * found.scale @ found.rotation)
        assert (weights[-1][abs(weights[-1]).argmax(0), range(4)] > 0).all()
        assert (np.diff((weights[-1] ** 2).sum(0)) <= 0).all()
    assert np.allclose(weights[0], weights[1], atol=0.02)
    assert np.allclose(weights[0], weights[2], atol=0.02)
    same = independent(codes, rng(1))[0]
    assert np.array_equal(same.basis * same.scale @ same.rotation, weights[1])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("constant", [1, 3, 4])
def test_constant_directions_are_constant_zero(method, constant):
    """But for the rounding of float32, which is not taken for a signal."""
    codes = mixed()[1]
    codes[:, 4 - constant :] = codes[0, 4 - constant :]
    codes = np.float64(np.float32(codes @ np.linalg.qr(rng(1).normal(size=(4, 4)))[0]))
    found = find_coordinates(method, codes)
    components = apply(found, codes)
    assert all(np.isfinite(value).all() for value in vars(found).values())
    assert (components[:, 4 - constant :] == 0).all()
    assert (components[:, : 4 - constant].std(0) > 1e-3).all()
    model = LinearMap(4)
    model.set(found)
    assert (model(torch.from_numpy(codes).float())[:, 4 - constant :] == 0).all()
    back = model.back(model(torch.from_numpy(codes).float()))
    assert np.allclose(back, codes, atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("codes", [np.zeros((5, 3)), np.ones((1, 3)), 1e-40 * rng().normal(size=(9, 3))])
def test_a_collapsed_encoder_gives_zeros_and_not_nan(method, codes):
    model = LinearMap(3)
    model.set(find_coordinates(method, codes))
    shown = torch.from_numpy(codes).float()
    assert not model(shown).any()
    assert np.allclose(model.back(model(shown)), codes, atol=1e-30)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [0.0, 10.0])
def test_the_way_back_loses_nothing_to_rounding_where_scales_differ(method, shift):
    """The condition number of all in one matrix is 10,000: in float32 its inverse would lose four digits."""
    codes = rng().laplace(size=(5000, 5)) * np.logspace(0, -4, 5)
    codes = codes @ np.linalg.qr(rng(1).normal(size=(5, 5)))[0] + shift
    model = LinearMap(5)
    model.set(find_coordinates(method, codes))
    shown = torch.from_numpy(codes).float()
    assert (model.back(model(shown)) - shown).abs().max() < 1e-6 * shown.abs().max()


def test_the_map_is_the_identity_until_it_is_set():
    codes = torch.randn(9, 3)
    model = LinearCodesAE(nn.Identity(), nn.Identity(), 3)
    for shown in (model.map(codes), model.map.back(codes), model.encode(codes).z, model(codes).x_hat):
        assert torch.equal(shown, codes)
    assert not any(p.requires_grad for p in model.map.parameters())
    built = build_model(run("ae_ica"), TOY)
    assert torch.equal(built.map.rotation, torch.eye(10))
    assert torch.equal(built.map.basis, torch.eye(10))
    assert not built.map.mean.any()
    assert (built.map.scale == 1).all()


def test_a_gradient_passes_a_constant_direction():
    codes = mixed()[1]
    codes[:, 3] = 1
    model = LinearCodesAE(nn.Identity(), nn.Identity(), 4)
    model.map.set(principal(codes)[0])
    x = torch.from_numpy(codes[:7]).float().requires_grad_()
    model._decode(model._encode(x).z).x_hat.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("method", METHODS)
def test_training_is_that_of_the_plain_autoencoder(method):
    [plain] = train([run("ae")], TOY, device="cpu", progress=False)
    [mapped] = train([run(method)], TOY, device="cpu", progress=False)
    for name, value in plain.model.named_parameters():
        assert torch.equal(value, mapped.model.get_parameter(name)), name
    assert plain.values == mapped.values
    images, descriptor = TOY.images(np.arange(100)), find.get("method", method)
    codes = descriptor.represent(mapped.model, images)
    ours, theirs = codes.numpy(), find.get("method", "ae").represent(plain.model, images).numpy()
    assert not np.allclose(ours, theirs, atol=1e-3)
    logits = mapped.model.decode(codes).x_hat
    assert torch.allclose(logits, plain.model(images).x_hat, atol=1e-5)
    assert torch.allclose(descriptor.decode(mapped.model, codes), torch.sigmoid(logits))


@pytest.mark.parametrize("method", METHODS)
def test_the_representation_of_a_trained_model_is_uncorrelated(method):
    [trained] = train([run(method)], TOY, device="cpu", progress=False)
    codes = apply_map(trained.model, codes_to_fit(trained.model, TOY, trained.run))
    covariance = np.cov(codes.T, bias=True)
    variances = np.diag(covariance)
    assert np.allclose(covariance, np.diag(variances), atol=1e-3 * variances.max())
    expected = np.sort(variances)[::-1] if method == "ae_pca" else np.sign(variances)
    assert np.allclose(variances, expected, atol=1e-2 * variances.max())
    assert variances.max() > 0


def apply_map(model, codes):
    with torch.no_grad():
        return model.map(torch.from_numpy(codes).float()).double().numpy()


@pytest.mark.parametrize("method", METHODS)
def test_to_fit_twice_is_to_fit_once(method):
    [trained] = train([run(method)], TOY, device="cpu", progress=False)
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    find.get("method", method).fit(trained.model, TOY, trained.run)
    assert all(torch.equal(value, before[name]) for name, value in trained.model.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_goes_on_and_one_that_is_loaded_have_the_same_map(method, tmp_path, monkeypatch):
    [whole] = train([run(method)], TOY, device="cpu", progress=False)
    with monkeypatch.context() as patched:
        patched.setattr("disentangle.job.finish", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train([run(method)], TOY, tmp_path, device="cpu", checkpoint_every=4, progress=False)
    [resumed] = train([run(method)], TOY, tmp_path, device="cpu", progress=False)
    loaded = load(tmp_path / run(method).key())
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
        assert torch.equal(value, loaded.state_dict()[name]), name
    assert not torch.equal(loaded.map.basis, torch.eye(10))


@pytest.mark.parametrize("members", [1, 2])
def test_training_leaves_the_map_alone(members):
    stack = Stack([run(seed=s).complete() for s in range(members)], TOY, torch.device("cpu"))
    mark = principal(mixed(d=10)[1])[0]
    for model in stack.models:
        model.map.set(mark)
    stack = Stack(stack.runs, TOY, torch.device("cpu"), models=stack.models)
    stack.advance(5)
    for i in range(members):
        trained = stack.finish(i)
        assert np.allclose(trained.map.basis, mark.basis, atol=1e-6)
        assert not torch.equal(trained.encoder[1].weight, build_model(stack.runs[i], TOY).encoder[1].weight)


def test_what_is_held_out_of_training_is_not_fitted_to(monkeypatch):
    shown, batches = [], _linear_codes.batches

    def watched(model, data, rows):
        shown.append(rows)
        return batches(model, data, rows)

    monkeypatch.setattr(_linear_codes, "batches", watched)
    model = build_model(run(), TOY)
    codes = codes_to_fit(model, TOY, run())
    assert codes.shape == (10_000, 10)
    assert len(shown[0]) == len(TOY)  # each once, though it is drawn many times
    codes_to_fit(model, dataclasses.replace(TOY, split="without size=2"), run())
    assert set(TOY.factors(shown[1])[:, 0]) == {0, 1}
    assert np.array_equal(codes, codes_to_fit(model, TOY, run()))
    assert not np.array_equal(codes, codes_to_fit(model, TOY, run(seed=1)))


def test_ica_that_does_not_converge_is_told_once_and_is_no_failure(monkeypatch, capsys, recwarn):
    monkeypatch.setattr(ae_ica, "ROUNDS", 1)
    [trained] = train([run("ae_ica")], TOY, device="cpu", progress=False)
    told = capsys.readouterr().out
    assert told.count("ae_ica seed 0: ICA has not converged in 1 rounds; its last is taken") == 1
    assert not any("converge" in str(w.message) for w in recwarn)
    turn = trained.model.map.rotation
    assert torch.allclose(turn @ turn.T, torch.eye(10), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_codes_that_are_no_numbers_leave_the_map_as_it_is(method):
    model = build_model(run(method), TOY)
    with torch.no_grad():
        model.encoder[1].bias[0] = float("nan")
    find.get("method", method).fit(model, TOY, run(method))
    assert torch.equal(model.map.basis, torch.eye(10))
