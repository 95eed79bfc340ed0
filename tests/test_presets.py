"""Presets: the published grids, their restriction, their study files, and the published model numbers."""

import csv
import itertools
import subprocess
import sys

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disentangle import InputError, Run, find
from disentangle.presets import (
    INDEX,
    PROTOCOL,
    model_number,
    parse_seeds,
    preset,
    published_number,
    to_toml,
)
from disentangle.study import Grid, Study, datasets, plan, read_study

DATASETS = [
    "dsprites",
    "color_dsprites",
    "noisy_dsprites",
    "scream_dsprites",
    "smallnorb",
    "cars3d",
    "shapes3d",
]
METHODS = ["beta_vae", "factor_vae", "dip_vae_i", "dip_vae_ii", "beta_tc_vae", "annealed_vae"]
HYPER = dict(zip(METHODS, ["beta", "gamma", "lambda_od", "lambda_od", "beta", "c_max"], strict=True))
WEAK = ["ada_gvae", "ada_ml_vae", "gvae", "ml_vae"]
SMALL = {"datasets": ["dsprites"], "methods": ["beta_vae"]}


def lines_of_the_index():
    with INDEX.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def runs_of(study):
    return plan(msgspec.structs.replace(study, calibration=[]), dict.fromkeys(datasets(study), "drawn"))


def beta_vae(**changes):
    fields = {"method": "beta_vae", "dataset": "dsprites", "hyper": {"beta": 4}, **changes}
    return Run(**fields)


def test_the_whole_2019_study_is_one_block_per_method_and_12600_runs():
    study = preset("locatello2019")
    assert [block.method for block in study.runs] == METHODS
    assert {tuple(block.dataset) for block in study.runs} == {tuple(DATASETS)}
    assert {block.method: list(block.hyper) for block in study.runs} == {m: [h] for m, h in HYPER.items()}
    settings_ = [len(values) for block in study.runs for values in block.hyper.values()]
    assert settings_ == [6] * 6
    assert study.seeds == list(range(50))
    assert sum(settings_) * len(DATASETS) * len(study.seeds) == 12_600
    assert study.runs[2].hyper == {"lambda_od": [1, 2, 5, 10, 20, 50]}
    assert study.runs[5].hyper == {"c_max": [5, 10, 25, 50, 75, 100]}


def test_the_weak_study_sweeps_beta_and_k_for_four_methods():
    study = preset("locatello2020")
    assert [block.method for block in study.runs] == WEAK
    assert {tuple(block.dataset) for block in study.runs} == {("dsprites", "shapes3d", "cars3d")}
    assert all(block.hyper == {"beta": [1, 2, 4, 6, 8, 16], "k": [1, "rnd"]} for block in study.runs)
    assert study.seeds == list(range(10))


def test_qlae_has_its_authors_settings_for_each_data_set(tmp_path):
    study = preset("hsu2023")
    assert (study.steps, study.batch, study.lr, study.seeds) == (200_000, 128, 1e-3, list(range(5)))
    runs = runs_of(study)
    assert [(r.dataset, r.latents, r.hyper["weight_decay"]) for r in runs[::5]] == [
        ("shapes3d", 12, 0.1),
        ("mpi3d_complex", 14, 0.001),
    ]
    assert {(r.method, r.hyper["values"], r.hyper["quantization"]) for r in runs} == {("qlae", 10, 0.01)}
    assert "infomec@1[latents=discrete]" in study.metric_ids()
    assert len(study.metric_ids()) == len(find.metrics_of_codes())
    path = tmp_path / "study.toml"
    path.write_text(to_toml(study, preset="hsu2023"), encoding="utf-8")
    assert read_study(path) == study
    [only] = preset("hsu2023", datasets=["mpi3d_complex"]).runs
    assert only.latents == 14


