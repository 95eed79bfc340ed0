"""Tables are built from rows alone: means, intervals, the best, what is missing."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from disentangle.errors import InputError
from disentangle.rows import is_complete, read_row, read_rows
from disentangle.study import plan, read_study
from disentangle.table import COLUMNS, summarise, tidy, write_tables

TEXT = """
name = "t"
steps = 5
seeds = [0, 1, 2]
metrics = ["mig", "dci"]
calibration = ["noise"]
[[runs]]
dataset = "toy"
method = "beta_vae"
hyper = { beta = [1, 4] }
"""


def row_of(task, values, kind="run", source="drawn", status="done"):
    run = {"method": "noise", "dataset": task.dataset, "hyper": {}, "seed": task.seed}
    if kind == "run":
        run = {
            f: getattr(task, f)
            for f in ("method", "dataset", "hyper", "seed", "steps", "batch", "lr", "latents")
        }
    scores = [
        {"name": n, "id": i, "value": v, "points": "10000", "seconds": 1.0} for (n, i), v in values.items()
    ]
    origin = {
        "version": "0",
        "commit": "abc" * 14,
        "dirty": False,
        "scikit-learn": "1",
        "hardware": "a machine",
    }
    return {
        "format": 1, "kind": kind, "key": task.key(), "study": "t", "run": run, "status": status,
        "data": {"name": task.dataset, "source": source, "checksum": "sha256:0"}, "scores": scores,
        "provenance": origin, "seconds": {"train": 1.0, "encode": 1.0},
    }  # fmt: skip


MIG, DCI = ("mig", "mig@1"), ("dci_disentanglement", "dci_gbt@2")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "study.toml").write_text(TEXT)
    tasks = plan(read_study(tmp_path), {"toy": "drawn"})
    rows = [row_of(t, {MIG: 0.1 * t.seed, DCI: 0.5}) for t in tasks[:3]]
    rows += [row_of(tasks[3], {MIG: 0.4}), row_of(tasks[4], {}, status="diverged")]  # the sixth is missing
    rows += [row_of(tasks[6], {MIG: 0.9, DCI: 0.9}, kind="calibration")]
    (tmp_path / "rows").mkdir()
    for row in rows:
        (tmp_path / "rows" / f"{row['key']}.json").write_text(json.dumps(row))
    return tmp_path


def test_the_leaderboard_says_what_is_best_missing_and_diverged(folder):
    lines = write_tables(folder).splitlines()
    one = next(line for line in lines if "beta=1 " in line)
    four = next(line for line in lines if "beta=4 " in line)
    assert one.split("|")[4:7] == [" 0.100 ± 0.100 ", " **0.500 ± 0.000** ", " 3 "]
    assert four.split("|")[4:7] == [" **0.400** ", " missing ", " 1 of 3, 1 diverged "]
    noise = next(line for line in lines if "*noise*" in line)
    assert "0.900" in noise
    assert "**" not in noise  # calibration does not compete
    assert "commit abcabcabca" in lines[-1]


def test_the_tidy_table_has_a_line_per_score_and_one_for_a_diverged_run(folder):
    write_tables(folder)
    table = pd.read_csv(folder / "table.csv")
    assert list(table.columns) == [*COLUMNS, "hyper.beta"]
    assert set(table[table["setting"] == "beta=4"]["hyper.beta"]) == {4.0}
    assert len(table) == 3 * 2 + 1 + 1 + 2
    diverged = table[table["status"] == "diverged"]
    assert diverged["value"].isna().all()
    assert table[table["kind"] == "run"]["steps"].tolist() == [5] * 8
    assert ",5," in (folder / "table.csv").read_text()


def test_the_interval_is_students(folder):
    summary = summarise(tidy(read_rows(folder)))
    cell = summary[(summary["setting"] == "beta=1") & (summary["score"] == "mig")].iloc[0]
    assert cell["n"] == 3
    assert cell["mean"] == pytest.approx(0.1)
    assert cell["std"] == pytest.approx(0.1)
    assert cell["ci95_half_width"] == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)
    single = summary[summary["setting"] == "beta=4"].iloc[0]
    assert single["n"] == 1
    assert np.isnan(single["ci95_half_width"])


def test_what_differs_beside_the_setting_gets_a_column_and_a_line_of_its_own(folder):
    (folder / "study.toml").write_text(TEXT + '[[runs]]\ndataset = "toy"\nmethod = "vae"\nlatents = 2\n')
    text = write_tables(folder)
    assert "| method | setting | steps | latents |" in text
    line = next(line for line in text.splitlines() if line.startswith("| VAE"))
    assert line.split("|")[3:] == [" 5 ", " 2 ", " missing ", " missing ", " 0 of 3 ", ""]


def test_sources_and_metric_ids_never_share_a_cell(folder):
    tasks = plan(read_study(folder), {"toy": "drawn"})
    rows = [row_of(t, {MIG: 0.5}, source=s) for t, s in zip(tasks[:2], ("drawn", "official"), strict=True)]
    rows.append(row_of(tasks[2], {("mig", "mig@1[points=5]"): 0.7}))
    assert summarise(tidy(rows))["n"].tolist() == [1, 1, 1]


def test_users_own_images_share_a_cell_only_if_they_are_the_same(folder):
    tasks = plan(read_study(folder), {"toy": "drawn"})
    rows = [row_of(t, {MIG: 0.5}, source="user") for t in tasks[:3]]
    rows[2]["data"]["checksum"] = "sha256:123456789"
    summary = summarise(tidy(rows))
    assert summary[["source", "n"]].values.tolist() == [["user:0", 2], ["user:12345678", 1]]


def test_each_split_has_a_table_and_a_best_of_its_own(folder):
    text = TEXT.replace("[[runs]]", 'split = "without size=1"\n[[runs]]\nsplit = ["", "correlated y x 0.20"]')
    (folder / "study.toml").write_text(text)
    tasks = plan(read_study(folder), {"toy": "drawn"})
    assert [t.split for t in tasks[:12:3]] == ["", "", *["correlated x y 0.2"] * 2]
    rows = [row_of(t, {MIG: v}) for t, v in zip(tasks[:12:3], (0.2, 0.1, 0.3, 0.4), strict=True)]
    for r, t in zip(rows[2:], tasks[6:12:3], strict=True):
        r["run"]["split"] = t.split
    for path in (folder / "rows").glob("*.json"):
        path.unlink()
    for r in rows:
        (folder / "rows" / f"{r['key']}.json").write_text(json.dumps(r))
    board = write_tables(folder)
    first, second = board.split("## toy (drawn), trained on `correlated x y 0.2`")
    assert "**0.200**" in first
    assert "**0.400**" in second
    assert "**0.300**" not in second
    assert summarise(tidy(rows))["n"].tolist() == [1] * 4
    assert plan(read_study(folder), {"toy": "drawn"})[0].split == ""


def test_a_cell_without_a_mean_says_why(folder):
    tasks = plan(read_study(folder), {"toy": "drawn"})
    for task in tasks[3:6]:
        row = row_of(task, {}, status="diverged")
        (folder / "rows" / f"{row['key']}.json").write_text(json.dumps(row))
    for task in tasks[:3]:
        row = row_of(task, {MIG: None, DCI: 0.5})
        (folder / "rows" / f"{row['key']}.json").write_text(json.dumps(row))
    lines = write_tables(folder).splitlines()
    one = next(line for line in lines if "beta=1 " in line)
    four = next(line for line in lines if "beta=4 " in line)
    assert one.split("|")[4:7] == [" not a number ", " **0.500 ± 0.000** ", " 3 "]
    assert four.split("|")[4:7] == [" diverged ", " diverged ", " 0 of 3, 3 diverged "]


def test_a_rule_asked_for_that_can_choose_nothing_is_an_error_and_nothing_changes(folder):
    write_tables(folder, rules=["oracle:mig"])
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for rule, said in (
        ("oracle:migg", r"selection rule 'oracle:migg': unknown score .*did you mean 'mig'"),
        ("udr", "selection rule 'udr': unknown score among these runs 'udr'"),
    ):
        with pytest.raises(InputError, match=said):
            write_tables(folder, rules=["oracle:mig", rule])
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_file_where_a_folder_must_be_is_told_first(folder, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match=r"out is a file; expected a folder"):
        write_tables(folder, out=tmp_path / "out")
    (folder / "figures").write_text("mine")
    with pytest.raises(InputError, match=r"figures is a file; expected a folder"):
        write_tables(folder)
    assert not (folder / "table.csv").exists()


def test_a_file_that_is_no_row_is_set_aside(folder):
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"key": "c"}'), ("d", json.dumps({"key": "x"}))):
        path = folder / "rows" / f"{name}.json"
        path.write_text(text)
        assert read_row(path) is None
        assert path.with_name(f"{path.name}.damaged").read_text() == text
    assert read_row(folder / "rows" / "none.json") is None
    assert len(read_rows(folder)) == 6


def test_what_is_no_row_is_left_out_of_tables_with_a_warning_and_stays(folder, capsys):
    before = write_tables(folder)
    for name in ("a.json", "._b.json"):
        (folder / "rows" / name).write_text("{")
    assert write_tables(folder) == before
    assert {"._b.json", "a.json"} < {path.name for path in (folder / "rows").iterdir()}
    said = capsys.readouterr().err
    assert "a.json is no row of a study" in said
    assert "._b" not in said


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda row: row.update(format=99), "format is 99; expected 1"),
        (lambda row: row.update(kind="text"), "kind is 'text'"),
        (lambda row: row["run"].pop("hyper"), "run: object missing required field `hyper`"),
        (lambda row: row["run"].update(steps=None), "steps is None: expected `int`"),
        (lambda row: row["scores"][0].update(value="0.5"), "value is '0.5': expected `float | null`"),
        (lambda row: row["scores"][0].update(value=float("nan")), "JSON is malformed"),
        (lambda row: row["seconds"].update(train=None), "expected `float`, got `null`"),
        (lambda row: row.update(matrices=[{}]), "missing required field `id`"),
        (lambda row: row.update(key="other"), "key is 'other'; expected the file's name"),
    ],
)
def test_a_row_of_another_form_is_left_out_with_the_field(folder, capsys, edit, said):
    path = next(path for path in (folder / "rows").iterdir() if '"kind": "run"' in path.read_text())
    row = json.loads(path.read_text())
    edit(row)
    path.write_text(json.dumps(row))
    assert len(read_rows(folder)) == 5
    told = capsys.readouterr().err
    assert f"warning: {path} is no row of a study: " in told
    assert said in told


def test_rows_that_are_no_files_are_told(folder, capsys):
    (folder / "rows" / "a.json").mkdir()
    (folder / "rows" / "b.json").symlink_to(folder / "gone")
    assert len(read_rows(folder)) == 6
    told = capsys.readouterr().err
    assert "a.json could not be read" in told
    assert "b.json could not be read" in told
    shutil.rmtree(folder / "rows")
    (folder / "rows").write_text("")
    with pytest.raises(InputError, match="rows is a file; expected the folder"):
        read_rows(folder)


def test_a_score_that_stands_twice_is_an_error(folder):
    path = next(path for path in (folder / "rows").iterdir() if '"mig"' in path.read_text())
    row = json.loads(path.read_text())
    row["scores"] += [s | {"value": 0.9} for s in row["scores"] if s["name"] == "mig"]
    path.write_text(json.dumps(row))
    with pytest.raises(InputError, match=r"has mig@1 mig twice; expected each score of a run once"):
        write_tables(folder)


def test_seeds_are_counted_by_which_they_are(folder):
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace("seeds = [0, 1, 2]", "seeds = [2, 9]"))
    one = next(line for line in write_tables(folder).splitlines() if "beta=1 " in line)
    assert one.split("|")[-2] == " 1 of 2, 2 not planned "


def test_other_folders_are_not_written_over(folder, tmp_path):
    out = tmp_path / "mine"
    write_tables(folder, out=out)
    write_tables(folder, out=out)  # what the suite wrote it may write again
    for name in ("index.html", "table.csv", "table.md"):
        (out / name).write_text("mine")
        with pytest.raises(InputError, match=rf"mine/{name} is not the suite's; move it, or choose another"):
            write_tables(folder, out=out)
        (out / name).unlink()
    for name in ("study.toml", "rows"):
        (out / name).mkdir()
        with pytest.raises(InputError, match="mine is another study's folder"):
            write_tables(folder, out=out)
        (out / name).rmdir()


def test_a_commit_with_changes_is_told(folder):
    assert "with changes" not in write_tables(folder)
    path = next((folder / "rows").iterdir())
    row = json.loads(path.read_text())
    row["provenance"]["dirty"] = True
    path.write_text(json.dumps(row))
    assert "commit abcabcabca, abcabcabca with changes" in write_tables(folder)
    row["provenance"] = {}  # of a row that says nothing of it
    path.write_text(json.dumps(row))
    assert "commit abcabcabca, on a machine" in write_tables(folder)


def test_a_row_is_complete_when_it_has_every_metric_or_diverged(folder):
    rows = read_rows(folder)
    assert sum(is_complete(row, ["mig@1"]) for row in rows) == 6
    assert sum(is_complete(row, ["mig@1", "dci_gbt@2"]) for row in rows) == 5
    assert not is_complete(None, [])


def test_the_metrics_own_noise_is_told_from_the_spread_over_seeds(folder):
    rows = read_rows(folder)[:0]
    tasks = plan(read_study(folder), {"toy": "drawn"})
    for task, value in zip(tasks[:3], (0.1, 0.2, 0.3), strict=True):
        row = row_of(task, {MIG: value})
        row["scores"][0] |= {"std": 0.02, "repeats": 4}
        rows.append(row)
    frame = tidy(rows)
    assert frame["repeats"].tolist() == [4, 4, 4]
    [line] = summarise(frame).to_dict("records")
    assert line["std"] == pytest.approx(0.1)
    assert line["metric_std"] == pytest.approx(0.02)
    assert line["seed_std"] == pytest.approx((0.01 - 0.0004 / 4) ** 0.5)
    # One draw tells nothing of the noise.
    [line] = summarise(tidy([row_of(task, {MIG: 0.1}) for task in tasks[:3]])).to_dict("records")
    assert np.isnan(line["metric_std"])
    assert np.isnan(line["seed_std"])


def test_less_is_better_where_the_metric_says_so(tmp_path):
    (tmp_path / "study.toml").write_text(TEXT.replace('["mig", "dci"]', '["unsupervised"]'))
    tasks = plan(read_study(tmp_path), {"toy": "drawn"})
    name = ("unsupervised_gaussian_total_correlation", "unsupervised@1")
    (tmp_path / "rows").mkdir()
    for task, value in zip(tasks[:6], (1.0, 1.0, 1.0, 0.5, 0.5, 0.5), strict=True):
        row = row_of(task, {name: value})
        (tmp_path / "rows" / f"{row['key']}.json").write_text(json.dumps(row))
    text = write_tables(tmp_path)
    assert "unsupervised_gaussian_total_correlation (less is better)" in text
    assert "**0.500 ± 0.000**" in text
    assert "**1.000" not in text


def test_no_choice_of_earlier_rows_is_left(folder):
    write_tables(folder, rules=["oracle:mig"])
    assert (folder / "selection.csv").exists()
    write_tables(folder)
    assert not (folder / "selection.csv").exists()
