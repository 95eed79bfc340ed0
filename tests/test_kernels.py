"""The kernels of stacks compute torch's functions and gradients; in Triton's interpreter where no GPU is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

pytest.importorskip("triton", reason="Triton comes with torch for CUDA")

from disentangle import kernels
from disentangle.convolutions import Conv2d, ConvTranspose2d, ReLU, set_form
from disentangle.precision import computing_in
from disentangle.stacked import convolution

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# The interpreter has no products of bfloat16.
HALF = torch.bfloat16 if torch.cuda.is_available() else torch.float16
# Channels, features, side, kernel, stride, padding: the papers' layers, made small, and others.
LAYERS = [
    (1, 32, 8, 4, 2, 1),
    (3, 32, 6, 4, 2, 1),
    (32, 32, 8, 4, 2, 1),
    (32, 64, 4, 2, 2, 0),
    (64, 64, 4, 4, 2, 1),
    (32, 1, 8, 4, 2, 1),
    (64, 3, 4, 4, 2, 1),
    (5, 3, 7, 6, 3, 0),
    (3, 5, 6, 4, 2, 3),
    (48, 16, 6, 2, 1, 0),
]


@pytest.fixture(autouse=True)
def whole_float32():
    """Torch rounds convolutions to TF32 on a GPU, unless it is told not to."""
    with computing_in("fp32", DEVICE):
        yield


def torchs(x, weight, bias, stride, padding, relu, transposed):
    """What torch computes, model by model."""
    layer = F.conv_transpose2d if transposed else F.conv2d
    y = torch.stack([layer(*one, stride, padding) for one in zip(x, weight, bias, strict=True)])
    return y.relu() if relu else y


def ours(x, weight, bias, stride, padding, relu, transposed):
    """The kernels, as a stack uses them."""
    return torch.vmap(lambda *one: convolution(*one, stride, padding, relu, transposed))(x, weight, bias)


def drawn(n, batch, layer, transposed):
    channels, features, side, kernel, _, _ = layer
    torch.manual_seed(0)
    shape = (channels, features) if transposed else (features, channels)
    sizes = ((n, batch, channels, side, side), (n, *shape, kernel, kernel), (n, features))
    return [torch.randn(size, device=DEVICE).requires_grad_() for size in sizes]


def outcome(function, tensors, *how):
    """Output and gradients."""
    y = function(*tensors, *how)
    torch.manual_seed(1)
    return [y.detach(), *torch.autograd.grad(y, tensors, torch.randn(y.shape).to(y))]


def far(a, b):
    return float(((a - b).norm() / b.norm().clamp(min=1e-30)).detach())


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_kernel_computes_what_torch_does(layer, transposed):
    how = (*layer[4:], layer[1] > 1, transposed)  # the last layer is not rectified
    tensors = drawn(2, 3, layer, transposed)
    found, expected = (outcome(function, tensors, *how) for function in (ours, torchs))
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert far(a, b) < 1e-5


@given(
    n=st.integers(1, 3),
    batch=st.integers(1, 5),
    sizes=st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 7)),
    shape=st.sampled_from([(1, 1, 0), (2, 1, 0), (3, 1, 1), (2, 2, 0), (4, 2, 1), (4, 2, 2), (6, 3, 1)]),
    transposed=st.booleans(),
    relu=st.booleans(),
)
@settings(max_examples=10, deadline=None)
def test_other_sizes_are_computed_too(n, batch, sizes, shape, transposed, relu):
    kernel, stride, padding = shape
    side = sizes[2]
    assume((side - 1) * stride + kernel > 2 * padding if transposed else side + 2 * padding >= kernel)
    how = (stride, padding, relu, transposed)
    tensors = drawn(n, batch, (*sizes, *shape), transposed)
    found, expected = (outcome(function, tensors, *how) for function in (ours, torchs))
    for a, b in zip(found, expected, strict=True):
        assert far(a, b) < 1e-5


def test_a_sum_of_many_parts_is_whole(monkeypatch):
    monkeypatch.setattr(kernels, "WHOLE_SUM", 40)  # of 5 * 16 pixels: the last part is not full
    tensors = drawn(2, 5, LAYERS[2], False)
    found, expected = (outcome(function, tensors, 2, 1, True, False) for function in (ours, torchs))
    assert max(map(far, found, expected)) < 1e-5


@pytest.mark.parametrize("transposed", [False, True])
def test_what_is_no_number_stays_none(transposed):
    """Or a model that has diverged would go on as if nothing had happened."""
    tensors = drawn(2, 2, LAYERS[2], transposed)
    with torch.no_grad():
        tensors[0][1, 0, 0, 3, 3] = torch.nan
    how = (2, 1, True, transposed)
    found, expected = (outcome(function, tensors, *how) for function in (ours, torchs))
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.isnan(), b.isnan())
        assert far(a.nan_to_num(), b.nan_to_num()) < 1e-5
        assert not a[0].isnan().any()  # the other model
    assert found[0].isnan().any()


def test_a_model_alone_is_a_stack_of_one():
    tensors = drawn(1, 3, LAYERS[2], False)
    stacked = outcome(ours, tensors, 2, 1, True, False)
    alone = [t.detach()[0].requires_grad_() for t in tensors]
    found = outcome(convolution, alone, 2, 1, True, False)
    assert all(torch.equal(a, b[0]) for a, b in zip(found, stacked, strict=True))


def test_the_number_of_models_changes_no_bit():
    three = drawn(3, 2, LAYERS[2], False)
    one = [t.detach()[1:2].requires_grad_() for t in three]
    both = [ours(*t, 2, 1, True, False) for t in (three, one)]
    grads = [torch.autograd.grad(y.square().sum(), t) for y, t in zip(both, (three, one), strict=True)]
    assert torch.equal(both[0][1:2], both[1])
    assert all(torch.equal(a[1:2], b) for a, b in zip(*grads, strict=True))


def test_what_all_models_share_is_given_to_each():
    x, weight, bias = drawn(2, 3, LAYERS[2], False)
    shared = torch.vmap(lambda w, b: convolution(x[0], w, b, 2, 1, False, False))(weight, bias)
    expected = torchs(x[:1].expand(2, -1, -1, -1, -1), weight, bias, 2, 1, False, False)
    assert far(shared, expected) < 1e-5


def test_of_rounded_factors_the_sums_are_whole():
    tensors = drawn(2, 3, LAYERS[3], False)
    tensors[0] = tensors[0].detach().to(HALF).requires_grad_()
    found = outcome(ours, tensors, 2, 0, True, False)
    rounded = [t.detach().to(HALF).float().requires_grad_() for t in tensors[:2]]
    expected = outcome(torchs, [*rounded, tensors[2]], 2, 0, True, False)
    assert [t.dtype for t in found] == [HALF, HALF, torch.float32, torch.float32]
    assert 1e-6 < far(found[0].float(), expected[0]) < 1e-2
    assert all(far(a.float(), b) < 1e-2 for a, b in zip(found[1:], expected[1:], strict=True))


def test_in_a_network_the_kernels_do_the_work_of_the_rectifiers():
    torch.manual_seed(0)
    network = nn.Sequential(
        Conv2d(1, 4, 4, padding=1), ReLU(inplace=True),
        ConvTranspose2d(4, 2, 4, padding=1), ReLU(inplace=True),
        nn.Flatten(), nn.Linear(2 * 8 * 8, 3), ReLU(),
    ).to(DEVICE)  # fmt: skip
    x = torch.randn(2, 1, 8, 8, device=DEVICE)
    plain, names = network(x), list(network.state_dict())
    set_form(network, "triton")
    assert [m.done for m in network if isinstance(m, ReLU)] == [True, True, False]
    assert far(network(x), plain) < 1e-5
    assert float(network[0](x).detach().min()) == 0  # rectified
    with torch.autocast(DEVICE.type, HALF):
        assert network[0](x).dtype == HALF
    set_form(network, "plain")
    assert not any(m.done for m in network if isinstance(m, ReLU))
    assert float(network[0](x).detach().min()) < 0
    assert torch.equal(network(x), plain)
    assert list(network.state_dict()) == names


@pytest.mark.slow
def test_every_kernel_compiles_for_a_gpu_without_one():
    script = Path(__file__).parent / "benchmarks" / "kernels.py"
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, str(script), "--compile", "--precisions", "tf32,bf16"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    lines = [line.split() for line in told.stdout.splitlines() if "cuda:90" in line]
    assert len(lines) == 46  # 23 kernels in two precisions
    assert all(line[-1] == "0" for line in lines)  # bytes spilled
