"""The calibration ladder's numbers, the published ones beside them, its tables and its picture."""

import builtins
import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from disentangle import InputError, find, ladder_scores
from disentangle.ladder import CASES, RUNGS
from disentangle.ladder_board import NO_PICTURE, markdown, shown, table, write_ladder
from disentangle.ladder_published import COUNTERPARTS, published
from disentangle.ladder_scores import COLUMNS, LEFT_OUT, entries, measure
from disentangle.published_scores import SCORES

SMALL = {rung.name: replace(rung, sizes=(3, 4, 6, 5, 5)) for rung in RUNGS}
CASE = {rung.name: rung for rung in CASES}
SHARED = Path(__file__).parents[2] / "shared" / "published" / "scores.csv"
FEW = [
    {"name": "beta_vae", "train_points": 60, "test_points": 40},
    {"name": "sap", "train_points": 200, "test_points": 100},
    *("mig", "irs", "modularity", "udr"),
]


@pytest.fixture(scope="module")
def frame():
    few = [SMALL[name] for name in ("identity", "duplicated", "random", "constant")]
    return measure(FEW, rungs=few, repeats=2)


def test_the_package_holds_the_papers_rows_and_all_their_columns():
    assert len(published()) == 52
    assert {row["sureness"] for row in published()} == {"primary"}
    assert all(row["paper"].startswith("Carbonneau et al. 2022") and row["source"] for row in published())
    if not SHARED.exists():
        pytest.skip("needs ../shared")
    with SHARED.open(newline="") as file:
        assert published() == [row for row in csv.DictReader(file) if row["paper"].startswith("Carbonneau")]
    assert SCORES.read_text().splitlines()[0] == SHARED.read_text().splitlines()[0]


def test_every_counterpart_is_a_published_metric_and_a_score_of_ours():
    assert {c.published for c in COUNTERPARTS} <= {row["metric"] for row in published()}
    stems = {name for name in find.names("metric") if not find.get("metric", name).of_models}
    assert all(any(c.score.startswith(stem) for stem in stems) for c in COUNTERPARTS)
    assert all(c.same != c.differs.startswith("another ") for c in COUNTERPARTS)


# The scores


def test_every_metric_is_there_in_every_mode_but_those_left_out():
    found = {(entry.metric, entry.mode) for entry in entries()}
    known = {(n, mode) for n in find.names("metric") for mode in ("default", *find.get("metric", n).modes)}
    assert found == known - set(LEFT_OUT)
    assert set(LEFT_OUT) <= known


def test_the_frame_has_a_line_per_representation_and_score(frame):
    assert list(frame.columns) == COLUMNS
    assert not frame.duplicated(["representation", "metric_id", "score", "published_metric"]).any()
    ladder = frame[(frame["set"] == "ladder") & (frame["mode"] == "default")]
    assert set(ladder["representation"]) == {"identity", "duplicated", "random", "constant"}
    assert set(ladder["score"]) == {"beta_vae", "beta_vae_train", "mig", "irs", "irs_active_codes", "sap",
                                    "modularity", "udr"}  # fmt: skip
    assert (ladder["repeats"] == 2).all()
    assert ladder["std"].notna().all()
    assert ladder["metric_id"].str.contains("repeats=2").all()
    assert frame[["version", "python", "numpy", "scikit_learn", "hardware"]].notna().all().all()


def test_known_values_are_met(frame):
    wide = table(frame)
    assert wide.at["mig", "duplicated"] == 0
    assert wide.at["modularity", "duplicated"] > 0.99
    assert wide.at["irs", "identity"] == pytest.approx(1)
    assert wide.at["udr", "identity"] == pytest.approx(0.9, abs=0.01)  # the Lasso's penalty is 0.1
    assert (wide["constant"].drop(["beta_vae", "beta_vae_train"]) == 0).all()
    assert wide.at["sap (continuous)", "identity"] > wide.at["sap", "identity"]
    dlib = table(frame, mode="dlib2019")
    assert dlib.at["modularity", "constant"] != wide.at["modularity", "constant"]


def test_ours_agree_with_the_published_where_the_definitions_do(frame):
    lines = frame[(frame["published_metric"] != "") & frame["representation"].str.contains("binned")]
    same = {(c.score, c.variant) for c in COUNTERPARTS if c.same}
    kept = lines[[pair in same for pair in zip(lines["score"], lines["variant"], strict=True)]]
    assert len(kept) == 3 * 5  # cases, and scores that are measured here
    assert (kept["value"] - kept["published"]).abs().max() < 0.051


