"""Comparing studies as a user does: from folders and files, as Markdown, from the command line."""

import re
from pathlib import Path

import pandas as pd
import pytest
from cyclopts import App

from disentangle import cli_compare
from disentangle.compare import compare
from disentangle.errors import InputError
from disentangle.published_scores import REQUIRED

from ._tables import table

ROOT = Path(__file__).resolve().parents[1]
A, B = [0.3, 0.5, 0.4], [0.2, 0.3, 0.1]


def test_precision_moves_scores_by_what_the_readme_says():
    folder = ROOT / "results/precision/table.csv"
    found = compare(folder, folder, ours={"precision": "bf16"}, theirs={"precision": "fp32"})
    frame = found.frame.set_index("score")[["difference", "ci95_half_width"]].round(3)
    expected = {"mig": (-0.011, 0.028), "dci_disentanglement": (0.001, 0.018), "sap": (0.0, 0.008),
                "factor_vae": (-0.004, 0.016), "beta_vae": (0.002, 0.004)}  # fmt: skip
    for score, numbers in expected.items():
        assert tuple(frame.loc[score]) == numbers
    assert "-0.011 ± 0.028" in found.text
    runs = pd.read_csv(folder).query("kind == 'run' and score == 'mig'")
    seeds = runs.pivot(index="seed", columns="precision", values="value")
    assert round(seeds.corr().loc["bf16", "fp32"], 2) == 0.08
    assert "7 tests, none of which shows a difference" in found.text
    assert max(len(row) for row in found.text.splitlines() if row.startswith("|")) <= 105


def test_runs_that_two_studies_share_are_the_same_models():
    found = compare(ROOT / "results/quick", ROOT / "results/methods/table.csv")
    assert set(found.frame["verdict"]) == {"the same models"}
    assert (
        "- The same models in both, with the same values, and in no test (6 runs of 3 settings, seeds 0-1; "
        "21 cells): ada_gvae beta=1, k=1, pairs=paper on dsprites; " in found.text
    )
    assert "- Only in theirs: 119 cells of " in found.text


def saved(folder, *frames):
    folder.mkdir(exist_ok=True)
    pd.concat(frames).to_csv(folder / "table.csv", index=False)
    return folder


def test_the_markdown_tells_paths_filters_protocol_seeds_and_both_settings(tmp_path):
    ours = saved(tmp_path / "a", table([*A, 0.2]), table(A, "z", method="ae", setting=""))
    theirs = saved(tmp_path / "b", table(B, "b", method="vae", setting="", steps=9))
    lines = compare(
        ours, theirs, ours={"method": "beta_vae", "steps": "5"}, theirs={"method": "vae"}
    ).text.splitlines()
    assert lines[2:6] == [
        f"- Ours: {ours}, where method=beta_vae, steps=5.",
        f"- Theirs: {theirs}, where method=vae; steps 9.",
        "- Both: batch 4, lr 0.001, latents 10, precision fp32, split none.",
        "- Metric ids: mig@1.",
    ]
    assert "beta_vae beta=4 / vae:" in lines
    assert "- Seeds in ours only, and not in the difference: 3 (1 cell)." in lines
    assert (
        "| mig   | 3   | 0.400 | 0.200  | +0.200 ± 0.248 | d_z +2.00 | 0.074 | 0.074 | none shown |" in lines
    )


def test_one_of_each_is_told_as_one(tmp_path):
    ours = saved(tmp_path / "a", table([*A, 0.2]), table(A, "c", score="sap", metric_id="sap@1"))
    theirs = saved(tmp_path / "b", table([*B, 0.2], "b").assign(run_key=["b0", "b1", "b2", "a3"]))
    text = compare(ours, theirs).text
    assert "\n1 test, none of which shows a difference" in text
    assert "left out of ours and theirs: seed 3 (1 cell)." in text
    high = saved(tmp_path / "c", table([0.9, 1.1, 1.0, 1.2], "c", score="mig"))
    assert "\n1 test, of which 1 shows a difference" in compare(ours, high).text
    alone = saved(tmp_path / "d", table([0.5])), saved(tmp_path / "e", table([0.5]))
    assert "(1 run of 1 setting, seed 0; 1 cell): beta_vae beta=4 on toy." in compare(*alone).text
    head = ",".join([*REQUIRED])
    (tmp_path / "paper.csv").write_text(
        f"{head}\nP,T,toy,beta_vae,,MIG,mean,0.3,,,copy,primary\n", encoding="utf-8"
    )
    assert "in 1 pair of 1 number with settings of ours" in compare(ours, tmp_path / "paper.csv").text


def test_shared_seeds_are_told_once_and_those_of_means_are_not_listed(tmp_path):
    ours = saved(tmp_path / "a", table([0.3, 0.5, 0.4, 0.2, 0.6]))
    theirs = table([0.1, 0.5, 0.7, 0.2, 0.25], "b", range(2, 7))
    theirs["run_key"] = ["a2", "a3", "a4", "b5", "b6"]
    theirs.loc[1, "value"] = 0.2
    found = compare(ours, saved(tmp_path / "b", theirs))
    [line] = found.frame.to_dict("records")
    assert (line["test"], line["seeds"], line["n"], line["theirs_n"]) == ("Welch t", "", 2, 2)
    assert (line["shared"], line["shared_unequal"], line["n_shared"]) == ("3", "2, 4", 1)
    told = [text for text in found.text.splitlines() if text.startswith(("- The ", "- Seeds"))]
    assert told == [
        "- The same models in both, left out of ours and theirs: seed 3 (1 cell).",
        "- The same runs in both, with other values (one was trained or scored anew), and in no test: "
        "seeds 2, 4 (1 cell).",
    ]