@pytest.mark.parametrize("name", ["locatello2019", "locatello2020"])
def test_the_protocol_is_the_published_one(name):
    method = {"locatello2019": "beta_vae", "locatello2020": "ada_gvae"}[name]
    study = preset(name, datasets=["dsprites"], methods=[method])
    assert (study.name, study.metrics, study.precision, study.source) == (name, None, "fp32", "auto")
    assert {field: getattr(study, field) for field in PROTOCOL} == PROTOCOL
    assert (study.batch, study.lr, study.latents, study.steps) == (64, 1e-4, 10, 300_000)


def test_the_part_that_this_version_has_makes_600_runs():
    runs = runs_of(preset("locatello2019", datasets=["dsprites", "shapes3d"], methods=["beta_vae"]))
    grid = itertools.product(["dsprites", "shapes3d"], [1, 2, 4, 6, 8, 16], range(50))
    assert [(run.dataset, run.hyper["beta"], run.seed) for run in runs] == list(grid)
    assert len(runs) == 600


def test_pairs_are_the_papers_and_k_is_one_or_random():
    runs = runs_of(preset("locatello2020", datasets="dsprites", methods="ada_gvae", seeds=[0]))
    assert {run.hyper["pairs"] for run in runs} == {"paper"}
    assert len({(run.hyper["beta"], run.hyper["k"]) for run in runs}) == len(runs) == 12


def test_a_restriction_keeps_the_order_of_the_study_and_changes_what_is_given():
    study = preset(
        "locatello2019",
        datasets=("shapes3d", "dsprites", "shapes3d"),
        methods="beta_vae",
        seeds=(49, 3),
        steps=20,
        source="drawn",
    )
    assert study.runs[0].dataset == ["dsprites", "shapes3d"]
    assert (study.seeds, study.steps, study.source) == ([49, 3], 20, "drawn")
    assert preset("locatello2019", **SMALL, steps=0).steps == 0


def test_changing_a_study_does_not_change_the_preset():
    study = preset("locatello2019", **SMALL)
    study.seeds.clear()
    study.runs[0].dataset.clear()
    study.runs[0].hyper["beta"].clear()
    fresh = preset("locatello2019", **SMALL)
    assert (len(fresh.seeds), fresh.runs[0].dataset) == (50, ["dsprites"])
    assert len(fresh.runs[0].hyper["beta"]) == 6


def test_the_weak_study_takes_other_seeds_since_its_models_have_no_numbers():
    study = preset("locatello2020", datasets=["dsprites"], methods=["ada_gvae"], seeds=[0, 2**63 - 1])
    assert study.seeds == [0, 2**63 - 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "locatello2018"}, "unknown preset 'locatello2018'; did you mean 'locatello2019'"),
        (
            {"datasets": ["dsprites", "cars"]},
            "unknown dataset of locatello2019 'cars'; did you mean 'cars3d'",
        ),
        ({"datasets": ["toy"]}, "unknown dataset of locatello2019 'toy'.*Known: cars3d, color_dsprites"),
        ({"datasets": "dsprites_full"}, "'dsprites_full'; did you mean 'dsprites'"),
        ({"methods": ["vae"]}, "unknown method of locatello2019 'vae'"),
        ({"methods": ["ada_gvae"]}, "unknown method of locatello2019 'ada_gvae'"),
        ({"datasets": []}, "the list of datasets is empty; leave it out for all of .*'locatello2019'"),
        ({"methods": ()}, "the list of methods is empty"),
        ({"seeds": []}, "seeds is an empty list; leave it out for all of the preset 'locatello2019'"),
        ({"seeds": [0, 50]}, "seeds: 50 is out of range: expected 0 to 49, .* preset 'locatello2019'"),
        ({"seeds": [-1]}, "seeds: -1 is out of range: expected 0 to 49"),
        ({"seeds": [1, 2, 1]}, "seeds: 1 is there more than once"),
        ({"seeds": [0, 1.5]}, r"seeds\[1\] is 1.5: expected `int`, got `float`"),
        ({"seeds": [True]}, r"seeds\[0\] is True: expected `int`, got `bool`"),
        ({"seeds": "07"}, r"seeds\[0\] is '0': expected `int`, got `str`"),
        ({"steps": -1}, "steps is -1: expected `int` >= 0"),
        ({"steps": 1.5}, "steps is 1.5: expected `int"),
        ({"source": "web"}, "source is 'web'"),
    ],
)
def test_a_wrong_choice_is_told(changes, message):
    with pytest.raises(InputError, match=message):
        preset(**{"name": "locatello2019", **SMALL, **changes})


