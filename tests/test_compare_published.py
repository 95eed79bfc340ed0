"""Our cells beside published numbers: compared where all is alike, else told what is not."""

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disentangle.compare import compare
from disentangle.compare_cells import runs_of
from disentangle.compare_published import cells_of, compare_published, unmatched
from disentangle.errors import InputError
from disentangle.frame import half_width
from disentangle.published_scores import read_published

from ._tables import table as runs

ROOT = Path(__file__).resolve().parents[1]
ROW = {
    "paper": "A paper", "table": "Table 2", "dataset": "toy", "method": "β-VAE", "hyperparameter": "beta = 4",
    "metric": "MIG", "statistic": "mean", "value": "0.3", "std": "0.1", "n_seeds": "5", "source": "my copy",
    "sureness": "primary", "steps": "5", "batch": "4", "lr": "1e-3", "metric_id": "mig@1",
    "data_source": "drawn",
}  # fmt: skip
VALUES = [0.3, 0.5, 0.4]


def table(values=VALUES, **changed):
    return runs(values, **changed)


@pytest.fixture
def published(tmp_path):
    def make(*changed):
        path = tmp_path / "mine.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(
                file, list(dict.fromkeys(k for c in changed for k in ROW | c)), restval=""
            )
            writer.writeheader()
            writer.writerows(ROW | c for c in changed)
        return path

    return make


def line(frame, path):
    [found] = compare_published(cells_of(runs_of(frame)), read_published(path)).to_dict("records")
    return found


def test_where_all_agrees_the_difference_is_given_in_intervals(published):
    found = line(table(), published({}))
    # By hand: t(0.975, 2) = 4.302653, t(0.975, 4) = 2.776445; both standard deviations are 0.1.
    ours, theirs = 4.302653 * 0.1 / 3**0.5, 2.776445 * 0.1 / 5**0.5
    assert found["ci95_half_width"] == pytest.approx(ours, rel=1e-6)
    assert found["published_ci95_half_width"] == pytest.approx(theirs, rel=1e-6)
    assert found["difference"] == pytest.approx(0.1)
    assert found["in_intervals"] == pytest.approx(0.1 / (ours**2 + theirs**2) ** 0.5, rel=1e-6)
    assert (found["differs"], found["verdict"]) == ("", "no difference shown")


@pytest.mark.parametrize(("value", "verdict"), [("0.9", "ours lower"), ("-0.2", "ours higher")])
def test_beyond_the_intervals_the_verdict_says_which_is_higher(published, value, verdict):
    found = line(table(), published({"value": value}))
    assert abs(found["in_intervals"]) > 1
    assert found["verdict"] == verdict


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ({"source": "user:12345678"}, {}, "data: ours user:12345678, theirs drawn"),
        ({}, {"data_source": "official"}, "data: ours drawn, theirs official"),
        ({}, {"data_source": ""}, "data: ours drawn, theirs not told"),
        ({"steps": 2400}, {}, "steps: ours 2,400, theirs 5"),
        ({}, {"steps": ""}, "steps: ours 5, theirs not told"),
        ({}, {"batch": "64"}, "batch: ours 4, theirs 64"),
        ({}, {"batch": ""}, "batch: ours 4, theirs not told"),
        ({}, {"lr": "0.0001"}, "lr: ours 0.001, theirs 0.0001"),
        ({}, {"lr": ""}, "lr: ours 0.001, theirs not told"),
        ({}, {"latents": "6"}, "latents: ours 10, theirs 6"),
        ({"precision": "bf16"}, {}, "precision: ours bf16, theirs not told"),
        ({"split": "without 10%"}, {}, "split: ours without 10%, theirs none"),
        ({}, {"split": "without 10%"}, "split: ours none, theirs without 10%"),
        ({}, {"representation": "sampled"}, "representation: ours the posterior mean, theirs sampled"),
        ({"metric_id": "mig@1[rows=50000]"}, {}, "metric: ours mig@1[rows=50000], theirs mig@1"),
        ({}, {"metric_id": ""}, "metric: ours mig@1, theirs not known (scored by code of their own)"),
        ({}, {"statistic": "best reported"}, "statistic: theirs is 'best reported', no mean over seeds"),
        ({}, {"selection": "UDR"}, "selection: theirs of models chosen by UDR, ours of every seed"),
        ({}, {"method": "β-VAE + UDR"}, "selection: theirs of models chosen by UDR, ours of every seed"),
        ({}, {"hyperparameter": ""}, "setting: theirs of β-VAE is not told"),
        ({}, {"hyperparameter": "kl=3 (or 1)"}, None),
        ({}, {"hyperparameter": "the best of six"}, "setting: theirs, 'the best of six', is not understood"),
        ({}, {"value": "30"}, "value: theirs, 30, is out of the score's range (in percent?)"),
        ({}, {"std": "5"}, "std: theirs, 5, is more than scores from 0 to 1 can have (in percent?)"),
        ({"setting": "beta=4, k=1"}, {}, "setting: theirs does not tell k"),
    ],
)  # fmt: skip
def test_each_reason_alone_forbids_the_comparison(published, ours, theirs, said):
    found = line(table(**ours), published(theirs))
    assert found["verdict"] == "not compared"
    assert math.isnan(found["difference"])
    assert math.isnan(found["in_intervals"])
    if said:
        assert found["differs"] == said
    assert found["published_value"] == float((ROW | theirs)["value"])  # and the number is there all the same


