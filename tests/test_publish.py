"""A study is published as it is: every file with its checksum, or not at all; and verified when received."""

import hashlib
import json
import re
import subprocess

import pandas as pd
import pytest

from disentangle.cli_publish import publish as command
from disentangle.errors import InputError
from disentangle.publish import check, publish, read
from disentangle.rows import read_rows
from disentangle.study import plan, read_study
from disentangle.table import tidy, write_tables

TEXT = """
name = "Toy-1"
description = "A study for tests"
steps = 5
seeds = [0, 1, 2]
metrics = ["mig", "sap"]
calibration = ["noise"]
selection = ["oracle:mig"]
[[runs]]
dataset = "toy"
method = "beta_vae"
hyper = { beta = [1, 4] }
"""
COMMIT = "0123456789" * 4
MIG, SAP = ("mig", "mig@1"), ("sap", "sap@1")


def provenance(**changes):
    return {
        "version": "0.1.0", "commit": COMMIT, "dirty": False, "python": "3.11.7", "torch": "2", "numpy": "2",
        "scikit-learn": "1", "device": "cpu", "hardware": "a machine", "threads": 1, **changes,
    }  # fmt: skip


def row_of(task, values, kind="run", status="done"):
    fields = ("method", "dataset", "hyper", "seed", "steps", "batch", "lr", "latents")
    run = {"method": "noise", "dataset": "toy", "hyper": {}, "seed": 0, "latents": 10}
    shared = {"points": "10000", "seconds": 0.1234567, "repeats": 1, "std": None}
    return {
        "format": 1, "kind": kind, "key": task.key(), "study": "Toy-1", "status": status,
        "run": {f: getattr(task, f) for f in fields} if kind == "run" else run,
        "data": {"name": "toy", "source": "drawn", "checksum": "sha256:0a", "note": "Drawn."},
        "scores": [{"name": n, "id": i, "value": v, **shared} for (n, i), v in values.items()],
        "pictures": ["pictures/a.png"], "model_sha256": "", "provenance": provenance(),
        "seconds": {"train": 1.5, "encode": 0.25},
    }  # fmt: skip


def write(folder, row):
    (folder / "rows" / f"{row['key']}.json").write_text(json.dumps(row))


def change(folder, edit):
    """Edit the row of the first run, and make the tables anew."""
    row = next(row for row in read_rows(folder) if row["kind"] == "run" and row["status"] == "done")
    edit(row)
    write(folder, row)
    write_tables(folder)
    return row


@pytest.fixture
def folder(tmp_path):
    """Four runs of six, one of them diverged, and a calibration, with what else lies in a study's folder."""
    folder = tmp_path / "study"
    for name in ("rows", "pictures", "figures", "runs/abc"):
        (folder / name).mkdir(parents=True)
    (folder / "study.toml").write_text(TEXT)
    tasks = plan(read_study(folder), {"toy": "drawn"})
    for task, values in zip(tasks[:3], ((1 / 3, 2.5e-17), (0.1 + 0.2, 0.5), (0.25, None)), strict=True):
        write(folder, row_of(task, dict(zip((MIG, SAP), values, strict=True))))
    write(folder, row_of(tasks[3], {}, status="diverged"))
    write(folder, row_of(tasks[6], {MIG: 0.9, SAP: 0.9}, kind="calibration"))
    write_tables(folder)
    for name in ("pictures/a.png", "pictures/a.webp", "figures/toy.svg", "index.html"):
        (folder / name).write_bytes(name.encode())
    (folder / "figures" / "toy.csv").write_text("score,n\nmig,3\nsap,\n")
    for name in (
        "runs/abc/model.safetensors",
        "runs/abc/lock",
        "rows/.b.json.part",
        "rows/c.json.damaged",
        "figures/.a.svg",
    ):
        (folder / name).write_bytes(b"not to be published")
    return folder


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def descriptor(folder):
    return json.loads((folder / "datapackage.json").read_text())


def test_what_is_published_is_read_back_to_the_bit(folder):
    package = publish(folder)
    assert check(folder) == []
    expected, found = tidy(read_rows(folder)), read(folder)
    assert list(found.columns) == list(expected.columns)
    for name in expected.columns:  # no digit is lost; missing is missing
        one, other = (f[name].astype(object).where(f[name].notna(), "").tolist() for f in (expected, found))
        assert one == other, name
    assert found["seed"].dtype == found["steps"].dtype == found["threads"].dtype == "Int64"
    assert found["dirty"].dtype == "boolean"
    assert (found["metric_id"] == "").sum() == 1  # of the diverged run: a value, as in the frame
    assert len(pd.read_csv(folder / "table.csv")) == len(expected) == len(found)
    assert read(folder, "summary.csv")["n"].sum() == found["value"].notna().sum()
    assert set(package.files) == {*found_by_sums(folder), "SHA256SUMS"}
    with pytest.raises(InputError, match=r"describes no other\.csv"):
        read(folder, "other.csv")


