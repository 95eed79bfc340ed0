"""The schema names every column of a study's CSV files, and finds what departs from it."""

import csv
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentangle import analysis, analysis_responses, find
from disentangle.frame import COLUMNS, GROUP, summarise, tidy
from disentangle.publish_check import check
from disentangle.publish_columns import FORMS, HYPER, Column, check_csv, hyper_column, type_of
from disentangle.publish_files import difference
from disentangle.publish_package import hyper_columns
from disentangle.rows import read_rows
from disentangle.schema import KNOWN, SELECTION, SUMMARY, TABLE, TABLES, figure
from disentangle.selection import COLUMNS as CHOSEN

RESULTS = Path(__file__).resolve().parents[1] / "results"
LINE = {
    "study": "t", "kind": "run", "run_key": "0123456789abcdef", "dataset": "toy", "source": "drawn",
    "data_checksum": "sha256:0a", "method": "beta_vae", "setting": "beta=1", "seed": "0", "steps": "5",
    "batch": "64", "lr": "0.0001", "latents": "10", "precision": "fp32", "split": "", "status": "done",
    "metric_id": "mig@1[rows=5]", "score": "mig", "value": "0.5", "metric_std": "", "repeats": "1",
    "points": "10000", "version": "0.1.0", "commit": "0" * 40, "dirty": "False", "python": "3.11",
    "torch": "2", "numpy": "2",
    "scikit_learn": "1", "device": "cpu", "hardware": "a, machine", "threads": "1", "stack": "1",
    "train_seconds": "1.5", "encode_seconds": "1e-05", "metric_seconds": "0", "model_number": "",
    "model_sha256": "", "hyper.beta": "1.0", "hyper.k": "rnd",
}  # fmt: skip


def written(folder, *lines, header=None):
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header or list(lines[0]))
        writer.writerows(line.values() for line in lines)
    return path


def test_every_column_of_every_table_is_described_once():
    assert [column.name for column in TABLE.columns] == COLUMNS
    assert [column.name for column in SELECTION.columns] == CHOSEN
    rows = read_rows(RESULTS / "quick")
    assert [column.name for column in SUMMARY.columns] == list(summarise(tidy(rows)).columns)
    assert list(SUMMARY.key) == GROUP
    for table in TABLES.values():
        names = [column.name for column in table.columns]
        assert len(set(names)) == len(names)
        assert set(table.key) <= set(names)
        for column in table.columns:
            assert column.title
            assert column.description.endswith(".")
            assert (column.unit == "seconds") == column.name.endswith("_seconds")
            assert not (column.blank and column.required)
            assert not column.blank or not column.expected("")


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/table.csv")), ids=lambda path: path.parent.name)
def test_the_studies_in_the_repository_keep_to_it(path):
    for name in TABLES:
        if (path.parent / name).exists():
            assert check_csv(path.parent / name, TABLES[name]) == []


@pytest.mark.parametrize(
    "path", sorted(RESULTS.glob("*/datapackage.json")), ids=lambda path: path.parent.name
)
@pytest.mark.skipif(not (RESULTS.parent / ".git").exists(), reason="needs a git checkout")
def test_the_packages_in_the_repository_are_as_they_were_published(path, tmp_path):
    """As they are committed: `disentangle table` may have built them anew here, with other versions."""
    name = f"results/{path.parent.name}"
    archive = subprocess.run(["git", "archive", "HEAD", name], cwd=RESULTS.parent, capture_output=True)
    if archive.returncode or b"datapackage.json" not in archive.stdout:
        pytest.skip("it is in no commit")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tmp_path, filter="data")
    assert check(tmp_path / name) == []


@pytest.mark.parametrize("method", find.names("method"))
def test_every_hyperparameter_is_described_by_its_method(method):
    for name in find.get("method", method).settings.__struct_fields__:
        about = hyper_column(HYPER + name, ["1"], [method]).description
        assert about.startswith(f"{find.get('method', method).title}: ")
        assert "no description" not in about


