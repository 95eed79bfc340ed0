"""The forms of a convolution: one function, and one gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle import nets
from disentangle.convolutions import Conv2d, ConvTranspose2d, set_form

SHAPES = st.tuples(
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 5, 8]),
    st.sampled_from([1, 3, 4, 5, 8]),
    st.sampled_from([6, 7, 8]),
    st.sampled_from([(4, 2, 1), (2, 2, 0), (2, 1, 0), (6, 2, 2), (6, 3, 0), (4, 2, 3)]),
)


def outcome(layer, x, needs_input_grad):
    """Output and gradients, in double precision so that only mistakes show."""
    x = x.clone().requires_grad_(needs_input_grad)
    y = layer(x)
    torch.manual_seed(1)
    (y * torch.randn(y.shape, dtype=y.dtype)).sum().backward()  # randn_like would fill in memory order
    found = [y.detach(), layer.weight.grad.clone(), layer.bias.grad.clone()]
    layer.zero_grad()
    return [*found, x.grad] if needs_input_grad else found


@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
@pytest.mark.parametrize("form", ["cpu", "matmul"])
@given(shape=SHAPES, needs_input_grad=st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_form_computes_the_same_function_and_gradients(kind, form, shape, needs_input_grad):
    n, channels, features, side, (kernel, stride, padding) = shape
    if kind is Conv2d and form == "matmul" and (side + 2 * padding) % stride:
        side += stride - (side + 2 * padding) % stride  # what its docstring asks for
    torch.manual_seed(0)
    layer = kind(channels, features, kernel, stride=stride, padding=padding).double()
    x = torch.randn(n, channels, side, side, dtype=torch.float64)
    plain = outcome(layer, x, needs_input_grad)
    layer.form = form
    for a, b in zip(plain, outcome(layer, x, needs_input_grad), strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9)


def test_the_form_of_a_whole_network_is_chosen_and_is_no_part_of_its_state():
    network = nets.encoder(1)
    names = list(network.state_dict())
    set_form(network, "matmul")
    assert {m.form for m in network.modules() if isinstance(m, Conv2d)} == {"matmul"}
    assert list(network.state_dict()) == names
    assert names[0] == "0.weight"


def test_gradients_stay_in_channels_last_memory_on_a_cpu():
    """oneDNN's kernels for the other order are slower, and so is every mask between two orders."""
    network = nets.decoder(1).to(memory_format=torch.channels_last)
    set_form(network, "cpu")
    seen = []
    for module in network:
        if isinstance(module, ConvTranspose2d):
            module.register_full_backward_hook(lambda m, grads, outs: seen.append(grads[0]))
    for module in network:
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False  # hooks do not go with changes in place
    network(torch.randn(3, 10)).sum().backward()
    assert len(seen) == 4
    assert all(grad.is_contiguous(memory_format=torch.channels_last) for grad in seen)