def found_by_sums(folder):
    """What sha256sum itself lists as right."""
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return [line.removesuffix(": OK") for line in done.stdout.splitlines()]


def test_the_descriptor_says_what_the_study_is(folder):
    told = publish(folder, license="CC0-1.0", contributors=["A. Author"]).descriptor
    assert told == descriptor(folder)
    assert (told["name"], told["study"], told["version"]) == ("toy-1", "Toy-1", "0.1.0")
    assert told["licenses"][0]["path"] == "https://creativecommons.org/publicdomain/zero/1.0/"
    assert told["contributors"] == [{"title": "A. Author", "role": "author"}]
    toy, suite = told["sources"]
    assert (toy["name"], toy["source"], toy["checksum"], toy["note"]) == (
        "toy",
        "drawn",
        "sha256:0a",
        "Drawn.",
    )
    assert (suite["title"], suite["commit"]) == ("disentangle-bench", COMMIT)
    assert told["commits"] == [{"version": "0.1.0", "commit": COMMIT, "dirty": False, "rows": 5, "scores": 8}]
    assert told["hardware"] == [{"hardware": "a machine", "device": "cpu", "rows": 5}]
    assert told["dirty"] is False
    paths = [one["path"] for one in told["resources"]]
    assert paths[:3] == ["selection.csv", "summary.csv", "table.csv"]
    assert "study.toml" in paths
    assert "pictures/a.webp" in paths
    assert not any("rows" in p for p in paths)
    names = [one["name"] for one in told["resources"]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[-a-z0-9._]+", name) for name in names)
    by_path = {one["path"]: one for one in told["resources"]}
    table = by_path["table.csv"]["schema"]
    assert table["primaryKey"] == ["study", "run_key", "metric_id", "score"]
    assert {f["name"]: f["type"] for f in table["fields"]}["hyper.beta"] == "number"
    assert [f["type"] for f in by_path["figures/toy.csv"]["schema"]["fields"]] == ["string", "integer"]
    content = (folder / "table.csv").read_bytes()
    assert by_path["table.csv"]["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert by_path["table.csv"]["bytes"] == len(content)


def test_publishing_again_changes_no_byte(folder):
    publish(folder)
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    publish(folder)
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


@pytest.mark.parametrize(
    "name",
    ["table.csv", "summary.csv", "selection.csv", "table.md", "table.tex", "index.html", "study.toml",
     "datapackage.json", "pictures/a.png", "figures/toy.svg", "figures/toy.csv", "rows/*.json"],
)  # fmt: skip
def test_a_flipped_byte_is_found(folder, name):
    publish(folder)
    before, path = files(folder), next(folder.glob(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    problems = check(folder)
    assert any(problem.startswith(f"{path}: its SHA-256 is ") for problem in problems), problems
    assert files(folder) == before  # nothing was set aside


def test_what_is_missing_or_beside_the_list_is_found(folder):
    publish(folder)
    (folder / "table.md").unlink()
    (folder / "rows" / f"{'0' * 16}.json").write_text("{}")
    problems = check(folder)
    assert f"{folder / 'table.md'} is missing" in problems
    assert f"{folder / 'rows' / ('0' * 16)}.json is not in SHA256SUMS" in problems
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../secret\nnonsense\n")
    problems = check(folder)
    assert sum("expected a SHA-256 and a path in here" in problem for problem in problems) == 2
    assert not any("secret is missing" in problem for problem in problems)
    (folder / "SHA256SUMS").unlink()
    assert "made" in check(folder)[0]


def sign(folder, edit):
    """What somebody does who edits a package and mends its checksums."""
    edit()
    told = descriptor(folder)
    for one in told["resources"]:
        content = (folder / one["path"]).read_bytes()
        one |= {"bytes": len(content), "hash": f"sha256:{hashlib.sha256(content).hexdigest()}"}
    (folder / "datapackage.json").write_text(json.dumps(told))
    names = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_numbers_that_the_rows_do_not_give_are_found_though_checksums_are_right(folder):
    publish(folder)
    table = folder / "table.csv"
    sign(
        folder,
        lambda: table.write_text(table.read_text().replace("0.3333333333333333", "0.9333333333333333")),
    )
    problems = check(folder)
    assert len(problems) == 2
    assert "column 'mean'" in problems[0]
    assert "table.csv is not what the rows give now: line " in problems[1]
    assert "column 'value': found '0.9333333333333333', expected '0.3333333333333333'" in problems[1]
    write_tables(folder)  # as it was, but for the last digits, as other libraries would round
    sign(
        folder,
        lambda: table.write_text(table.read_text().replace("0.3333333333333333", "0.33333333333333326")),
    )
    assert check(folder) == []


def test_a_row_that_claims_to_be_clean_in_the_descriptor_is_found(folder):
    change(folder, lambda row: row["provenance"].update(dirty=True))
    publish(folder, allow_dirty=True)
    assert check(folder) == []
    told = descriptor(folder) | {"dirty": False}
    (folder / "datapackage.json").write_text(json.dumps(told))
    sign(folder, lambda: None)
    [problem] = check(folder)
    assert "dirty: found False, by the rows it is True" in problem


def refused(folder, message, **options):
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    with pytest.raises(InputError, match=message) as error:
        publish(folder, **options)
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before  # nothing is written
    return str(error.value)


def test_tables_that_the_rows_do_not_give_are_refused(folder):
    path = folder / "summary.csv"
    path.write_text(path.read_text().replace("0.9,", "0.8,", 1))
    told = refused(
        folder, r"summary\.csv is not what the rows give now: line \d+, column 'mean': found '0.8'"
    )
    assert told.endswith(f"run `disentangle table {folder}` first")
    write_tables(folder)
    (folder / "table.csv").unlink()
    refused(folder, r"table\.csv is missing")
    write_tables(folder)
    (folder / "table.md").write_text((folder / "table.md").read_text().replace("beta-VAE", "my VAE"))
    refused(folder, r"table\.md is not what the rows give now: line \d+: found '\| my VAE")
    write_tables(folder)
    row = row_of(plan(read_study(folder), {"toy": "drawn"})[4], {MIG: 0.5, SAP: 0.5})
    write(folder, row)  # since the tables were made
    refused(folder, r"selection\.csv is not what|table\.csv is not what")


def test_rules_that_were_asked_for_later_are_published_too(folder):
    write_tables(folder, rules=["oracle:mig/model"])
    publish(folder)
    assert check(folder) == []
    assert set(read(folder, "selection.csv")["rule"]) == {"oracle:mig/model"}
    write_tables(folder, rules=["every"])
    assert any("selection.csv" in problem for problem in check(folder))


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda row: row["provenance"].update(dirty=True), "1 by code that was changed after its commit"),
        (lambda row: row["provenance"].update(commit="", dirty=None), "1 by code of an unknown commit"),
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


def test_several_versions_are_told_apart(folder):
    change(folder, lambda row: row["scores"][1].update(provenance=provenance(version="0.2.0")))
    told = publish(folder).descriptor
    assert "version" not in told
    states = [(one["version"], one["rows"], one["scores"]) for one in told["commits"]]
    assert states == [("0.1.0", 5, 7), ("0.2.0", 0, 1)]
    assert told["sources"][-1]["version"] == "0.1.0, 0.2.0"


def test_tables_that_break_their_schema_are_refused(folder):
    key = change(folder, lambda row: row["provenance"].update(threads="many"))["key"]
    told = refused(folder, "column 'threads': found 'many', expected a whole number")
    assert "1 more" not in told
    assert key in (folder / "table.csv").read_text()
    for row in read_rows(folder):
        write(folder, row | {"data": row["data"] | {"checksum": "none"}, "provenance": provenance(threads=0)})
    write_tables(folder)
    assert "and 8 more" in refused(folder, "is not published")  # of 9 lines with two mistakes each


def test_what_is_missing_is_told_and_not_refused(folder):
    tasks = plan(read_study(folder), {"toy": "drawn"})
    (folder / "runs" / tasks[5].key()).mkdir()
    (folder / "runs" / tasks[5].key() / "error.txt").write_text("no memory\n")
    change(folder, lambda row: row["scores"].pop())
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace('calibration = ["noise"]', "calibration = []"))
    (folder / "pictures" / "a.png").unlink()
    write_tables(folder)
    package = publish(folder)
    told = package.descriptor["missing"]
    counts = {name: count for name, count in told.items() if name != "of"}
    assert counts == {
        "planned": 6, "there": 3, "failed": 1, "running": 0, "incomplete": 1, "not_done": 1, "diverged": 1,
        "beyond_the_plan": 1, "pictures": 1,
    }  # fmt: skip
    assert {"key": tasks[4].key(), "what": "beta_vae beta=4 on toy, seed 1", "why": "not done"} in told["of"]
    assert (
        "3 of 6 planned rows are there; 1 failed when last tried, 1 with a row that lacks" in package.text()
    )
    assert "no memory" not in json.dumps(package.descriptor)  # it may name paths of this machine


def test_out_gets_the_published_files_and_no_others(folder, tmp_path):
    out = tmp_path / "new" / "package"
    package = publish(folder, out=out)
    assert files(out) == set(package.files)
    assert not any(re.search(r"^runs|/\.|part$|damaged$", name) for name in files(out))
    assert all((out / name).read_bytes() == (folder / name).read_bytes() for name in files(out))
    assert check(out) == check(folder) == []
    assert [path.name for path in out.parent.iterdir()] == ["package"]
    (folder / "figures" / "toy.svg").unlink()
    publish(folder, out=out)  # an earlier package is replaced
    assert files(out) == set(package.files) - {"figures/toy.svg"}
    assert [path.name for path in out.parent.iterdir()] == ["package"]
    before = files(out)
    publish(out)  # a package is a study's folder
    assert files(out) == before


def test_out_never_takes_the_place_of_anything_else(folder, tmp_path):
    publish(folder)
    other = tmp_path / "other"
    other.mkdir()
    publish(folder, out=other)
    (other / "thesis.tex").write_text("years of work")
    refused(folder, "holds files that no package has, such as thesis.tex", out=other)
    assert (other / "thesis.tex").exists()
    (other / "SHA256SUMS").unlink()
    refused(folder, "holds files that no package has", out=other)
    (other / "datapackage.json").write_text('{"study": "another"}')
    refused(folder, r"holds [0-9]+ files, such as .*expected a new folder", out=other)
    refused(folder, "is a file; expected a folder", out=other / "thesis.tex")
    refused(folder, "is in the study's folder", out=folder / "package")
    refused(folder, "is in the study's folder", out=folder)


def test_a_copy_that_fails_leaves_the_earlier_package(folder, tmp_path, monkeypatch):
    out = tmp_path / "package"
    publish(folder, out=out)
    before = {name: (out / name).read_bytes() for name in files(out)}
    (folder / "figures" / "toy.svg").write_bytes(b"new")
    rename = __import__("os").rename

    def failing(source, target):
        if str(source).endswith(".part"):
            raise OSError("the disk is gone")
        rename(source, target)

    monkeypatch.setattr("disentangle.publish.os.rename", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        publish(folder, out=out)
    assert {name: (out / name).read_bytes() for name in files(out)} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["package", "study"]


def test_what_cannot_be_published_is_said(folder, tmp_path):
    refused(folder, "unknown licence 'CC-BY-5.0'; did you mean 'CC-BY-4.0'", license="CC-BY-5.0")
    with pytest.raises(InputError, match="none is no folder of a study"):
        publish(tmp_path / "none")
    path = next((folder / "rows").glob("*.json"))
    content = path.read_text()
    path.write_text(content[:-1])
    refused(folder, f"{path} is no row of a study")
    path.write_text(content.replace('"seconds"', '"second"'))
    refused(folder, f"{path} is no row of a study")
    path.write_text(json.dumps(json.loads(content) | {"data": {}}))
    refused(folder, "no tables can be built from its rows: KeyError")
    for path in (folder / "rows").glob("*.json"):
        path.unlink()
    refused(folder, "has no rows to publish; run `disentangle study")


def test_the_command_publishes_and_verifies(folder, tmp_path, capsys):
    out = tmp_path / "package"
    command(folder / "study.toml", out=out, title="Two betas")
    told = capsys.readouterr().out
    assert f'pandas.read_csv("{out.as_posix()}/table.csv")' in told
    assert "3 of 7" not in told
    assert "5 of 7 planned rows are there; 2 not done, 1 diverged." in told
    assert descriptor(out)["title"] == "Two betas"
    command(out, check=True)
    assert "are as they were published" in capsys.readouterr().out
    (out / "table.csv").write_text("study\n")
    with pytest.raises(SystemExit) as stop:
        command(out, check=True)
    assert stop.value.code == 1
    assert "table.csv: its SHA-256 is" in capsys.readouterr().out
    with pytest.raises(InputError, match="takes no other option"):
        command(out, check=True, allow_dirty=True)
