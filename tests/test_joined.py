"""Several studies together: each run counts once, and nothing of another model is taken for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from disentangle.board import keys_of
from disentangle.errors import InputError
from disentangle.joined import read_studies
from disentangle.page_boards import view
from disentangle.study import plan, read_study
from disentangle.table import make_tables, tidy, write_tables

from ._rows import row_of

TEXT = """
name = "NAME"
steps = 5
seeds = SEEDS
metrics = ["mig"]
calibration = ["noise"]
[[runs]]
dataset = "toy"
method = "beta_vae"
"""


def study(folder: Path, seeds: str, mig: float, **changes: Any) -> Path:
    """A study's folder with a row for each of its tasks."""
    (folder / "rows").mkdir(parents=True)
    (folder / "study.toml").write_text(TEXT.replace("NAME", folder.name).replace("SEEDS", seeds))
    for task in plan(read_study(folder), {"toy": "drawn"}):
        row = row_of(task, mig) | {"study": folder.name} | changes
        (folder / "rows" / f"{row['key']}.json").write_text(json.dumps(row))
    return folder


def test_a_run_of_two_studies_counts_once(tmp_path: Path) -> None:
    folders = [study(tmp_path / "a", "[0, 1]", 0.1), study(tmp_path / "b", "[1, 2]", 0.4)]
    joined = read_studies(folders)
    frame = tidy(joined.rows)
    own = frame[(frame["kind"] == "run") & (frame["score"] == "mig")].sort_values("seed")
    assert own[["seed", "study", "value"]].values.tolist() == [[0, "a", 0.1], [1, "a", 0.1], [2, "b", 0.4]]
    assert joined.notes == [
        "Rows of the studies a, b.",
        "2 rows are of several studies and count once: that of the study named first.",
    ]
    assert [place.name for place in joined.places.values()].count("b") == 1
    text = write_tables(folders, out=tmp_path / "both")
    assert "| beta-VAE | beta=4 | 5 | **0.200 ± 0.173** | 3 |" in text
    assert "count once" in text
    assert (tmp_path / "both" / "table.tex").exists()
    assert len(make_tables(read_studies(folders[::-1])).frame) == len(frame)


def test_scores_under_other_ids_are_added_where_the_model_is_the_same(tmp_path: Path) -> None:
    other = [{"name": "sap", "id": "sap@1", "value": 0.3, "points": "9", "seconds": 1.0}]
    first = study(tmp_path / "a", "[0]", 0.1)
    second = study(tmp_path / "b", "[0]", 0.4, scores=other, provenance={"version": "9", "hardware": "b"})
    third = study(tmp_path / "c", "[0]", 0.4, scores=other, model_sha256="0" * 64)
    frame = tidy(read_studies([first, second]).rows)
    own = frame[frame["kind"] == "run"].set_index("score")
    assert own["value"].to_dict() == {"mig": 0.1, "dci_disentanglement": 0.5, "sap": 0.3}
    assert (own["version"]["sap"], own["version"]["mig"]) == ("9", "0")
    assert len(read_studies([first, second]).rows[0]["matrices"]) == 1  # that of MIG is there already
    grid = [{"id": "sap@1", "name": "gaps", "unit": "", "values": [[0.5]]}]
    fourth = study(tmp_path / "d", "[0]", 0.4, scores=other, matrices=grid)
    assert [one["id"] for one in read_studies([first, fourth]).rows[0]["matrices"]] == ["mig@1", "sap@1"]
    apart = read_studies([first, third])
    assert "sap" not in set(tidy(apart.rows)["score"])
    assert "other models or images in a later study" in apart.notes[-1]


