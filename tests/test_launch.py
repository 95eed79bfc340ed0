"""Studies end to end on the toy data: rows, tables, resuming, two commands at once, failures."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import cloudpickle
import filelock
import numpy as np
import pandas as pd
import pytest

from disentangle import launch, load, perform, stopping, work
from disentangle.calibrate import Calibration
from disentangle.encode import encode
from disentangle.engines import local
from disentangle.find import get
from disentangle.outcome import Outcome
from disentangle.rows import numbers, read_rows
from disentangle.score import score
from disentangle.study import plan, read_study
from disentangle.table import write_tables

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # worker processes cannot import tests

TEXT = """
name = "tiny"
steps = 4
batch = 4
lr = 1e-3
seeds = [0, 1]
calibration = ["true_factors", "noise"]
metrics = [{ name = "mig", points = 300 }]
[[runs]]
dataset = "toy"
method = "vae"
"""


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "study.toml").write_text(TEXT)
    return tmp_path, read_study(tmp_path)


def values(folder):
    """Everything in the rows but the times."""
    return json.dumps([numbers(row) for row in read_rows(folder)], sort_keys=True)


def carry_out(tiny, workers=1, **options):
    folder, study = tiny
    return launch.carry_out(study, folder, workers=workers, device="cpu", say=lambda text: None, **options)


def test_a_study_gives_rows_tables_and_pictures(tiny):
    folder, _ = tiny
    assert [o.status for o in carry_out(tiny)] == ["done"] * 4
    text = write_tables(folder)
    table = pd.read_csv(folder / "table.csv")
    assert len(table) == 4
    assert set(table["kind"]) == {"run", "calibration"}
    needed = (
        "run_key source data_checksum value points version commit dirty device hardware torch train_seconds"
    )
    assert set(needed.split()) <= set(table.columns)
    assert table["metric_id"].unique().tolist() == ["mig@1[points=300]"]
    true = table[table["method"] == "true_factors"]["value"].item()
    noise = table[table["method"] == "noise"]["value"].item()
    assert true > 0.9 > 0.1 > noise
    summary = pd.read_csv(folder / "summary.csv")
    vae = summary[summary["method"] == "vae"].iloc[0]
    own = table[table["method"] == "vae"]["value"]
    assert vae["n"] == 2
    assert vae["mean"] == pytest.approx(own.mean(), rel=1e-5)
    assert vae["ci95_half_width"] == pytest.approx(12.7062 * own.std() / 2**0.5, rel=1e-4)
    assert f"**{own.mean():.3f} ± {own.std():.3f}**" in text
    assert "drawn" in text
    for row in read_rows(folder):
        ends = {picture.rpartition("-")[2]: (folder / picture).read_bytes() for picture in row["pictures"]}
        drawn = {"reconstructions.png", "traversal.png", "traversal.webp"} if row["kind"] == "run" else set()
        assert ends.keys() == {"matrices.png", *drawn}
        for end, content in ends.items():
            assert content.startswith(b"\x89PNG" if end.endswith("png") else b"RIFF")


def test_pictures_are_drawn_of_the_seeds_that_are_asked_for(tiny):
    folder, _ = tiny
    (folder / "study.toml").write_text("pictures = [1]\n" + TEXT)
    carry_out((folder, read_study(folder)))
    rows = read_rows(folder)
    drawn = sorted((row["run"]["seed"], len(row["pictures"])) for row in rows)
    assert drawn == [(0, 0), (0, 0), (0, 0), (1, 4)]  # of two the calibration, which has the seed 0
    assert sorted(p.name for p in (folder / "pictures").iterdir()) == sorted(
        name.rpartition("/")[2] for row in rows for name in row["pictures"]
    )
    write_tables(folder)
    assert all(row["matrices"] for row in rows)


def test_rows_keep_the_matrices_behind_the_headlines(tiny):
    folder, study = tiny
    carry_out(tiny)
    data = get("dataset", "toy").load()
    run = plan(study, {"toy": "drawn"})[0]
    row = next(r for r in read_rows(folder) if r["key"] == run.key())
    [matrix] = row["matrices"]
    assert (matrix["id"], matrix["name"], matrix["unit"]) == (
        "mig@1[points=300]",
        "mutual_information",
        "nats",
    )
    assert "matrices" not in row["scores"][0]
    codes = encode(run, load(folder / "runs" / run.key()), data)
    [again] = score(codes, data.all_factors(), study.metric_specs(), seed=run.seed)
    assert np.array_equal(matrix["values"], again.matrices["mutual_information"])
    assert np.shape(matrix["values"]) == (run.latents, len(row["data"]["factors"]))
    # A metric that is asked for later adds its own.
    (folder / "study.toml").write_text(
        TEXT.replace("metrics = [", 'metrics = [{ name = "mig", points = 200 }, ')
    )
    carry_out((folder, read_study(folder)))
    row = next(r for r in read_rows(folder) if r["key"] == run.key())
    assert [one["id"] for one in row["matrices"]] == ["mig@1[points=300]", "mig@1[points=200]"]
    assert row["matrices"][0] == matrix
    assert len(row["pictures"]) == len(set(row["pictures"])) == 4


def test_a_published_model_scores_what_its_row_says(tiny):
    folder, study = tiny
    carry_out(tiny, workers=2)
    data = get("dataset", "toy").load()
    for run in plan(study, {"toy": "drawn"})[:2]:
        model = load(folder / "runs" / run.key())
        row = next(r for r in read_rows(folder) if r["key"] == run.key())
        content = (folder / "runs" / run.key() / "model.safetensors").read_bytes()
        assert row["model_sha256"] == hashlib.sha256(content).hexdigest()
        codes = encode(run, model, data)
        [again] = score(codes, data.all_factors(), study.metric_specs(), seed=run.seed)
        assert row["scores"][0]["value"] == again.value


def test_a_study_chooses_by_rules_each_with_a_table_of_its_own(tmp_path):
    rules = ["every", "oracle:mig", "udr", "weak_reconstruction/model", "fixed"]
    head = f"selection = {json.dumps(rules)}\nfixed = {{ ada_gvae = {{ beta = 4.0 }} }}\n"
    text = head + TEXT.replace('method = "vae"', 'method = "ada_gvae"\nhyper = { beta = [1, 4] }')
    (tmp_path / "study.toml").write_text(text)
    outcomes = carry_out((tmp_path, read_study(tmp_path)))
    assert [o.status for o in outcomes] == ["done"] * 8
    board = write_tables(tmp_path)
    assert [line for line in board.splitlines() if line.startswith("# Selection rule")] == [
        f"# Selection rule: {rule}" for rule in rules
    ]
    table = pd.read_csv(tmp_path / "table.csv")
    runs = table[table["kind"] == "run"]
    assert runs.groupby("score")["run_key"].nunique().to_dict() == {
        "mig": 4, "udr": 4, "weak_reconstruction": 4
    }  # fmt: skip
    chosen = pd.read_csv(tmp_path / "selection.csv")
    for rule, score_name, best in (("oracle:mig", "mig", max), ("udr", "udr", max)):
        means = runs[runs["score"] == score_name].groupby("setting")["value"].mean().to_dict()
        found = chosen[chosen["rule"] == rule]["chosen"].unique().tolist()
        assert found == [best(means, key=means.get)]
    weak = runs[runs["score"] == "weak_reconstruction"]
    one = chosen[chosen["rule"] == "weak_reconstruction/model"].iloc[0]
    least = weak.loc[weak["value"].idxmin()]
    assert (one["chosen"], one["seed"]) == (least["setting"], least["seed"])
    assert chosen[chosen["rule"] == "fixed"]["chosen"].unique().tolist() == ["beta=4, k=1, pairs=paper"]
    assert "# Selection rule: oracle:beta_vae" not in write_tables(tmp_path, rules=["oracle:mig"])


def test_parallel_and_serial_give_the_same_rows(tiny, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    carry_out(tiny)
    carry_out((other, tiny[1]), workers=2)
    assert values(tiny[0]) == values(other)


def test_only_what_is_left_is_done_and_a_damaged_row_is_set_aside(tiny, monkeypatch):
    folder, _ = tiny
    carry_out(tiny)
    before = values(folder)
    victim = sorted((folder / "rows").glob("*.json"))[0]
    victim.write_text(victim.read_text()[:50])
    done = []
    original = local.perform
    monkeypatch.setattr(
        local, "perform", lambda work, task, *a, **k: done.append(task.key()) or original(work, task, *a, **k)
    )
    carry_out(tiny)
    assert done == [victim.stem]
    assert victim.with_name(f"{victim.name}.damaged").exists()
    assert values(folder) == before


def test_a_new_metric_is_added_without_training_again(tiny, monkeypatch):
    folder, _ = tiny
    carry_out(tiny)
    before = {row["key"]: row for row in read_rows(folder)}
    added = '{ name = "mig", points = 300 }, { name = "mig", points = 200 }'
    (folder / "study.toml").write_text(TEXT.replace('{ name = "mig", points = 300 }', added))
    steps, now = [], {**next(iter(before.values()))["provenance"], "version": "of tomorrow"}
    monkeypatch.setattr("disentangle.stack.Stack.advance", lambda self, count: steps.append(count))
    monkeypatch.setattr("disentangle.rows.provenance", lambda device: now)
    carry_out((folder, read_study(folder)))
    assert not steps
    for row in read_rows(folder):
        assert [s["id"] for s in row["scores"]] == ["mig@1[points=300]", "mig@1[points=200]"]
        if row["kind"] == "run":  # what was there stays as it was, what is new says who computed it
            old = before[row["key"]]
            assert row["scores"][0] == old["scores"][0]
            assert (row["provenance"], row["seconds"]) == (old["provenance"], old["seconds"])
            assert row["scores"][1]["provenance"]["version"] == "of tomorrow"
    write_tables(folder)
    table = pd.read_csv(folder / "table.csv")
    runs = table[table["kind"] == "run"]
    assert set(runs[runs["metric_id"] == "mig@1[points=200]"]["version"]) == {"of tomorrow"}
    assert "of tomorrow" not in set(runs[runs["metric_id"] == "mig@1[points=300]"]["version"])


def test_a_row_never_mixes_scores_of_two_models(tiny):
    """A metric is added, and the model turns out damaged: what it scored goes with it."""
    folder, _ = tiny
    carry_out(tiny)
    victim = next(row for row in read_rows(folder) if row["kind"] == "run")
    row = json.loads((folder / "rows" / f"{victim['key']}.json").read_text())
    row["model_sha256"], row["scores"][0]["value"] = "0" * 64, 0.987
    (folder / "rows" / f"{victim['key']}.json").write_text(json.dumps(row))
    (folder / "runs" / victim["key"] / "model.safetensors").write_bytes(b"damaged")
    added = '{ name = "mig", points = 300 }, { name = "mig", points = 200 }'
    (folder / "study.toml").write_text(TEXT.replace('{ name = "mig", points = 300 }', added))
    carry_out((folder, read_study(folder)))
    after = next(row for row in read_rows(folder) if row["key"] == victim["key"])
    assert after["model_sha256"] == victim["model_sha256"]
    assert after["scores"][0]["value"] == victim["scores"][0]["value"]
    assert len(after["scores"]) == 2


def test_models_of_other_images_are_not_scored_on_these(tiny):
    folder, study = tiny
    carry_out(tiny)
    key = plan(study, {"toy": "drawn"})[0].key()
    path = folder / "runs" / key / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps({**result, "data_checksum": "sha256:of others"}))
    (folder / "rows" / f"{key}.json").unlink()
    outcomes = carry_out(tiny)
    assert [o.status for o in outcomes] == ["failed", "done", "done", "done"]
    assert "with the checksum 'sha256:of others'" in outcomes[0].message


@pytest.mark.parametrize("loss", ["damaged", "gone"])
def test_models_that_are_lost_are_trained_again_to_be_compared(tiny, loss):
    folder, _ = tiny
    carry_out(tiny)
    before = values(folder)
    victim = plan(tiny[1], {"toy": "drawn"})[0]
    if loss == "gone":
        shutil.rmtree(folder / "runs" / victim.key())
    else:
        (folder / "runs" / victim.key() / "model.safetensors").write_bytes(b"damaged")
    (folder / "study.toml").write_text('selection = ["udr"]\n' + TEXT)
    outcomes = carry_out((folder, read_study(folder)))
    assert [o.status for o in outcomes] == ["done"] * 5
    rows = read_rows(folder)
    [ranking] = [row for row in rows if row["kind"] == "ranking"]
    assert len(ranking["of"]) == 2
    assert json.dumps([numbers(row) for row in rows if row is not ranking], sort_keys=True) == before


def test_a_rule_without_anything_to_choose_from_takes_no_table_along(tiny):
    folder, _ = tiny
    (folder / "study.toml").write_text('selection = ["udr", "oracle:mig"]\n' + TEXT)
    board = write_tables(folder)
    assert "Nothing is chosen: there are no runs to choose from" in board
    carry_out(tiny)  # as it was: no UDR
    board = write_tables(folder)
    assert "# Selection rule: udr\n\nNothing is chosen: unknown score among these runs 'udr'" in board
    assert "Oracle: each method" in board
    assert set(pd.read_csv(folder / "selection.csv")["rule"]) == {"oracle:mig"}


def test_a_metric_that_cannot_be_had_is_told_and_the_others_are_kept(tiny):
    folder, _ = tiny
    bad = '{ name = "mig", points = 300 }, { name = "mig", points = 3 }'  # fewer points than bins
    (folder / "study.toml").write_text(TEXT.replace('{ name = "mig", points = 300 }', bad))
    outcomes = carry_out((folder, read_study(folder)))
    assert {o.status for o in outcomes} == {"failed"}
    assert "points is 3, fewer than the 20 bins" in outcomes[0].message
    error = folder / "runs" / outcomes[0].key / "error.txt"
    assert "points is 3, fewer than the 20 bins" in error.read_text().splitlines()[0]
    assert all([s["id"] for s in row["scores"]] == ["mig@1[points=300]"] for row in read_rows(folder))
    assert "missing" in write_tables(folder)


def test_a_diverged_run_has_a_row_and_the_study_goes_on(tiny):
    folder, _ = tiny
    (folder / "study.toml").write_text(TEXT + "lr = 1e30\nsteps = 60\n")
    outcomes = carry_out((folder, read_study(folder)))
    assert [o.status for o in outcomes] == ["diverged", "diverged", "done", "done"]
    text = write_tables(folder)
    assert "0 of 2, 2 diverged" in text
    assert "missing" in text
    row = next(r for r in read_rows(folder) if r["status"] == "diverged")
    assert row["step"] < 60
    assert "nan" in row["values"].values() or "inf" in row["values"].values()
    assert [o.status for o in carry_out((folder, read_study(folder)))] == ["done"] * 4  # nothing left to do


def test_a_failing_run_is_told_and_the_rest_goes_on(tiny):
    folder, _ = tiny
    (folder / "study.toml").write_text(
        TEXT + '[[runs]]\ndataset = "toy"\nmethod = "ada_gvae"\nhyper = { k = 8 }\nseeds = [0]\n'
    )
    outcomes = carry_out((folder, read_study(folder)))
    assert [o.status for o in outcomes] == ["done", "done", "failed", "done", "done"]
    assert "k must be 'rnd' or an integer in 1..3" in outcomes[2].message
    assert "k must be" in (folder / "runs" / outcomes[2].key / "error.txt").read_text()


def test_a_full_disk_stops_the_study_and_leaves_nothing_half_written(tiny, monkeypatch):
    folder, _ = tiny

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("disentangle.finished.write_bytes", full)
    outcomes = carry_out(tiny)
    assert [o.status for o in outcomes] == ["failed", "left", "left", "left"]
    assert "No space left on device" in outcomes[0].message
    assert "model.safetensors" in outcomes[0].message
    assert not list(folder.glob("runs/*/.*.part"))
    monkeypatch.undo()
    assert [o.status for o in carry_out(tiny)] == ["done"] * 4


def test_an_error_that_is_nobodys_mistake_is_tried_three_times_and_the_rest_goes_on(tiny, monkeypatch):
    real, said, tried = perform.train, [], []

    def fails(runs, *args, **options):
        tried.append(runs[0].seed)
        if runs[0].seed == 1 or tried.count(0) == 1:
            raise RuntimeError("an unlucky cosmic ray")
        return real(runs, *args, **options)

    monkeypatch.setattr(perform, "train", fails)
    outcomes = launch.carry_out(tiny[1], tiny[0], device="cpu", say=said.append)
    assert [o.status for o in outcomes] == ["done", "failed", "done", "done"]
    assert (tried.count(0), tried.count(1)) == (2, 3)
    assert sum("trying again" in text for text in said) == 3
    error = tiny[0] / "runs" / outcomes[1].key / "error.txt"
    assert str(error) in outcomes[1].message
    assert error.read_text().startswith("RuntimeError: an unlucky cosmic ray\n")
    assert not (tiny[0] / "runs" / outcomes[0].key / "error.txt").exists()  # of a try that others followed


def test_a_run_held_by_another_command_is_waited_for(tiny, monkeypatch):
    folder, study = tiny
    monkeypatch.setattr(launch, "POLL", 0.05)
    key = plan(study, {"toy": "drawn"})[0].key()
    (folder / "runs" / key).mkdir(parents=True)
    lock, said = filelock.FileLock(folder / "runs" / key / "lock", thread_local=False), []
    lock.acquire()

    def say(text):
        said.append(text)
        if "held" in text:
            threading.Timer(0.2, lock.release).start()

    outcomes = launch.carry_out(study, folder, device="cpu", say=say)
    assert [o.status for o in outcomes] == ["done"] * 4
    assert sum("by another command" in text for text in said) == 1


def start(folder, *arguments):
    """`disentangle study` in a session of its own."""
    command = [sys.executable, "-m", "disentangle", "study", str(folder), "--device", "cpu", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(
        command, env=environment, cwd=folder, text=True, stdout=-1, stderr=-2, start_new_session=True
    )


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_a_file_system_without_locks_does_the_study_all_the_same(tiny, monkeypatch):
    def no_locks(handle, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    assert [o.status for o in carry_out(tiny)] == ["done"] * 4


def test_two_commands_at_once_do_every_run_once(tiny):
    folder, _ = tiny
    (folder / "study.toml").write_text(TEXT.replace("steps = 4", "steps = 150"))
    both = [start(folder, "--workers", "1") for _ in range(2)]
    texts = [p.communicate(timeout=300)[0] for p in both]
    assert [p.returncode for p in both] == [0, 0], texts
    done = re.findall(r"done: (.*?), seed (\d) \(", "".join(texts))
    assert len(done) == len(set(done)) == 4, texts
    assert any("by another command" in text for text in texts)
    assert len(read_rows(folder)) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_study_stops_its_workers_at_once_and_goes_on_later(tiny, number):
    folder, _ = tiny
    text = TEXT.replace("steps = 4", "steps = 100_000").replace(
        "seeds = [0, 1]", "seeds = [0, 1, 2, 3, 4, 5, 6]"
    )
    (folder / "study.toml").write_text(text)
    process = start(folder, "--workers", "2")
    wait_for(lambda: len(list(folder.glob("runs/*/log.jsonl"))) == 2, process)
    process.send_signal(number)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, text
    assert "stopped; a study, or a run in training, goes on with the same command" in text
    assert "Traceback" not in text
    assert "Exception" not in text
    assert _all_gone(process.pid, seconds=30)  # loky's resource tracker follows a little later


def test_a_signal_whose_exception_was_lost_is_seen_all_the_same(tiny, monkeypatch):
    monkeypatch.setattr(stopping, "_received", [])
    with pytest.raises(stopping.Stopped):
        stopping._told(signal.SIGTERM, None)
    for workers in (1, 2):
        with pytest.raises(stopping.Stopped) as stop:
            carry_out(tiny, workers=workers)
        assert stop.value.number == signal.SIGTERM
    assert not read_rows(tiny[0])


def _all_gone(session, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def _die_once(work, task, device):
    marker = work.folder / f"{task.key()}.tried"
    if task.seed == 0 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(task.key(), "done")


def _seed_one_always_dies(work, task, device):
    time.sleep(0.2)
    if task.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(task.key(), "done")


def test_tasks_of_a_worker_that_died_are_done_again(tiny, monkeypatch):
    monkeypatch.setattr(local, "perform", _die_once)
    outcomes = carry_out(tiny, workers=2)
    assert [o.status for o in outcomes] == ["done"] * 4
    assert len(list(tiny[0].glob("*.tried"))) == 3


def test_only_the_task_that_kills_its_worker_is_given_up(tiny, monkeypatch):
    monkeypatch.setattr(local, "perform", _seed_one_always_dies)
    outcomes, said = [], []
    outcomes = launch.carry_out(tiny[1], tiny[0], workers=2, device="cpu", say=said.append)
    assert [o.status for o in outcomes] == ["done", "failed", "done", "done"]
    assert "its process died (SIGKILL(-9))" in outcomes[1].message
    assert sum("trying again" in text for text in said) == 2
    assert "SIGKILL" in (tiny[0] / "runs" / outcomes[1].key / "error.txt").read_text()


def test_the_workers_of_a_command_that_was_killed_end_too(tiny):
    folder, _ = tiny
    (folder / "study.toml").write_text(TEXT.replace("steps = 4", "steps = 100_000"))
    process = start(folder, "--workers", "2")
    wait_for(lambda: len(list(folder.glob("runs/*/log.jsonl"))) == 2, process)
    process.kill()
    process.communicate()
    assert _all_gone(process.pid, seconds=30)


@pytest.mark.parametrize("name", ["true_factors", "rotated_factors", "untrained", "noise"])
def test_calibration_codes_are_what_they_say(name):
    data, rows = get("dataset", "toy").load(), np.arange(0, 192, 2)
    codes = Calibration(name=name, dataset="toy", source="drawn").codes(data, rows)
    assert codes.dtype == np.float32
    assert codes.shape == (96, 3 if "factors" in name else 10)
    again = Calibration(name=name, dataset="toy", source="drawn").codes(data, rows)
    assert np.array_equal(codes, again)
    if name == "rotated_factors":
        full = Calibration(name=name, dataset="toy", source="drawn").codes(data, np.arange(192))
        assert np.allclose(np.cov(full.T, bias=True), np.eye(3), atol=1e-5)


def test_stacked_training_gives_the_same_rows_and_says_so(tiny, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    carry_out(tiny)
    carry_out((other, tiny[1]), stack=2)
    alone, together = read_rows(tiny[0]), read_rows(other)
    for a, b in zip(alone, together, strict=True):
        assert a["key"] == b["key"]
        if a["kind"] == "run":
            assert (a["provenance"]["stack"], b["provenance"]["stack"]) == (1, 2)
            assert b["values"]["objective"] == pytest.approx(a["values"]["objective"], rel=1e-4)
            assert b["pictures"]
    write_tables(other, tiny[0])
    table = pd.read_csv(other / "table.csv")
    assert table[table["kind"] == "run"]["stack"].tolist() == [2, 2]
    assert table[table["kind"] == "run"]["precision"].tolist() == ["fp32"] * 2


def test_runs_that_another_command_holds_are_left_out_of_a_stack(tiny, monkeypatch):
    folder, study = tiny
    first, second = plan(study, {"toy": "drawn"})[:2]
    (folder / "runs" / first.key()).mkdir(parents=True)
    seen = []
    monkeypatch.setattr(perform, "train", lambda runs, *a, **k: seen.append([r.seed for r in runs]))
    how = work.Work(study, folder, stack=2)
    with filelock.FileLock(folder / "runs" / first.key() / "lock"):
        assert perform.train_together(how, [first, second], "cpu") == []
    assert seen == [[second.seed]]
    monkeypatch.setattr(perform, "CLAIM", 1)
    perform.train_together(how, [first, second], "cpu")
    assert seen[1:] == [[first.seed], [second.seed]]


def test_what_fails_together_is_told_and_tried_alone(tiny, monkeypatch, capsys):
    real = perform.train

    def fails(runs, *args, **options):
        if len(runs) > 1:
            raise RuntimeError("no kernel image")
        return real(runs, *args, **options)

    monkeypatch.setattr(perform, "train", fails)
    assert [o.status for o in carry_out(tiny, stack=2)] == ["done"] * 4
    told = "2 runs of vae on toy could not be trained together: RuntimeError: no kernel image"
    assert told in capsys.readouterr().out


def test_precision_has_a_line_of_its_own(tmp_path):
    text = TEXT.replace("[[runs]]", '[[runs]]\ndataset = "toy"\nmethod = "vae"\nprecision = "bf16"\n[[runs]]')
    (tmp_path / "study.toml").write_text(text)
    study = read_study(tmp_path)
    assert len(plan(study, {"toy": "drawn"})) == 6
    carry_out((tmp_path, study))
    board = write_tables(tmp_path)
    assert "| precision |" in board
    assert "trained in bf16, fp32" in board
    lines = [line for line in board.splitlines() if line.startswith("| VAE")]
    assert ["bf16" in line for line in lines] == [True, False]
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert summary[summary["kind"] == "run"].groupby("precision")["n"].first().to_dict() == {
        "bf16": 2,
        "fp32": 2,
    }
