"""On a device that has shapes but no numbers: a step needs nothing of the host, and can be recorded."""

import importlib

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from disentangle import Run, find
from disentangle.build import build_model
from disentangle.stack import Stack

from ._stacks import DATA, run, several

CPU = torch.device("cpu")
METHODS = find.names("method")
RANDOM = ["color_dsprites", "noisy_dsprites", "scream_dsprites"]


class Crossings(TorchDispatchMode):
    """Notes what takes a tensor with axes from the host to the device or back."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        read, written = (
            {t.device.type for t in tree_leaves(tree) if isinstance(t, torch.Tensor) and t.dim()}
            for tree in ((args, kwargs), out)
        )
        if len(read | written) > 1:
            self.found.append(func)
        return out


@pytest.fixture
def elsewhere(monkeypatch):
    """Torch's meta device plays a GPU: reading a number there fails, and mixing it with the CPU does."""
    optimizer = importlib.import_module("torch.optim.optimizer")
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["cpu", "meta"])
    return torch.device("meta")


def test_the_device_that_plays_a_gpu_tells_who_reads_it(elsewhere):
    there = torch.ones(3, device=elsewhere)
    for read in (float, bool, torch.Tensor.item, torch.Tensor.cpu):
        with pytest.raises((RuntimeError, NotImplementedError)):
            read(there[:1])
    with pytest.raises(RuntimeError):
        torch.stack([there, torch.ones(3)])
    with Crossings() as crossings:
        there.copy_(torch.ones(3))
    assert len(crossings.found) == 1


@pytest.mark.parametrize(("members", "form"), [(1, "plain"), (3, "grouped"), (3, "matmul")])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_needs_nothing_of_the_host(method, members, form, elsewhere):
    step_alone(Stack(several(method)[:members], DATA.to(elsewhere), elsewhere, form=form))


@pytest.mark.parametrize("method", ["beta_vae", "ada_gvae"])
def test_a_step_by_kernels_needs_nothing_of_the_host(method, elsewhere, monkeypatch):
    pytest.importorskip("triton", reason="Triton comes with torch for CUDA")
    kernels, launches = importlib.import_module("disentangle.kernels"), []

    class Kernel:
        def __getitem__(self, grid):
            return lambda *args, **constants: launches.append((grid, args))

    for name in ("_convolve", "_spread", "_correlate"):
        monkeypatch.setattr(kernels, name, Kernel())
    stack = Stack(several(method), DATA.to(elsewhere), elsewhere, form="triton")
    step_alone(stack)
    assert len(launches) == 3 * 23  # three steps of eight layers; the images need no gradient
    assert all(grid[1] == len(stack.runs) for grid, _ in launches)
    tensors = [t for _, args in launches for t in args if isinstance(t, torch.Tensor)]
    assert all(t.is_contiguous() and t.device == elsewhere for t in tensors)


@pytest.mark.parametrize("dataset", [*RANDOM, "shapes3d"])
def test_images_are_made_where_they_are_needed(dataset, elsewhere):
    data = find.get("dataset", dataset).load("drawn").to(elsewhere)
    runs = [Run(method="vae", dataset=dataset, batch=4, seed=seed).complete() for seed in range(2)]
    step_alone(Stack(runs, data, elsewhere))


def step_alone(stack):
    """One step after the first, which makes what stays, its draws on the device already."""
    stack.advance(2)
    stack._cursor.zero_()
    with Crossings() as crossings:
        stack._compute()
    assert not crossings.found


@pytest.mark.parametrize("method", METHODS)
def test_a_model_is_read_where_it_is(method, elsewhere):
    one, descriptor = run(method), find.get("method", method)
    model = build_model(one, DATA).to(elsewhere).eval()
    images = DATA.to(elsewhere).images(np.arange(3))
    with torch.inference_mode(), Crossings() as crossings:
        codes = descriptor.represent(model, images)
        descriptor.decode(model, codes)
        if descriptor.posterior is not None:
            descriptor.posterior(model, images)
    assert codes.shape == (3, one.latents)
    assert not crossings.found


class Trace(TorchDispatchMode):
    """What is done, in order: the operations, the shapes that they are given, and numbers of the host."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = [
            (t.dtype, tuple(t.shape), None if t.dim() or t.device != CPU else t.item())
            if isinstance(t, torch.Tensor)
            else t
            for t in tree_leaves((args, kwargs))
        ]
        if func.namespace != "profiler":
            self.found.append((str(func), given))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_can_be_recorded_once(method, members, elsewhere):
    """Every step does the same with the same numbers of the host, and what it keeps stays where it is."""
    stack = Stack(several(method)[:members], DATA.to(elsewhere), elsewhere)
    traces, kept = [], []
    for steps in (2, 3):
        stack.advance(steps)
        stack._cursor.zero_()
        with Trace() as trace:
            stack._compute()
        traces.append(trace.found)
        moments = tree_leaves(stack.optimiser.state_dict()["state"])
        own = [
            *stack.parameters.values(),
            *moments,
            *stack._drawn.values(),
            stack._found,
            stack._cursor,
            stack._at,
        ]
        kept.append([id(t) for t in own])
    assert len(traces[0]) > 100
    assert traces[0] == traces[1]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("members", [1, 3])
def test_a_run_s_state_is_taken_to_another_device(members, elsewhere):
    runs = several("beta_vae")[:members]
    here = Stack(runs, DATA, CPU)
    here.advance(2)
    states = [here.state(i) for i in range(members)]
    there = Stack(
        runs,
        DATA.to(elsewhere),
        elsewhere,
        models=here.models,
        moments=[s["optimiser"] for s in states],
        step=2,
    )
    there.advance(1)
    tensors = tree_leaves([there.optimiser.state_dict()["state"], there.parameters])
    assert {t.device for t in tensors} == {elsewhere}
