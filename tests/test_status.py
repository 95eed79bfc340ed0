"""What a study says of itself: done, running, failed, time left; and what the rest will take."""

import json
from dataclasses import replace

import filelock
import msgspec
import pytest
import torch

from disentangle import estimate, work
from disentangle.calibrate import Calibration
from disentangle.finished import MODEL
from disentangle.launch import carry_out
from disentangle.rows import read_rows
from disentangle.status import describe, remaining, status
from disentangle.study import plan, read_study

STUDY = """
name = "s"
steps = 60
batch = 4
lr = 1e-3
seeds = [0, 1]
calibration = ["noise"]
metrics = [{ name = "mig", points = 300 }]
selection = ["udr"]
[[runs]]
dataset = "toy"
method = "vae"
[[runs]]
dataset = "toy"
method = "ae"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


def log(folder, key, **line):
    place = folder / "runs" / key
    place.mkdir(parents=True, exist_ok=True)
    with (place / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def test_nothing_is_done_and_nothing_is_written(folder):
    found = status(read_study(folder), folder)
    assert (len(found.tasks), len(found.left)) == (5, 5)
    assert remaining(found) is None
    text = describe(found)
    assert "s: 0 of 5 rows, 0 running, 0 failed, 5 left to begin" in text
    assert "time left: not known before the first run of each kind has logged some steps" in text
    assert [p.name for p in folder.iterdir()] == ["study.toml"]


def test_running_failed_and_left_are_told_apart_with_the_time_left(folder):
    study = read_study(folder)
    running, failed, left, other = (
        t for t in plan(study, {"toy": "drawn"}) if not isinstance(t, Calibration)
    )
    log(folder, running.key(), step=20, seconds=4.0, objective=1.0)
    log(folder, other.key(), step=30, seconds=3.0, objective=1.0)
    work.report(work.Work(study, folder), failed, "RuntimeError: bad luck", "Traceback ...")
    with filelock.FileLock(folder / "runs" / running.key() / "lock"):
        found = status(study, folder)
        text = describe(found)
    assert found.running == [running]
    assert [(task, reason) for task, reason in found.failed] == [(failed, "RuntimeError: bad luck")]
    assert left in found.left
    assert remaining(found) == pytest.approx(40 * 0.2 + 60 * 0.2 + 60 * 0.1 + 30 * 0.1)
    assert "s: 0 of 5 rows, 1 running, 1 failed, 3 left to begin" in text
    assert "vae on toy, seed 0: step 20 of 60, 8 s of training left" in text
    assert f"vae on toy, seed 1: RuntimeError: bad luck ({folder / 'runs' / failed.key()}/error.txt)" in text
    assert text.endswith("time left: about 29 s with 1 at once")


def test_the_runs_of_a_stack_share_the_time_of_one_device(folder):
    study = read_study(folder)
    runs = [task for task in plan(study, {"toy": "drawn"}) if not isinstance(task, Calibration)]
    for run in runs[:2]:  # ten seconds of the stack for 20 steps of both, a share of five each
        log(folder, run.key(), step=20, seconds=5.0, stack=2, objective=1.0)
    for run in runs[2:]:
        log(folder, run.key(), step=60, seconds=6.0, objective=1.0)
    locks = [filelock.FileLock(folder / "runs" / run.key() / "lock") for run in runs[:2]]
    for lock in locks:
        lock.acquire()
    found = status(study, folder)
    text = describe(found)
    for lock in locks:
        lock.release()
    assert "step 20 of 60, one of 2 in a stack, 20 s of training left" in text
    assert remaining(found) == pytest.approx(2 * 40 * 0.25)
    assert text.endswith("time left: about 20 s with 1 at once")


def test_a_study_that_is_through_says_so_its_comparisons_too(folder):
    study = read_study(folder)
    outcomes = carry_out(study, folder, device="cpu", say=lambda text: None)
    assert [o.status for o in outcomes] == ["done"] * 6  # an AE has no posterior to compare
    found = status(study, folder)
    assert len(found.done) == len(found.tasks) == 6
    text = describe(found)
    assert "s: 6 of 6 rows, 0 running, 0 failed, 0 left to begin" in text
    assert "time left" not in text
    [ranking] = [row for row in read_rows(folder) if row["kind"] == "ranking"]
    assert set(ranking["of"]) == {t.key() for t in found.tasks if t.label() == "vae"}
    assert not (folder / "runs" / ranking["key"] / MODEL).exists()


def test_more_seeds_are_compared_anew_in_the_same_row(folder):
    carry_out(read_study(folder), folder, device="cpu", say=lambda text: None)
    [before] = [row for row in read_rows(folder) if row["kind"] == "ranking"]
    (folder / "study.toml").write_text(STUDY.replace("[0, 1]", "[0, 1, 2]"))
    carry_out(read_study(folder), folder, device="cpu", say=lambda text: None)
    [after] = [row for row in read_rows(folder) if row["kind"] == "ranking"]
    assert before["key"] == after["key"]
    assert (len(before["of"]), len(after["of"])) == (2, 3)


def test_an_estimate_adds_up_what_was_measured(folder):
    study = read_study(folder)
    found = status(study, folder)
    said = []
    made = estimate.estimate(found, torch.device("cpu"), say=said.append)
    assert said == ["measuring vae on toy ...", "measuring ae on toy ..."]
    assert [len(kind.runs) for kind in made.kinds] == [2, 2]
    for kind in made.kinds:
        assert 0 < kind.step < 1
        assert kind.each == 60 * kind.step + kind.encode + kind.score
    assert made.seconds == pytest.approx(sum(2 * kind.each for kind in made.kinds))
    disk = made.disk(at_once=1)
    assert disk["checkpoints in use"] == 3 * 4 * max(kind.parameters for kind in made.kinds)
    parameters = sum(2 * kind.parameters for kind in made.kinds)
    assert disk["models"] == 4 * parameters
    assert disk["codes"] == 4 * 192 * 10 * 4  # images, latents, runs, bytes
    assert made.disk(lean=True)["codes"] == 0
    fewer = replace(made, study=msgspec.structs.replace(study, pictures=[study.seeds[0]]))
    saved = disk["rows and pictures"] - fewer.disk()["rows and pictures"]
    assert saved == 2 * estimate.PICTURE_BYTES[1]  # of the other seed's two runs
    assert made.wall(workers=2, devices=1) == made.seconds / 2
    on_gpus = replace(made, device=torch.device("cuda"))
    scored = sum(2 * kind.score for kind in made.kinds)
    assert on_gpus.wall(workers=16, devices=2) == pytest.approx((made.seconds - scored) / 2 + scored / 16)
    text = estimate.describe(made, workers=2)
    assert "2 runs, each" in text
    assert "60 steps of" in text
    assert "with 2 at once" in text
    [model] = {kind.parameters for kind in made.kinds if kind.runs[0].method == "vae"}
    assert model == 690_517


def test_an_estimate_is_not_far_from_what_a_run_takes(folder):
    """Not a timing: files, whose sizes do not depend on the machine."""
    study = read_study(folder)
    made = estimate.estimate(status(study, folder), torch.device("cpu"), say=lambda text: None)
    carry_out(study, folder, device="cpu", say=lambda text: None)
    models = sum(path.stat().st_size for path in folder.glob(f"runs/*/{MODEL}"))
    codes = sum(path.stat().st_size for path in folder.glob("runs/*/codes*.npy"))
    assert made.disk()["models"] == pytest.approx(models, rel=0.01)
    assert made.disk()["codes"] == pytest.approx(codes, rel=0.02)
    again = estimate.estimate(status(study, folder), torch.device("cpu"))
    assert estimate.describe(again, 2) == "no run is left"


def test_lean_keeps_no_codes(folder):
    carry_out(read_study(folder), folder, device="cpu", lean=True, say=lambda text: None)
    assert not list(folder.glob("runs/*/codes*.npy"))
    assert len(list(folder.glob(f"runs/*/{MODEL}"))) == 4
