"""A study is published as its rows are: all built anew, every file with its checksum, or nothing at all."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from disentangle.cli_publish import publish as command
from disentangle.errors import InputError
from disentangle.publish import publish
from disentangle.publish_check import check
from disentangle.publish_package import LICENSES
from disentangle.rows import read_rows
from disentangle.schema import KNOWN
from disentangle.table import tidy, write_tables

from ._packages import (
    MIG,
    SAP,
    contents_of,
    descriptor,
    files,
    make_study,
    png,
    provenance,
    quick_figures,
    refused,
    replace,
    row_of,
    tasks_of,
    write,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    quick_figures(monkeypatch)
    return make_study(tmp_path / "study")


def found_by_sums(folder):
    """What sha256sum itself lists as right."""
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return [line.removesuffix(": OK") for line in done.stdout.splitlines()]


def test_a_study_of_this_repository_is_published_and_keeps_to_its_schema(tmp_path):
    """With the figures that are drawn."""
    folder = shutil.copytree(ROOT / "results" / "precision", tmp_path / "study")
    for name in ("datapackage.json", "SHA256SUMS"):
        (folder / name).unlink(missing_ok=True)
    package = publish(folder)
    assert set(package.files) == files(folder) == {*found_by_sums(folder), "SHA256SUMS"}
    assert check(folder) == []
    by_path = {one["path"]: one for one in package.descriptor["resources"]}
    numbers = [path for path in by_path if path.startswith("figures/") and path.endswith(".csv")]
    assert numbers
    for path in (*numbers, "table.csv", "summary.csv"):
        fields = by_path[path]["schema"]["fields"]
        assert all(field["description"] for field in fields)
        assert [field["name"] for field in fields] == list(pd.read_csv(folder / path, nrows=0).columns)
        assert all(field["name"] in KNOWN or field["name"].startswith("hyper.") for field in fields)
        assert by_path[path]["description"]


def test_what_is_published_is_the_rows_to_the_bit(folder):
    package = publish(folder)
    assert check(folder) == []
    expected = tidy(read_rows(folder))
    found = pd.read_csv(folder / "table.csv", dtype={"value": str})
    assert list(found.columns) == list(expected.columns)
    values = [float(text) for text in found["value"].dropna()]
    assert values == expected["value"].dropna().tolist()  # no digit is lost
    assert set(package.files) == {*found_by_sums(folder), "SHA256SUMS"}
    assert package.bytes == sum((folder / name).stat().st_size for name in package.files)
    hidden = re.compile(r"^runs|/\.|part$|damaged$")
    assert not any(hidden.search(name) for name in package.files)


def test_publishing_again_changes_no_byte(folder):
    publish(folder)
    before = contents_of(folder)
    publish(folder / "study.toml")
    assert contents_of(folder) == before


def test_what_is_published_is_built_now(folder):
    """What lies there is of earlier rows, or edited by hand."""
    publish(folder)
    right = contents_of(folder)
    drawn = [f"figures/toy-drawn-correlation.{ending}" for ending in ("csv", "png", "svg")]
    for name in ("table.csv", "summary.csv", "table.md", "table.tex", "index.html", *drawn):
        (folder / name).write_text("by hand")
    for end in ("csv", "png", "svg"):
        (folder / "figures" / f"of-other-rows.{end}").write_bytes(png("of-other-rows"))
    (folder / "figures" / "own.svg").write_text("a user's")
    assert "figures/own.svg" not in publish(folder).files
    (folder / "figures" / "own.svg").unlink()
    assert contents_of(folder) == right


def test_without_matplotlib_there_are_no_figures_to_vouch_for(folder, monkeypatch):
    publish(folder)

    def draw(*_):
        raise ModuleNotFoundError("no matplotlib", name="matplotlib")

    monkeypatch.setattr("disentangle.figures.draw", draw)
    assert not any(name.startswith("figures/") for name in publish(folder).files)


def test_rules_that_were_asked_for_later_are_published_too(folder):
    write_tables(folder, rules=["oracle:mig/model"])
    publish(folder)
    assert check(folder) == []
    assert set(pd.read_csv(folder / "selection.csv")["rule"]) == {"oracle:mig/model"}


def test_a_rule_that_cannot_choose_yet_is_told_each_time(folder):
    replace(folder / "study.toml", '"oracle:mig"', '"oracle:mig", "udr"')
    for _ in range(2):
        publish(folder)
        assert "# Selection rule: udr\n\nNothing is chosen" in (folder / "table.md").read_text()


def test_tables_that_break_their_schema_are_not_described(folder):
    for row in read_rows(folder):
        write(folder, row | {"data": row["data"] | {"checksum": "none"}, "provenance": provenance(threads=0)})
    with pytest.raises(
        InputError, match=r"is not published:\n.*column 'data_checksum': found 'none'"
    ) as error:
        publish(folder)
    assert str(error.value).endswith("and 8 more")  # of 9 lines with two mistakes each
    assert not (folder / "datapackage.json").exists()


def test_out_gets_the_published_files_and_no_others(folder, tmp_path):
    out = tmp_path / "new" / "package"
    package = publish(folder, out=out)
    assert files(out) == set(package.files)
    assert all((out / name).read_bytes() == (folder / name).read_bytes() for name in files(out))
    assert check(out) == check(folder) == []
    assert [path.name for path in out.parent.iterdir()] == ["package"]
    (folder / "pictures" / "A.webp").unlink()
    publish(folder, out=out)  # an earlier package is replaced
    assert files(out) == set(package.files) - {"pictures/A.webp"}
    assert [path.name for path in out.parent.iterdir()] == ["package"]
    before = files(out)
    publish(out)  # a package is a study's folder
    assert files(out) == before


def test_out_never_takes_the_place_of_anything_else(folder, tmp_path):
    publish(folder)
    other = tmp_path / "other"
    other.mkdir()
    publish(folder, out=other)
    (other / "thesis").symlink_to(tmp_path, target_is_directory=True)
    refused(folder, "holds files that no package has, such as thesis", out=other)
    (other / "thesis").unlink()
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


@pytest.mark.parametrize("out", [".", "..", ""])
def test_out_is_not_where_one_is(folder, tmp_path, monkeypatch, out):
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    refused(folder, "is, or holds, the current directory; expected a folder of its own", out=out)
    assert here.is_dir()
    assert publish(folder, out="c").bytes
    assert check("c") == []


def test_a_copy_that_fails_leaves_the_earlier_package(folder, tmp_path, monkeypatch):
    out = tmp_path / "package"
    publish(folder, out=out)
    before = contents_of(out)
    (folder / "pictures" / "A.webp").write_bytes(b"new")
    rename = os.rename

    def failing(source, target):
        if Path(source).name == "new":
            raise OSError("the disk is gone")
        rename(source, target)

    monkeypatch.setattr("disentangle.publish.os.rename", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        publish(folder, out=out)
    assert contents_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["package", "study"]


def test_what_changes_meanwhile_is_not_published(folder, tmp_path, monkeypatch):
    out, copy = tmp_path / "package", shutil.copyfile

    def changed(source, target):
        copy(source, target)
        if Path(source).name == "a.png":
            Path(target).write_bytes(b"of later")

    monkeypatch.setattr("disentangle.publish.shutil.copyfile", changed)
    with pytest.raises(InputError, match=r"a\.png changed while it was copied; publish again"):
        publish(folder, out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["study"]
    assert not (folder / "datapackage.json").exists()
    monkeypatch.undo()
    row = row_of(tasks_of(folder)[4], {MIG: 0.5, SAP: 0.5})
    monkeypatch.setattr("disentangle.commands.write_tables_and_page", lambda *_: write(folder, row))
    with pytest.raises(InputError, match="its rows changed while it was published"):
        publish(folder)
    assert not (folder / "datapackage.json").exists()


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda row: row.update(pictures=5), "pictures is 5: expected `array`, got `int`"),
        (lambda row: row.update(pictures=[["a"]]), r"pictures\[0\] is \['a'\]: expected `str`, got `array`"),
        (
            lambda row: row.update(kind="ranking", id="", of=[1]),
            r"of is \[1\]: expected `object`, got `array`",
        ),
        (lambda row: row.update(kind="walk"), "kind is 'walk': invalid enum value 'walk'"),
        (lambda row: row.update(format=2), "format is 2; expected 1, that of this version"),
        (
            lambda row: row["provenance"].update(commit=[1]),
            r"provenance.commit is \[1\]: expected `str | null`",
        ),
        (lambda row: row["scores"][0].update(id=None), r"scores\[0\].id is None: expected `str`, got `null`"),
        (lambda row: row.update(data={}), "data: object missing required field `name`"),
        (lambda row: row.update(run={}), "run: object missing required field `method`"),
        (lambda row: row.update(pictures="x" * 999), r"^.{,450}xx\.\.\.: expected `array`, got `str`$"),
        (lambda row: row["run"].update(seed=7), "key is '.*', but its settings have the key '"),
        (lambda row: row["run"]["hyper"].update(beta=9), "key is '.*', but its settings have the key '"),
        (lambda row: row["data"].update(source="official"), "key is '.*', but its settings have the key '"),
        (
            lambda row: (row["data"].update(source="official"), row["run"].update(source="drawn")),
            "run.source is 'drawn' and data.source 'official'; expected the same",
        ),
        (lambda row: row["data"].update(name="dsprites"), "run.dataset is 'toy' and data.name 'dsprites'"),
        (lambda row: row.pop("seconds"), "is no row of a study: object missing required field `seconds`"),
        (
            lambda row: row.update(key=row["key"][::-1]),
            "is no row of a study: key is .*; expected the file's name",
        ),
    ],
)
def test_a_row_that_is_odd_is_said(folder, edit, problem):
    path = next(path for path in (folder / "rows").glob("*.json") if json.loads(path.read_text())["scores"])
    row = json.loads(path.read_text())
    edit(row)
    path.write_text(json.dumps(row))
    refused(folder, problem)


def test_a_calibration_row_has_the_key_of_its_settings(folder):
    path = next(p for p in (folder / "rows").glob("*.json") if '"calibration"' in p.read_text())
    row = json.loads(path.read_text())
    row["run"]["method"] = "true_factors"
    path.write_text(json.dumps(row))
    refused(folder, "key is '.*', but its settings have the key '")


def test_nothing_of_others_is_written_over(folder, tmp_path):
    out = tmp_path / "out"
    publish(folder, out=out)
    row = next(path for path in (folder / "rows").glob("*.json") if '"run"' in path.read_text())
    content = row.read_bytes()
    row.unlink()
    refused(folder, rf"out holds 1 rows that .* has not, such as rows/{row.name}", out=out)
    row.write_bytes(content)
    (tmp_path / "file").write_text("mine")
    refused(folder, r"file/x: .*/file is a file; expected a folder", out=tmp_path / "file" / "x")
    for name in ("datapackage.json", "SHA256SUMS"):
        (folder / "datapackage.json").write_text('{"mine": 1}')
        (folder / "SHA256SUMS").write_text("mine")
        if name == "SHA256SUMS":
            (folder / "datapackage.json").unlink()
        refused(folder, rf"{name} was not written by `disentangle publish`")
        (folder / "SHA256SUMS").unlink()
    with pytest.raises(InputError, match=r"index.html is no folder of a study; expected"):
        publish(folder / "index.html")


def test_what_cannot_be_published_is_said(folder, tmp_path):
    refused(folder, "unknown licence 'CC-BY-5.0'; did you mean 'CC-BY-4.0'", license="CC-BY-5.0")
    with pytest.raises(InputError, match="none is no folder of a study"):
        publish(tmp_path / "none")
    (folder / "pictures" / "a\nb.png").write_bytes(b"a")
    refused(folder, r"has the file 'pictures/a\\nb.png'; expected UTF-8 without")
    (folder / "pictures" / "a\nb.png").unlink()
    (folder / "pictures" / os.fsdecode(b"\xff.png")).write_bytes(b"a")
    refused(folder, "expected UTF-8 without")
    (folder / "pictures" / os.fsdecode(b"\xff.png")).unlink()
    path = next((folder / "rows").glob("*.json"))
    path.write_text(path.read_text()[:-1])
    refused(folder, f"{path} is no row of a study")
    for path in (folder / "rows").glob("*.json"):
        path.unlink()
    refused(folder, "has no rows to publish; run `disentangle study")
    (folder / "study.toml").unlink()
    refused(folder, "study.toml")


@pytest.mark.parametrize("license", LICENSES)
def test_every_licence_can_be_chosen(folder, license):
    [told] = publish(folder, license=license).descriptor["licenses"]
    assert told["name"] == license
    assert told["path"].startswith("https://")
    assert check(folder) == []


def test_the_command_publishes_and_verifies(folder, tmp_path, capsys):
    out = tmp_path / "package"
    command(folder / "study.toml", out=out, title="Two betas", contributor=["A. Author"])
    told = capsys.readouterr().out
    assert "built:   table.csv, summary.csv, selection.csv, leaderboards, page and 3 files of" in told
    assert f'pandas.read_csv("{out.as_posix()}/table.csv")' in told
    assert "5 of 7 planned rows are there; 2 not done, 1 diverged." in told
    assert (descriptor(out)["title"], len(descriptor(out)["contributors"])) == ("Two betas", 1)
    for path in (out, out / "study.toml"):
        command(path, check=True)
        told = capsys.readouterr().out.splitlines()
        assert told[0] == f"{path}: all 18 files that it lists are as they were published"
        tables = "table.csv, summary.csv, selection.csv, table.md, table.tex"
        assert told[1].startswith(f"built from the rows again and compared: {tables}, and what datapackage")
        assert told[2] == ("by checksum only: figures/ (3), index.html, pictures/ (2), rows/ (5), study.toml")
    (out / "table.csv").write_text("study\n")
    with pytest.raises(SystemExit) as stop:
        command(out, check=True)
    assert stop.value.code == 1
    assert "table.csv: its SHA-256 is" in capsys.readouterr().out
    with pytest.raises(InputError, match="takes no other option"):
        command(out, check=True, allow_dirty=True)
