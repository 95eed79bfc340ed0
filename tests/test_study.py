"""Study files: what they expand to, and every mistake told with its file and field."""

import pytest

from disentangle import InputError
from disentangle.calibrate import Calibration
from disentangle.study import plan, read_study

HEAD = 'name = "s"\nsteps = 5\n'
BLOCK = '[[runs]]\ndataset = "toy"\nmethod = "beta_vae"\n'


def write(folder, text):
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_lists_are_axes_and_defaults_are_written_out(tmp_path):
    text = (
        HEAD + 'seeds = [3, 4]\n[[runs]]\ndataset = "toy"\nmethod = "ada_gvae"\nhyper = { k = [1, "rnd"] }\n'
    )
    study = read_study(write(tmp_path, text))
    tasks = plan(study, {"toy": "drawn"})
    runs = [t for t in tasks if not isinstance(t, Calibration)]
    assert [(r.hyper["k"], r.seed) for r in runs] == [(1, 3), (1, 4), ("rnd", 3), ("rnd", 4)]
    assert runs[0].hyper == {"beta": 1.0, "k": 1, "pairs": "paper"}
    assert {r.steps for r in runs} == {5}
    assert [t.name for t in tasks[4:]] == ["true_factors", "rotated_factors", "untrained", "noise"]
    assert len({t.key() for t in tasks}) == 8


def test_a_block_overrides_the_study_and_a_folder_stands_for_its_file(tmp_path):
    write(tmp_path, HEAD + BLOCK + "steps = 7\nseeds = [9]\nlr = 0.01\n")
    [run] = plan(read_study(tmp_path), {"toy": "drawn"})[:1]
    assert (run.steps, run.seed, run.lr, run.batch) == (7, 9, 0.01, 64)


def test_the_drawn_and_the_official_data_give_other_keys(tmp_path):
    study = read_study(write(tmp_path, HEAD + BLOCK))
    keys = [{t.key() for t in plan(study, {"toy": source})} for source in ("drawn", "official")]
    assert not keys[0] & keys[1]


def test_metric_ids_spell_out_what_departs_from_the_published_protocol(tmp_path):
    text = HEAD + 'rows = 50\nmetrics = ["mig", { name = "dci", train_points = 9 }]\n' + BLOCK
    assert read_study(write(tmp_path, text)).metric_ids() == [
        "mig@1[rows=50]",
        "dci_gbt@2[rows=50,train_points=9]",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD, "missing required field `runs`"),
        ("name = 's'\nruns = []\n", "length >= 1"),
        (HEAD + "color = 1\n" + BLOCK, "unknown field 'color'.*Known: .*calibration"),
        (HEAD + BLOCK + "speed = 1\n", r"runs\[0\]: .*unknown field `speed`"),
        (HEAD + 'lr = "1e-4"\n' + BLOCK, "lr is '1e-4': expected `float`, got `str`"),
        (HEAD + "seeds = [0.5]\n" + BLOCK, r"seeds\[0\] is 0.5: expected `int`"),
        (HEAD + "seeds = []\n" + BLOCK, "seeds is an empty list"),
        (HEAD + BLOCK + "hyper = { beta = [] }\n", "hyper.beta is an empty list"),
        (
            HEAD + BLOCK + "hyper = { beta = [4, 4.0] }\n",
            "run 'beta_vae beta=4' on toy, seed 0, is there 2 times",
        ),
        (HEAD + BLOCK + BLOCK, "is there 2 times"),
        (
            HEAD + 'metrics = ["mig", { name = "mig", points = 10_000 }]\n' + BLOCK,
            "metric 'mig@1' is there 2 times",
        ),
        (
            HEAD + 'metrics = [{ name = "mig", points = "many" }]\n' + BLOCK,
            "option points is 'many': expected `int",
        ),
        (HEAD + 'calibration = ["noise", "noise"]\n' + BLOCK, "calibration 'noise' is there 2 times"),
        (HEAD + "lr = inf\n" + BLOCK, "lr"),
        (
            HEAD + BLOCK + 'hyper = { beta = "big" }\n',
            "beta_vae hyperparameter beta is 'big': expected `float`",
        ),
        (HEAD + BLOCK.replace("beta_vae", "betavae"), "unknown method 'betavae'; did you mean 'beta_vae'"),
        (HEAD + BLOCK.replace("toy", "tory"), "unknown dataset 'tory'; did you mean 'toy'"),
        (HEAD + 'metrics = ["migg"]\n' + BLOCK, "unknown metric 'migg'; did you mean 'mig'"),
        (HEAD + "metrics = [{ points = 3 }]\n" + BLOCK, "needs a name"),
        (HEAD + 'metrics = [{ name = "mig", point = 3 }]\n' + BLOCK, "unknown option of metric mig 'point'"),
        (HEAD + "metrics = []\n" + BLOCK, "metrics is an empty list"),
        (HEAD + 'calibration = ["truth"]\n' + BLOCK, "calibration must be of .* got 'truth'"),
        (HEAD + 'source = "web"\n' + BLOCK, "source is 'web'"),
        (HEAD + 'selection = ["best"]\n' + BLOCK, "unknown selection rule 'best'"),
        (
            HEAD + 'selection = ["oracle:migg"]\n' + BLOCK,
            "unknown score in selection 'migg'; did you mean 'mig'",
        ),
        (
            HEAD + 'metrics = ["dci"]\nselection = ["oracle:mig"]\n' + BLOCK,
            "unknown score in selection 'mig'. Known: dci_disentanglement",
        ),
        (
            HEAD + 'rows = 50\nselection = ["oracle:mig@1"]\n' + BLOCK,
            r"unknown metric id in selection 'mig@1'; did you mean 'mig@1\[rows=50\]'",
        ),
        (
            HEAD + 'selection = ["fixed"]\n' + BLOCK + "hyper = { beta = [1, 4] }\n",
            "the rule 'fixed' needs a setting of beta_vae in fixed; it has beta=1; beta=4",
        ),
        (
            HEAD + 'selection = ["fixed"]\nfixed = { beta_vae = { beta = 2 } }\n' + BLOCK,
            "fixed.beta_vae is 'beta=2', which no run has: beta=4",
        ),
        ("name = 'a/b'\n" + BLOCK, "name"),
        ("name = \n", "is not a TOML file"),
    ],
)
def test_a_mistake_is_told_with_the_file_and_what_is_wrong(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        read_study(path)
    assert str(path) in str(caught.value)


def test_a_missing_study_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.toml does not exist"):
        read_study(tmp_path / "nowhere.toml")
