"""AE, VAE and AdaGVAE as the seed document says: names, arguments, shapes, outputs, diagnostics."""

import copy

import pytest
import torch
from torch import nn

from disentangle import AE, VAE, AdaGVAE, AdaGVAEOutput, VAEOutput
from disentangle.autoencoder import FullyFactorizedGaussian
from disentangle.models.vae import VAEEncodeOutput

B, D, S = 5, 3, 4
DIAGNOSTICS = {"elbo", "log_likelihood_x1", "log_likelihood_x2", "kl_divergence_x1", "kl_divergence_x2"}


class Counted(nn.Module):
    """Counts calls and remembers the batch size, to see that a network is evaluated once."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.batches = inner, []

    def forward(self, x):
        self.batches.append(len(x))
        return self.inner(x)


def make(shape=(2, 6), latents=D, **kwargs):
    size = int(torch.tensor(shape).prod())
    encoder = Counted(nn.Sequential(nn.Flatten(), nn.Linear(size, 7), nn.Tanh()))
    decoder = Counted(nn.Sequential(nn.Linear(latents, size), nn.Unflatten(1, shape)))
    return VAE(encoder, decoder, latent_dim=latents, **kwargs)


@pytest.mark.parametrize("shape", [(6,), (1, 8, 8), (2, 3, 4, 5)])
def test_vae_shapes_for_any_input_shape(shape):
    x = torch.rand(B, *shape)
    out = make(shape)(x, S=S)
    assert out.x_hat.shape == (B, S, *shape)
    assert out.z.shape == (B, S, D)
    assert out.mu.shape == out.log_var.shape == (B, D)


def test_ae_passes_any_code_through():
    model = AE(nn.Identity(), nn.Identity())
    x = torch.rand(B, 2, 3)
    assert torch.equal(model.encode(x).z, x)
    assert torch.equal(model.decode(x).x_hat, x)
    loss = model.compute_loss(x, ae_output=model(x + 1))
    assert loss.objective.item() == pytest.approx(3.0)  # 6 features, each 1/2
    assert set(loss.diagnostics) == {"log_likelihood"}
    assert float(loss.diagnostics["log_likelihood"]) == pytest.approx(-3.0)


def test_the_state_dict_has_the_documented_names():
    vae = make()
    names = {n.rsplit(".", 1)[0] for n in vae.state_dict()}
    assert {"sampling_layer.mu", "sampling_layer.log_var"} <= names
    assert all(n.startswith(("encoder.", "decoder.", "sampling_layer.")) for n in names)
    assert all(n.startswith("vae.") for n in AdaGVAE(vae).state_dict())


def test_evaluation_repeats_the_mean_and_training_samples():
    x, model = torch.rand(B, 2, 6), make()
    model.build(x)
    model.eval()
    out = model(x, S=S)
    assert torch.equal(out.z, out.mu.unsqueeze(1).expand(B, S, D))
    assert torch.equal(out.z, model(x, S=S).z)
    model.train()
    assert not torch.equal(model(x).z, model(x).z)


def test_noise_handed_in_is_used():
    x, model = torch.rand(B, 2, 6), make()
    noise = torch.randn(B, S, D)
    out = model(x, S=S, noise=noise)
    expected = out.mu.unsqueeze(1) + torch.exp(out.log_var / 2).unsqueeze(1) * noise
    torch.testing.assert_close(out.z, expected)
    pair = AdaGVAE(model)((x, x * 0.5), S=S, noise=(noise, noise))
    assert torch.equal(pair.output1.z, AdaGVAE(model)((x, x * 0.5), S=S, noise=(noise, noise)).output1.z)


def test_encode_and_decode_have_no_gradients_and_forward_has():
    x, model = torch.rand(B, 2, 6), make()
    code = model.encode(x, S=2)
    assert isinstance(code, VAEEncodeOutput)
    assert not code.z.requires_grad
    assert not model.decode(code.z).x_hat.requires_grad
    assert model(x).x_hat.requires_grad


def test_build_leaves_no_trace():
    encoder = nn.Sequential(nn.Flatten(), nn.LazyLinear(7), nn.BatchNorm1d(7), nn.Dropout(0.5))
    model = VAE(encoder, nn.Linear(D, 12), latent_dim=D)
    encoder[2].eval()
    before = encoder[2].running_mean.clone()
    model.build(torch.rand(B, 2, 6))
    assert model.training
    assert encoder[3].training
    assert not encoder[2].training
    assert torch.equal(encoder[2].running_mean, before)
    assert model.sampling_layer.mu.in_features == 7
    assert type(model.sampling_layer.mu) is nn.Linear


def test_a_failing_build_puts_the_flags_back():
    model = make()
    with pytest.raises(RuntimeError):
        model.build(torch.rand(B, 99))
    assert all(m.training for m in model.modules())


def test_a_state_dict_loads_without_build():
    x, built = torch.rand(B, 2, 6), make()
    built.build(x)
    fresh = make()
    fresh.load_state_dict(built.state_dict())
    assert torch.equal(fresh.eval()(x).x_hat, built.eval()(x).x_hat)


@pytest.mark.parametrize("samples", [1, S])
def test_loss_is_features_summed_then_mean_over_samples_and_batch(samples):
    x, model = torch.rand(B, 2, 6), make()
    out = model(x, S=samples)
    loss = model.compute_loss(x, vae_output=out, beta=4, likelihood="Gaussian")
    rec = -0.5 * ((out.x_hat - x[:, None]) ** 2).sum((2, 3)).mean(1).mean()
    kl = 0.5 * (out.mu**2 + out.log_var.exp() - 1 - out.log_var).sum(1).mean()
    assert set(loss.diagnostics) == {"elbo", "log_likelihood", "kl_divergence"}
    torch.testing.assert_close(loss.diagnostics["log_likelihood"], rec)
    torch.testing.assert_close(loss.diagnostics["kl_divergence"], kl)
    torch.testing.assert_close(loss.diagnostics["elbo"], rec - 4 * kl)
    torch.testing.assert_close(loss.objective, -(rec - 4 * kl))
    assert all(v.dim() == 0 and not v.requires_grad for v in loss.diagnostics.values())


def test_an_output_without_sample_axis_counts_as_one_sample():
    x, model = torch.rand(B, 2, 6), make()
    out = model(x)
    flat = VAEOutput(out.x_hat[:, 0], out.z, out.mu, out.log_var)
    assert torch.equal(model.compute_loss(x, flat).objective, model.compute_loss(x, out).objective)


def test_x_is_broadcast_over_samples_as_a_view(monkeypatch):
    import disentangle.losses as losses

    seen = []
    original = losses.log_likelihood
    monkeypatch.setattr(losses, "log_likelihood", lambda x, *a: seen.append(x.stride(1)) or original(x, *a))
    x, model = torch.rand(B, 2, 6), make()
    model.compute_loss(x, model(x, S=S))
    assert seen == [0]


@pytest.mark.parametrize("training", [True, False])
def test_ada_gvae_groups_and_samples_in_both_modes(training):
    model = AdaGVAE(make()).train(training)
    x1, x2 = torch.rand(B, 2, 6), torch.rand(B, 2, 6)
    out = model((x1, x2), S=S)
    assert isinstance(out, AdaGVAEOutput)
    one, two = out.output1, out.output2
    same = (one.mu == two.mu) & (one.log_var == two.log_var)
    assert same.any(1).all()
    assert not same.all()
    assert not torch.equal(one.z, model((x1, x2), S=S).output1.z)
    assert one.x_hat.shape == (B, S, 2, 6)


def test_ada_gvae_evaluates_each_network_once_on_both_images():
    vae = make()
    AdaGVAE(vae)((torch.rand(B, 2, 6), torch.rand(B, 2, 6)), S=S)
    assert vae.encoder.batches == [2 * B]
    assert vae.decoder.batches == [2 * B * S]


def test_ada_gvae_loss_is_the_sum_of_both():
    model, x = AdaGVAE(make()), (torch.rand(B, 2, 6), torch.rand(B, 2, 6))
    out = model(x)
    loss = model.compute_loss(x, out, beta=2, likelihood="bernoulli")
    single = [
        model.vae.compute_loss(xi, o, 2, "bernoulli")
        for xi, o in zip(x, (out.output1, out.output2), strict=True)
    ]
    torch.testing.assert_close(loss.objective, single[0].objective + single[1].objective)
    assert set(loss.diagnostics) == DIAGNOSTICS
    torch.testing.assert_close(loss.diagnostics["elbo"], -loss.objective.detach())
    torch.testing.assert_close(loss.diagnostics["kl_divergence_x2"], single[1].diagnostics["kl_divergence"])


def test_gradients_reach_every_parameter():
    model, x = AdaGVAE(make()), (torch.rand(B, 2, 6), torch.rand(B, 2, 6))
    model.compute_loss(x, model(x)).objective.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_ada_gvae_build_and_copy():
    model = AdaGVAE(make())
    model.build(torch.rand(B, 2, 6))
    twin = copy.deepcopy(model)
    x = torch.rand(B, 2, 6)
    assert torch.equal(model.vae.eval().encode(x).mu, twin.vae.eval().encode(x).mu)


def test_outputs_print_shapes():
    out = make()(torch.rand(B, 2, 6))
    assert repr(out).startswith("VAEOutput(x_hat=Tensor(shape=(5, 1, 2, 6), dtype=torch.float32), z=")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m(x, S=0), "S, the number of latent samples, must be 1 or more, got 0"),
        (lambda m, x: AdaGVAE(m)((x, x), S=-1), "must be 1 or more, got -1"),
        (
            lambda m, x: m(x, noise=torch.zeros(1, 1, D)),
            r"noise must have shape .*\[5, 1, 3\], got \[1, 1, 3\]",
        ),
        (lambda m, x: m.decode(torch.zeros(B, D)), r"\[B, S, D_z\] with D_z = 3, got \[5, 3\]"),
        (lambda m, x: m.decode(torch.zeros(B, 1, 9)), r"D_z = 3, got \[5, 1, 9\]"),
        (lambda m, x: m.compute_loss(x[:, :1], m(x)), r"x_hat must have shape .*got \[5, 1, 2, 6\]"),
        (lambda m, x: m.compute_loss(x, m(x), likelihood="cauchy"), "unknown likelihood 'cauchy'"),
        (lambda m, x: AdaGVAE(m)((x, x, x)), "pair .* got 3 items"),
        (lambda m, x: AdaGVAE(m)(x), "pair .* got Tensor"),
        (lambda m, x: AdaGVAE(m)((x, x[:2])), r"one shape .* \[5, 2, 6\] and \[2, 2, 6\]"),
        (
            lambda m, x: VAE(nn.Identity(), nn.Identity(), 2)(x),
            r"features of shape \[B, F\], got \[5, 2, 6\]",
        ),
        (lambda m, x: FullyFactorizedGaussian(0), "latent_dim must be 1 or more, got 0"),
    ],
)
def test_wrong_input_is_a_value_error_that_says_what(call, message):
    with pytest.raises(ValueError, match=message):
        call(make(), torch.rand(B, 2, 6))
