"""The figures: which are drawn, that they say what they show, and that their SVG can go into any page."""

import io
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from disentangle import figure_style
from disentangle.analysis import rank_correlation, variance_shares
from disentangle.board import UNIT
from disentangle.figure_scores import PAGE
from disentangle.figure_svg import _short as short
from disentangle.figures import density, draw
from disentangle.frame import tidy
from disentangle.rows import read_rows

RESULTS = Path(__file__).resolve().parents[1] / "results"
LESS = ("unsupervised@1", "unsupervised_gaussian_total_correlation")
MIG = "mig@1[rows=50000]"
HEADLINES = {MIG: "mig", LESS[0]: LESS[1]}
ONE = {"sap@1": "sap"}
BETAS = (1, 4, 16)


def line(method, beta, seed, metric_id, score, value, **other):
    setting = f"beta={beta}" if beta else ""
    shared = {"kind": "run", "run_key": f"{method} {setting} {seed} {other.get('split')}", "dataset": "toy",
              "source": "drawn", "method": method, "setting": setting, "seed": seed, "steps": 5, "batch": 4,
              "lr": 1e-3, "latents": 2, "precision": "fp32", "split": "", "status": "done",
              "hyper.beta": beta}  # fmt: skip
    return {**shared, "metric_id": metric_id, "score": score, "value": value, **other}


def study(seeds=2, methods=("beta_vae", "beta_tc_vae"), betas=BETAS, headlines=HEADLINES, **other):
    rng = np.random.default_rng(0)
    lines = [
        line(method, beta, seed, metric_id, score, rng.uniform(), **other)
        for method in methods
        for beta in betas
        for seed in range(seeds)
        for metric_id, score in headlines.items()
    ]
    lines += [
        line(name, None, 0, i, s, v, kind="calibration", steps=None, batch=None, lr=None, precision=None)
        for name, v in (("true_factors", 1.0), ("noise", 0.0))
        for i, s in headlines.items()
    ]
    return pd.DataFrame(lines)


def kinds(drawn):
    return [figure.kind for figure in drawn]


def texts(figure):
    root = ElementTree.fromstring(figure.svg)
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture(scope="module")
def drawn():
    parts = [study(), study(5, source="official"), study(split="correlated x y 0.2")]
    return draw(pd.concat(parts, ignore_index=True), HEADLINES)


def test_every_data_source_and_split_has_figures_of_its_own(drawn):
    names = [figure.name for figure in drawn]
    of = ["scores", "against-beta", "correlation", "variance"]
    starts = ["toy-drawn", "toy-drawn-correlated-x-y-0.2", "toy-official"]
    assert names == [f"{start}-{kind}" for start in starts for kind in of]
    assert {(f.source, f.split) for f in drawn} == {
        ("drawn", ""),
        ("drawn", "correlated x y 0.2"),
        ("official", ""),
    }
    assert drawn[4].title == "toy (drawn), trained on correlated x y 0.2: scores of 12 models"
    assert drawn[8].title == "toy (official): scores of 30 models"


def test_ids_are_unique_and_every_reference_is_met(drawn):
    seen = []
    for figure in drawn:
        root = ElementTree.fromstring(figure.svg)
        ids = [element.get("id") for element in root.iter() if "id" in element.attrib]
        assert all(one.startswith(f"{figure.name}-") for one in ids)
        used = re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", figure.svg)
        assert {a or b for a, b in used} <= set(ids)
        assert used
        seen += ids
    assert len(seen) == len(set(seen))


def test_svg_takes_ink_font_and_size_from_its_page(drawn):
    for figure in drawn:
        root = ElementTree.fromstring(figure.svg)
        assert figure.svg.startswith("<svg ")
        assert root.get("role") == "img"
        assert "width" not in root.attrib
        assert "height" not in root.attrib
        assert root.get("viewBox").startswith("0 0 ")
        assert root[0].tag.endswith("title")
        assert root[0].text == figure.title
        assert root.get("aria-labelledby") == root[0].get("id")
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert tags <= {"svg", "title", "g", "path", "use", "text", "defs", "clipPath", "rect"}
        assert figure_style.INK not in figure.svg
        assert "currentColor" in figure.svg
        assert "DejaVu" not in figure.svg
        assert all("sans-serif" in style for style in re.findall(r"<text style=\"([^\"]*)\"", figure.svg))
        # No ground of its own: what is filled is data, marks or ink.
        fills = set(re.findall(r"fill: ?(#[0-9a-f]+)", figure.svg))
        white = {"#ffffff"} if figure.kind == "variance" else set()  # the numbers on the darkest bars
        assert fills <= {*figure_style.COLOURS} | white
        assert "<rect" not in re.sub(r"<clipPath.*?</clipPath>", "", figure.svg)
        assert not re.search(r"\d\.\d{3}", re.sub(r">[^<]*<", "><", figure.svg))


