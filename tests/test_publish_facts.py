"""What a package says of itself: files, code, data, machines, scores, and what is not there."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from filelock import FileLock

from disentangle import find
from disentangle.publish import publish
from disentangle.publish_check import check
from disentangle.publish_facts import UNDECIDED, scores, sources
from disentangle.publish_package import maker
from disentangle.ranking import Ranking
from disentangle.rows import read_rows

from ._packages import (
    COMMIT,
    change,
    descriptor,
    make_study,
    provenance,
    quick_figures,
    refused,
    replace,
    sign,
    tasks_of,
    write,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    quick_figures(monkeypatch)
    return make_study(tmp_path / "study")


def test_the_descriptor_says_what_the_study_is(folder):
    told = publish(folder, license="CC0-1.0", contributors=[" A. Author ", " ", ""]).descriptor
    assert told == descriptor(folder)
    assert (told["name"], told["study"], told["version"]) == ("toy-1", "Toy-1", "0.1.0")
    assert told["made_by"] == maker()
    assert told["licenses"][0]["path"] == "https://creativecommons.org/publicdomain/zero/1.0/"
    assert told["contributors"] == [{"title": "A. Author", "role": "author"}]
    assert told["description"].startswith("A study for tests. table.csv has")
    assert told["description"].endswith("5 of 7 planned rows are there; 2 not done, 1 diverged.")
    assert told["keywords"][-1] == "toy"
    assert told["sources"] == [
        {
            "title": "toy (drawn)", "name": "toy", "paper": "none: a white square, for tests and tutorials",
            "source": "drawn", "checksum": "sha256:0a", "note": "Drawn.",
        },
        {"title": "disentangle-bench", "version": "0.1.0", "commit": COMMIT},
    ]  # fmt: skip
    assert told["commits"] == [{"version": "0.1.0", "commit": COMMIT, "dirty": False, "rows": 5, "scores": 8}]
    assert told["hardware"] == [{"hardware": "a machine", "device": "cpu", "rows": 5}]
    assert (told["dirty"], told["dirty_rows"]) == (False, [])
    assert told["scores"][0] == {
        "metric_id": "mig@1", "score": "mig", "title": "Mutual information gap", "paper": "Chen et al. 2018",
        "unit": "fraction", "lower_is_better": False,
    }  # fmt: skip
    assert [one["score"] for one in told["scores"]] == ["mig", "sap"]
    assert "contributors" not in publish(folder, contributors=[""]).descriptor


def test_the_descriptor_describes_every_file_but_the_rows(folder):
    told = publish(folder).descriptor["resources"]
    paths = [one["path"] for one in told]
    assert paths[:3] == ["selection.csv", "summary.csv", "table.csv"]
    rest = {"study.toml", "table.md", "table.tex", "index.html", "pictures/a.png", "pictures/A.webp"}
    figures = {f"figures/toy-drawn-correlation.{ending}" for ending in ("csv", "png", "svg")}
    assert set(paths[3:]) == rest | figures
    assert all(re.fullmatch(r"[-a-z0-9._]+", one["name"]) for one in told)
    by_path = {one["path"]: one for one in told}
    assert by_path["table.csv"]["encoding"] == "utf-8"
    assert "encoding" not in by_path["pictures/a.png"]
    table = by_path["table.csv"]["schema"]
    assert table["primaryKey"] == ["study", "run_key", "metric_id", "score"]
    assert {f["name"]: f["type"] for f in table["fields"]}["hyper.beta"] == "number"
    drawn = by_path["figures/toy-drawn-correlation.csv"]["schema"]
    assert [field["type"] for field in drawn["fields"]] == ["string", "number", "integer"]
    assert not {"primaryKey", "uniqueKeys"} & drawn.keys()
    content = (folder / "table.csv").read_bytes()
    assert by_path["table.csv"]["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert by_path["table.csv"]["bytes"] == len(content)
    (folder / "pictures" / "a.webp").write_bytes(b"beside A.webp")
    change(folder, lambda row: row["pictures"].append("pictures/a.webp"))
    names = [one["name"] for one in publish(folder).descriptor["resources"]]
    assert len({name.lower() for name in names}) == len(names) == len(told) + 1


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda row: row["provenance"].update(dirty=True), "1 by code that was changed after its commit"),
        (lambda row: row["provenance"].update(commit=""), "1 by code of an unknown commit"),
        (lambda row: row["provenance"].update(dirty=None), "1 by code of an unknown commit"),
        (
            lambda row: row["scores"][1].update(provenance=provenance(dirty=True)),
            "1 by code that was changed",
        ),
    ],
)
def test_code_that_no_commit_holds_is_refused_unless_told(folder, edit, why):
    key = change(folder, edit)["key"]
    told = refused(folder, rf"1 of 5 rows were made by code that no commit holds \({key}\): {why}")
    assert "--allow-dirty" in told
    package = publish(folder, allow_dirty=True)
    assert (package.descriptor["dirty"], package.descriptor["dirty_rows"]) == (True, [key])
    assert why in package.descriptor["description"]
    assert f"warning: {package.dirty} The package says so." in package.text()
    assert len(package.descriptor["commits"]) == 2
    assert check(folder) == []
    sign(folder, lambda told: told.update(dirty=False, dirty_rows=[]))
    assert [problem.partition(": ")[2].partition(":")[0] for problem in check(folder)] == [
        "dirty",
        "dirty_rows",
    ]


def test_several_versions_are_told_apart(folder):
    change(folder, lambda row: row["scores"][1].update(provenance=provenance(version="0.2.0")))
    told = publish(folder).descriptor
    assert "version" not in told
    states = [(one["version"], one["rows"], one["scores"]) for one in told["commits"]]
    assert states == [("0.1.0", 5, 7), ("0.2.0", 0, 1)]
    assert told["sources"][-1]["version"] == "0.1.0, 0.2.0"


def test_several_machines_are_told_apart(folder):
    change(folder, lambda row: row["provenance"].update(hardware="H200", device="cuda:0"))
    assert publish(folder).descriptor["hardware"] == [
        {"hardware": "H200", "device": "cuda:0", "rows": 1},
        {"hardware": "a machine", "device": "cpu", "rows": 4},
    ]


def counts_of(package):
    return {name: count for name, count in package.descriptor["missing"].items() if name != "of" and count}


def test_what_is_missing_is_told_and_not_refused(folder, tmp_path):
    tasks = tasks_of(folder)
    (folder / "runs" / tasks[5].key()).mkdir()
    (folder / "runs" / tasks[5].key() / "error.txt").write_text("no memory\n")
    change(folder, lambda row: row["scores"].pop())
    replace(folder / "study.toml", 'calibration = ["noise"]', "calibration = []")
    (folder / "pictures" / "a.png").unlink()
    out = tmp_path / "package"
    package = publish(folder, out=out)
    assert counts_of(package) == {
        "planned": 6, "there": 3, "failed": 1, "incomplete": 1, "not_done": 1, "diverged": 1,
        "beyond_the_plan": 1, "pictures": 1,
    }  # fmt: skip
    of = package.descriptor["missing"]["of"]
    assert {"key": tasks[4].key(), "what": "beta_vae beta=4 on toy, seed 1", "why": "not done"} in of
    assert (
        "3 of 6 planned rows are there; 1 failed when last tried, 1 with a row that lacks" in package.text()
    )
    assert "no memory" not in json.dumps(package.descriptor)  # it may name paths of this machine
    assert check(out) == []  # where nothing tells that a run failed
    (folder / "runs" / tasks[5].key() / "error.txt").unlink()
    assert check(folder) == []  # which is of the time of publishing


def test_a_run_under_way_is_told(folder):
    place = folder / "runs" / tasks_of(folder)[4].key()
    place.mkdir()
    with FileLock(place / "lock"):
        package = publish(folder)
    assert counts_of(package)["running"] == 1
    assert check(folder) == []
    assert "running" not in counts_of(publish(folder))


def ranking_of(folder, runs, **changes):
    task = Ranking(runs=tuple(runs))
    shared = next(row for row in read_rows(folder) if row["kind"] == "run")
    own = {
        "kind": "ranking",
        "key": task.key(),
        "run": task.setting(),
        "scores": [],
        "pictures": [],
        "id": "udr@1[rows=192]",
    }
    of = {run.key(): 0.5 for run in runs}
    return {**shared, **own, "of": of, "seconds": {"score": 1.0}, **changes}


def test_comparisons_by_udr_are_planned_and_counted(folder):
    replace(folder / "study.toml", "oracle:mig", "udr")
    runs = tasks_of(folder)[:3]
    assert counts_of(publish(folder))["not_done"] == 3  # two runs and the comparison
    write(folder, ranking_of(folder, runs[:2]))
    assert counts_of(publish(folder))["incomplete"] == 1
    write(folder, ranking_of(folder, runs))
    package = publish(folder)
    assert "incomplete" not in counts_of(package)
    assert package.descriptor["commits"][0]["scores"] == 8 + 3
    assert package.descriptor["scores"][-1] == {
        "metric_id": "udr@1[rows=192]", "score": "udr", "title": "Unsupervised disentanglement ranking",
        "paper": "Duan et al. 2020", "unit": "ratio", "lower_is_better": False,
    }  # fmt: skip
    assert check(folder) == []


def test_scores_without_a_metric_and_of_unknown_ones():
    of = [{"id": "weak_reconstruction@1", "name": "weak_reconstruction"}, {"id": "gone@7", "name": "gone"},
          {"id": "irs@1", "name": "irs_active_codes"},
          {"id": "unsupervised@1", "name": "unsupervised_mutual_info_score"}]  # fmt: skip
    gone, codes, less, weak = scores([{"kind": "run", "scores": of}])
    assert gone == {"metric_id": "gone@7", "score": "gone"}
    assert (codes["unit"], codes["lower_is_better"]) == ("codes", None)
    assert (less["unit"], less["lower_is_better"]) == ("nats", True)
    assert (weak["unit"], weak["lower_is_better"]) == ("nats", True)


def test_units_are_of_scores_that_metrics_have():
    known = {name: find.get("metric", name) for name in find.names("metric")}
    for name, metric in known.items():
        text = (ROOT / "metrics" / f"{name}.py").read_text()
        assert all(text.count(f'"{score}"') >= 2 for score in metric.units)
    units = {unit for metric in known.values() for unit in metric.units.values()}
    assert units >= UNDECIDED


def test_sources_have_the_address_and_licence_that_are_known():
    def source(name, **more):
        row = {
            "data": {"name": name, "source": "drawn", "checksum": "md5:0", **more},
            "scores": [],
            "key": "a",
        }
        return sources([{**row, "provenance": provenance()}])[0]

    sprites = source("dsprites")
    assert sprites["path"] == "https://github.com/google-deepmind/dsprites-dataset"
    assert sprites["license"] == "Apache-2.0"
    assert "license" not in source("cars3d")
    assert source("mine") == {
        "title": "mine (drawn)", "name": "mine", "paper": "own data", "source": "drawn", "checksum": "md5:0",
    }  # fmt: skip
    for name in find.names("dataset"):
        assert source(name).get("path", "http").startswith("http")
