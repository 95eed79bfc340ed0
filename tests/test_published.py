"""Published numbers: what is shipped keeps its sources, users' files are read or refused by line."""

import csv

import pytest

from disentangle import find, ladder_published, published_names, published_protocols
from disentangle.errors import InputError
from disentangle.find import get
from disentangle.published_checks import metric_ids
from disentangle.published_protocols import PROTOCOLS
from disentangle.published_scores import REQUIRED, SCORES, read_published

GOOD = {
    "paper": "A paper", "table": "Table 2", "dataset": "dSprites", "method": "β-VAE",
    "hyperparameter": "beta = 4", "metric": "MIG", "statistic": "mean", "value": "0.3", "std": "0.1",
    "n_seeds": "5", "source": "my copy", "sureness": "primary",
}  # fmt: skip


def write(path, *lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


@pytest.fixture
def one(tmp_path):
    """The only row of a user's file."""
    return lambda **changed: read_published(write(tmp_path / "mine.csv", GOOD | changed))[0]


def test_what_is_shipped_is_read_whole_and_keeps_source_and_sureness():
    rows = read_published()
    with SCORES.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(rows) == len(written) > 400
    assert [row.value for row in rows] == [float(line["value"]) for line in written]
    assert all(row.source and row.paper and row.sureness in ("primary", "secondary") for row in rows)
    assert [row.source for row in rows] == [line["source"] for line in written]


def test_what_the_ladder_reads_is_part_of_it():
    with SCORES.open(newline="") as file:
        scores = [line for line in csv.DictReader(file) if "Carbonneau" in line["paper"]]
    assert len(scores) == 52
    assert sorted(map(str, ladder_published.published())) == sorted(map(str, scores))


def test_every_protocol_has_a_source_and_names_what_there_is():
    with PROTOCOLS.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        assert line["source"]
        assert line["sureness"] in ("primary", "secondary")
        assert line["method"] in ("", *find.names("method"))
        assert line["metric"] in ("", *find.names("metric"))
        assert bool(metric_ids(line["metric_id"], line["metric"], "protocols.csv")) == bool(line["metric_id"])
        assert line["sureness"] == "secondary" or not line["source"].startswith("notes")
    keys = [
        tuple(line[name] for name in ("metric_id", "dataset", "method", "metric", "other", "source"))
        for line in lines
    ]
    assert len({key for key in keys if key[0]}) == len([key for key in keys if key[0]])


@pytest.mark.parametrize("name", find.names("method"))
def test_every_method_is_known_by_its_title_too(name):
    assert published_names.methods(get("method", name).title) == ((name,), "")
    assert published_names.methods(name) == ((name,), "")


@pytest.mark.parametrize("name", find.names("dataset"))
def test_every_data_set_is_known_by_its_name_and_title(name):
    assert published_names.datasets(name) == (name,)
    assert name in published_names.datasets(get("dataset", name).title)


@pytest.mark.parametrize("name", find.names("metric"))
def test_every_metric_is_known_by_its_name(name):
    metric, score = published_names.score(name)
    assert metric == name
    assert score == get("metric", name).headline


def test_names_of_papers_and_studies():
    assert published_names.datasets("dsprites_full") == ("dsprites",)
    assert published_names.datasets("3D Shapes") == ("shapes3d",)
    assert len(published_names.datasets("MPI3D")) == 4
    for text in ("AdaGVAE", "Ada-GVAE", "ada_gvae"):
        assert published_names.methods(text) == (("ada_gvae",), "")
    assert published_names.methods("beta-TC-VAE") == (("beta_tc_vae",), "")
    assert published_names.methods("FactorVAE + latent sparsity") == ((), "")
    assert [published_names.score(m)[1] for m in ("InfoM", "InfoE", "InfoC", "JEMMIG")] == [
        "infomec_m", "infomec_e", "infomec_c", "",
    ]  # fmt: skip
    assert published_names.score("MIG-RMIG") == ("mig", "mig")
    assert published_names.setting("C_fin=25, λ_od=10") == {"c_max": "25", "lambda_od": "10"}
    assert published_names.setting("vae.beta=4") == published_names.setting("beta = 4") == {"beta": "4"}


def test_a_users_file_is_read_with_its_protocol(one):
    row = one(steps="300,000".replace(",", ""), lr="1e-4", metric_id="mig@1", split="")
    assert (row.datasets, row.methods, row.score) == (("dsprites",), ("beta_vae",), "mig")
    assert (row.value, row.std, row.n_seeds) == (0.3, 0.1, 5)
    assert (row.steps, row.lr, row.batch, row.metric_id) == (300_000, 1e-4, None, "mig@1")
    assert dict(row.settings) == {"beta": "4"}
    assert row.unclear == ()


def test_the_protocol_of_a_known_paper_is_filled_in_and_the_row_counts_before_it(one):
    paper = "Locatello et al. 2019, arXiv:1811.12359"
    row = one(paper=paper, method="FactorVAE", hyperparameter="gamma=10")
    assert (row.steps, row.batch, row.lr, row.latents) == (300_000, 64, 1e-4, 10)
    assert (row.data_source, row.metric_id, row.fixed["dsprites", "factor_vae"]) == (
        "official", "mig@1", {"updates": "dlib"},
    )  # fmt: skip
    assert one(paper=paper, metric="BetaVAE score").metric_id == "beta_vae@dlib2019"
    assert one(paper=paper, steps="5").steps == 5
    assert one(paper="Locatello et al. 2019").steps is None  # one of two papers of theirs in that year
    assert (row.protocol, one().protocol) == ("secondary", "")
    told = {
        "steps": "5",
        "batch": "5",
        "lr": "1",
        "latents": "5",
        "data_source": "drawn",
        "metric_id": "mig@1",
    }
    assert one(paper=paper, representation="mean", **told).protocol == ""  # none of it is used
    assert one(paper=paper.replace("12359", "12359v4")).steps == 300_000
    weak = one(paper="arXiv 2002.02886", method="Ada-GVAE")
    assert weak.fixed["dsprites", "ada_gvae"] == {"pairs": "dlib"}


@pytest.mark.parametrize(("dataset", "decay"), [("Shapes3D", "0.1"), ("mpi3d_complex", "0.001")])
def test_a_protocol_may_be_of_one_data_set(one, dataset, decay):
    row = one(paper="arXiv 2305.18378", dataset=dataset, method="QLAE", hyperparameter="")
    assert list(row.fixed.values()) == [{"values": "10", "weight_decay": decay}]
    assert (row.steps, row.protocol) == (200_000, "secondary")


@pytest.mark.parametrize("order", [1, -1])
def test_the_more_special_protocol_counts_wherever_it_stands(one, monkeypatch, order):
    lines = published_protocols.protocols()[::order]
    monkeypatch.setattr(published_protocols, "protocols", lambda: lines)
    paper = "Hsu et al. 2023 QLAE (arXiv 2305.18378) via ICA paper"
    assert one(paper=paper, method="QLAE", metric="InfoM").metric_id == "infomec@paper[latents=discrete]"
    vae = one(paper=paper, metric="InfoM")
    assert vae.metric_id == "infomec@paper"
    assert vae.steps is None  # their configuration is that of autoencoders
    assert any("networks" in text for text in vae.unclear)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": "MPI3D"}, "which MPI3D is not told"),
        ({"method": "DIP-VAE"}, "which DIP-VAE is not told"),
        ({"metric": "DCI"}, "taken as disentanglement"),
        ({"value": "30.1"}, "in percent"),
        ({"std": "2.5"}, "in percent"),
    ],
)
def test_what_a_row_leaves_open_is_told(one, changed, said):
    [text] = one(**changed).unclear
    assert said in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"value": "high"}, r"mine.csv, line 2: value is 'high'; expected a number"),
        ({"value": ""}, "line 2: value is empty"),
        ({"value": "nan"}, "value is 'nan'; expected a number$"),
        ({"value": "9" * 400}, "value is '9+'; expected a number$"),
        ({"std": "nan"}, "std is 'nan'; expected a number of at least 0, or nothing$"),
        ({"std": "-0.1"}, "line 2: std is '-0.1'; expected a number of at least 0"),
        ({"n_seeds": "-5"}, "n_seeds is '-5'"),
        ({"n_seeds": "2.5"}, "n_seeds is '2.5'; expected a whole number"),
        ({"sureness": "certain"}, "sureness is 'certain'; expected primary or secondary"),
        ({"source": " "}, "line 2: source is empty"),
        ({"steps": "many"}, "steps is 'many'"),
        ({"lr": "-1"}, "lr is '-1'"),
        ({"lr": "0"}, "lr is '0'; expected a number above 0, or nothing$"),
        ({"value": "0_3"}, "value is '0_3'; expected a number"),
        ({"n_seeds": "1e30"}, "line 2: n_seeds is '1e30'; expected a whole number up to"),
        (
            {"paper": "A (arXiv 1811.12359) in B (arXiv 2002.02886)"},
            "line 2: paper is .* several arXiv numbers",
        ),
        ({"statistic": "meen"}, "statistic in .*line 2: 'meen'; did you mean 'mean'"),
        ({"representation": "men"}, "representation in .*line 2: 'men'; did you mean 'mean'"),
        ({"data_source": "ofical"}, "data_source in .*line 2: 'ofical'; did you mean 'official'"),
        ({"split": "without 10"}, "line 2: split 'without 10'"),
        ({"metric_id": "migg@1"}, "metric_id in .*line 2: 'migg@1'; did you mean 'mig@1'"),
        ({"metric_id": "mig@2"}, "metric_id in .*line 2: 'mig@2'; did you mean 'mig@1'"),
        (
            {"metric_id": "mig@1[row=5]"},
            r"option of metric_id 'mig@1\[row=5\]' in .*'row'; did you mean 'rows'",
        ),
        ({"metric_id": "mig@1 or sap@1"}, "metric_id is 'sap@1', of another metric; expected one of mig"),
        ({"metricid": "mig@1"}, "column in .*mine.csv: 'metricid'; did you mean 'metric_id'"),
    ],
)
def test_a_wrong_field_is_named_with_file_line_and_value(one, changed, said):
    with pytest.raises(InputError, match=said):
        one(**changed)


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_column_is_named(tmp_path, missing):
    line = {k: v for k, v in GOOD.items() if k != missing}
    with pytest.raises(InputError, match=f"no column '{missing}'"):
        read_published(write(tmp_path / "mine.csv", line))


def test_files_that_are_no_tables_are_refused(tmp_path):
    path = write(tmp_path / "mine.csv", GOOD)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "a,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 3: 2 fields"):
        read_published(path)
    path.write_text(text.replace("std,", "std,std,", 1), encoding="utf-8")
    with pytest.raises(InputError, match="'std' twice"):
        read_published(path)
    for content in (b"", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"mine\.csv"):
            read_published(path)
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="could not be read"):
            read_published(path)


def test_a_file_that_a_spreadsheet_saved_is_read(tmp_path):
    path = write(tmp_path / "mine.csv", GOOD)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n")
    assert len(read_published(path)) == 1
