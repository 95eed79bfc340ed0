"""The page: all of the tables is in it, apart where it must be, and nothing is from elsewhere."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from disentangle.errors import InputError
from disentangle.find import names
from disentangle.joined import read_studies
from disentangle.page import breakable, write_page
from disentangle.page_runs import as_json, embedded
from disentangle.study import plan, read_study
from disentangle.table import Tables, make_tables

from ._packages import png
from ._rows import row_of

TEXT = """
name = "t"
description = "What <b>no</b> browser may read as HTML."
steps = 5
seeds = [0, 1, 2]
metrics = ["mig", "dci"]
calibration = ["noise"]
selection = ["oracle:mig", "udr"]
[[runs]]
dataset = ["toy", "dsprites"]
method = "beta_vae"
hyper = { beta = [1, 4] }
"""
VOID = {"meta", "link", "input", "br", "wbr", "img", "hr"}


class Reader(HTMLParser):
    """The elements of a page, as (name, attributes), and whether each is closed where it must be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def of(self, name: str, **attributes: str) -> list[dict[str, str | None]]:
        return [
            own
            for tag, own in self.elements
            if tag == name and all(own.get(k.replace("_", "-")) == v for k, v in attributes.items())
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.toml").write_text(TEXT)
    (tmp_path / "rows").mkdir()
    (tmp_path / "pictures").mkdir()
    for i, task in enumerate(plan(read_study(tmp_path), {"toy": "drawn", "dsprites": "drawn"})):
        if task.dataset == "toy" and i != 2:
            name = f"pictures/toy-{task.key()[:8]}-traversal.png"
            Image.radial_gradient("L").save(tmp_path / name)
            row = row_of(task, None if i == 1 else 0.1 * (i + 1), pictures=[name, "pictures/gone.webp"])
            (tmp_path / "rows" / f"{row['key']}.json").write_text(json.dumps(row))
    return tmp_path


def made(folder: Path, pictures: str = "auto") -> tuple[Tables, str, list[str]]:
    tables = make_tables(read_studies([folder]))
    said = write_page(tables, folder, pictures)  # type: ignore[arg-type]
    return tables, (folder / "index.html").read_text(encoding="utf-8"), said


def stored(text: str, name: str) -> dict:
    [content] = re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.S)
    return json.loads(content)


def test_every_value_has_its_interval_its_n_its_source_and_its_metric_id(folder):
    tables, text, _ = made(folder)
    page = Reader(text)
    assert not page.open
    [board] = page.of("section", data_place="toy|drawn|", data_rule="")
    assert "hidden" not in board
    shown = text[text.index('data-place="toy|drawn|" data-rule=""') :]
    shown = re.sub(r"\s+", " ", shown[: shown.index("</section>")])
    assert '<span class="source drawn">drawn</span>' in shown
    assert "checksum sha256:0a1b. A &amp; B &lt;i&gt;." in shown
    for metric in ("mig@1 mig", "dci_gbt@2 dci_disentanglement"):
        assert f'data-metric="{metric}"' in shown
    # beta=1: seed 0 is .1, seed 1 diverged, seed 2 has no row.
    one = shown[shown.index("beta=1") :]
    one = one[: one.index("</tr>")]
    assert re.search(r'class="value">0\.100</span> <span class="n">n 1</span>', one)
    assert "±" not in one
    assert "1 of 3, 1 diverged" in one
    four = shown[shown.index("beta=4") :]
    four = four[: four.index("</tr>")]
    mean, half = tables.summary.query("setting == 'beta=4' and score == 'mig'")[
        ["mean", "ci95_half_width"]
    ].iloc[0]
    best = f'class="value best">{mean:.3f}<span class="vh"> best</span></span>'
    assert f'{best} <span class="half">± {half:.3f}</span>' in four
    assert '<span class="n">n 3</span>' in four
    # What a study plans and nothing has been done of is there too.
    nothing = text[text.index('<section class="board" data-place="dsprites|') :]
    assert nothing[: nothing.index("</section>")].count('class="missing">missing<') == 6


