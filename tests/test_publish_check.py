"""What was changed in a package is found, also where the checksums were mended; and nothing is changed."""

import hashlib
import shutil

import pytest

from disentangle.publish import publish
from disentangle.publish_check import check, differences, some, verify
from disentangle.publish_package import maker
from disentangle.work import alone

from ._packages import COMMIT, make_study, quick_figures, replace, sign, tasks_of


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A published study, with a title and an author."""
    folder = make_study(tmp_path_factory.mktemp("package") / "study")
    with pytest.MonkeyPatch.context() as monkeypatch:
        quick_figures(monkeypatch)
        publish(folder, title="A title", contributors=["A. Author"])
    return folder


@pytest.fixture
def folder(package, tmp_path):
    return shutil.copytree(package, tmp_path / "study")


def snapshot(folder):
    """Every file with its content and when it was changed."""
    every = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in every}


@pytest.mark.parametrize(
    "name",
    ["table.csv", "summary.csv", "selection.csv", "table.md", "table.tex", "index.html", "study.toml",
     "datapackage.json", "pictures/a.png", "figures/*.svg", "figures/*.csv", "rows/*.json"],
)  # fmt: skip
def test_a_flipped_byte_is_found(folder, name):
    path = next(folder.glob(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    problems = check(folder)
    assert any(problem.startswith(f"{path}: its SHA-256 is ") for problem in problems), problems


def test_what_is_missing_or_beside_the_list_is_found(folder):
    (folder / "table.md").unlink()
    row = next((folder / "rows").glob("[0-9a-f]*.json"))
    shutil.copy(row, row.with_name("a.json"))
    (folder / "pictures" / "b.png").write_bytes(b"b")  # of no row, and so nothing to publish
    assert not any("b.png" in problem for problem in check(folder))
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"{hashlib.sha256(b'b').hexdigest()}  pictures/b.png\n")
    row.with_name("a.json").unlink()
    problems = check(folder)
    assert f"{folder / 'table.md'} is missing" in problems
    assert f"{folder / 'pictures' / 'b.png'} is in SHA256SUMS; expected what the study has alone" in problems
    (folder / "summary.csv").unlink()
    assert check(folder).count(f"{folder / 'summary.csv'} is missing") == 2  # of the list, and by the rows
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../secret\n{'x' * 999}\n")
    problems = check(folder)
    assert sum("expected a SHA-256 and a path here" in problem for problem in problems) == 2
    assert max(map(len, problems)) < 300
    assert not any("secret is missing" in problem for problem in problems)
    (folder / "SHA256SUMS").write_bytes(b"\xff")
    assert "SHA256SUMS cannot be read" in check(folder)[0]
    (folder / "SHA256SUMS").unlink()
    assert "made" in check(folder)[0]


def test_a_checksum_that_is_there_twice_is_found(folder):
    path = folder / "SHA256SUMS"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{'0' * 64}  {lines[0].split('  ')[1]}", *lines, ""]))
    [problem] = check(folder)
    assert "line 2: " in problem
    assert "is there twice; expected each file once" in problem


def test_numbers_that_the_rows_do_not_give_are_found_though_checksums_are_right(folder):
    table = folder / "table.csv"
    replace(table, "0.3333333333333333", "0.9333333333333333")
    sign(folder)
    [problem] = check(folder)
    assert "table.csv is not what the rows give now: line " in problem
    assert "column 'value': found '0.9333333333333333', expected '0.3333333333333333'" in problem
    replace(table, "0.9333333333333333", "0.33333333333333326")  # as other libraries would round
    for name in ("summary.csv", "selection.csv"):
        replace(folder / name, ",0.294444,", ",0.294445,")
    sign(folder)
    assert check(folder) == []
    for name in ("summary.csv", "selection.csv"):
        replace(folder / name, ",0.294445,", ",0.3,")
        sign(folder)
        assert f"{name} is not what the rows give now" in check(folder)[0]
        replace(folder / name, ",0.3,", ",0.294445,")


def test_a_selection_that_the_rows_do_not_give_is_found(folder):
    replace(folder / "study.toml", 'selection = ["oracle:mig"]', "")
    sign(folder)
    replace(folder / "selection.csv", "oracle:mig", "unknown")
    sign(folder)
    assert f"{folder / 'selection.csv'} is there, but by the rows nothing is chosen" in check(folder)


def test_a_table_that_breaks_its_schema_is_found(folder):
    replace(folder / "table.csv", f",{COMMIT},", ",none,")
    replace(folder / "figures" / "toy-drawn-correlation.csv", "0.5", "5")
    sign(folder)
    problems = check(folder)
    assert any("column 'commit': found 'none'" in problem for problem in problems)
    assert any("column 'spearman': found '5', expected at most 1" in problem for problem in problems)
    (folder / "figures" / "toy-drawn-correlation.csv").write_bytes(b"\xff")
    sign(folder)
    assert any("correlation.csv: it is no CSV file in UTF-8" in problem for problem in check(folder))


def of_table(told, name):
    fields = next(one for one in told["resources"] if one["path"] == "table.csv")["schema"]["fields"]
    return next(field for field in fields if field["name"] == name)


def of_path(told, path):
    return next(one for one in told["resources"] if one["path"] == path)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (
            lambda told: told["sources"][0].update(source="official"),
            "sources[0].source: found 'official', expected 'drawn'",
        ),
        (lambda told: told["sources"][0].update(title="toy"), "sources[0].title: found 'toy'"),
        (lambda told: told["sources"][0].pop("note"), "sources[0].note: found nothing, expected 'Drawn.'"),
        (lambda told: told["sources"].pop(), "sources: found 1 ("),
        (lambda told: told.update(dirty=0), "dirty: found 0, expected False"),
        (lambda told: told.update(dirty_rows=["a"]), "dirty_rows: found 1 (a), expected none"),
        (lambda told: told["commits"][0].update(rows=4), "commits[0].rows: found 4, expected 5"),
        (lambda told: told["hardware"][0].update(device="cuda"), "hardware[0].device: found 'cuda'"),
        (lambda told: told["scores"][0].update(unit="nats"), "scores[0].unit: found 'nats'"),
        (
            lambda told: told["scores"][0].update(lower_is_better=True),
            "scores[0].lower_is_better: found True, expected False",
        ),
        (lambda told: told["missing"].update(not_done=0), "missing.not_done: found 0, expected 2"),
        (lambda told: told["missing"].update(of=[]), "missing.of: found none, expected 3 ("),
        (lambda told: told["missing"]["of"][1].update(why="diverged"), "missing.of[1].why: found 'diverged'"),
        (lambda told: told["licenses"][0].update(path="x"), "licenses[0].path: found 'x'"),
        (lambda told: told["licenses"][0].update(name="mine"), "unknown licence 'mine'"),
        (lambda told: told["licenses"].append({"name": "CC0-1.0"}), "licenses has 2 entries; expected one"),
        (
            lambda told: of_table(told, "train_seconds").update(unit="hours"),
            "schema.fields[33].unit: found 'hours', expected 'seconds'",
        ),
        (lambda told: of_table(told, "seed").update(type="string"), ".type: found 'string', expected"),
        (lambda told: of_table(told, "seed").pop("constraints"), "constraints: found nothing, expected {"),
        (lambda told: told.update(study="Toy-2"), "study: found 'Toy-2', expected 'Toy-1'"),
        (lambda told: told.update(version="9"), "version: found '9', expected '0.1.0'"),
        (lambda told: told.update(description="Best"), "description: found 'Best', expected 'A s"),
        (lambda told: told.update(award="first"), "award: found 'first', expected nothing"),
        (lambda told: of_path(told, "index.html").update(format="pdf"), "index.html.format: found 'pdf'"),
        (lambda told: of_path(told, "index.html").update(bytes=1), "index.html.bytes: found 1, expected "),
        (lambda told: told["resources"].pop(), "found nothing, expected {"),
        (lambda told: told["resources"].append(told["resources"][0]), "resource 'selection.csv' is"),
    ],
)  # fmt: skip
def test_a_descriptor_that_says_otherwise_than_the_rows_is_found(folder, edit, problem):

    def edited(told):
        edit(told)

    sign(folder, edited)
    [found] = check(folder)
    assert problem in found
    assert len(found) < 300 + len(str(folder))


def test_what_only_the_author_knows_is_taken_as_it_stands(folder):
    sign(folder, lambda told: told.update(title="Another", contributors=[{"title": "B", "role": "author"}]))
    assert check(folder) == []


@pytest.mark.parametrize(
    "content",
    ["{", "5", "[]", '{"resources": 5}', "[" * 100_000, '{"resources": [{"path": 5}]}', "{path 5}", "{of}"],
)
def test_a_descriptor_that_is_none_is_said(folder, content):

    def edit(told):
        if content == "{path 5}":
            told["resources"][0]["path"] = 5
        elif content == "{of}":
            told["missing"]["of"] = {"a": 1}
        else:
            return content
        return None

    sign(folder, edit)
    [problem] = check(folder)
    assert problem.startswith(f"{folder / 'datapackage.json'} is no descriptor of a package: ")


def test_a_package_of_another_version_says_so_where_it_differs(folder):
    sign(folder, lambda told: told.update(made_by={"version": "0.0.9", "commit": "f" * 40, "dirty": True}))
    assert check(folder) == []
    sign(folder, lambda told: told.update(description="Other words"))
    sign(folder, lambda told: of_table(told, "seed").update(description="Other words", title="Other words"))
    replace(folder / "table.md", "Cells:", "Other words:")
    sign(folder)
    assert check(folder) == []  # words may have changed since
    assert "and the texts of another version" in verify(folder)[1]
    replace(folder / "table.csv", "model_number", "number_of_model")
    sign(folder)
    first, *others = check(folder)
    assert "made_by: version 0.0.9, commit ffffffffffff with changes, and this is version" in first
    assert "that may be the reason for what follows" in first
    assert any("the column 'model_number' is missing" in problem for problem in others)
    sign(folder, lambda told: told.update(made_by=maker()))
    problems = check(folder)
    assert not any("made_by" in problem for problem in problems)
    assert f"{folder / 'table.md'} is not what the rows give now" in problems


def test_a_name_that_no_disk_takes_is_told(folder):
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  {'x' * 5000}\n")
    assert any("File name too long" in problem for problem in check(folder))


def test_a_check_changes_nothing(folder):
    """Not even a file that another program put there, or that is damaged."""
    (folder / "rows" / f"._{'0' * 16}.json").write_bytes(b"of macOS")
    with alone(folder / "runs" / tasks_of(folder)[4].key()):
        pass  # leaves its lock
    before = snapshot(folder)
    assert check(folder) == []
    assert snapshot(folder) == before
    path = next((folder / "rows").glob("[0-9a-f]*.json"))
    path.write_text("damaged")
    before = snapshot(folder)
    assert f"{path} is no row of a study" in check(folder)[-1]
    assert snapshot(folder) == before


def test_long_lists_are_cut_in_messages():
    keys = [f"{i:016x}" for i in range(12_600)]
    [told] = differences({"dirty_rows": []}, {"dirty_rows": keys})
    first = ", ".join(keys[:3])
    assert told == f"dirty_rows: found none, expected 12600 ({first})"
    assert some(keys).splitlines()[-1] == "  and 12590 more"
    assert max(map(len, differences({"a": "x" * 999}, {"a": {"b": "x" * 999}}))) < 150
