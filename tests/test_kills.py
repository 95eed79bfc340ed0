"""Studies under fire: kills at any moment, two commands at once, a full or read-only disk, a jumping clock.

Each ends with the rows of an undisturbed study, to the bit. The storms print how many kills there were.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from disentangle.rows import numbers, read_rows

STUDY = """
name = "storm"
steps = 40
batch = 4
lr = 1e-3
seeds = [0, 1, 2]
rows = 150
calibration = ["true_factors", "untrained"]
selection = ["udr", "weak_reconstruction"]
metrics = [
  { name = "mig", points = 300 },
  { name = "beta_vae", train_points = 100, test_points = 50, batch = 8 },
]
[[runs]]
dataset = "toy"
method = "beta_vae"
[[runs]]
dataset = "toy"
method = "ada_gvae"
"""
# At every file operation of ours a process dies with some probability, before or after it.
KILLER = """
import os, random, signal, sys
chance, counter = float(os.environ["KILL_CHANCE"]), os.environ["KILL_COUNTER"]
dice = random.Random(int.from_bytes(os.urandom(8), "big") ^ int(os.environ["KILL_SEED"]))
def deadly(function):
    def perhaps(*arguments, **options):
        frame, ours = sys._getframe(1), "disentangle" in sys._getframe(1).f_code.co_filename
        death = dice.random() if ours else 1
        if death < chance / 2:
            die()
        result = function(*arguments, **options)
        if death < chance:
            die()
        return result
    return perhaps
def die():
    handle = os.open(counter, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"x")
    os.kill(os.getpid(), signal.SIGKILL)
for name in ("replace", "fsync"):
    setattr(os, name, deadly(getattr(os, name)))
"""
JUMPING_CLOCK = """
import random, time
real, dice = time.time, random.Random(1)
time.time = lambda: real() + dice.choice([-3e8, -60, 0, 3e8])
time.time_ns = lambda: int(time.time() * 1e9)
"""


def environment(folder, code="", **more):
    """The environment of a process that first runs some code."""
    place = folder / "start"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(code)
    path = os.pathsep.join([str(place), *(p for p in sys.path if p)])
    return {**os.environ, "PYTHONPATH": path, **{k: str(v) for k, v in more.items()}}


def start(folder, env=None, workers=2):
    arguments = ["study", folder, "--device", "cpu", "--workers", workers, "--checkpoint-every", 10]
    return subprocess.Popen(
        [sys.executable, "-m", "disentangle", *map(str, arguments)],
        env=env or environment(folder.parent), text=True, stdout=-1, stderr=-2, start_new_session=True,
    )  # fmt: skip


def carried_out(folder, env=None, workers=2):
    process = start(folder, env, workers)
    text, _ = process.communicate(timeout=300)
    return process.returncode, text


def new(folder):
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY)
    return folder


def rows(folder):
    return {row["key"]: json.dumps(numbers(row), sort_keys=True) for row in read_rows(folder)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The rows that everything must lead to: six runs, two lines of calibration, two rankings."""
    folder = new(tmp_path_factory.mktemp("calm") / "study")
    status, text = carried_out(folder, workers=1)  # quicker: importing takes longest
    assert status == 0, text
    found = rows(folder)
    assert len(found) == 10
    return found


def check(folder, undisturbed):
    """The counts that matter: rows lost and rows different."""
    found = rows(folder)
    lost = len(set(undisturbed) - set(found))
    different = [key for key, text in undisturbed.items() if found.get(key, text) != text]
    for key in different:
        print(f"undisturbed: {undisturbed[key]}\nfound:       {found[key]}")
    assert set(found) <= set(undisturbed)
    assert not list(folder.rglob("*.damaged"))
    assert not list((folder / "rows").glob(".*"))
    return lost, len(different)


def storm_in_files(folder, undisturbed, seed, chance, commands, workers):
    """Kill processes at their own file operations until the study is through; the counts."""
    counter = folder.parent / "kills"
    env = environment(folder.parent, KILLER, KILL_CHANCE=chance, KILL_SEED=seed, KILL_COUNTER=counter)
    status, begun = 1, 0
    while status != 0:
        begun += 1
        # The last command is spared, so that the test ends.
        status, text = carried_out(folder, env if begun <= commands else None, workers)
        assert "Traceback" not in text, text
        assert begun <= commands or status == 0, text
    return counter.stat().st_size if counter.exists() else 0, begun, *check(folder, undisturbed)


