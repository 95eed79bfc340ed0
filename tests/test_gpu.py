"""Stacks on a GPU; and, on a device that has shapes but no numbers, that a step needs nothing of the host."""

import importlib

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from disentangle import Run, find
from disentangle.build import build_model
from disentangle.stack import Stack
from disentangle.train import train

from ._stacks import DATA, interrupted, run, several

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


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@needs_gpu
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_no_step_on_a_gpu_waits_for_the_host(method, members):
    gpu = torch.device("cuda")
    stack = Stack(several(method)[:members], DATA.to(gpu), gpu)
    stack.advance(5)  # eager steps, and the capture
    eager = Stack(several(method)[:members], DATA.to(gpu), gpu, graph=False)
    eager.advance(1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        stack.advance(5)
        eager.advance(5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert np.isfinite(stack.read()["objective"]).all()


@needs_gpu
@pytest.mark.parametrize("form", ["grouped", "matmul", "triton"])
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_computes_what_a_cpu_does(method, form):
    gpu, runs = torch.device("cuda"), several(method)
    there, here = Stack(runs, DATA.to(gpu), gpu, form=form), Stack(runs, DATA, CPU)
    for stack in (there, here):
        stack.advance(8)
    assert np.allclose(there.read()["objective"], here.read()["objective"], rtol=1e-3)


@needs_gpu
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_captured_step_rounds_as_it_should(precision):
    gpu = torch.device("cuda")
    exact, rounded = (Stack(several("vae", precision=p), DATA.to(gpu), gpu) for p in ("fp32", precision))
    for stack in (exact, rounded):
        stack.advance(8)
    a, b = exact.read()["objective"], rounded.read()["objective"]
    assert not np.array_equal(a, b)
    assert np.allclose(a, b, rtol=0.02)


@needs_gpu
@pytest.mark.parametrize(("first", "then"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_run_goes_on_on_another_device(tmp_path, first, then):
    runs = [run(seed=seed, steps=12) for seed in range(2)]
    interrupted(runs, DATA, tmp_path, device=first, stack=2)
    for trained in train(runs, DATA, tmp_path, device=then, stack=2, checkpoint_every=4):
        [whole] = train([trained.run], DATA, device="cpu", checkpoint_every=4)
        assert trained.values["objective"] == pytest.approx(whole.values["objective"], rel=1e-2)


@needs_gpu
def test_a_diverged_member_does_not_stop_a_captured_stack():
    runs = [run(steps=120), run(hyper={"beta": 3e38}, steps=120)]
    found = train(runs, DATA, device="cuda", stack=2)
    assert [t.status for t in found] == ["done", "diverged"]


@needs_gpu
@pytest.mark.parametrize("dataset", ["dsprites", "noisy_dsprites", "scream_dsprites", "shapes3d", "toy"])
def test_every_kind_of_store_is_read_without_waiting(dataset):
    gpu, data = torch.device("cuda"), find.get("dataset", dataset).load("drawn")
    runs = [Run(method="vae", dataset=dataset, batch=4, seed=seed).complete() for seed in range(2)]
    there, here = Stack(runs, data.to(gpu), gpu), Stack(runs, data, CPU)
    there.advance(5)
    torch.cuda.set_sync_debug_mode("error")
    try:
        there.advance(3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    here.advance(8)
    there_all = there.read()["objective"]
    assert np.allclose(there_all, here.read()["objective"][-len(there_all) :], rtol=1e-2)


@needs_gpu
def test_training_on_a_gpu_uses_the_memory_that_is_free():
    found = train([run(seed=seed, steps=8) for seed in range(4)], DATA, device="cuda")
    assert [t.stack for t in found] == [4] * 4