def test_seeds_of_the_weak_study_are_checked_too():
    for seed in (-1, 2**63):
        with pytest.raises(InputError, match=f"seeds: {seed} is out of range: expected 0 to {2**63 - 1}"):
            preset("locatello2020", datasets=["dsprites"], methods=["ada_gvae"], seeds=[seed])


def test_a_wrong_name_is_told():
    with pytest.raises(InputError, match="unknown method of locatello2019 'betavae'"):
        preset("locatello2019", methods=["betavae"])


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", [0]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("0,3,7-9", [0, 3, 7, 8, 9]),
        (" 7 - 8 ,0\n", [7, 8, 0]),
        ("5-5", [5]),
        ("007", [7]),
        (str(2**63 - 1), [2**63 - 1]),
    ],
)
def test_seeds_are_read_in_the_order_written(text, seeds):
    assert parse_seeds(text) == seeds


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=30, unique=True))
def test_seeds_written_one_by_one_are_read_back(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == seeds


@given(st.integers(0, 2**62), st.integers(0, 300), st.integers(1, 300))
def test_a_range_is_its_two_halves_and_the_single_seeds_in_it(first, length, split):
    last, middle = first + length, first + min(split, length)
    whole = parse_seeds(f"{first}-{last}")
    assert whole == list(range(first, last + 1))
    if length:
        assert whole == parse_seeds(f"{first}-{middle - 1},{middle}-{last}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "seeds is '': expected numbers and ranges, such as 0-4"),
        (" \n", r"seeds is ' \\n'"),
        ("0,,1", "seeds: '' is no whole number from 0"),
        ("0,", "seeds: '' is no whole number"),
        ("-1", "seeds: '-1' is no whole number from 0"),
        ("-3--1", "seeds: '-3--1' is no whole number"),
        ("3-", "seeds: '3-' is no whole number"),
        ("1-2-3", "seeds: '1-2-3' is no whole number"),
        ("a", "seeds: 'a' is no whole number from 0, such as 3, and no range, such as 0-4"),
        ("1.5", "seeds: '1.5' is no whole"),
        ("1e3", "seeds: '1e3' is no whole"),
        ("1 2", "seeds: '1 2' is no whole"),
        ("٣", "is no whole number"),
        ("9" * 5000, "is no whole number"),
        (str(2**63), f"seeds: {2**63} is out of range: expected 0 to {2**63 - 1}$"),
        ("4-0", "seeds: the range '4-0' falls: expected 0-4"),
        ("1,1", "seeds: 1 is there more than once"),
        ("0-4,9,3-5", "seeds: 3 is there more than once"),
        ("0-100000", "seeds: with '0-100000' they are more than 100,000"),
        ("0-9223372036854775807", "they are more than 100,000"),
        ("0-59999,60000-119999", "seeds: with '60000-119999' they are more than 100,000"),
    ],
)
def test_seeds_that_cannot_be_read_are_told(text, message):
    with pytest.raises(InputError, match=message):
        parse_seeds(text)


def test_a_hundred_thousand_seeds_are_allowed():
    assert len(parse_seeds("1-100000")) == 100_000