def processes_of(session):
    """The processes of a session, read from /proc."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.getsid(int(name)) == session:
                found.append(int(name))
        except (ProcessLookupError, PermissionError):
            continue
    return found


def storm_from_outside(folder, undisturbed, seed, kills):
    """Two commands on one study, and now and then a SIGKILL to any process of either; the counts."""
    dice, done = random.Random(seed), 0
    both = [start(folder, workers=1 + i) for i in range(2)]
    commands = 2
    while done < kills and any(p.poll() is None for p in both):
        time.sleep(dice.uniform(0.3, 3))
        victims = [pid for p in both if p.poll() is None for pid in processes_of(p.pid)]
        if victims:
            os.kill(dice.choice(victims), signal.SIGKILL)
            done += 1
        for i, process in enumerate(both):
            if process.poll() not in (None, 0):
                process.communicate()
                both[i] = start(folder, workers=1 + i)
                commands += 1
    for process in both:
        process.communicate(timeout=300)
    status, text = carried_out(folder)
    assert status == 0, text
    return done, commands + 1, *check(folder, undisturbed)


def told(what, kills, commands, lost, different):
    print(f"{what}: {kills} kills, {commands} commands, {lost} rows lost, {different} rows different")
    assert kills > 0
    assert (lost, different) == (0, 0)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_kills_at_file_operations_change_nothing(tmp_path, undisturbed, workers):
    folder = new(tmp_path / "study")
    told(f"file operations, {workers} workers", *storm_in_files(folder, undisturbed, 1, 0.08, 3, workers))


def test_kills_from_outside_on_two_commands_change_nothing(tmp_path, undisturbed):
    told("from outside, two commands", *storm_from_outside(new(tmp_path / "study"), undisturbed, 2, 3))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_long_storms_change_nothing(tmp_path, undisturbed, seed, capsys):
    with capsys.disabled():
        print()
        for workers in (1, 2):
            folder = new(tmp_path / f"{workers}" / "study")
            found = storm_in_files(folder, undisturbed, seed, 0.15, 40, workers)
            told(f"file operations, {workers} workers", *found)
        found = storm_from_outside(new(tmp_path / "out" / "study"), undisturbed, seed, 30)
        told("from outside, two commands", *found)


def test_a_clock_that_jumps_changes_nothing(tmp_path, undisturbed):
    folder = new(tmp_path / "study")
    env = environment(tmp_path, JUMPING_CLOCK)
    process = start(folder, env)
    deadline = time.monotonic() + 120
    while not list(folder.glob("rows/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    for path in folder.rglob("*"):  # from the future, and from the past
        os.utime(path, (4e9, 4e9) if path.name < "m" else (0, 0))
    status, text = carried_out(folder, env)
    assert status == 0, text
    assert check(folder, undisturbed) == (0, 0)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 12 MB, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def test_a_full_disk_ends_the_study_and_room_lets_it_go_on(small_disk, undisturbed):
    folder = new(small_disk / "study")
    status, text = carried_out(folder)
    assert status in (1, 2), text
    assert "No space left on device" in text
    assert "Traceback" not in text
    assert not list((folder / "rows").glob(".*"))
    before = rows(folder)
    assert before.items() <= undisturbed.items()
    assert len(before) < len(undisturbed)
    remount(small_disk, "size=100m")
    status, text = carried_out(folder, workers=1)
    assert status == 0, text
    assert check(folder, undisturbed) == (0, 0)


def test_a_read_only_directory_is_told_before_anything_is_trained(small_disk, tmp_path):
    folder = new(small_disk / "study")
    remount(small_disk, "ro")
    status, text = carried_out(folder, environment(tmp_path))
    remount(small_disk, "rw")
    assert status == 2
    assert f"{folder} cannot be written to (Read-only file system)" in text
    assert len(text.strip().splitlines()) == 1, text
