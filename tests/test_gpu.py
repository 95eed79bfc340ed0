"""Stacks on a GPU."""

import numpy as np
import pytest
import torch

from disentangle import Run, find
from disentangle.stack import Stack
from disentangle.train import train

from ._stacks import DATA, interrupted, run, several

CPU = torch.device("cpu")
METHODS = find.names("method")
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
    runs = [run(steps=120), run(hyper={"beta": 1e300}, steps=120)]
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