@pytest.mark.parametrize("statistic", ["Mean over seeds", "average"])
def test_a_mean_has_several_names(published, statistic):
    assert line(table(), published({"statistic": statistic}))["differs"] == ""


def test_official_images_are_those_of_a_paper_that_does_not_say(published):
    assert line(table(source="official"), published({"data_source": ""}))["differs"] == ""


def test_one_of_several_metric_ids_is_enough(published):
    path = published({"metric_id": "mig@1[bins=9] or  mig@1"})
    assert line(table(), path)["verdict"] == "no difference shown"
    both = pd.concat([table(), table(metric_id="mig@1[rows=5]")])
    assert line(both, path)["metric_id"] == "mig@1"  # the other id of this setting is no line


def test_what_the_protocol_fixes_must_agree(published):
    theirs = {"paper": "arXiv 1811.12359", "method": "FactorVAE", "hyperparameter": "gamma=10",
              "data_source": "", "steps": "", "batch": "", "lr": ""}  # fmt: skip
    ours = {"method": "factor_vae", "source": "official", "steps": 300_000, "batch": 64, "lr": 1e-4}
    alike = table(**ours, setting="gamma=10, updates=dlib")
    assert line(alike, published(theirs))["differs"] == ""
    other = table(**ours, setting="gamma=10, updates=paper")
    assert line(other, published(theirs))["differs"] == "updates: ours paper, theirs dlib"


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ({"method": "dip_vae_i", "setting": "lambda_d_factor=1"}, "DIP-VAE", "ours 1, theirs 10"),
        ({"method": "dip_vae_i", "setting": "lambda_d_factor=10"}, "DIP-VAE", ""),
        ({"method": "dip_vae_ii", "setting": "lambda_d_factor=1"}, "DIP-VAE", ""),
        ({"method": "dip_vae_ii", "setting": "lambda_d_factor=10"}, "DIP-VAE", "ours 10, theirs 1"),
        ({"dataset": "mpi3d_complex", "setting": "weight_decay=1"}, "MPI3D", "ours 1, theirs 0.001"),
        (
            {"dataset": "mpi3d_real", "setting": "weight_decay=1"},
            "MPI3D",
            "theirs does not tell weight_decay",
        ),
    ],
)
def test_each_that_a_name_may_mean_has_its_own_protocol(published, ours, theirs, said):
    names = {"paper": "arXiv 1811.12359", "method": theirs}
    if "dataset" in ours:
        ours = ours | {"method": "qlae"}
        names = {"paper": "arXiv 2305.18378", "method": "QLAE", "dataset": theirs}
    differs = line(table(**ours), published(names | {"hyperparameter": ""}))["differs"].split("; ")
    told = [text for text in differs if text.startswith(("setting", "lambda", "weight"))]
    assert [text.partition(": ")[2] for text in told] == [said] * bool(said)
    assert any(f"which {theirs} is not told" in text for text in differs)