def test_calibration_of_other_images_is_not_joined(tmp_path: Path) -> None:
    other = [{"name": "sap", "id": "sap@1", "value": 0.3, "points": "9", "seconds": 1.0}]
    data = row_of(plan(read_study(study(tmp_path / "x", "[0]", 0.1)), {"toy": "drawn"})[0], 0.1)["data"]
    folders = [
        study(tmp_path / "a", "[0]", 0.1),
        study(tmp_path / "b", "[0]", 0.4, scores=other, data=data | {"checksum": "sha256:ff"}),
        study(tmp_path / "c", "[0]", 0.4),
    ]
    joined = read_studies(folders)
    assert "sap" not in set(tidy(joined.rows)["score"])
    assert [note.split()[0] for note in joined.notes[1:]] == [
        "2",
        "2",
    ]  # rows, though there are three studies


def test_a_ranking_of_other_models_is_not_given_to_these(tmp_path: Path) -> None:
    first = study(tmp_path / "a", "[0, 1]", 0.1)
    second = study(tmp_path / "b", "[1, 2]", 0.4, model_sha256="0" * 64)
    tasks = plan(read_study(second), {"toy": "drawn"})[:2]
    shared = row_of(tasks[0], 0.1) | {"study": "b", "kind": "ranking", "key": "ff", "scores": []}
    ranking = shared | {"id": "udr@1", "of": {task.key(): 0.7 for task in tasks}, "seconds": {"score": 1.0}}
    (second / "rows" / "ff.json").write_text(json.dumps(ranking))
    frame = tidy(read_studies([first, second]).rows)
    udr = frame[frame["score"] == "udr"]
    assert udr[["seed", "value", "points"]].values.tolist() == [[2, 0.7, "2 models"]]
    third = study(tmp_path / "c", "[1, 2]", 0.4, model_sha256="0" * 64)
    later = ranking | {"study": "c", "of": dict.fromkeys(ranking["of"], 0.2)}
    (third / "rows" / "ff.json").write_text(json.dumps(later))
    both = tidy(read_studies([second, third]).rows)
    assert set(both[both["score"] == "udr"]["value"]) == {0.7}  # the first study's
    alone = tidy(read_studies([second]).rows)
    assert alone[alone["score"] == "udr"]["seed"].tolist() == [1, 2]


def test_images_with_two_checksums_share_no_cell(tmp_path: Path) -> None:
    folders = [study(tmp_path / "a", "[0]", 0.1), study(tmp_path / "b", "[1]", 0.4)]
    for path in (folders[1] / "rows").iterdir():
        row = json.loads(path.read_text())
        row["data"] |= {"checksum": "sha256:ffee", "note": "Drawn otherwise."}
        row["key"] = f"b{row['key']}"
        path.with_name(f"{row['key']}.json").write_text(json.dumps(row))
        path.unlink()
    tables = make_tables(read_studies(folders))
    assert [board.source for board in tables.boards] == ["drawn:0a1b", "drawn:ffee"]
    keys = keys_of(tables.frame)
    told = [view(board, keys, tables)["told"] for board in tables.boards]
    assert told[1] == "drawn:ffee, checksum sha256:ffee. Drawn otherwise."
    assert told[0].startswith("drawn:0a1b, checksum sha256:0a1b. ")
    assert {board.source for board in make_tables(read_studies(folders[1:])).boards} == {"drawn"}


def test_what_cannot_be_joined_is_told(tmp_path: Path) -> None:
    first, second = study(tmp_path / "a", "[0]", 0.1), study(tmp_path / "b", "[0]", 0.4)
    with pytest.raises(InputError, match="name the folder of a study"):
        read_studies([])
    with pytest.raises(InputError, match=r"the study 'a' is there twice; expected each once"):
        read_studies([first, first])
    with pytest.raises(InputError, match="name it with --out"):
        write_tables([first, second])
    for folder, beta in ((first, 4), (second, 2)):
        rule = f'selection = ["fixed"]\nfixed = {{ beta_vae = {{ beta = {beta} }} }}\n'
        path = folder / "study.toml"
        path.write_text(rule + path.read_text() + f"hyper = {{ beta = {beta} }}\n")
    with pytest.raises(InputError, match=r"study b: fixed: beta_vae is \{'beta': 2\}, and in another study"):
        make_tables(read_studies([first, second]))