def test_png_is_small_and_on_white(drawn):
    for figure in drawn:
        image = Image.open(io.BytesIO(figure.png)).convert("RGB")
        assert (
            image.getpixel((0, 0)) == image.getpixel((image.width - 1, image.height - 1)) == (255, 255, 255)
        )
        assert len(figure.png) < 60_000
        assert np.asarray(image.convert("L")).min() < 60  # there is ink


def test_metric_ids_and_what_is_better_are_in_the_picture(drawn):
    for figure in drawn:
        said = " ".join(texts(figure))
        assert all(i in figure.caption for i in HEADLINES)
        assert MIG in said
        assert all(word in said for word in figure.title.split())
        assert ("less is better" in said) == (figure.kind != "variance")
        assert f"Less is better of {LESS[1]}." in figure.caption


def test_the_same_lines_in_any_order_give_the_same_bytes():
    frame = study(3, betas=(1, 4))
    one, other = draw(frame, HEADLINES), draw(frame.sample(frac=1, random_state=0), HEADLINES)
    assert [figure.svg for figure in one] == [figure.svg for figure in other]
    assert [figure.png for figure in one] == [figure.png for figure in other]
    read = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert [figure.svg for figure in draw(read, HEADLINES)] == [figure.svg for figure in one]


def test_a_users_style_changes_nothing_and_comes_back():
    before = draw(study(), HEADLINES)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.fonttype": "path"}):
        kept = dict(matplotlib.rcParams)
        assert [figure.svg for figure in draw(study(), HEADLINES)] == [figure.svg for figure in before]
        assert dict(matplotlib.rcParams) == kept