def test_a_published_udr_is_shown_and_not_compared(published):
    path = published({"metric": "UDR", "metric_id": "udr@1"})
    found = line(table(score="udr", metric_id="udr@1"), path)
    assert found["differs"] == "UDR: a model's value depends on the other models"
    assert unmatched(cells_of(runs_of(table())), read_published(path))["reason"].tolist() == [
        "metric not scored in the study"
    ]


@pytest.mark.parametrize(
    ("values", "theirs", "verdict"),
    [
        (VALUES, {"n_seeds": ""}, "no verdict: no interval of theirs"),
        (VALUES, {"std": ""}, "no verdict: no interval of theirs"),
        ([0.4], {}, "no verdict: no interval of ours"),
        ([0.4], {"n_seeds": "1"}, "no verdict: no interval of ours and theirs"),
        ([0.4, 0.4], {"std": "0"}, "no verdict: neither varies"),
    ],
)
def test_where_an_interval_is_unknown_there_is_a_difference_and_no_verdict(
    published, values, theirs, verdict
):
    found = line(table(values), published(theirs))
    assert found["difference"] == pytest.approx(0.1)
    assert math.isnan(found["in_intervals"])
    assert found["verdict"] == verdict


@pytest.mark.parametrize(("seeds", "expected"), [((2, 2), 0.006), ((5, 5), 0.024), ((50, 50), 0.047)])
def test_equal_means_lie_beyond_one_as_seldom_as_the_text_says(seeds, expected):
    random = np.random.default_rng(0)
    samples = [random.normal(size=(40_000, n)) for n in seeds]
    widths = [half_width(1, n) * a.std(axis=1, ddof=1) for n, a in zip(seeds, samples, strict=True)]
    beyond = np.abs(samples[0].mean(axis=1) - samples[1].mean(axis=1)) > np.hypot(*widths)
    assert beyond.mean() == pytest.approx(expected, abs=0.003)


def test_every_setting_is_set_beside_a_number_without_one_and_else_the_equal_one(published):
    frame = pd.concat([table(), table(setting="beta=16")])
    cells = cells_of(runs_of(frame))
    told = compare_published(cells, read_published(published({"hyperparameter": "beta=16.0"})))
    untold = compare_published(cells, read_published(published({"hyperparameter": ""})))
    assert told["setting"].tolist() == ["beta=16"]
    assert untold["setting"].tolist() == ["beta=4", "beta=16"]


def test_what_matches_nothing_is_counted_with_its_reason_and_strange_names(published):
    changed = [
        {}, {"dataset": "Falcor3D"}, {"dataset": "toyy"}, {"method": "InfoGAN"}, {"metric": "FID"},
        {"method": "FactorVAE"}, {"method": "β-VEA"}, {"metric": "SAP", "metric_id": "sap@1"},
        {"hyperparameter": "beta=1"}, {"metric": "JEMMIG", "paper": "Another"},
    ]  # fmt: skip
    path = published(*changed)
    rows = read_published(path)
    cells = cells_of(runs_of(table()))
    found = unmatched(cells, rows)
    assert found["rows"].sum() + len(compare_published(cells, rows)) == len(rows)
    assert compare(_saved(table(), path.parent), path).text.split("\n\n")[-2].splitlines() == [
        "- A paper: data set not in the study 2 (Falcor3D; toyy (toy?)), method not in the suite 2 (InfoGAN; "
        "β-VEA (beta_vae?)), metric not in the suite 1 (FID), method not in the study 1, metric not scored "
        "in the study 1, setting not in the study 1",
        "- Another: metric not in the suite 1 (JEMMIG)",
    ]


def test_a_misspelt_hyperparameter_is_told_with_the_one_that_is_meant(published):
    said = line(table(), published({"hyperparameter": "bta=4"}))["differs"]
    assert said.startswith(
        "setting: theirs is bta=4, which is no hyperparameter of beta_vae here, did you mean beta?"
    )
    assert line(table(), published({"hyperparameter": "Beta=4"}))["differs"] == ""


