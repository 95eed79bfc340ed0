"""Comparing studies as a user does: from folders and files, as Markdown, from the command line."""

from pathlib import Path

import pandas as pd
import pytest
from cyclopts import App

from disentangle import cli_compare
from disentangle.compare import compare
from disentangle.errors import InputError

from ._tables import table

ROOT = Path(__file__).resolve().parents[1]
A, B = [0.3, 0.5, 0.4], [0.2, 0.3, 0.1]


def test_precision_moves_scores_by_what_the_readme_says():
    folder = ROOT / "results/precision/table.csv"
    found = compare(folder, folder, ours={"precision": "bf16"}, theirs={"precision": "fp32"})
    frame = found.frame.set_index("score")[["difference", "ci95_half_width"]].round(3)
    expected = {"mig": (-0.054, 0.056), "dci_disentanglement": (-0.026, 0.054),
                "sap": (-0.008, 0.029), "beta_vae": (-0.003, 0.006)}  # fmt: skip
    for score, numbers in expected.items():
        assert tuple(frame.loc[score]) == numbers
    assert "-0.054 [-0.110, +0.001]" in found.markdown()
    assert "7 tests, none of which shows a difference" in found.markdown()


def test_runs_that_two_studies_share_are_the_same_models():
    found = compare(ROOT / "results/quick", ROOT / "results/methods/table.csv")
    assert set(found.frame["verdict"]) == {"the same models"}
    assert "vae on dsprites (7 scores)" in found.markdown()
    assert "Only in theirs: " in found.markdown()


def test_the_markdown_tells_filters_seeds_and_both_settings(tmp_path):
    frame = pd.concat([table([*A, 0.2]), table(B, "b", method="vae", setting="")])
    frame.to_csv(tmp_path / "table.csv", index=False)
    text = compare(tmp_path, tmp_path, ours={"method": "beta_vae"}, theirs={"method": "vae"}).markdown()
    assert "Ours: method=beta_vae. Theirs: method=vae." in text
    assert "beta_vae beta=4 / vae:" in text
    assert "- Seeds in ours only, and not in the difference: 3 (1 cell)." in text
    assert "| mig   | 0.400 (3) | 0.200 (3)  | +0.200 [-0.048, +0.448] | d_z +2.00 | 0.074 | 0.074 |" in text


def test_the_command_prints_the_tables_and_writes_every_line(tmp_path, capsys):
    frame = pd.concat([table(A, precision="bf16"), table(B, "b")])
    frame.to_csv(tmp_path / "table.csv", index=False)
    app, study, out = App(), str(tmp_path), tmp_path / "new" / "found.csv"
    app.default(cli_compare.compare)

    def call(*tokens):
        command, bound, _ = app.parse_args([study, "--with", *tokens])
        command(*bound.args, **bound.kwargs)

    filters = ["--ours", "precision=bf16", "--theirs", "precision=fp32"]
    call(study, *filters, "--csv", str(out))
    assert "+0.200 [-0.048, +0.448]" in capsys.readouterr().out
    assert pd.read_csv(out)["difference"].tolist() == pytest.approx([0.2])
    with pytest.raises(InputError, match="is a folder"):
        call("published", "--csv", study)
    with pytest.raises(InputError, match="--ours takes NAME=VALUE"):
        call(study, "--ours", "precision")