def test_a_hyperparameter_of_several_methods_has_the_texts_of_all(tmp_path):
    lines = [LINE, LINE | {"method": "ada_gvae", "seed": "1", "run_key": "f" * 16, "hyper.k": "2"}]
    lines += [LINE | {"method": "gone", "run_key": "a" * 16, "hyper.k": ""}]
    beta, k = hyper_columns(written(tmp_path, *lines))
    assert (beta.type, k.type) == ("number", "string")
    assert "Ada-GVAE: weight of the KL." in beta.description
    assert "beta-VAE: weight of the KL, at least 0" in beta.description
    assert "gone: no description." in beta.description
    assert "Ada-GVAE: factors that change" in k.description


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seed": "1.0"}, "column 'seed': found '1.0', expected a whole number"),
        ({"seed": ""}, "column 'seed': found '', expected a value"),
        ({"seed": "-1"}, "column 'seed': found '-1', expected at least 0"),
        ({"value": "inf"}, "column 'value': found 'inf', expected a finite number"),
        ({"value": "1_0"}, "column 'value': found '1_0', expected a finite number"),
        ({"value": "1e999"}, "column 'value': found '1e999', expected a finite number"),
        ({"dirty": "no"}, "column 'dirty': found 'no', expected True or False"),
        ({"kind": "ranking"}, "column 'kind': found 'ranking', expected one of run, calibration"),
        ({"source": "user"}, "column 'source': found 'user', expected a text of the form"),
        ({"commit": "abc"}, "column 'commit': found 'abc', expected a text of the form"),
        ({"metric_id": "mig"}, "column 'metric_id': found 'mig', expected a text of the form"),
        ({"model_number": "12600"}, "column 'model_number': found '12600', expected at most 12599"),
        ({"threads": "0"}, "column 'threads': found '0', expected at least 1"),
        ({"train_seconds": "-0.5"}, "column 'train_seconds': found '-0.5', expected at least 0"),
        ({"seed": "x" * 99}, f"column 'seed': found '{'x' * 57}...', expected a whole number"),
    ],
)
def test_a_wrong_cell_is_named_with_its_place(tmp_path, change, expected):
    path = written(tmp_path, LINE, LINE | {"run_key": "f" * 16} | change)
    [problem] = check_csv(path, TABLE)
    assert problem.startswith(f"{path}: line 3, {expected}")


def test_right_lines_have_no_problem_whatever_is_missing(tmp_path):
    empty = dict.fromkeys(LINE, "") | {c.name: LINE[c.name] for c in TABLE.columns if c.required}
    assert check_csv(written(tmp_path, empty), TABLE) == []  # a diverged run's
    assert check_csv(written(tmp_path, LINE), TABLE) == []
    assert (
        check_csv(written(tmp_path, LINE | {"hyper.k": "x" * 300_000}), TABLE) == []
    )  # more than csv's own limit


def test_wrong_columns_are_named(tmp_path):
    def of(*header):
        return check_csv(written(tmp_path, LINE, header=header), TABLE)

    names = list(LINE)
    assert "the column 'seed' is missing; expected study, kind" in of(*[n for n in names if n != "seed"])[0]
    assert "unknown column 'colour'; expected study" in of(*names[:-1], "colour")[0]
    assert "the column 'seed' is there 2 times" in of(*names, "seed")[0]
    swapped = [names[1], names[0], *names[2:]]
    assert of(*swapped)[0].endswith("column 1 is 'kind', expected 'study': the order is another")
    assert "expected 'hyper.beta'" in of(*names[:-2], *reversed(names[-2:]))[0]
    assert "unknown column 'hyper.beta'" in check_csv(written(tmp_path, LINE), SUMMARY)[-2]
    assert "the column 'study' is missing" in check_csv(written(tmp_path, {}, header=[]), TABLE)[0]
    assert max(map(len, of(*names, "x" * 999))) < 999


def test_lines_that_are_none_and_files_that_are_none(tmp_path):
    path = written(tmp_path, LINE)
    path.write_text(path.read_text() + "t,run\n\n")
    assert [p.partition(": ")[2] for p in check_csv(path, TABLE)] == [
        f"line {n}: found {k} cells, expected {len(LINE)}" for n, k in ((3, 2), (4, 0))
    ]
    path.write_text(path.read_text() + '"open')
    assert "is no CSV file in UTF-8" in check_csv(path, TABLE)[0]
    path.write_bytes(b"\xff\xfe")
    assert "is no CSV file in UTF-8" in check_csv(path, TABLE)[0]
    path.unlink()
    assert check_csv(path, TABLE) == [f"{path} is missing"]


