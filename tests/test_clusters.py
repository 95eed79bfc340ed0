"""Studies on real clusters of this machine, with jobs, nodes and drivers that die. By hand:

    pytest -m slow tests/test_clusters.py

Slurm comes from Debian's packages (installed here if that is allowed), Ray from the extra [ray]; both are
started by the scripts in tests/clusters. What happened is printed.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from disentangle.checkpoint import CHECKPOINT
from disentangle.rows import numbers, read_rows

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]
SCRIPTS = Path(__file__).parent / "clusters"
STUDY = """
name = "cluster"
steps = 1000
batch = 4
lr = 1e-3
seeds = [0, 1, 2, 3]
rows = 150
calibration = ["true_factors", "untrained"]
selection = ["udr"]
metrics = [{ name = "mig", points = 300 }]
[[runs]]
dataset = "toy"
method = "beta_vae"
[[runs]]
dataset = "toy"
method = "ada_gvae"
"""


def new(folder):
    folder.mkdir()
    (folder / "study.toml").write_text(STUDY)
    return folder


def start(folder, env, *arguments):
    command = ["study", folder, "--device", "cpu", "--checkpoint-every", 50, *arguments]
    search = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(
        [sys.executable, "-m", "disentangle", *map(str, command)],
        env={**os.environ, **search, **env}, text=True, stdout=-1, stderr=-2,
    )  # fmt: skip


def rows(folder):
    return {row["key"]: json.dumps(numbers(row), sort_keys=True) for row in read_rows(folder)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = new(tmp_path_factory.mktemp("calm") / "study")
    text, _ = start(folder, {}, "--workers", 2).communicate(timeout=600)
    found = rows(folder)
    assert len(found) == 12, text
    return found


def check(what, folder, undisturbed, text, happened):
    """Print what happened and compare the rows."""
    found = rows(folder)
    lost = len(set(undisturbed) - set(found))
    different = sum(found.get(key, old) != old for key, old in undisturbed.items())
    again = len(re.findall("trying again", text))
    print(f"\n{what}: {happened}; {again} tasks tried again, {lost} rows lost, {different} rows different")
    assert (lost, different, len(found)) == (0, 0, len(undisturbed)), text
    assert "failed:" not in text, text


def script(name, *arguments):
    command = ["bash", str(SCRIPTS / f"{name}.sh"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return dict(pair.split("=", 1) for pair in shlex.split(done.stdout) if "=" in pair)


def training(folder):
    """The keys of runs that have a checkpoint and no result: somebody is at them."""
    return {path.parent.name for path in folder.glob(f"runs/*/{CHECKPOINT}")}


def wait_for(condition, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def slurm_says(cluster, *command):
    return subprocess.run(command, env={**os.environ, **cluster}, capture_output=True, text=True).stdout


def running_jobs(cluster):
    lines = slurm_says(cluster, "squeue", "-h", "-r", "-t", "R", "-o", "%i").splitlines()
    return sorted(lines)


def kill_job(job):
    """SIGKILL to the processes of a Slurm job, as the out-of-memory killer does."""
    array, _, task = job.partition("_")
    wanted = f"SLURM_ARRAY_TASK_ID={task}" if task else f"SLURM_JOB_ID={job}"
    owner = f"SLURM_ARRAY_JOB_ID={array}" if task else wanted
    killed = 0
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            found = environ.read_text(errors="replace").split("\0")
        except OSError:
            continue
        if wanted in found and owner in found:
            try:
                os.kill(int(environ.parent.name), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                continue
    return killed


@pytest.fixture
def short(tmp_path_factory):
    """A folder whose path is short enough for sockets."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="c") as name:
        yield Path(name)


def test_slurm_loses_jobs_a_node_and_the_driver(tmp_path, short, undisturbed, capfd):
    folder = new(tmp_path / "study")
    cluster = script("slurm", "up", short / "s")
    arguments = ("--engine", "slurm", "--workers", 4, "--option", "minutes=30", "--option", "poll=0.5")
    try:
        driver = start(folder, cluster, *arguments)
        wait_for(lambda: len(training(folder)) >= 2 and len(running_jobs(cluster)) == 2, driver)
        first, second = running_jobs(cluster)
        assert kill_job(first)
        slurm_says(cluster, "scontrol", "requeue", second)
        wait_for(lambda: len(list(folder.glob("rows/*.json"))) >= 2, driver)
        driver.kill()  # its jobs go on
        text = driver.communicate()[0]
        left = running_jobs(cluster)
        driver = start(folder, cluster, *arguments)
        seen = len(list(folder.glob("rows/*.json")))
        wait_for(lambda: len(list(folder.glob("rows/*.json"))) > seen and training(folder), driver)
        script("slurm", "kill", short / "s", 1)
        time.sleep(6)
        script("slurm", "revive", short / "s", 1)
        more, _ = driver.communicate(timeout=600)
        assert driver.returncode == 0, more
    finally:
        script("slurm", "down", short / "s")
    happened = (
        f"1 job killed, 1 requeued, the driver killed with {len(left)} jobs running, 1 of 2 nodes killed"
    )
    with capfd.disabled():
        check("Slurm, two nodes", folder, undisturbed, text + more, happened)
        print("\n".join(line for line in (text + more).splitlines() if line.startswith("[")))


def kill_ray_worker(cluster):
    """SIGKILL to one process of Ray's that is at a task."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::do_chunk"):
                os.kill(int(path.parent.name), signal.SIGKILL)
                return True
        except OSError:
            continue
    return False


def test_ray_loses_a_worker_a_node_and_the_driver(tmp_path, short, undisturbed, capfd):
    pytest.importorskip("ray")
    folder = new(tmp_path / "study")
    cluster = script("ray", "up", short / "r", 17701)
    arguments = ("--engine", "ray", "--workers", 4)
    try:
        driver = start(folder, cluster, *arguments)
        wait_for(lambda: len(training(folder)) >= 2, driver)
        assert kill_ray_worker(cluster)
        wait_for(lambda: list(folder.glob("rows/*.json")), driver)
        driver.kill()
        text = driver.communicate()[0]
        driver = start(folder, cluster, *arguments)
        seen = len(list(folder.glob("rows/*.json")))
        wait_for(lambda: len(list(folder.glob("rows/*.json"))) > seen and len(training(folder)) >= 2, driver)
        script("ray", "kill", short / "r", 1)
        more, _ = driver.communicate(timeout=600)
        assert driver.returncode == 0, more
    finally:
        script("ray", "down", short / "r")
    with capfd.disabled():
        happened = "1 worker killed, the driver killed, 1 of 2 nodes killed for good"
        check("Ray, a head and two nodes", folder, undisturbed, text + more, happened)
        print("\n".join(line for line in (text + more).splitlines() if line.startswith("[")))
