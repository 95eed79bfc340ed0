"""Scoring arrays and files: ids, streams, encoding, and codes from elsewhere."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from disentangle import DataError, InputError, Run, find
from disentangle.build import build_model
from disentangle.draws import generator
from disentangle.encode import encode, evaluation_rows
from disentangle.score import metric_id, parse_metric, read_codes, score

TOY = find.get("dataset", "toy").load()
GRID = np.stack(np.unravel_index(np.arange(1200), (3, 20, 20)), 1)
CODES = (GRID @ np.random.default_rng(0).standard_normal((3, 4))).astype(np.float32)
FEW = {"name": "beta_vae", "train_points": 60, "test_points": 40}
DCI = {"name": "dci", "train_points": 100, "test_points": 50}


def by_name(found):
    return {s.name: s.value for s in found}


def test_a_metric_does_not_depend_on_which_others_run():
    alone = by_name(score(CODES, GRID, [FEW], seed=3))
    together = by_name(score(CODES, GRID, [DCI, "mig", FEW], seed=3))
    assert alone.items() <= together.items()
    assert by_name(score(CODES, GRID, ["mig"], seed=4))["mig"] != together["mig"]


def test_ids_tell_protocols_apart():
    assert metric_id("mig") == "mig@1"
    assert metric_id({"name": "mig", "points": 10_000}) == "mig@1"
    assert metric_id(DCI, rows=99) == "dci_gbt@2[rows=99,test_points=50,train_points=100]"
    [found] = score(CODES, GRID, ["mig"], published_sizes=False)
    assert (found.id, found.points) == ("mig@1[n=1200]", "1200")
    [found] = score(CODES, GRID, ["mig"])
    assert (found.id, found.points) == ("mig@1", "10000")
    assert score(CODES, GRID, [FEW])[0].points == "60 train, 40 test, batches of 64"


def test_the_headline_is_among_the_scores_of_every_metric():
    for spec in ("mig", DCI, FEW):
        metric = find.get("metric", parse_metric(spec)[0])
        assert metric.headline in by_name(score(CODES, GRID, [spec]))


def test_the_reference_order_of_draws_is_at_hand_by_its_own_id():
    [found, _] = score(CODES, GRID, [{**FEW, "mode": "dlib"}], seed=5)
    direct = find.get("metric", "beta_vae").function(
        CODES, GRID, rng=np.random.RandomState(5), train_points=60, test_points=40, mode="dlib"
    )
    assert found.value == float(direct)
    assert found.id.startswith("beta_vae@dlib")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("migs", "unknown metric 'migs'; did you mean 'mig'"),
        ({"name": "mig", "bin": 3}, "unknown option of metric mig 'bin'; did you mean 'bins'"),
        ({"points": 3}, "needs a name"),
        ({"name": "mig", "rng": 3}, "unknown option"),
    ],
)
def test_wrong_metrics_are_told(spec, message):
    with pytest.raises(InputError, match=message):
        score(CODES, GRID, [spec])


def test_codes_are_read_back(tmp_path):
    np.savez(tmp_path / "codes.npz", codes=CODES, factors=GRID)
    codes, factors = read_codes(tmp_path / "codes.npz")
    assert np.array_equal(codes, CODES)
    assert np.array_equal(factors, GRID)


def truncated(path):
    np.savez(path, codes=CODES, factors=GRID)
    path.write_bytes(path.read_bytes()[:2000])


def flipped(path):
    np.savez_compressed(path, codes=CODES, factors=GRID)
    content = bytearray(path.read_bytes())
    content[300] ^= 0xFF
    path.write_bytes(bytes(content))


def single(path):
    with path.open("wb") as file:
        np.save(file, CODES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_bytes(b"not a zip"), "not a readable .npz"),
        (truncated, "not a readable .npz"),
        (flipped, "not a readable .npz"),
        (lambda p: np.savez(p, codes=np.array([{}]), factors=GRID), "not a readable .npz of plain arrays"),
        (lambda p: np.savez(p, codes=CODES), "has no array 'factors'"),
        (single, "is a single array"),
    ],
)
def test_bad_files_of_codes_are_data_errors_with_their_name(tmp_path, make, message):
    path = tmp_path / "codes.npz"
    make(path)
    with pytest.raises(DataError, match=message) as caught:
        read_codes(path)
    assert str(path) in str(caught.value)


def test_a_part_of_the_grid_is_fixed_sorted_and_without_repeats():
    rows = evaluation_rows(TOY, 50)
    assert np.array_equal(rows, evaluation_rows(TOY, 50))
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(evaluation_rows(TOY, None), np.arange(192))
    with pytest.raises(InputError, match=r"rows must be in 2..192, the images of toy, got 193"):
        evaluation_rows(TOY, 193)


def test_encoding_is_the_representation_and_its_cache_is_checked(tmp_path):
    run = Run(method="vae", dataset="toy", steps=0)
    model, rows, cache = build_model(run, TOY), np.arange(0, 192, 3), tmp_path / "codes.npy"
    codes = encode(run, model, TOY, rows, cache=cache)
    direct = find.get("method", "vae").represent(model, TOY.images(rows)).numpy()
    assert np.allclose(codes, direct, atol=1e-6)
    assert np.array_equal(np.load(cache), codes)
    np.save(cache, codes + 1)
    assert np.array_equal(encode(run, model, TOY, rows, cache=cache), codes + 1)
    for damage in (b"", cache.read_bytes()[:-9]):
        cache.write_bytes(damage)
        assert np.array_equal(encode(run, model, TOY, rows, cache=cache), codes)
    assert len(encode(run, model, TOY, rows[:5], cache=cache)) == 5


def test_repeats_draw_anew_and_tell_the_metrics_own_noise():
    noisy = CODES + np.random.default_rng(0).normal(size=CODES.shape)
    spec = {"name": "mig", "points": 300}
    [once], [thrice] = (score(noisy, GRID, [spec], seed=2, repeats=n) for n in (1, 3))
    assert (once.repeats, once.std) == (1, None)
    stream = [generator(2, "score", step=i, part=zlib.crc32(b"mig")) for i in range(3)]
    by_hand = [float(find.get("metric", "mig").function(noisy, GRID, rng=rng, points=300)) for rng in stream]
    assert once.value == by_hand[0]
    assert thrice.value == pytest.approx(np.mean(by_hand))
    assert thrice.std == pytest.approx(np.std(by_hand, ddof=1)) != 0
    assert thrice.id == "mig@1[points=300,repeats=3]"
    # What draws nothing has no noise.
    [whole] = score(noisy, GRID, ["mig"], published_sizes=False, repeats=2)
    assert whole.std == 0
    [first, _] = score(CODES, GRID, [{**FEW, "mode": "dlib"}], seed=5, repeats=2)
    assert first.std is not None
    for bad in (0, 1.5, True):
        with pytest.raises(InputError, match=r"repeats is .*expected a whole number of at least 1"):
            score(CODES, GRID, ["mig"], repeats=bad)


def test_a_metric_of_several_models_cannot_score_one():
    with pytest.raises(InputError, match="udr compares several models of one setting and cannot score one"):
        score(CODES, GRID, ["udr"])
    assert "udr" not in find.metrics_of_codes()


def test_threads_and_device_reach_the_metric_and_stay_out_of_its_id(monkeypatch):
    seen = []
    metric = find.get("metric", "dci")

    def record(codes, factors, *, rng=0, train_points: int, test_points: int, threads=1, device="cpu"):
        seen.append((threads, device))
        return metric.function(codes, factors, rng=rng, train_points=train_points, test_points=test_points)

    other = replace(metric, function=record)
    monkeypatch.setattr(find, "get", lambda kind, name: other)
    [on_cpu, *_] = score(CODES, GRID, [DCI], threads=2)
    [on_gpu, *_] = score(CODES, GRID, [DCI], device="cuda:1")
    monkeypatch.undo()
    assert seen == [(2, "cpu"), (1, "cuda:1")]
    assert on_cpu.id == metric_id(DCI)
    assert on_gpu.id == metric_id(DCI) + "[device=cuda:1]"
    with pytest.raises(InputError, match="unknown device 'gpu'; expected auto, cpu, cuda"):
        score(CODES, GRID, [DCI], device="gpu")
    with pytest.raises(InputError, match="unknown option of metric dci 'threads'"):
        score(CODES, GRID, [{**DCI, "threads": 2}])


def test_ids_of_own_tables_spell_out_what_was_drawn():
    drawn = {"name": "mig", "points": 10_000}
    assert metric_id("mig", n=600) == "mig@1[n=600]"
    assert metric_id(drawn, n=600) == "mig@1[n=600,points=10000]"
    assert metric_id({"name": "downstream", "sizes": [10, 100, 1000, 10_000]}) == "downstream@1"
    assert metric_id({"name": "irs", "quantile": 1}) == metric_id({"name": "irs", "quantile": 1.0})
    assert metric_id("sap@dlib") == metric_id({"name": "sap", "mode": "dlib"}) == "sap@dlib"
    with pytest.raises(InputError, match="mode"):
        parse_metric("sap@dlibb")
