"""Training: seeds, resuming, divergence, logs."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors import safe_open

from disentangle import InputError, Run, find, load
from disentangle.batches import Batches
from disentangle.build import build_model
from disentangle.checkpoint import read_log
from disentangle.draws import generator
from disentangle.finished import is_finished
from disentangle.train import choose_device, load_trained, train

TOY = find.get("dataset", "toy").load()


def run(method="beta_vae", **changes):
    return Run(**{"method": method, "dataset": "toy", "steps": 6, "batch": 4, "lr": 1e-3, **changes})


def weights(trained):
    return torch.cat([p.detach().flatten() for p in trained.model.parameters()])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_training_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train([run()], TOY, device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_an_interrupted_run_goes_on_to_the_same_numbers(tmp_path):
    [whole] = train([run(steps=120)], TOY, tmp_path / "whole", device="cpu", checkpoint_every=40)
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from disentangle import Run\nfrom disentangle.train import train\n"
        "train([Run(method='beta_vae', dataset='toy', steps=120, batch=4, lr=1e-3)], "
        f"folder={str(tmp_path / 'killed')!r}, device='cpu', checkpoint_every=40, progress=False)"
    )
    folder = tmp_path / "killed" / run(steps=120).key()
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    while not (folder / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    [resumed] = train([run(steps=120)], TOY, tmp_path / "killed", device="cpu", checkpoint_every=40)
    assert torch.equal(weights(whole), weights(resumed))
    assert whole.values == resumed.values
    logs = [
        [
            {k: v for k, v in line.items() if k != "seconds"}
            for line in read_log(tmp_path / n / run(steps=120).key())
        ]
        for n in ("whole", "killed")
    ]
    assert logs[0] == logs[1]
    assert [line["step"] for line in logs[0]] == [40, 50, 80, 100, 120]


def half_done(folder, monkeypatch, steps=6, every=4):
    """A run's folder as a kill between its checkpoint and its end leaves it."""
    with monkeypatch.context() as patched:
        patched.setattr("disentangle.job.finish", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train([run(steps=steps)], TOY, folder, device="cpu", checkpoint_every=every)
    return folder / run(steps=steps).key()


def flip(path, place):
    """Turn over one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    return bytes(content)


@pytest.mark.parametrize("damage", ["torn", "flipped", "nonsense"])
def test_a_damaged_checkpoint_is_set_aside_and_the_run_begins_anew(tmp_path, monkeypatch, damage, capsys):
    [first] = train([run()], TOY, tmp_path / "whole", device="cpu")
    folder = half_done(tmp_path, monkeypatch)
    path = folder / "checkpoint.pt"
    if damage == "flipped":
        damaged = flip(path, path.stat().st_size // 2)
    else:
        damaged = path.read_bytes()[:-200] if damage == "torn" else b"damaged"
        path.write_bytes(damaged)
    [again] = train([run()], TOY, tmp_path, device="cpu")
    assert torch.equal(weights(first), weights(again))
    assert (folder / "checkpoint.pt.damaged").read_bytes() == damaged
    assert "checkpoint.pt cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["model.safetensors", "result.json"])
@pytest.mark.parametrize("damage", ["flipped", "gone", "torn"])
def test_a_damaged_result_is_set_aside_and_the_run_is_done_again(tmp_path, name, damage, capsys):
    [first] = train([run()], TOY, tmp_path, device="cpu")
    folder = tmp_path / run().key()
    if damage == "flipped":
        flip(folder / name, 0 if name == "result.json" else -1)
    elif damage == "torn":
        (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    else:
        (folder / name).unlink()
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    [again] = train([run()], TOY, tmp_path, device="cpu")
    assert torch.equal(weights(first), weights(again))
    assert is_finished(folder)
    if damage != "gone":
        assert f"{name} cannot be read" in capsys.readouterr().out
        assert (folder / f"{name}.damaged").read_bytes() == before[name]


def test_a_run_killed_before_its_result_ends_from_its_checkpoint(tmp_path, monkeypatch):
    [whole] = train([run()], TOY, tmp_path / "whole", device="cpu")
    folder = half_done(tmp_path, monkeypatch)
    assert not is_finished(folder)
    [ended] = train([run()], TOY, tmp_path, device="cpu")
    assert torch.equal(weights(whole), weights(ended))
    assert sorted(p.name for p in folder.iterdir()) == [
        "log.jsonl",
        "model.safetensors",
        "result.json",
        "run.json",
    ]


def test_a_log_line_torn_by_a_kill_is_left_out(tmp_path, monkeypatch):
    folder = half_done(tmp_path, monkeypatch)
    with (folder / "log.jsonl").open("ab") as log:
        log.write(b'5\n{"step": 7, "obj\xff')
    assert [line["step"] for line in read_log(folder)] == [4, 6]
    train([run()], TOY, tmp_path, device="cpu")
    assert [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()] == [4, 6]


def test_divergence_stops_the_run_with_its_step_and_values(tmp_path):
    [trained] = train([run(lr=1e30, steps=100)], TOY, tmp_path, device="cpu", checkpoint_every=5)
    assert trained.status == "diverged"
    assert 1 <= trained.step < 5
    assert not all(np.isfinite(v) for v in trained.values.values())
    assert not (tmp_path / run(lr=1e30, steps=100).key() / "checkpoint.pt").exists()


def test_a_finished_run_is_loaded_from_its_folder(tmp_path):
    [trained] = train([run()], TOY, tmp_path, device="cpu")
    loaded, data = load_trained(tmp_path / run().key(), "cpu")
    assert torch.equal(weights(trained), weights(loaded))
    assert loaded.run == run().complete()
    assert data.name == "toy"


def test_a_published_model_loads_without_its_data_and_is_the_same_bytes_each_time(tmp_path):
    [trained] = train([run("ada_gvae", steps=3)], TOY, tmp_path / "a", device="cpu")
    train([run("ada_gvae", steps=3)], TOY, tmp_path / "b", device="cpu")
    key = trained.run.key()
    model = load(tmp_path / "a" / key)
    assert not model.training
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    files = [(tmp_path / place / key / "model.safetensors").read_bytes() for place in "ab"]
    assert files[0] == files[1]
    assert (
        json.loads(safe_open(tmp_path / "a" / key / "model.safetensors", "pt").metadata()["run"])["steps"]
        == 3
    )


def test_an_unfinished_or_missing_run_is_told(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="is no folder of a run"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no run: result.json and run.json are missing"):
        load_trained(tmp_path)
    folder = half_done(tmp_path, monkeypatch)
    with pytest.raises(InputError, match="stopped at step 6 of 6"):
        load_trained(folder)
    (folder / "run.json").write_text(json.dumps({"method": "vae", "dataset": "toy", "color": 3}))
    with pytest.raises(InputError, match="color"):
        load(folder)


def test_the_untrained_network_is_a_run_of_no_steps(tmp_path):
    [trained] = train([run(steps=0)], TOY, tmp_path, device="cpu")
    initial = build_model(run(), TOY)
    assert torch.equal(weights(trained), torch.cat([p.detach().flatten() for p in initial.parameters()]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hyper": {"beta": "four"}}, "beta_vae hyperparameter beta is 'four': expected `float`"),
        ({"hyper": {"bta": 4}}, "unknown beta_vae hyperparameter 'bta'; did you mean 'beta'"),
        ({"hyper": {"beta": -1}}, "beta"),
        ({"method": "beta_vea"}, "did you mean 'beta_vae'"),
        ({"method": "ada_gvae", "hyper": {"k": 9}}, r"k must be .* 1..3 .*got 9"),
    ],
)
def test_wrong_settings_are_refused_before_any_step(changes, message):
    with pytest.raises(InputError, match=message):
        train([run(**changes)], TOY, device="cpu")


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:x", "cuda:99"])
def test_a_device_that_is_not_there_is_told(device):
    with pytest.raises(InputError, match=device):
        choose_device(device)


def test_a_damaged_or_diverged_run_is_not_trained_again_to_be_loaded(tmp_path):
    diverging = run(lr=1e30, steps=100)
    train([run(), diverging], TOY, tmp_path, device="cpu")
    with pytest.raises(InputError, match="diverged at step 1 and has no model"):
        load_trained(tmp_path / diverging.key())
    (tmp_path / run().key() / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"set aside as model.safetensors.damaged; train the run again"):
        load_trained(tmp_path / run().key())


def test_a_model_of_other_images_is_not_loaded_with_these(tmp_path, monkeypatch):
    train([run()], TOY, tmp_path, device="cpu")
    path = tmp_path / run().key() / "result.json"
    path.write_text(path.read_text().replace(TOY.checksum, "sha256:of others"))
    with pytest.raises(InputError, match="was trained on toy with the checksum 'sha256:of others'"):
        load_trained(path.parent)


def test_a_checkpoint_of_other_images_is_not_gone_on_from(tmp_path, monkeypatch):
    half_done(tmp_path, monkeypatch)
    other = dataclasses.replace(TOY, checksum="sha256:of others")
    with pytest.raises(InputError, match=rf"the checkpoint is of toy .*{TOY.checksum}.*'sha256:of others'"):
        train([run()], other, tmp_path, device="cpu")
    [ended] = train([run()], TOY, tmp_path, device="cpu")
    assert ended.status == "done"


def test_codes_of_an_earlier_model_do_not_outlive_it(tmp_path):
    folder = tmp_path / run().key()
    folder.mkdir()
    np.save(folder / "codes.npy", np.zeros(3))
    train([run()], TOY, tmp_path, device="cpu")
    assert not (folder / "codes.npy").exists()


def test_drawn_data_are_never_called_official():
    with pytest.raises(InputError, match=r"is for toy \(official\), got toy \(drawn\)"):
        train([run(source="official")], TOY, device="cpu")


@pytest.mark.parametrize(
    "field", [{"seed": -1}, {"batch": 0}, {"lr": float("inf")}, {"lr": 0.0}, {"steps": 1.5}]
)
def test_a_run_made_in_python_is_checked_before_it_is_trained(field):
    with pytest.raises(InputError, match=next(iter(field))):
        train([run(**field)], TOY, device="cpu")


def test_each_step_and_purpose_has_its_own_draws():
    draws = {
        (seed, purpose, step): generator(seed, purpose, step).random()
        for seed in (0, 1)
        for purpose in ("batch", "noise", "init")
        for step in (0, 1, 2)
    }
    assert len(set(draws.values())) == len(draws)
    [[first, second]] = TOY.factors(Batches(run("ada_gvae"), TOY).span(3, 4)["index"])
    assert ((first != second).sum(1) == 1).all()


def test_the_key_names_what_changes_the_numbers():
    assert run().key() == run(hyper={"beta": 4.0}).key()
    assert run().key() == "f32d906ab9c473cd"
    others = [
        run(seed=1),
        run(steps=7),
        run(lr=1e-4),
        run("vae"),
        run(hyper={"beta": 5}),
        run(source="official"),
    ]
    assert len({r.key() for r in [run(), *others]}) == len(others) + 1