def test_calibration_is_apart_and_rules_have_boards_of_their_own(folder):
    _, text, _ = made(folder)
    runs, noise = text.index('<tbody class="run">'), text.index('<tbody class="calibration">')
    assert runs < text.index(">beta=4<") < noise < text.index(">noise<")
    page = Reader(text)
    [chosen] = page.of("section", data_rule="oracle:mig")
    assert "hidden" in chosen
    assert [own["value"] for own in page.of("option")][-4:-2] == ["oracle:mig", "udr"]
    assert "Nothing is chosen: " in text  # UDR was not computed
    assert "Published on dsprites" in text
    assert text.index("Published on dsprites") > text.rindex("</section>")
    assert "Published on toy" not in text


def test_a_line_opens_its_runs_with_provenance_matrices_and_pictures(folder):
    tables, text, _ = made(folder)
    page, store = Reader(text), stored(text, "runs")
    lines = [str(own["data-runs"]).split() for own in page.of("tr") if own.get("data-runs")]
    assert [len(keys) for keys in lines[:3]] == [2, 3, 1]
    assert (
        {key for keys in lines for key in keys}
        == set(store["runs"])
        == {row["key"] for row in tables.joined.rows}
    )
    for row in tables.joined.rows:
        run = store["runs"][row["key"]]
        values = {store["columns"][i]["score"]: value for i, value, _, _ in run["values"]}
        assert values == pytest.approx({s["name"]: s["value"] for s in row["scores"]}, rel=1e-5)
        assert store["origins"][run["origin"]] == row["provenance"]
        assert run["matrices"][0]["values"] == [[0.1, None], [1.235, 0.0]]
        assert store["data"][run["data"]]["factors"] == ["shape", "x"]
    assert len(store["origins"]) == len(store["data"]) == 1
    pictures = stored(text, "pictures")
    assert pictures.keys() == store["runs"].keys()
    assert {tuple(own) for own in pictures.values()} == {("traversal.png",)}  # the other one is gone


def test_nothing_is_fetched_and_no_text_becomes_html(folder):
    _, text, _ = made(folder)
    page = Reader(text)
    assert not re.findall(r"https?://(?!www\.w3\.org/)", re.sub(r"<td class=\"long\">.*?</td>", "", text))
    for tag, own in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            value = own.get(name) or ""
            assert value.startswith(("data:", "#", "figures/")) or value in (
                "",
                "table.csv",
                "summary.csv",
                "table.md",
                "table.tex",
            ), (tag, value)
    [policy] = page.of("meta", http_equiv="Content-Security-Policy")
    assert "default-src 'none'" in str(policy["content"])
    assert "What &lt;b&gt;no&lt;/b&gt; browser" in text
    assert len(page.of("script")) == 3
    assert "a </script> machine" in stored(text, "runs")["origins"][0]["hardware"]


def test_pictures_are_embedded_linked_or_left_out(folder, tmp_path):
    assert stored(made(folder)[1], "pictures") == stored(made(folder, "embed")[1], "pictures")
    _, text, said = made(folder, "link")
    for own in stored(text, "pictures").values():
        assert (folder / own["traversal.png"]).is_file()
    assert any("it looks for them in pictures" in line for line in said)
    assert stored(made(folder, "none")[1], "pictures") == {}
    out = tmp_path / "some" / "where else"
    out.mkdir(parents=True)
    said = write_page(make_tables(read_studies([folder])), out, "link")
    assert any("it looks for them in ../../pictures" in line for line in said)
    for own in stored((out / "index.html").read_text(), "pictures").values():
        assert own["traversal.png"].startswith("../../pictures/")
    with pytest.raises(InputError, match="pictures must be auto, embed, link or none, got 'both'"):
        made(folder, "both")


def test_a_damaged_picture_is_left_out_and_told(folder):
    [first, *_] = sorted((folder / "pictures").iterdir())
    first.write_bytes(first.read_bytes()[:200])
    _, text, said = made(folder, "embed")
    assert any(f"they are no whole pictures: {first}" in line for line in said)
    assert len([own for own in stored(text, "pictures").values() if own]) == 5