def test_there_is_no_pyplot_and_no_matplotlib_is_said():
    code = (
        "import sys, pandas as pd\n"
        "from disentangle import figures, analysis\n"
        "assert 'matplotlib' not in sys.modules\n"
        "sys.modules['matplotlib'] = None\n"
        "try:\n"
        "    figures.draw(pd.DataFrame(columns=[*analysis.NEEDED, 'split']), {})\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error.name)\n"
        "del sys.modules['matplotlib']\n"
        "from disentangle.figure_style import look, sheet, png\n"
        "with look():\n"
        "    png(sheet('a', 3, 3)[0], 'a')\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["matplotlib", "False"]


def violins(figure):
    paths = re.findall(r"<path[^>]*fill-opacity:0.4;[^>]*>", figure.svg)
    return sum(len(path) > 300 for path in paths)  # the legend's is short


def dots(figure):
    found = []
    for path in re.findall(r"<path d=\"([^\"]*)\"[^>]*stroke-width:3;stroke-linecap:round[^>]*>", figure.svg):
        found += re.findall(r"M (\S+) ([^ h]+)", path)
    return [(float(x), float(y)) for x, y in found]


@pytest.mark.parametrize(
    ("seeds", "shapes", "points"), [(1, 0, 1), (4, 0, 4), (5, 1, 5), (20, 1, 20), (21, 1, 0)]
)
def test_a_violin_needs_five_seeds_and_many_models_are_no_dots(seeds, shapes, points):
    figure = draw(study(seeds, ["vae"], [None], ONE), ONE)[0]
    assert violins(figure) == shapes
    assert len(dots(figure)) == points
    assert ("one model" in texts(figure)) == (points > 0)
    assert ("density" in texts(figure)) == (shapes > 0)


def test_equal_scores_and_equal_seeds_make_no_violin():
    frame = study(6, ["vae"], [None], ONE)
    runs = frame["kind"] == "run"
    [figure] = draw(frame.assign(value=frame["value"].where(~runs, 0.3)), ONE)
    assert violins(figure) == 0
    assert "density" not in texts(figure)
    assert len(dots(figure)) == 6
    [figure] = draw(frame.assign(seed=frame["seed"].where(~runs, frame["seed"] % 2)), ONE)
    assert violins(figure) == 0


def test_dots_are_where_the_scores_are():
    values = [0.1, 0.2, 0.6, 0.9]
    frame = pd.DataFrame([line("vae", None, i, "sap@1", "sap", v) for i, v in enumerate(values)])
    x, y = np.array(dots(draw(frame, ONE)[0])).T
    assert (x - x[0]) / (x[-1] - x[0]) == pytest.approx((np.array(values) - 0.1) / 0.8, abs=1e-3)
    assert len(set(y)) == 1


def means(figure):
    path = re.search(r"<path d=\"([^\"]*)\"[^>]*currentColor;stroke-width:1.4", figure.svg)
    return [float(x) for x in re.findall(r"M (\S+)", path[1])] if path else []


def test_means_are_of_two_models_or_more():
    lines = [line("vae", None, i, "sap@1", "sap", v) for i, v in enumerate([0.1, 0.2, 0.9])]
    figure = draw(pd.DataFrame([*lines, line("ae", None, 0, "sap@1", "sap", 0.4)]), ONE)[0]
    x = sorted(x for x, _ in dots(figure))
    assert means(figure) == pytest.approx([x[0] + (x[-1] - x[0]) * (0.4 - 0.1) / 0.8], abs=0.05)
    assert x[2] == pytest.approx(means(figure)[0], abs=0.05)


def test_the_density_is_the_kernel_estimate():
    from scipy.stats import gaussian_kde

    values, at = np.array([0.1, 0.4, 0.45, 0.9]), np.linspace(0, 1, 7)
    assert density(values, at) == pytest.approx(gaussian_kde(values)(at))


def test_settings_stand_in_the_order_of_the_study():
    frame = study(1)
    order = [("beta_vae", f"beta={beta}", 5, 4, 1e-3, 2, "fp32", "") for beta in (16, 1)]
    assert len(order[0]) == len(UNIT)
    shown = [text for text in texts(draw(frame, HEADLINES, order)[0]) if "beta=" in text][:6]
    names = ["beta-VAE, beta=16", "beta-VAE, beta=1", "beta-TCVAE, beta=1", "beta-TCVAE, beta=4"]
    assert shown == [*names, "beta-TCVAE, beta=16", "beta-VAE, beta=4"]


def test_what_differs_beside_hyperparameters_is_told():
    frame = pd.concat([study(2, ["vae"], [None]), study(1, ["vae"], [None], steps=10)])
    frame["run_key"] += frame["steps"].astype(str)
    figure, against = draw(frame, HEADLINES)[:2]
    assert {"VAE, steps=5, n = 2", "VAE, steps=10, n = 1"} <= set(texts(figure))
    assert against.name == "toy-drawn-against-steps"


def test_against_a_hyperparameter_is_logarithmic_where_it_spans_much(drawn):
    figure = drawn[1]
    assert "beta, logarithmic" in texts(figure)
    assert {"1", "4", "16"} <= set(texts(figure))
    assert {"beta-VAE, n = 2", "beta-TCVAE, n = 2"} <= set(texts(figure))
    assert len(figure.numbers) == 2 * 3 * 2


@pytest.mark.parametrize("betas", [(0, 1, 16), (2, 8), (-4, 1, 16)])
def test_an_axis_with_0_or_a_small_span_is_linear(betas):
    figure = draw(study(1, ["beta_vae"], betas, ONE), ONE)[1]
    assert "beta" in texts(figure)
    assert {f"{beta}".replace("-", "\N{MINUS SIGN}") for beta in betas if beta != 1} <= set(texts(figure))


def test_figures_that_have_nothing_to_show_are_not_drawn():
    assert kinds(draw(study(1, ["vae"], [None]), HEADLINES)) == ["scores"]
    assert kinds(draw(study(betas=[4]), HEADLINES)) == ["scores", "correlation", "variance"]
    assert kinds(draw(study(2, ["vae"], [None]), HEADLINES)) == ["scores"]
    assert kinds(draw(study(3, ["vae"], [None]), HEADLINES)) == ["scores", "correlation"]
    assert kinds(draw(study(1, ["vae", "ae", "qlae"], [None]), HEADLINES)) == ["scores", "correlation"]
    assert kinds(draw(study(2, ["vae", "ae"], [None], ONE), ONE)) == ["scores", "variance"]
    assert draw(study()[lambda frame: frame["kind"] == "calibration"], HEADLINES) == []
    assert draw(study()[:0], HEADLINES) == []
    assert draw(tidy([]), HEADLINES) == []


def test_missing_and_diverged_scores_are_told_and_not_drawn():
    frame = study(2, ["vae"], [None])
    frame.loc[(frame["metric_id"] == MIG) & (frame["kind"] == "run"), "value"] = [np.nan, np.inf]
    lost = line("vae", None, 9, "", "", None, status="diverged")
    figure = draw(pd.DataFrame([*frame.to_dict("records"), lost]), HEADLINES)[0]
    assert f"Without scores: {MIG}." in figure.caption
    assert "1 diverged run left out." in figure.caption
    assert MIG not in texts(figure)
    assert set(figure.numbers["metric_id"]) == set(HEADLINES) - {MIG}
    assert draw(pd.DataFrame([lost]), HEADLINES) == []


def test_the_numbers_are_those_of_the_analysis(drawn):
    frame = study()
    by_kind = {figure.kind: figure.numbers for figure in draw(frame, HEADLINES)}
    pd.testing.assert_frame_equal(by_kind["correlation"], rank_correlation(frame, HEADLINES))
    pd.testing.assert_frame_equal(by_kind["variance"], variance_shares(frame, HEADLINES))
    own = frame[(frame["kind"] == "run") & (frame["setting"] == "beta=4") & (frame["method"] == "beta_vae")]
    summary = by_kind["scores"].set_index(["method", "setting", "metric_id"])
    assert summary["mean"]["beta_vae", "beta=4", MIG] == pytest.approx(
        own["value"][own["metric_id"] == MIG].mean()
    )
    shown = texts(next(figure for figure in drawn if figure.kind == "correlation"))
    value = by_kind["correlation"].set_index(["metric_id_a", "metric_id_b"])["spearman"][MIG, LESS[0]]
    assert f"{value:.2f}".replace("-", "\N{MINUS SIGN}") in shown


def test_strange_names_are_written_out_and_safe_in_file_names():
    parts = [
        study(1, ["vae"], [4], ONE, dataset="my $x$ & <b>", split=s) for s in ("a=1", "a 1", "A/1", "x " * 90)
    ]
    found = draw(pd.concat(parts), ONE)
    names = [figure.name for figure in found]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,120}", name) for name in names)
    assert len({name.lower() for name in names}) == len(names) == 4
    assert found[0].title.startswith("my $x$ & <b> (drawn)")
    assert any(text.startswith("my $x$ & <b> (drawn)") for text in texts(found[0]))