PARTS = st.one_of(
    st.fixed_dictionaries(
        {
            "name": st.just("locatello2019"),
            "methods": st.just(["beta_vae"]),
            "seeds": st.lists(st.integers(0, 49), min_size=1, max_size=50, unique=True),
        }
    ),
    st.fixed_dictionaries(
        {
            "name": st.just("locatello2020"),
            "methods": st.just(["ada_gvae"]),
            "seeds": st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True),
        }
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    PARTS,
    st.lists(st.sampled_from(["dsprites", "shapes3d"]), min_size=1, unique=True),
    st.integers(0, 10**9),
    st.sampled_from(["auto", "drawn", "official"]),
    st.text(),
)
def test_a_study_file_reads_back_as_the_same_study(tmp_path, part, datasets, steps, source, command):
    study = preset(**part, datasets=datasets, steps=steps, source=source)
    text = to_toml(study, preset=part["name"], command=command)
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    assert read_study(path) == study
    assert max(map(len, text.split("\n[[runs]]")[0].splitlines()[3:])) <= 100


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.floats(0, exclude_min=True, allow_infinity=False),
    st.sets(st.sampled_from(["true_factors", "rotated_factors", "untrained", "noise"])).map(sorted),
    st.sampled_from(["fp32", "bf16"]),
    st.floats(0, 1e300),
)
def test_other_studies_read_back_too(tmp_path, description, lr, calibration, precision, beta):
    study = Study(
        name="a.b-c",
        description=description,
        lr=lr,
        calibration=calibration,
        precision=precision,
        rows=50,
        metrics=["mig", {"name": "dci", "train_points": 9}, {"name": "sap", "mode": "dlib"}],
        runs=[
            Grid(dataset="toy", method="beta_vae", hyper={"beta": beta}, seeds=list(range(200)), lr=0.5),
            Grid(dataset=["toy"], method=["vae", "ae"], steps=0, precision="tf32"),
            Grid(
                dataset="toy",
                method="ada_gvae",
                hyper={"pairs": "dlib", "k": ["rnd", 1]},
                split=["", "correlated x y 0.5"],
            ),
        ],
    )
    path = tmp_path / "study.toml"
    path.write_text(to_toml(study, preset=None), encoding="utf-8")
    assert read_study(path) == study


def test_a_study_file_says_its_source_the_protocol_and_what_made_it():
    study = preset("locatello2019", **SMALL)
    command = "disentangle preset locatello2019\nname = 'x' \x00"
    text = to_toml(study, preset="locatello2019", command=command)
    assert text.splitlines() == [
        "# Locatello et al. 2019, arXiv 1811.12359",
        "# Settings and seeds are those of the study's 12,600 models. Its FactorVAEs had half as many "
        'updates as steps, which is hyper = { updates = "dlib" }.',
        "# Made by: disentangle preset locatello2019 name = 'x'  ",
        'name = "locatello2019"',
        'description = "Runs of the study of Locatello et al. 2019, arXiv 1811.12359."',
        "seeds = [",
        "    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,",
        "    26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,",
        "]",
        "steps = 300000",
        "batch = 64",
        "lr = 0.0001",
        "latents = 10",
        'source = "auto"',
        "",
        "[[runs]]",
        'dataset = ["dsprites"]',
        'method = "beta_vae"',
        "hyper = { beta = [1.0, 2.0, 4.0, 6.0, 8.0, 16.0] }",
    ]
    assert "not the paper's own list" in to_toml(study, preset="locatello2020").splitlines()[1]
    assert to_toml(study, preset=None).startswith('name = "locatello2019"\n')


def test_a_study_file_refuses_an_unknown_preset_and_what_it_cannot_hold():
    study = preset("locatello2019", **SMALL)
    with pytest.raises(InputError, match="unknown preset 'locatello'; did you mean"):
        to_toml(study, preset="locatello")
    odd = msgspec.structs.replace(study, metrics=[{"name": "mig", "points": None}])
    with pytest.raises(InputError, match="a study file cannot hold None: expected texts, numbers"):
        to_toml(odd, preset=None)