def test_a_page_of_very_many_runs_has_the_leaderboards_scores_alone(folder, monkeypatch):
    for path in (folder / "rows").iterdir():
        row = json.loads(path.read_text())
        row["scores"] += [s | {"name": "dci_completeness"} for s in row["scores"] if s["id"] == "dci_gbt@2"]
        path.write_text(json.dumps(row))
    before = stored(made(folder)[1], "runs")
    monkeypatch.setattr("disentangle.page_runs.MANY", 3)
    _, text, _ = made(folder)
    after = stored(text, "runs")
    assert "Of over 3 runs a page has" in text
    assert after["runs"].keys() == before["runs"].keys()
    assert all(run["matrices"] == [] for run in after["runs"].values())
    assert all(column["headline"] for column in after["columns"])
    assert not all(column["headline"] for column in before["columns"])


def test_published_numbers_are_of_what_the_suite_has(folder):
    _, text, _ = made(folder)
    part = text[text.index('<details class="published"') :]
    rows = re.findall(r'<tr data-method="([^"]*)" data-score="([^"]*)">(.*?)</tr>', part, re.S)
    assert rows
    for methods, score, row in rows:
        assert set(methods.split()) <= set(names("method"))
        assert methods
        assert score
        assert "primary" in row or "secondary" in row
    assert re.search(r"<td>0\.\d+ ± 0\.\d+</td>", part)


def test_too_many_pictures_are_linked(folder, monkeypatch):
    monkeypatch.setattr("disentangle.page.MOST", 1000)
    _, text, said = made(folder)
    assert "data:image" not in text
    assert any("--pictures embed" in line for line in said)
    assert "it looks for them in pictures, as seen from its folder" in text


def test_without_matplotlib_the_page_says_how_to_get_figures(folder, monkeypatch):
    made(folder)
    assert (folder / "figures").is_dir()

    def missing(*_):
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")

    monkeypatch.setattr("disentangle.figures.draw", missing)
    _, text, said = made(folder)
    assert not (folder / "figures").exists()  # those that were there may be of other rows
    assert "pip install" in said[0]
    assert "No figures: they need matplotlib" in text
    monkeypatch.setattr(
        "disentangle.figures.draw", lambda *_: (_ for _ in ()).throw(ModuleNotFoundError(name="sympy"))
    )
    with pytest.raises(ModuleNotFoundError):  # another module's absence is a mistake of ours
        made(folder)


def test_figures_of_earlier_rows_do_not_stay(folder):
    made(folder)
    place = folder / "figures"
    [first, *_] = sorted(place.glob("*.png"))
    for end in ("png", "svg", "csv"):
        shutil.copy(first, place / f"copied.{end}")  # and named otherwise
        Image.radial_gradient("L").save(place / f"mine.{end}", "PNG")
        (place / f"old.{end}").write_bytes(png("old"))
    (place / "text.png").write_text("no picture")
    _, text, _ = made(folder)
    names = {path.name for path in place.iterdir()}
    left = {name for name in names if not name.startswith("toy")}
    assert left == {f"{stem}.{end}" for stem in ("mine", "copied") for end in ("png", "svg", "csv")} | {
        "text.png"
    }
    for figure in (name for name in names - left if name.endswith(".png")):
        assert f"figures/{figure}" in text


def test_json_in_a_script_cannot_end_it():
    assert json.loads(str(as_json({"a": "</script><!--"}))) == {"a": "</script><!--"}
    assert "<" not in str(as_json({"a": "</script><!--"}))
    assert str(breakable("a<b[c,d]")) == "a&lt;b<wbr>[c,<wbr>d]"


def test_a_still_becomes_smaller_and_an_animation_stays(tmp_path):
    Image.effect_noise((300, 300), 50).save(tmp_path / "a.png")
    (tmp_path / "b.webp").write_bytes(b"RIFF")
    assert embedded(tmp_path / "a.png").startswith("data:image/webp;base64,")
    assert len(embedded(tmp_path / "a.png")) < (tmp_path / "a.png").stat().st_size
    assert embedded(tmp_path / "b.webp") == "data:image/webp;base64,UklGRg=="
