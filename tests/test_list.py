"""`disentangle list`: all there is, from its files alone."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

from disentangle import InputError, find, own_files
from disentangle.listing import KINDS, describe, entries, listing
from disentangle.own_data import save


def test_a_reader_that_has_enough_is_no_error():
    command = [sys.executable, "-m", "disentangle", "list"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "engines"])
def test_everything_has_a_title_a_paper_and_a_line(kind):
    found = entries(kind)
    assert [e.name for e in found] == list(find.names(KINDS[kind]))
    for entry in found:
        assert entry.title, entry.name
        assert entry.paper, entry.name
        assert len(entry.about) > 20, entry.name
        assert "\n" not in entry.about


def test_methods_show_their_hyperparameters_and_metrics_their_ids():
    methods = {entry.name: entry for entry in entries("methods")}
    assert methods["ada_gvae"].more == "beta=1.0, k=1, pairs=paper"
    assert methods["vae"].more == ""
    metrics = {entry.name: entry for entry in entries("metrics")}
    assert metrics["sap"].more == "sap@1, sap@dlib, sap@dlib2019"
    assert "cpus=" in {entry.name: entry for entry in entries("engines")}["slurm"].more


def test_an_unknown_kind_is_told():
    with pytest.raises(InputError, match="unknown kind 'method'; did you mean 'methods'"):
        entries("method")


NEW = '''"""Nothing at all (Nobody 2031): for a test.

More of it.
"""
import msgspec
from disentangle.find import Method


class Settings(msgspec.Struct, frozen=True):
    depth: int
    rate: float = 0.5
    layers: list[int] = msgspec.field(default_factory=lambda: [1, 2])


METHOD = Method("Nothing", "Nobody 2031", Settings, None, None, None, None)
'''


def test_a_new_file_is_listed_at_once(tmp_path, monkeypatch):
    (tmp_path / "a_new_one.py").write_text(NEW)
    package = importlib.import_module("disentangle.models")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(package.__spec__, "submodule_search_locations", package.__path__)
    find.names.cache_clear()
    try:
        [entry] = [entry for entry in entries("methods") if entry.name == "a_new_one"]
        text = listing(["methods"])
    finally:
        find.names.cache_clear()
        sys.modules.pop("disentangle.models.a_new_one", None)
    assert entry.more == "depth=(needed), rate=0.5, layers=[1, 2]"
    for line in ("a_new_one     Nothing; Nobody 2031", "Nothing at all (Nobody 2031): for a test."):
        assert line in text
    assert "More of it" not in text


def test_names_have_a_column_and_lines_are_wrapped_to_a_width():
    plain = listing(["methods"]).splitlines()
    assert plain[0] == "methods"
    column = max(map(len, find.names("method"))) + 2
    assert {line[:column].strip() for line in plain[1:]} == {"", *find.names("method")}
    assert max(map(len, plain)) > 100
    wrapped = listing(["methods", "metrics"], 80).splitlines()
    assert max(map(len, wrapped)) <= 80
    joined = " ".join(" ".join(wrapped).split())
    assert entries("methods")[0].about in joined
    assert listing(["methods"], 1)  # a window of one letter is no reason to fail


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("DISENTANGLE_DATA", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    factors = [[0, "b"], [0, "a"], [1, "a"], [1, "a"], [2, "b"], [2, "a"]]
    own_files.add(save(tmp_path / "mine.npz", images, factors, factor_names=["number", "letter"]))
    return tmp_path


def test_the_users_own_data_sets_are_marked(own):
    text = listing(["datasets"])
    assert "mine (your own); own data" in text
    assert f"6 images of 64x64x3, 2 factors, {own}/mine.npz" in text
    content = (own / "mine.npz").read_bytes()
    (own / "mine.npz").write_bytes(content.replace(b"NUMPY", b"NUMPI"))
    assert "mine (your own); own data" in listing(["datasets"])  # a damaged one hides no others
    assert "no NumPy array" in listing(["datasets"])


def test_a_data_set_is_described(own):
    text = describe("mine", "own data", own_files.read(own / "mine.npz"))
    assert "mine: 6 images of shape 3x64x64" in text
    assert "grid      5 of 6 combinations have images, 1 a second or more" in text
    assert "factor    number          3 values from 0 to 2" in text
    assert "factor    letter          2 values from a to b" in text


def cli(*arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "COLUMNS": "40"}
    command = [sys.executable, "-m", "disentangle", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_the_command_lists_all_or_one_kind():
    done = cli("list")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line in KINDS] == list(KINDS)
    assert done.stdout.strip() == listing([*KINDS])  # not a terminal: nothing is wrapped
    some = cli("list", "metrics")
    assert some.stdout.strip() == listing(["metrics"])
    wrong = cli("list", "metric")
    assert wrong.returncode != 0
    assert "Traceback" not in wrong.stderr + wrong.stdout
    assert "Example: disentangle list methods" in cli("list", "--help").stdout
