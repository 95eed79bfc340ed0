"""The command line: helpful, honest, and never a traceback for a user's mistake."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

COMMANDS = (
    "data", "list", "train", "score", "study", "status", "table", "compare", "publish", "ladder", "demo"
)  # fmt: skip


def cli(*arguments, cwd):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "disentangle", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env=environment, timeout=300,
    )  # fmt: skip


def test_help_lists_every_command_and_each_shows_an_example(tmp_path):
    top = cli("--help", cwd=tmp_path).stdout
    for command in COMMANDS:
        assert command in top
        text = cli(command, "--help", cwd=tmp_path).stdout
        assert f"Example: disentangle {command}" in text


def test_help_does_not_import_the_heavy_libraries(tmp_path):
    heavy = "('torch', 'sklearn', 'pandas')"
    code = f"import sys, disentangle.__main__; print([m for m in {heavy} if m in sys.modules])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


def test_data_describes_and_draws(tmp_path):
    done = cli("data", "toy", "--picture", "sheet.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "192 images" in done.stdout
    assert "drawn" in done.stdout
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_train_then_score_then_the_same_again(tmp_path):
    train = [
        "train",
        "--method",
        "beta_vae",
        "--set",
        "beta=4",
        "--dataset",
        "toy",
        "--steps",
        "3",
        "--batch",
        "4",
    ]
    first = cli(*train, "--device", "cpu", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    [folder] = (tmp_path / "runs").iterdir()
    assert f"next: disentangle score runs/{folder.name}" in first.stdout
    assert (folder / "traversal.png").exists()
    before = (folder / "model.safetensors").read_bytes()
    again = cli(*train, "--device", "cpu", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "done at step 3" in again.stdout
    assert (folder / "model.safetensors").read_bytes() == before
    done = cli("score", folder, "--metric", "mig", "--csv", "scores.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mig@1" in done.stdout
    assert pd.read_csv(tmp_path / "scores.csv")["id"].tolist() == ["mig@1"]


def test_score_takes_codes_from_elsewhere(tmp_path):
    factors = np.stack(np.unravel_index(np.arange(600), (3, 10, 20)), 1)
    np.savez(tmp_path / "codes.npz", codes=factors.astype(np.float32), factors=factors)
    done = cli("score", "codes.npz", "--metric", "mig", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1.0000  mig@1[n=600]" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "dsprite"], "unknown dataset 'dsprite'; did you mean 'dsprites'"),
        (["train", "--method", "ada_gave"], "unknown method 'ada_gave'; did you mean 'ada_gvae'"),
        (["train", "--method", "vae", "--dataset", "toy", "--set", "beta"], "--set takes NAME=VALUE"),
        (
            ["train", "--method", "vae", "--dataset", "toy", "--set", "beta=3"],
            "unknown vae hyperparameter 'beta'. Known: none",
        ),
        (["train", "--method", "vae", "--dataset", "toy", "--steps", "-1"], "steps"),
        (
            ["train", "--method", "vae", "--dataset", "toy", "--source", "official"],
            "toy has no official file",
        ),
        (["data", "toy", "--download"], "has no official file to download"),
        (["score", "nothing.npz"], "nothing.npz does not exist"),
        (["score", "damaged.npz"], "damaged.npz is not a readable .npz"),
        (["score", "wrong.npz"], "wrong.npz has no array 'factors'"),
        (["score", "wrong.npz", "--metric", "mgi"], "unknown metric 'mgi'; did you mean 'mig'"),
        (["score", "."], "holds no run"),
        (["study", "none.toml"], "none.toml does not exist"),
        (["table", "."], "study.toml does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(tmp_path, arguments, message):
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 this is no archive")
    np.savez(tmp_path / "wrong.npz", codes=np.zeros((3, 2)))
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["daat"],
        ["train"],
        ["data", "toy", "--pictures", "x.png"],
        ["train", "--method", "vae", "--threads", "0"],
        ["train", "--method", "vae", "--checkpoint-every", "0"],
        ["train", "--method", "vae", "--dataset", "toy", "--device", "meta"],
        ["study", ".", "--workers", "0"],
        ["score", "codes.npz", "--seed", "-1"],
    ],
)
def test_a_wrong_call_is_told_without_a_traceback(tmp_path, arguments):
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout


STUDY = """
name = "d"
steps = 200
batch = 4
seeds = [0, 1, 2]
metrics = ["mig"]
calibration = ["noise"]
[[runs]]
dataset = "toy"
method = "beta_vae"
hyper = { beta = [1, 4] }
"""


def test_dry_run_says_what_would_be_done_how_long_and_how_much_disk(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    done = cli("study", ".", "--dry-run", "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "d: 0 of 7 rows, 0 running, 0 failed, 7 left to begin" in done.stdout
    assert "toy (drawn)  beta_vae beta=4  0 of 3" in done.stdout
    assert "beta_vae on toy: 6 runs, each" in done.stdout
    assert "200 steps of" in done.stdout
    assert "with 2 at once" in done.stdout
    assert "models 16.6 MB" in done.stdout  # 6 x 690,517 parameters of 4 bytes
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study.toml"]


def test_a_preset_becomes_a_file_that_runs(tmp_path):
    preset = ["study", "--preset", "locatello2019", "--dataset", "dsprites", "--method", "beta_vae"]
    made = cli(*preset, "--seeds", "0-4", "--steps", "5000", "--write", "new/study.toml", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "next: disentangle study new/study.toml --dry-run" in made.stdout
    text = (tmp_path / "new" / "study.toml").read_text()
    assert "disentangle study --preset locatello2019" in text
    again = cli(*preset, "--seeds", "0-3", "--write", "new/study.toml", cwd=tmp_path)
    assert again.returncode == 2
    assert "new/study.toml exists and holds another study" in again.stderr
    assert (tmp_path / "new" / "study.toml").read_text() == text
    for arguments, message in (
        (["--seeds", "0-4"], "make a file from a --preset"),
        ([".", "--source", "drawn"], "a study file says these itself"),
        ([".", "--engine", "slrum", "--dry-run"], "unknown engine 'slrum'; did you mean 'slurm'"),
        (["--preset", "locatello2019", "--write", "x.toml", "--dry-run"], "only makes a study file"),
        (["--preset", "locatello2019"], "name it with --write"),
        ([], "name a study file"),
    ):
        done = cli("study", *arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr


def test_status_tells_what_is_done_and_what_failed(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY.replace("steps = 200", "steps = 3"))
    before = cli("status", ".", cwd=tmp_path)
    assert before.returncode == 0, before.stderr
    assert "d: 0 of 7 rows" in before.stdout
    done = cli("study", ".", "--workers", "1", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = cli("status", ".", cwd=tmp_path)
    assert "d: 7 of 7 rows, 0 running, 0 failed, 0 left to begin" in after.stdout
    assert "3 of 3" in after.stdout