def test_many_settings_are_parted_into_several_figures():
    found = draw(study(1, ["vae"], range(1, PAGE + 2), ONE), ONE)
    assert [figure.name for figure in found[:2]] == ["toy-drawn-scores", "toy-drawn-scores-2"]
    assert found[0].title == "toy (drawn): scores of 61 models, part 1 of 2"
    assert [len(dots(figure)) for figure in found[:2]] == [PAGE, 1]


def test_a_score_under_two_ids_is_told_apart():
    two = {"mig@1": "mig", "mig@1[points=500]": "mig"}
    found = {figure.kind: texts(figure) for figure in draw(study(headlines=two), two)}
    assert found["correlation"].count("mig@1[points=500]") == 2
    assert {"mig@1", "mig@1[points=500]"} <= set(found["scores"])


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("colour", figure_style.COLOURS)
def test_colours_are_seen_on_light_and_dark_pages(colour):
    assert 1.05 / (luminance(colour) + 0.05) >= 3
    assert (luminance(colour) + 0.05) / (luminance("#111111") + 0.05) >= 3


def test_long_paths_are_shortened_and_mean_the_same():
    assert short("d", "M 1.23456 2 \nL 3 4.5 \nL 5 6 \nz\n") == "M 1.23 2 3 4.5 5 6 z"
    assert short("d", "M 0 0 \nC 1 1 2 2 3 3 \nL 4 4 \n") == "M 0 0 C 1 1 2 2 3 3 L 4 4"
    assert short("d", "M 1 2 \nL 1 2 \nM 3 4 \nL 3 45 \n") == "M 1 2h0 M 3 4 3 45"
    assert short("d", "M 1 2 \nL 1 2 \nL 3 4 \n") == "M 1 2 1 2 3 4"


def test_the_studies_of_the_repository_can_be_drawn():
    frame = tidy(read_rows(RESULTS / "quick"))
    runs = frame[frame["kind"] == "run"]
    ids = {i: s for i, s in zip(runs["metric_id"], runs["score"], strict=True) if s in ("mig", "sap", "irs")}
    of = ["scores", "against-beta", "correlation", "variance"]
    names = [*(f"dsprites-drawn-{kind}" for kind in of), "shapes3d-drawn-scores"]
    assert [figure.name for figure in draw(frame, ids)] == names
