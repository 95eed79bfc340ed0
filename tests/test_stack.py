"""Stacks: a run in a stack is the run alone, whatever the others do."""

import dataclasses
import gc
import math
import resource
import sys
import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from disentangle import InputError, find
from disentangle.batches import Batches
from disentangle.build import build_model
from disentangle.checkpoint import read_log
from disentangle.draws import generator
from disentangle.images import Pixels
from disentangle.job import Job
from disentangle.memory import keep_freed_memory
from disentangle.pairs import sample_pairs
from disentangle.precision import check_precision, computing_in
from disentangle.stack import Stack, alike
from disentangle.train import stack_size, train

from ._stacks import DATA, interrupted, run, several

CPU = torch.device("cpu")
METHODS = find.names("method")


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def close(a, b):
    return float((a - b).norm() / b.norm()) < 1e-8


class Doubles:
    """A store whose images are in double precision."""

    def __init__(self, store):
        self.store, self.shape, self.nbytes = store, store.shape, store.nbytes

    def __len__(self):
        return len(self.store)

    def gather(self, index):
        return self.store.gather(index).double()

    def to(self, device):
        return Doubles(self.store.to(device))


@pytest.fixture
def double():
    """Training in double precision, where equal means equal.

    In float32 a gradient that is nothing but rounding noise is still larger than Adam's eps, and moves
    its weight by a whole step in a direction of its own, without a trace in the loss.
    """
    torch.set_default_dtype(torch.float64)
    yield dataclasses.replace(DATA, store=Doubles(DATA.store))
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("form", ["grouped", "matmul"])
@pytest.mark.parametrize("method", METHODS)
def test_a_run_in_a_stack_is_the_run_alone(method, form, double):
    runs = several(method)
    stack = Stack(runs, double, CPU, form=form)
    stack.advance(8)
    losses = stack.read()
    for i, one in enumerate(runs):
        alone = Stack([one], double, CPU)
        start = weights(alone.models[0]).clone()
        alone.advance(8)
        assert set(alone.read()) == set(losses)
        for name, values in alone.read().items():
            assert np.allclose(losses[name][:, i], values[:, 0], rtol=1e-6)
        assert close(weights(stack.finish(i)), weights(alone.finish(0)))
        assert float((start - weights(alone.models[0])).norm() / start.norm()) > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_its_losses_are_the_same_in_float32_too(method):
    # Rounding is another on each processor, and two networks that train against each other amplify it; that
    # the computation is the same is shown in double precision above.
    runs, rtol = several(method), 1e-3 if find.get("method", method).adam else 1e-4
    stack = Stack(runs, DATA, CPU)
    stack.advance(8)
    for i, one in enumerate(runs):
        alone = Stack([one], DATA, CPU)
        alone.advance(8)
        assert np.allclose(stack.read()["objective"][:, i], alone.read()["objective"][:, 0], rtol=rtol)


def test_members_differ_by_their_seeds_and_hyperparameters():
    same_seed = [run(hyper={"beta": beta}) for beta in (1.0, 1.0, 16.0)]
    stack = Stack(same_seed, DATA, CPU)
    stack.advance(4)
    found = [weights(stack.finish(i)) for i in range(3)]
    assert torch.equal(found[0], found[1])
    assert float((found[0] - found[2]).norm()) > 0.01


def test_train_groups_alike_runs_and_keeps_the_order(tmp_path, double):
    mixed = [run("vae"), run(seed=1), run("vae", seed=2), run(seed=3, lr=1e-2), run(seed=4), run("vae")]
    found = train(mixed, double, tmp_path, device="cpu", stack=2)
    assert [t.run for t in found] == mixed
    assert [t.stack for t in found] == [2, 2, 2, 1, 2, 2]
    for trained, one in zip(found, mixed, strict=True):
        [alone] = train([one], double, device="cpu")
        assert close(weights(trained.model), weights(alone.model))
        assert trained.values == pytest.approx(alone.values, rel=1e-4)
        assert [line["step"] for line in read_log(tmp_path / one.key())] == [6]


def test_what_may_share_a_stack():
    assert alike(run(seed=1, hyper={"beta": 2})) == alike(run(hyper={"beta": 8}))
    assert alike(run("ada_gvae", hyper={"k": 1})) == alike(run("ada_gvae", hyper={"k": "rnd"}))
    others = [run("vae"), run(lr=1e-4), run(batch=8), run(steps=7), run(latents=5), run(precision="bf16")]
    assert len({alike(r) for r in [run(), *others]}) == 7