def test_published_numbers_keep_their_source_and_those_without_counterpart_are_there(frame):
    lines = frame[frame["published_metric"] != ""]
    assert lines["published_source"].str.contains("Carbonneau et al. 2022").all()
    assert lines["published_source"].str.endswith("primary").all()
    rows = {(r["dataset"], r["metric"]): float(r["value"]) for r in published()}
    for line in lines.to_dict("records"):
        assert rows[CASE[line["representation"]].case, line["published_metric"]] == line["published"]
    for case in CASES:
        told = lines[lines["representation"] == case.name]
        assert set(told["published_metric"]) == {m for d, m in rows if d == case.case}
    assert (lines[lines["metric"] == ""]["message"] != "").all()


def test_a_refusal_is_a_line_with_its_message_and_no_crash(monkeypatch):
    def refuse(codes, factors, *, rng=0, points=None, bins=20):
        raise InputError("codes are of no use")

    metric = replace(find.get("metric", "mig"), function=refuse)
    real = find.get
    monkeypatch.setattr(find, "get", lambda kind, name: metric if name == "mig" else real(kind, name))
    frame = measure(["mig", "irs"], rungs=[SMALL["identity"]], cases=[])
    [line] = frame[frame["metric"] == "mig"].to_dict("records")
    assert line["message"] == "codes are of no use"
    assert np.isnan(line["value"])
    assert (line["score"], line["metric_id"]) == ("mig", "mig@1")
    assert "- `mig@1` of *identity*: codes are of no use." in markdown(frame)
    assert np.isnan(table(frame).at["mig", "identity"])


def test_a_slow_metric_draws_once_for_all_representations():
    frame = measure(["mig"], rungs=[SMALL["identity"], SMALL["random"]], cases=[], slow=0.0)
    assert frame["metric_id"].tolist() == ["mig@1", "mig@1"]
    assert frame["repeats"].tolist() == [1, 1]
    assert frame["std"].isna().all()


# The documents


def test_markdown_tells_what_a_score_notices(frame):
    text = markdown(frame)
    lines = dict(re.findall(r"^\| ([a-z (]+\)?) \| (?:[\d.-]+ \| ){3}(.*) \|$", text, re.M))
    assert lines["mig"].startswith("duplicated (0.00) |")
    assert lines["modularity"] == " | duplicated"
    for name in LEFT_OUT:
        assert f"`{'@'.join(name)}`" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("| theirs")]
    assert widths == [14]
    assert "nan" not in text
    assert "| Z-max Variance | not scored here |" in text


def test_tables_are_rectangular(frame):
    for block in re.findall(r"(?:^\|.*\|\n)+", markdown(frame), re.M):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_everything_is_written_and_reads_back(frame, tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    told = write_ladder(tmp_path / "new", frame)
    assert told == [
        f"written: {tmp_path / 'new' / name}" for name in ("ladder.csv", "ladder.md", "ladder.png")
    ]
    back = pd.read_csv(tmp_path / "new" / "ladder.csv")
    assert list(back.columns) == COLUMNS
    assert np.allclose(back["value"], frame["value"].astype(float), equal_nan=True)
    content = (tmp_path / "new" / "ladder.png").read_bytes()
    assert 10_000 < len(content) < 400_000
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    assert (pixels[:, [0, -1]] == 255).all()  # nothing runs over the edges
    assert (pixels[[0, -1]] == 255).all()


def test_the_picture_needs_no_case(frame):
    pytest.importorskip("matplotlib")
    from disentangle.ladder_picture import draw

    assert draw(frame[frame["set"] == "ladder"]).startswith(b"\x89PNG")
    assert shown(frame)[:3] == ["beta_vae", "sap", "sap (continuous)"]


def test_without_matplotlib_the_tables_are_written_and_a_line_says_how(frame, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    told = write_ladder(tmp_path, frame)
    assert told[-1] == NO_PICTURE
    assert "pip install matplotlib" in NO_PICTURE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ladder.csv", "ladder.md"]


def test_the_command_is_thin(monkeypatch, tmp_path, frame, capsys):
    from disentangle.__main__ import app

    asked = {}
    monkeypatch.setattr(ladder_scores, "measure", lambda metrics, **options: asked.update(options) or frame)
    with pytest.raises(SystemExit) as done:
        app(["ladder", "--out", str(tmp_path), "--seed", "3"])
    assert not done.value.code
    assert asked == {"seed": 3, "repeats": 3}
    assert "ladder.csv" in capsys.readouterr().out