def test_of_the_quick_study_no_published_number_is_compared():
    found = compare(ROOT / "results/quick/table.csv", "published")
    assert len(found.frame) > 10
    assert set(found.frame["verdict"]) == {"not compared"}
    assert found.frame["difference"].isna().all()
    assert found.frame["differs"].str.contains("data: ours drawn, theirs not told").all()
    assert found.frame["differs"].str.contains("steps: ours 2,400, theirs not told").all()
    assert found.frame["differs"].str.contains(r"metric: ours \w+@\d\[rows=50000\], theirs not known").all()
    text = found.text
    assert "**No number is compared**: in 20 pairs of 13 numbers with settings of ours, something" in text
    assert "- Ours: results/quick" in text.replace(str(ROOT) + "/", "")
    assert "batch 16, lr 0.001, latents 10, precision fp32, split none." in text
    assert "dci_gbt@2[rows=50000] (dci_disentanglement), " in text
    assert "Lin et al. 2020 InfoGAN-CR (arXiv 1906.06034), Table 1; github:" in text
    assert "; primary" in text
    rows = [row for row in text.splitlines() if row.startswith("| ")]
    assert max(map(len, rows)) <= 120


def test_the_markdown_has_the_numbers_and_one_note_for_a_reason(published):
    path = published({}, {"steps": ""}, {"steps": "", "value": "0.2"}, {"std": ""})
    text = compare(_saved(table(), path.parent), path).text
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row[:1] == "|"]
    assert rows[0][:2] == ["score", "ours ± 95 % (n)"]  # the only setting stands before the table
    assert rows[2][:4] == ["mig", "0.400 ± 0.248 (3)", "0.300 ± 0.100 (5)", "A"]
    assert rows[2][4:] == ["+0.100", "+0.36", "no difference shown"]
    assert [row[4:] for row in rows[3:5]] == [["", "", "not compared: 1"]] * 2
    assert rows[5][4:] == ["+0.100", "", "no interval of theirs"]
    assert "- 1: steps: ours 5, theirs not told" in text
    assert "- A: A paper, Table 2; my copy; primary" in text


def test_where_the_protocol_is_from_our_notes_the_source_says_so(published):
    path = published({"paper": "arXiv 1811.12359"})
    text = compare(_saved(table(), path.parent), path).text
    assert (
        "- A: arXiv 1811.12359, Table 2; my copy; primary; protocol from the suite's notes, secondary" in text
    )


def _saved(frame, folder):
    frame.to_csv(folder / "table.csv", index=False)
    return folder


def test_several_files_are_read_and_ours_can_be_chosen(published):
    frame = pd.concat([table(), table(steps=9)])
    path = published({"steps": "9"})
    folder = _saved(frame, path.parent)
    assert len(compare(folder, [path, "published"]).frame) == 2
    assert compare(folder, path, ours={"steps": "9"}).frame["differs"].tolist() == [""]


def test_the_same_from_memory_and_from_a_file(published, tmp_path):
    path = published({})
    read = pd.read_csv(_saved(table(), tmp_path) / "table.csv")
    assert line(table(), path) == line(read, path)


def test_wrong_uses_are_refused(published, tmp_path):
    path = published({})
    folder = _saved(table(), tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for with_, options, said in [
        ([], {}, "nothing to compare with"),
        (tmp_path / "none.csv", {}, "none.csv does not exist"),
        ("publishd", {}, "publishd does not exist; expected 'published'"),
        (tmp_path / "other.csv", {}, "neither a table.csv nor published numbers"),
        (path, {"theirs": {"beta": "4"}}, "for a second study"),
        ([path, folder], {}, "one other study, or files of published numbers alone"),
    ]:
        with pytest.raises(InputError, match=said):
            compare(folder, with_, **options)
    with pytest.raises(InputError, match="no study is there"):
        compare(tmp_path / "nothing", "published")
    with pytest.raises(InputError, match="has no column kind, run_key"):
        compare(tmp_path / "other.csv", "published")
    path.write_text(path.read_text(encoding="utf-8").replace("sureness", "sure", 1), encoding="utf-8")
    with pytest.raises(InputError, match="'sure'"):
        compare(folder, path)