def test_a_diverged_member_does_not_harm_the_others(tmp_path, double):
    bad = run(hyper={"beta": 1e308}, steps=60)
    good = [run(seed=seed, steps=60) for seed in (0, 1)]
    found = train([good[0], bad, good[1]], double, tmp_path, device="cpu", stack=3, checkpoint_every=55)
    assert [t.status for t in found] == ["done", "diverged", "done"]
    assert found[1].step < 50
    assert not all(map(math.isfinite, found[1].values.values()))
    assert not (tmp_path / bad.key() / "checkpoint.pt").exists()
    assert len(read_log(tmp_path / bad.key())) == 1
    [again] = train([bad], double, tmp_path, device="cpu")
    assert (again.status, again.step, len(read_log(tmp_path / bad.key()))) == ("diverged", found[1].step, 1)
    for trained in (found[0], found[2]):
        pair = Stack([trained.run, trained.run], double, CPU)
        pair.advance(60)
        assert close(weights(trained.model), weights(pair.finish(0)))


def test_a_stack_of_diverged_runs_ends_early():
    found = train([run(seed=s, lr=1e30, steps=10_000) for s in (0, 1)], DATA, device="cpu", stack=2)
    assert [t.status for t in found] == ["diverged"] * 2


@pytest.mark.parametrize("then", [1, 3])
def test_runs_go_on_from_a_stack_s_checkpoints_in_any_other(tmp_path, then, monkeypatch, double):
    runs = [run(seed=seed, steps=12) for seed in range(3)]
    [*whole] = train(runs, double, device="cpu", stack=3)
    interrupted(runs, double, tmp_path, device="cpu", stack=3)
    advance, starts = Stack.advance, []

    def watched(self, steps):
        starts.append((self.step, len(self.runs)))
        advance(self, steps)

    monkeypatch.setattr(Stack, "advance", watched)
    again = train(runs, double, tmp_path, device="cpu", stack=then, checkpoint_every=4)
    assert starts == [(8, then)] * (3 // then)
    for a, b in zip(whole, again, strict=True):
        assert (torch.equal if then == 3 else close)(weights(a.model), weights(b.model))
    assert all([line["step"] for line in read_log(tmp_path / r.key())] == [4, 8, 12] for r in runs)


def test_runs_that_have_come_differently_far_are_told_apart(tmp_path, double):
    early, late = run(steps=12), run(steps=12, seed=1)
    interrupted([late], double, tmp_path, device="cpu")
    found = train([early, late], double, tmp_path, device="cpu", stack=2)
    for trained in found:
        [alone] = train([trained.run], double, device="cpu")
        assert close(weights(trained.model), weights(alone.model))
    assert [t.stack for t in found] == [1, 1]
    finished = train([early, late], double, tmp_path, device="cpu", stack=2)
    assert [weights(a.model).equal(weights(b.model)) for a, b in zip(found, finished, strict=True)] == [
        True
    ] * 2


def test_out_of_memory_halves_the_stack_and_goes_on(tmp_path, monkeypatch, capsys, double):
    runs, sizes = [run(seed=seed, steps=8) for seed in range(5)], []
    advance = Stack.advance

    def small(self, steps):
        sizes.append((len(self.runs), self.step))
        if len(self.runs) > 2 or (len(self.runs) == 2 and self.step == 4 and sizes.count((2, 4)) == 1):
            raise torch.OutOfMemoryError("CUDA out of memory")
        advance(self, steps)

    monkeypatch.setattr(Stack, "advance", small)
    found = train(runs, double, tmp_path, device="cpu", stack=5, checkpoint_every=4)
    assert sizes[:3] == [(5, 0), (2, 0), (2, 4)]  # memory that another program took in the middle
    assert (1, 4) in sizes  # goes on from the checkpoint
    assert "out of memory with 5 runs at once; going on with 2" in capsys.readouterr().out
    monkeypatch.setattr(Stack, "advance", advance)
    for trained in found:
        [alone] = train([trained.run], double, device="cpu")
        assert close(weights(trained.model), weights(alone.model))


def test_models_that_cannot_be_stacked_train_alone(monkeypatch):
    """With buffers, which belong to one model; a parameter that is frozen stays so."""
    vae = find.get("method", "vae")

    def build(encoder, decoder, latents, settings):
        model = vae.build(encoder, decoder, latents, settings)
        model.register_buffer("seen", torch.zeros(3))
        return model

    real = find.get
    changed = dataclasses.replace(vae, build=build)
    monkeypatch.setattr(find, "get", lambda kind, name: changed if name == "vae" else real(kind, name))
    found = train([run("vae", seed=s) for s in range(2)], DATA, device="cpu", stack=2)
    assert [t.stack for t in found] == [1, 1]
    with pytest.raises(InputError, match="vae: a model with buffers or shared parameters trains alone"):
        Stack([run("vae"), run("vae", seed=1)], DATA, CPU)


def test_a_frozen_parameter_stays_frozen_and_is_resumed(monkeypatch, tmp_path, double):
    vae = find.get("method", "vae")

    def build(encoder, decoder, latents, settings):
        encoder[0].weight.requires_grad_(False)
        return vae.build(encoder, decoder, latents, settings)

    real = find.get
    changed = dataclasses.replace(vae, build=build)
    monkeypatch.setattr(find, "get", lambda kind, name: changed if name == "vae" else real(kind, name))
    runs = [run("vae", seed=s) for s in range(2)]
    alone = train(runs, double, tmp_path, device="cpu")
    together = train(runs, double, device="cpu", stack=2)
    again = train(runs, double, tmp_path, device="cpu")
    for one, a, b, c in zip(runs, alone, together, again, strict=True):
        start = build_model(one, double).encoder[0].weight
        assert all(torch.equal(start, t.model.encoder[0].weight) for t in (a, b, c))
        assert close(weights(b.model), weights(a.model))
        assert torch.equal(weights(c.model), weights(a.model))
        assert not (tmp_path / one.key() / "checkpoint.damaged").exists()


def test_one_run_that_does_not_fit_is_told(monkeypatch):
    def none(self, steps):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Stack, "advance", none)
    with pytest.raises(InputError, match=r"too little free memory for one run of 'beta_vae beta=4'.* of 4"):
        train([run()], DATA, device="cpu")
    with pytest.raises(InputError, match="stack must be 1 or more, got 0"):
        train([run()], DATA, device="cpu", stack=0)