def test_two_ids_of_one_score_are_told_apart(tmp_path):
    ids = ["mig@1", "mig@1[rows=50]"]
    sides = [saved(tmp_path / k, *(table(v, k, metric_id=i) for i in ids)) for k, v in (("a", A), ("b", B))]
    lines = compare(*sides).text.splitlines()
    assert [line.split(" | ")[0] for line in lines if " +0.200" in line] == [
        "| mig of mig@1         ", "| mig of mig@1[rows=50]",
    ]  # fmt: skip


def test_what_thousands_of_runs_share_is_told_shortly(tmp_path):
    frame = pd.concat([table([0.5] * 50, f"{beta}-", setting=f"beta={beta}") for beta in range(60)])
    text = compare(saved(tmp_path, frame), tmp_path).text
    assert "(3,000 runs of 60 settings, seeds 0-49; 60 cells): beta_vae beta=0 on toy; " in text
    assert "; and 54 more." in text
    other = frame.assign(run_key="b" + frame["run_key"], setting=frame["setting"].str.replace("=", "=9"))
    apart = compare(tmp_path, saved(tmp_path / "b", other)).text
    assert "beta (ours 0, 1, 2, 3, 4, 5, and 54 more; theirs 90, " in apart
    assert max(map(len, (text + apart).splitlines())) < 300


def test_runs_that_are_in_no_mean_are_told(tmp_path):
    lost = table([float("nan")], "d", [3], status="diverged", score="", metric_id="")
    ours = saved(tmp_path / "a", table([*A, float("nan")], seeds=[0, 1, 2, 4]), lost)
    theirs = saved(tmp_path / "b", table([*B, 0.1, 0.1], "b"))
    (tmp_path / "paper.csv").write_text(
        f"{','.join(REQUIRED)}\nP,T,toy,vae,,MIG,mean,0.3,,,copy,primary\n", encoding="utf-8"
    )
    diverged = "- Diverged in ours, and in no mean: beta_vae beta=4 on toy (drawn): seed 3."
    empty = "- Without a value in ours, and in no mean: mig of beta_vae beta=4 on toy (drawn): seed 4."
    found = compare(ours, theirs)
    for text in (found.text, compare(ours, tmp_path / "paper.csv").text):
        assert diverged in text
        assert empty in text
    assert found.frame["only_theirs"].tolist() == [""]  # both have these seeds


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("lr", "", "lr is ''; expected a number above 0"),
        ("lr", "inf", "lr is 'inf'; expected a number above 0"),
        ("steps", "", "steps is ''; expected a whole number from 0"),
        ("batch", "2.5", "batch is '2.5'; expected a whole number from 1"),
        ("latents", "-inf", "latents is '-inf'; expected a whole number from 1"),
        ("seed", "0_3", "seed is '0_3'; expected a whole number from 0"),
        ("value", "inf", "value is 'inf'; expected a number, or nothing"),
        ("value", "0_3", "value is '0_3'"),
        ("value", "9" * 400, f"value is '{'9' * 400}'; expected a number, or nothing"),
        ("lr", "9" * 400, f"lr is '{'9' * 400}'; expected a number above 0"),
        ("seed", "9" * 5000, "seed is '999"),
        ("status", "Done", "status is 'Done'; expected done or diverged"),
        ("setting", "beta 4", "setting is 'beta 4'; expected NAME=VALUE, NAME=VALUE, each name once"),
        ("setting", "k=1, k=2", "setting is 'k=1, k=2'"),
    ],
)
def test_a_wrong_cell_of_a_table_is_named_with_file_and_line(tmp_path, column, value, said):
    frame = table(A).astype(object)
    frame.loc[1, column] = value
    saved(tmp_path, frame)
    for with_ in ("published", tmp_path):
        with pytest.raises(InputError, match=re.escape(f"table.csv, line 3: {said}")):
            compare(tmp_path, with_)


def test_the_command_prints_the_tables_and_writes_every_line(tmp_path, capsys):
    saved(tmp_path, table(A, precision="bf16"), table(B, "b"))
    app, study, out = App(), str(tmp_path), tmp_path / "new" / "found.csv"
    app.default(cli_compare.compare)

    def call(*tokens):
        command, bound, _ = app.parse_args([study, "--with", *tokens])
        command(*bound.args, **bound.kwargs)

    filters = ["--ours", "precision=bf16", "--theirs", "precision=fp32"]
    for _ in range(2):  # an earlier comparison is written anew
        call(study, *filters, "--csv", str(out))
        printed = capsys.readouterr()
        assert "+0.200 ± 0.248" in printed.out
        assert "written to" not in printed.out
        assert printed.err == f"written to {out}\n"
    assert pd.read_csv(out)["difference"].tolist() == pytest.approx([0.2])
    before = (tmp_path / "table.csv").read_bytes()
    with pytest.raises(InputError, match=r"--csv .*table\.csv exists and holds no comparison"):
        call(study, *filters, "--csv", f"{study}/table.csv")
    assert (tmp_path / "table.csv").read_bytes() == before
    for tokens, said in [
        (["published", "--csv", study], "is a folder"),
        ([study, "--ours", "precision"], "--ours takes NAME=VALUE"),
        ([study, "--ours", "beta=4", "--ours", "beta=16"], "--ours beta is there twice, as '4' and '16'"),
        ([study, "--ours", "beta=4", "--ours", "hyper.beta=4"], "beta and hyper.beta are one field"),
    ]:
        with pytest.raises(InputError, match=said):
            call(*tokens)
