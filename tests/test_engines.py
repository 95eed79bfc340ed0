"""Engines, with their machines and GPUs played by this process; the real ones: test_clusters.py."""

import json
import sys
from collections import deque

import cloudpickle
import msgspec
import pytest

from disentangle import InputError, launch
from disentangle.engines import _nodes, local, slurm
from disentangle.engines import ray as ray_engine
from disentangle.find import get, names
from disentangle.outcome import Outcome
from disentangle.rows import numbers, read_rows
from disentangle.study import plan, read_study
from disentangle.work import Work, chunks

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # worker processes cannot import tests

STUDY = """
name = "tiny"
steps = 4
batch = 4
lr = 1e-3
seeds = [0, 1, 2]
calibration = ["noise"]
metrics = [{ name = "mig", points = 300 }]
[[runs]]
dataset = "toy"
method = "vae"
[[runs]]
dataset = "toy"
method = "beta_vae"
hyper = { beta = [1, 4] }
"""


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path, read_study(tmp_path)


def values(folder):
    return json.dumps([numbers(row) for row in read_rows(folder)], sort_keys=True)


class Fake:
    """A Slurm whose jobs run when somebody looks at the queue; some die, in order of submission."""

    dies: tuple = ()
    jobs: dict = {}  # noqa: RUF012
    submitted: list = []  # noqa: RUF012
    cancelled: list = []  # noqa: RUF012
    silent = 0

    def __init__(self, work, settings):
        self.work, self.settings, self.found = work, settings, {}

    def submit(self, parts):
        found = []
        for part in parts:
            name = str(len(Fake.submitted))
            Fake.submitted.append([task.key() for task in part])
            Fake.jobs[name] = part
            found.append(name)
        return found

    def adopt(self, queue):
        return {}

    def alive(self):
        if Fake.silent:
            Fake.silent -= 1
            return None
        for name in list(Fake.jobs):
            part = Fake.jobs.pop(name)
            if int(name) in Fake.dies:
                _nodes.do_chunk(self.work, part[:-1], 1)  # all but its last
            else:
                self.found[name] = _nodes.do_chunk(self.work, part, 1)
        return set()

    def told(self, name):
        return self.found.get(name)

    def reason(self, name):
        return f"job {name} was shot"

    def forget(self, name):
        pass

    def cancel(self, names):
        Fake.cancelled += list(names)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(slurm, "Cluster", Fake)
    monkeypatch.setattr(slurm.time, "sleep", lambda seconds: None)
    Fake.dies, Fake.jobs, Fake.submitted, Fake.cancelled, Fake.silent = (), {}, [], [], 0
    return Fake


def carry_out(tiny, **options):
    said = []
    outcomes = launch.carry_out(tiny[1], tiny[0], device="cpu", say=said.append, **options)
    return outcomes, said


def test_every_engine_is_found_and_says_what_can_be_set():
    assert names("engine") == ("local", "ray", "slurm")
    for name in names("engine"):
        engine = get("engine", name)
        assert issubclass(engine.settings, msgspec.Struct)
        engine.settings()  # everything has a default