def test_a_capture_that_fails_for_memory_is_known_by_its_cause(monkeypatch):
    tried = []

    def captured(self, steps):
        tried.append(len(self.runs))
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr(Stack, "advance", captured)
    with pytest.raises(InputError, match="too little free memory"):
        train([run(seed=s) for s in range(2)], DATA, device="cpu", stack=2)
    assert tried == [2, 1]
    monkeypatch.setattr(Stack, "advance", lambda self, steps: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train([run()], DATA, device="cpu")


def test_a_stack_that_is_not_needed_any_more_frees_its_memory_at_once():
    stack = Stack([run(), run(seed=1)], DATA, CPU)
    stack.advance(1)
    kept = weakref.ref(next(iter(stack.parameters.values())))
    gc.disable()
    try:
        del stack
        assert kept() is None
    finally:
        gc.enable()


def test_images_that_do_not_fit_on_the_device_are_told(monkeypatch):
    def full(self, device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Pixels, "to", full)
    with pytest.raises(InputError, match=r"noise: the images take 0.0 GB, which meta has not free"):
        DATA.to("meta")


def test_stacks_fill_the_memory_evenly():
    assert stack_size(free=10**9, each=10**6, runs=300) == 300
    assert stack_size(free=10**9, each=10**7, runs=100) == 50
    assert stack_size(free=10**9, each=10**7, runs=81) == 41
    assert stack_size(free=10, each=10**7, runs=81) == 1


@pytest.mark.parametrize("hyper", [{"k": 1}, {"k": 2, "pairs": "dlib"}, {"k": "rnd"}])
def test_draws_made_ahead_are_those_of_the_step(hyper):
    one = run("ada_gvae", hyper=hyper, seed=5)
    index, noise = Batches(one, DATA).span(7, 10).values()
    for t in range(7, 10):
        s = one.settings()
        pairs = sample_pairs(DATA.sizes, 4, s.k, s.pairs, generator(5, "batch", t))
        assert (index[t - 7] == DATA.index(np.stack([pairs.first, pairs.second]))).all()
        drawn = generator(5, "noise", t).standard_normal((2, 4, 1, 10), dtype=np.float32)
        assert (noise[t - 7] == drawn[:, :, 0]).all()


def test_steps_at_once_or_one_by_one_are_the_same():
    whole, single = Stack([run()], DATA, CPU), Stack([run()], DATA, CPU)
    whole.advance(55)
    for _ in range(55):
        single.prepare(1)
        single.advance(1)
    assert torch.equal(weights(whole.finish(0)), weights(single.finish(0)))
    assert whole.read()["objective"].shape == (5, 1)


def test_bf16_rounds_the_products_and_says_so():
    exact, rounded = Stack([run()], DATA, CPU), Stack([run(precision="bf16")], DATA, CPU)
    for stack in (exact, rounded):
        stack.advance(3)
    a, b = exact.read()["objective"], rounded.read()["objective"]
    assert not np.array_equal(a, b)
    assert np.allclose(a, b, rtol=0.01)
    assert {p.dtype for p in rounded.finish(0).parameters()} == {torch.float32}
    assert run(precision="bf16").key() != run().key()
    both = Stack([run(precision="bf16"), run(precision="bf16", seed=1)], DATA, CPU)
    both.advance(3)
    assert np.allclose(both.read()["objective"][:, 0], b[:, 0], rtol=0.01)


def test_tf32_is_a_gpu_s(monkeypatch):
    with pytest.raises(InputError, match="precision 'tf32' needs an NVIDIA GPU, the device is cpu"):
        train([run(precision="tf32")], DATA, device="cpu")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    check_precision("tf32", torch.device("cuda"))
    matmul = torch.backends.cuda.matmul
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(InputError, match=r"capability 8.0 or later, cuda has 7.5; expected fp32"):
        check_precision("tf32", torch.device("cuda"))
    before = matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with computing_in("tf32", torch.device("cuda")):
        assert matmul.allow_tf32
    with computing_in("fp32", torch.device("cuda")):
        assert not matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32  # which torch's default allows
    assert before == (matmul.allow_tf32, torch.backends.cudnn.allow_tf32)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_a_step_does_not_fetch_its_memory_anew():
    if not keep_freed_memory():
        pytest.skip("another C library")
    stack = Stack([run(batch=64)], DATA, CPU)
    stack.advance(4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    stack.advance(2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 8000  # of 32,000 and more otherwise


@pytest.mark.slow
def test_a_compiled_stack_is_the_same():
    runs = several("ada_gvae")
    plain, compiled = (
        Stack(runs, DATA, CPU, form="matmul"),
        Stack(runs, DATA, CPU, form="matmul", compiled=True),
    )
    for stack in (plain, compiled):
        stack.advance(4)
    assert np.allclose(plain.read()["objective"], compiled.read()["objective"], rtol=1e-4)


class Factors(TorchDispatchMode):
    """The types of what is multiplied, below autocast and vmap."""

    PRODUCTS = ("convolution", "convolution_backward", "mm", "bmm", "addmm", "baddbmm", "mkldnn_convolution")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kind = func.overloadpacket.__name__
        if kind in self.PRODUCTS:
            factors = args[1:3] if kind in ("addmm", "baddbmm") else args[:2]  # after what they are added to
            self.found.append(({factor.dtype for factor in factors}, func.name()))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("form", ["grouped", "matmul"])
@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_in_bf16_every_product_is_of_bf16(method, members, form):
    stack = Stack(several(method, precision="bf16")[:members], DATA, CPU, form=form)
    with Factors() as factors:
        stack.advance(1)
    assert len(factors.found) > 20
    assert [name for types, name in factors.found if types != {torch.bfloat16}] == []


@pytest.mark.parametrize("members", [1, 2])
def test_a_finished_model_holds_no_gradients(members):
    stack = Stack(several("vae")[:1] * members, DATA, CPU)
    stack.advance(1)
    assert all(p.grad is None for p in stack.finish(0).parameters())


def test_logs_written_after_the_next_steps_began_are_the_same(tmp_path, monkeypatch):
    """As on a GPU, which has something to do meanwhile."""
    runs = [run(steps=70), run(hyper={"beta": 1e300}, steps=70)]
    monkeypatch.setattr("disentangle.stack.SPAN", 20)
    monkeypatch.setattr("disentangle.job.SPAN", 20)
    found = []
    for later in (False, True):
        monkeypatch.setattr(Job, "logs_later", later)
        folder = tmp_path / str(later)
        trained = train(runs, DATA, folder, device="cpu", stack=2, checkpoint_every=50, progress=False)
        assert [t.status for t in trained] == ["done", "diverged"]
        logs = [read_log(folder / one.key()) for one in runs]
        found.append([[{**line, "seconds": 0} for line in lines] for lines in logs])
    assert found[0] == found[1]
    assert [line["step"] for line in found[0][0]] == [20, 40, 50, 60, 70]
