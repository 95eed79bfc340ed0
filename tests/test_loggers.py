"""Losses beside log.jsonl: TensorBoard and wandb, and that their trouble is not the run's."""

import importlib.util
import json

import numpy as np
import pytest

from disentangle import InputError, Run, loggers
from disentangle.checkpoint import read_log
from disentangle.launch import carry_out
from disentangle.study import read_study
from disentangle.train import train

RUN = Run(method="vae", dataset="toy", steps=120, batch=4, lr=1e-3)


class Kept:
    """A logger that remembers."""

    made: list = []  # noqa: RUF012

    def __init__(self, run, folder, step):
        self.run, self.start, self.lines, self.closed = run, step, [], False
        Kept.made.append(self)

    def log(self, step, values):
        self.lines.append((step, dict(values)))

    def close(self):
        self.closed = True


@pytest.fixture
def kept(monkeypatch):
    Kept.made = []
    monkeypatch.setitem(loggers.LOGGERS, "json", Kept)  # a package of that name is installed
    return Kept.made


def events(folder):
    """The points in the event files of a folder, as TensorBoard shows them: name to (step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_a_logger_gets_what_the_log_gets(tmp_path, kept):
    train([RUN], folder=tmp_path, device="cpu", loggers=["json"], progress=False)
    [logger] = kept
    lines = read_log(tmp_path / RUN.key())
    assert logger.run == RUN.complete()
    assert [(line.pop("step"), line) for line in lines if line.pop("seconds") >= 0] == logger.lines
    assert logger.closed


def test_each_run_of_a_stack_has_its_own_and_only_training_logs(tmp_path, kept):
    runs = [RUN, Run(method="vae", dataset="toy", steps=120, batch=4, lr=1e-3, seed=1)]
    train(runs, folder=tmp_path, device="cpu", loggers=["json"], stack=2, progress=False)
    assert [logger.run.seed for logger in kept] == [0, 1]
    assert kept[0].lines != kept[1].lines
    train(runs, folder=tmp_path, device="cpu", loggers=["json"], stack=2, progress=False)
    assert len(kept) == 2  # finished runs open none


def test_a_resumed_run_goes_on_where_it_was(tmp_path, kept, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("disentangle.job.finish", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train([RUN], folder=tmp_path, device="cpu", loggers=["json"], checkpoint_every=70)
    (tmp_path / RUN.key() / "log.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in read_log(tmp_path / RUN.key()) if line["step"] <= 70)
    )
    train([RUN], folder=tmp_path, device="cpu", loggers=["json"], checkpoint_every=70)
    assert [logger.start for logger in kept] == [0, 70]
    assert kept[0].closed
    assert kept[0].lines[-2:] == kept[1].lines


def test_a_logger_that_fails_is_told_once_and_the_run_goes_on(tmp_path, kept, monkeypatch, capsys):
    def full(self, step, values):
        self.lines.append(step)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Kept, "log", full)
    [trained] = train([RUN], folder=tmp_path, device="cpu", loggers=["json"], progress=False)
    assert trained.status == "done"
    assert len(kept[0].lines) == 1
    assert capsys.readouterr().out.count("the run goes on without it") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("tensorbord", "unknown logger 'tensorbord'; did you mean 'tensorboard'"), ("wandb", "pip install")],
)
def test_a_logger_that_is_not_there_is_told_before_anything_is_trained(tmp_path, monkeypatch, name, message):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=message):
        train([RUN], folder=tmp_path, loggers=[name])
    assert not list(tmp_path.iterdir())


def test_tensorboard_shows_losses_and_scores_and_no_point_twice(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    (tmp_path / "study.toml").write_text(
        'name = "t"\nsteps = 120\nbatch = 4\nlr = 1e-3\ncalibration = []\n'
        'metrics = [{ name = "mig", points = 300 }]\n[[runs]]\ndataset = "toy"\nmethod = "vae"\n'
    )
    study = read_study(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("disentangle.job.finish", lambda *a, **k: 1 / 0)
        carry_out(study, tmp_path, device="cpu", loggers=["tensorboard"], checkpoint_every=70)
    [outcome] = carry_out(study, tmp_path, device="cpu", loggers=["tensorboard"], checkpoint_every=70)
    assert outcome.status == "done"
    folder = tmp_path / "runs" / outcome.key
    found, lines = events(folder / "tensorboard"), read_log(folder)
    for name in ("objective", "elbo", "kl_divergence"):
        assert [step for step, _ in found[f"vae/{name}"]] == [line["step"] for line in lines]
        assert np.allclose([value for _, value in found[f"vae/{name}"]], [line[name] for line in lines])
    assert [step for step, _ in found["vae/score/mig"]] == [121]


def test_wandb_keeps_a_run_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    runs = [RUN, Run(method="vae", dataset="toy", steps=120, batch=4, lr=1e-3, seed=1)]
    done = train(runs, folder=tmp_path, device="cpu", loggers=["wandb"], stack=2, progress=False)
    assert [trained.status for trained in done] == ["done", "done"]
    for run in runs:
        [file] = (tmp_path / run.key() / "wandb").glob(f"offline-run-*/run-{run.key()}.wandb")
        content = file.read_bytes()
        assert b"kl_divergence" in content