def test_a_cluster_gives_the_rows_of_this_machine(tiny, fake, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    carry_out((other, tiny[1]))
    outcomes, _ = carry_out(tiny, engine="slurm", workers=3, options={"runs": 2})
    assert [o.status for o in outcomes] == ["done"] * 10
    assert values(other) == values(tiny[0])
    assert [len(part) for part in fake.submitted] == [2] * 5


def test_a_job_that_dies_keeps_what_it_did_and_the_rest_is_tried_alone(tiny, fake):
    fake.dies = (0,)
    outcomes, said = carry_out(tiny, engine="slurm", workers=9, options={"runs": 5})
    assert [o.status for o in outcomes] == ["done"] * 10
    assert fake.submitted[2:] == [[fake.submitted[0][-1]]]
    assert sum("trying again (1 of 3 failed)" in text and "job 0 was shot" in text for text in said) == 1


def test_a_job_that_always_dies_is_given_up_and_told(tiny, fake):
    fake.dies = range(2, 100)
    outcomes, _ = carry_out(tiny, engine="slurm", workers=9)
    assert sorted(o.status for o in outcomes) == ["done"] * 2 + ["failed"] * 8
    assert all("was shot" in o.message for o in outcomes if o.status == "failed")
    assert len(fake.submitted) == 2 + 3 * 8
    failed = next(o for o in outcomes if o.status == "failed")
    assert (tiny[0] / "runs" / failed.key / "error.txt").read_text().startswith("job")


def test_a_silent_controller_is_waited_for(tiny, fake):
    fake.silent = 20
    outcomes, _ = carry_out(tiny, engine="slurm", workers=9)
    assert {o.status for o in outcomes} == {"done"}


def test_a_controller_that_refuses_jobs_is_asked_again_while_others_run(tiny, fake, monkeypatch):
    real, calls = Fake.submit, []

    def refuses(self, parts):
        calls.append(len(parts))
        if len(calls) in (2, 3):
            raise InputError("sbatch refused the jobs: socket timed out")
        return real(self, parts)

    monkeypatch.setattr(Fake, "submit", refuses)
    outcomes, _ = carry_out(tiny, engine="slurm", workers=2)
    assert [o.status for o in outcomes] == ["done"] * 10
    assert len(fake.submitted) == 10
    assert fake.cancelled == []
    monkeypatch.setattr(Fake, "submit", lambda self, parts: real(self, None))
    for row in (tiny[0] / "rows").glob("*.json"):
        row.unlink()
    calls.clear()

    def always(self, parts):
        calls.append(len(parts))
        raise InputError("sbatch refused the jobs: no such partition")

    monkeypatch.setattr(Fake, "submit", always)
    with pytest.raises(InputError, match="no such partition"):
        carry_out(tiny, engine="slurm", workers=2)
    assert len(calls) == 3


def test_what_a_job_of_an_older_study_did_is_not_taken_for_all(tiny, fake, monkeypatch):
    monkeypatch.setattr(Fake, "told", lambda self, name: [Outcome(key, "done") for key in self.keys(name)])
    monkeypatch.setattr(Fake, "keys", lambda self, name: Fake.submitted[int(name)], raising=False)
    monkeypatch.setattr(_nodes, "do_chunk", lambda *a: [])
    outcomes, _ = carry_out(tiny, engine="slurm", workers=99)
    assert {o.status for o in outcomes} == {"failed"}
    assert "its row lacks what the study asks for" in outcomes[0].message


def test_a_slurm_job_that_gets_no_further_is_not_queued_for_ever(tiny):
    pytest.importorskip("submitit")
    run = plan(tiny[1], {"toy": "drawn"})[0]
    work = Work(tiny[1], tiny[0])
    job = slurm.Job(work, [run], slurm.Settings(), tiny[0] / "told.json")
    assert job.checkpoint() is not None
    work.place(run).mkdir(parents=True)
    for n in range(6):  # further each time
        (work.place(run) / "checkpoint.pt").write_text("x" * n)
        assert job.checkpoint() is not None
    assert [job.checkpoint() is not None for _ in range(4)] == [True, True, False, False]


def test_no_more_jobs_than_workers_and_an_interruption_cancels_them(tiny, fake, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Fake, "alive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        carry_out(tiny, engine="slurm", workers=3)
    assert len(fake.submitted) == 3
    assert fake.cancelled == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("engine", "options", "message"),
    [
        ("slrum", {}, "unknown engine 'slrum'; did you mean 'slurm'"),
        ("slurm", {"minuts": 5}, "unknown slurm option 'minuts'; did you mean 'minutes'"),
        ("slurm", {"cpus": 0}, "slurm option cpus is 0: expected"),
        ("slurm", {"minutes": "5"}, "slurm option minutes is '5': expected"),
        ("ray", {"gpus": "all"}, "ray option gpus is 'all': expected"),
        ("local", {"partition": "gpu"}, "unknown local option 'partition'"),
    ],
)
def test_wrong_options_are_told_before_anything_is_done(tiny, engine, options, message):
    with pytest.raises(InputError, match=message):
        carry_out(tiny, engine=engine, options=options)
    assert [path.name for path in tiny[0].iterdir()] == ["study.toml"]


def test_slurm_is_told_what_was_set():
    settings = slurm.Settings(
        partition="gpu", gpus=1, memory="8G", setup="module load cuda", sbatch="constraint=h100,exclusive"
    )
    assert settings.parameters("x") == {
        "name": "x",
        "timeout_min": 240,
        "cpus_per_task": 1,
        "slurm_signal_delay_s": 60,
        "stderr_to_stdout": True,
        "slurm_srun_args": ["--cpus-per-task=1"],
        "slurm_partition": "gpu",
        "slurm_mem": "8G",
        "slurm_gpus_per_node": 1,
        "slurm_setup": ["module load cuda"],
        "slurm_additional_parameters": {"constraint": "h100", "exclusive": True},
    }


def test_without_slurm_or_ray_one_line_says_what_is_missing(tiny, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="sbatch is not here"):
        carry_out(tiny, engine="slurm")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'disentangle-bench\[ray\]'"):
        ray_engine.connect(ray_engine.Settings())


def test_a_ray_that_does_not_answer_is_told_at_once():
    pytest.importorskip("ray")
    settings = ray_engine.Settings(address="127.0.0.1:1")
    with pytest.raises(InputError, match=r"no Ray cluster answers at '127.0.0.1:1' .*ray start --head"):
        ray_engine.connect(settings)


def test_alike_runs_share_a_gpu_job_and_others_a_job_each(tiny):
    work = Work(tiny[1], tiny[0])
    tasks = plan(tiny[1], {"toy": "drawn"})
    assert [len(part) for part in _nodes.cut(work, tasks, 0, gpus=1)] == [3, 6, 1]
    assert [len(part) for part in _nodes.cut(work, tasks, 4, gpus=1)] == [3, 3, 3, 1]
    assert [len(part) for part in _nodes.cut(work, tasks, 0, gpus=0)] == [1] * 10
    assert [len(part) for part in _nodes.cut(work, tasks, 4, gpus=0)] == [4, 4, 2]
    assert chunks(work, tasks, 1) == [[task] for task in tasks]


def test_gpus_train_stacks_while_the_processor_scores(tiny, monkeypatch):
    """Two devices that are played by the processor: what trains goes to them, what is scored does not."""
    monkeypatch.setattr(local, "devices", lambda device: ["cpu:0", "cpu:1"])
    monkeypatch.setattr(local, "train_together", _train_noting)
    monkeypatch.setattr(local, "perform", _perform_noting)
    work = Work(tiny[1], tiny[0].resolve(), "cuda", stack=None)
    tasks = plan(tiny[1], {"toy": "drawn"})
    queue = deque(local.cut(work, tasks, local.Settings()))
    assert [len(part) for part in queue] == [3, 3, 3, 1]
    outcomes = list(local.run(work, queue, 2, local.Settings(), lambda keys: None))
    assert sorted(o.key for o in outcomes) == sorted(task.key() for task in tasks)
    assert {o.status for o in outcomes} == {"done"}, outcomes
    noted = [json.loads(line) for line in (tiny[0] / "noted").read_text().splitlines()]
    assert [line[2] for line in noted if line[0] == "train"] == [3, 3, 3]
    assert {line[1] for line in noted if line[0] == "train"} <= {"cpu:0", "cpu:1"}
    assert [line[1] for line in noted if line[0] == "score"] == ["cpu"] * 10
    # One whose codes are gone needs a device again.
    run = tasks[0]
    assert not work.needs_device(run)
    next(work.place(run).glob("codes*.npy")).unlink()
    assert work.needs_device(run)


def test_a_stack_that_fails_goes_back_to_a_device_and_one_that_dies_is_halved(tiny, monkeypatch):
    monkeypatch.setattr(local, "devices", lambda device: ["cpu:0"])
    monkeypatch.setattr(local, "train_together", _train_badly)
    monkeypatch.setattr(local, "perform", _perform_noting)
    work = Work(tiny[1], tiny[0].resolve(), "cuda", stack=None)
    tasks = plan(tiny[1], {"toy": "drawn"})
    queue = deque(local.cut(work, tasks, local.Settings()))
    outcomes = list(local.run(work, queue, 2, local.Settings(), lambda keys: None))
    assert sorted(o.key for o in outcomes) == sorted(task.key() for task in tasks)
    assert {o.status for o in outcomes} == {"done"}, outcomes
    noted = [json.loads(line) for line in (tiny[0] / "noted").read_text().splitlines()]
    # The stack of six dies, its halves train; that of three says that it could not.
    assert [line[2] for line in noted if line[0] == "train"] == [3, 6, 3, 3]
    failed = {task.key() for task in tasks if getattr(task, "method", "") == "vae"}
    where = {line[2]: line[1] for line in noted if line[0] == "score"}
    assert {where[key] for key in failed} == {"cpu:0"}
    assert {device for key, device in where.items() if key not in failed} == {"cpu"}


def _train_badly(work, tasks, device, encoded):
    import os
    import signal

    from disentangle.perform import train_together

    _note(work, "train", device, len(tasks))
    if len(tasks) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    if tasks[0].method == "vae":
        return ["3 runs could not be trained together"]
    return train_together(work, tasks, "cpu", encoded)


def _note(work, *what):
    with (work.folder / "noted").open("a") as file:
        file.write(json.dumps(what) + "\n")


def _train_noting(work, tasks, device, encoded):
    from disentangle.perform import train_together

    assert encoded
    problems = train_together(work, tasks, "cpu", encoded)
    _note(work, "train", device, len(tasks))
    return problems


def _perform_noting(work, task, device, progress=False):
    from disentangle.perform import perform

    _note(work, "score", device, task.key())
    outcome = perform(work, task, "cpu")
    assert isinstance(outcome, Outcome)
    return outcome