def test_the_index_is_shipped_whole_and_follows_the_formula():
    lines = lines_of_the_index()
    assert len(lines) == 7 * 6 * 6
    assert sum(int(line["n_seeds"]) for line in lines) == 12_600
    numbers = []
    for position, line in enumerate(lines):
        dataset = line["dataset"].replace("dsprites_full", "dsprites")
        first = int(line["first_model_num"])
        dataset_at, method_at = DATASETS.index(dataset), METHODS.index(line["method"])
        assert first == dataset_at * 1800 + method_at * 300 + position % 6 * 50
        for seed in range(50):
            number = published_number(dataset, line["method"], float(line["value"]), seed)
            assert number == first + seed <= int(line["last_model_num"])
            numbers.append(number)
    assert sorted(numbers) == list(range(12_600))


@pytest.mark.parametrize(
    ("names", "number"),
    [
        (("dsprites", "beta_vae", 1, 0), 0),
        (("dsprites", "beta_vae", 4, 0), 100),
        (("dsprites", "factor_vae", 10, 49), 349),
        (("color_dsprites", "beta_vae", 16.0, 1), 2051),
        (("shapes3d", "annealed_vae", 100, 49), 12_599),
        (("dsprites", "beta_vae", 4, 50), None),
        (("dsprites", "beta_vae", 4, -1), None),
        (("dsprites", "beta_vae", 5, 0), None),
        (("dsprites_full", "beta_vae", 4, 0), None),
        (("dsprites", "ada_gvae", 1, 0), None),
    ],
)
def test_known_model_numbers(names, number):
    assert published_number(*names) == number


def test_the_runs_of_the_preset_have_the_numbers_of_the_study():
    dsprites, shapes3d = 0, 6
    runs = runs_of(preset("locatello2019", datasets=["dsprites", "shapes3d"], methods=["beta_vae"]))
    expected = [at * 1800 + number for at in (dsprites, shapes3d) for number in range(300)]
    assert [model_number(run) for run in runs] == expected


@pytest.mark.parametrize(
    ("run", "number"),
    [
        (beta_vae(), 100),
        (beta_vae(hyper={}), 100),  # 4 is the method's default
        (beta_vae(hyper={"beta": 16.0}, seed=3, dataset="shapes3d"), 6 * 1800 + 253),
        (beta_vae(source="official", precision="bf16"), 100),
        (beta_vae(source="user"), None),
        (beta_vae(steps=299_999), None),
        (beta_vae(split="without scale=0"), None),
        (beta_vae(batch=32), None),
        (beta_vae(lr=1e-3), None),
        (beta_vae(latents=9), None),
        (beta_vae(hyper={"beta": 3}), None),
        (beta_vae(seed=50), None),
        (beta_vae(dataset="toy"), None),
        (beta_vae(method="vae", hyper={}), None),
        (beta_vae(method="ada_gvae", hyper={"beta": 4.0}), None),
        (beta_vae(method="no_such_method"), None),
    ],
)
def test_a_run_has_a_number_only_where_the_study_has_that_model(run, number):
    assert model_number(run) == number


def test_another_hyperparameter_that_is_not_the_default_takes_the_number_away():
    run = Run(method="annealed_vae", dataset="dsprites", hyper={"c_max": 10})
    assert model_number(run) == 1550
    assert model_number(msgspec.structs.replace(run, hyper={"c_max": 10, "gamma": 1000})) == 1550
    assert model_number(msgspec.structs.replace(run, hyper={"c_max": 10, "gamma": 100})) is None


@pytest.mark.parametrize("updates", ["paper", "dlib"])
def test_a_factor_vae_has_its_number_however_updates_are_counted(updates):
    run = Run(method="factor_vae", dataset="dsprites", hyper={"gamma": 10, "updates": updates}, seed=49)
    assert model_number(run) == 349


def test_wrong_hyperparameters_are_told():
    with pytest.raises(InputError, match="beta_vae hyperparameter beta is 'big'"):
        model_number(beta_vae(hyper={"beta": "big"}))


def test_the_index_is_not_read_at_import():
    code = "import disentangle.presets as p; print(p._index.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