def test_a_key_that_is_there_twice_is_named(tmp_path):
    path = written(tmp_path, LINE, LINE | {"score": "sap"}, LINE | {"value": "0.6"})
    [problem] = check_csv(path, TABLE)
    assert "line 4: the same key as line 2: study 't', run_key '0123456789abcdef', metric_id" in problem


def test_a_key_of_which_a_part_may_be_missing_is_no_primary_key():
    assert TABLE.descriptor()["primaryKey"] == list(TABLE.key)
    assert SUMMARY.descriptor()["uniqueKeys"] == [list(SUMMARY.key)]
    fields = {field["name"]: field for field in TABLE.descriptor()["fields"]}
    assert fields["metric_id"]["missingValues"] == []  # an empty one is a value
    assert fields["train_seconds"]["unit"] == "seconds"
    assert fields["seed"]["constraints"] == {"required": True, "minimum": 0}
    assert "constraints" not in fields["python"]
    json.dumps([table.descriptor() for table in TABLES.values()])


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1))
def test_numbers_as_pandas_writes_them_are_numbers(number, whole):
    anything = Column(name="a", type="number", title="A")
    assert not anything.expected(repr(number))
    assert not anything.expected(f"{number:.6g}")
    assert not Column(name="a", type="integer", title="A").expected(str(whole))


@given(st.text(max_size=9))
def test_what_passes_for_a_number_is_one(text):
    if FORMS["number"][0].fullmatch(text):
        float(text)
        assert text.isascii()
    else:
        assert not text or Column(name="a", type="number", title="A").expected(text)


@given(st.lists(st.sampled_from(["", "1", "-2", "0.5", "1e-05", "True", "rnd"])))
def test_the_type_found_holds_for_every_text(texts):
    column = Column(name="a", type=type_of(texts), title="A")
    assert not any(column.expected(text) for text in texts)


def test_numbers_may_differ_by_rounding_and_nothing_else_may():
    found, expected = b"a,b\nx,0.30000000000000004\n", b"a,b\nx,0.3\n"
    assert difference(found, expected, 1e-9) == ""
    assert difference(found, expected.replace(b"0.3", b"0.31"), 1e-9) == (
        "line 2, column 'b': found '0.30000000000000004', expected '0.31'"
    )
    assert difference(b"a\n1e-13\n", b"a\n0.0\n", 1e-9) == ""  # a rest of rounding
    assert "expected 'y'" in difference(b"a\nx\n", b"a\ny\n", 1.0)
    assert "expected ''" in difference(b"a\n1\n", b'a\n""\n', 1.0)
    assert difference(b'a\r\n"x"\r\n', b"a\nx\n", 1e-9) == ""
    assert difference(b"a\nx\n", b"a\nx\ny\n", 1e-9) == "line 2 is the last; expected more"
    assert difference(b"a\nx\ny\n", b"a\nx\n", 1e-9) == "line 3: expected no more lines"
    assert "found 'x', expected no cell" in difference(b"a\n1,x\n", b"a\n1\n", 1e-9)
    assert "no CSV file" in difference(b"\xff", b"a\n", 1e-9)
    long = difference(b"a\n" + b"x" * 300_000 + b"\n", b"a\ny\n", 1e-9)
    assert len(long) < 120


def test_the_numbers_of_figures_are_described_by_their_columns(tmp_path):
    path = written(tmp_path, {"spearman": "0.5", "lower_is_better_a": "True", "colour": "red"})
    table = figure(["spearman", "lower_is_better_a", "colour"])
    assert check_csv(path, table) == []
    path.write_text(path.read_text() + "0.5,True,red\n0.5,yes,red\n")  # no line has a key
    [problem] = check_csv(path, table)
    assert "line 4, column 'lower_is_better_a': found 'yes', expected True or False" in problem
    assert all(column.description.endswith(".") for column in KNOWN.values())
    of_figures = [*analysis.CORRELATION, *analysis.SHARES, *analysis_responses.RESPONSES, *SUMMARY.key]
    assert set(of_figures) <= set(KNOWN)
