"""The papers' networks against the reference's weights, outputs and counts."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from disentangle import VAE, nets
from disentangle.draws import generator
from disentangle.errors import InputError

GOLDEN = Path(__file__).parent / "golden"
ENCODER = ("encoder/e1", "encoder/e2", "encoder/e3", "encoder/e4", "encoder/e5")


def model(channels=1):
    vae = VAE(nets.encoder(channels), nets.decoder(channels), 10)
    vae.build(torch.zeros(1, channels, 64, 64))
    return vae


def count(*modules):
    return sum(p.numel() for m in modules for p in m.parameters())


def test_parameter_counts_are_the_papers():
    vae = model()
    assert count(vae.encoder, vae.sampling_layer) == 309_204
    assert count(vae.decoder) == 381_313


def convert(vae, archive):
    """Copy the reference's weights in: HWIO and HWC order to ours."""
    layers = [m for m in vae.encoder if hasattr(m, "weight")]
    for name, layer in zip(ENCODER, layers, strict=True):
        kernel = torch.from_numpy(archive[f"w:{name}/kernel"])
        if kernel.dim() == 4:
            kernel = kernel.permute(3, 2, 0, 1)
        else:  # the reference flattens (4, 4, 64); we flatten (64, 4, 4)
            kernel = kernel.reshape(4, 4, 64, -1).permute(3, 2, 0, 1).flatten(1)
        layer.weight.copy_(kernel)
        layer.bias.copy_(torch.from_numpy(archive[f"w:{name}/bias"]))
    for name, layer in (("means", vae.sampling_layer.mu), ("log_var", vae.sampling_layer.log_var)):
        layer.weight.copy_(torch.from_numpy(archive[f"w:encoder/{name}/kernel"]).T)
        layer.bias.copy_(torch.from_numpy(archive[f"w:encoder/{name}/bias"]))
    convert_decoder(vae.decoder, archive)


def convert_decoder(decoder, archive):
    dense = [m for m in decoder if isinstance(m, nn.Linear)]
    for name, layer in zip(("dense", "dense_1"), dense, strict=True):
        kernel = torch.from_numpy(archive[f"w:decoder/{name}/kernel"]).T
        bias = torch.from_numpy(archive[f"w:decoder/{name}/bias"])
        if name == "dense_1":  # its output is reshaped to (4, 4, 64) there, to (64, 4, 4) here
            kernel = kernel.reshape(4, 4, 64, -1).permute(2, 0, 1, 3).flatten(0, 2)
            bias = bias.reshape(4, 4, 64).permute(2, 0, 1).flatten()
        layer.weight.copy_(kernel)
        layer.bias.copy_(bias)
    transposed = [m for m in decoder if isinstance(m, nn.ConvTranspose2d)]
    for i, layer in enumerate(transposed):
        name = "conv2d_transpose" + (f"_{i}" if i else "")
        # There (H, W, out, in), here (in, out, H, W).
        layer.weight.copy_(torch.from_numpy(archive[f"w:decoder/{name}/kernel"]).permute(3, 2, 0, 1))
        layer.bias.copy_(torch.from_numpy(archive[f"w:decoder/{name}/bias"]))


@torch.no_grad()
def test_outputs_meet_the_reference_with_its_weights():
    vae = model().eval()
    with np.load(GOLDEN / "tf_arch_c1.npz") as archive:
        convert(vae, archive)
        x = torch.from_numpy(archive["x"]).permute(0, 3, 1, 2)
        mu, log_var = vae.sampling_layer.get_params(vae.encoder(x))
        torch.testing.assert_close(mu, torch.from_numpy(archive["means"]), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(log_var, torch.from_numpy(archive["log_var"]), rtol=1e-4, atol=1e-5)
        logits = vae.decoder(torch.from_numpy(archive["z"])).permute(0, 2, 3, 1)
        torch.testing.assert_close(logits, torch.from_numpy(archive["decoder_logits"]), rtol=1e-4, atol=1e-4)


def test_initial_weights_are_glorot_and_depend_on_the_seed_alone():
    first, second, other = model(3), model(3), model(3)
    for vae, seed in ((first, 4), (second, 4), (other, 5)):
        nets.initialise(vae, generator(seed, "init"))
    for (name, a), b, c in zip(
        first.named_parameters(), second.parameters(), other.parameters(), strict=True
    ):
        assert torch.equal(a, b)
        if name.endswith("bias"):
            assert not a.any()
            continue
        assert not torch.equal(a, c)
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(a)
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert a.abs().max() <= bound
        assert a.abs().max() > 0.95 * bound
        assert a.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_initial_weights_stay_the_same_from_version_to_version():
    vae = model()
    nets.initialise(vae, generator(0, "init"))
    content = b"".join(p.detach().contiguous().numpy().tobytes() for p in vae.parameters())
    assert hashlib.sha256(content).hexdigest()[:16] == "3e2607c264390f06"


def test_a_parameter_of_unknown_kind_is_refused():
    with pytest.raises(InputError, match="no initialisation is known for the parameter weight"):
        nets.initialise(nn.BatchNorm1d(3), np.random.default_rng(0))
