"""Packaging: the wheel holds what git does, imports are light, and every docstring example runs."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

import disentangle
from disentangle import find

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"disentangle": "disentangle", "datasets": "disentangle/datasets", "metrics": "disentangle/metrics"}
CHECKOUT = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a git checkout")


def modules():
    names = ["disentangle"]
    for package in ("disentangle", *find.PACKAGES.values()):
        spec = importlib.util.find_spec(package)
        for info in pkgutil.iter_modules(spec.submodule_search_locations):
            name = f"{package}.{info.name}"
            if name.count(".") > 1 or (ROOT / "disentangle" / f"{info.name}.py").exists():
                names.append(name)
    return sorted(set(names) - {"disentangle.__main__"})


@pytest.mark.parametrize("name", modules())
def test_the_examples_in_docstrings_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not failed


def test_most_modules_are_among_the_doctested():
    assert {"disentangle.train", "disentangle.metrics.mig", "disentangle.datasets.toy"} <= set(modules())


@CHECKOUT
def test_wheel_and_sdist_hold_what_git_does_and_nothing_beside(tmp_path):
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, source], check=True)
    build = "from setuptools import build_meta as b; print(b.build_sdist('..'))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    [sdist] = tmp_path.glob("disentangle_bench-*.tar.gz")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
    ]
    subprocess.run([*command, sdist], check=True, capture_output=True)  # so the sdist is whole too
    [wheel] = tmp_path.glob("disentangle_bench-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    committed = subprocess.run(
        ["git", "ls-files", *FOLDERS], cwd=source, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    expected = {str(Path(FOLDERS[Path(f).parts[0]], *Path(f).parts[1:])) for f in committed}
    assert held == expected
    # No top-level `datasets` or `metrics`: those names belong to others.
    assert {name.split("/")[0] for name in held} == {"disentangle"}


def test_importing_is_light_and_metrics_are_at_hand():
    code = (
        "import sys, disentangle; assert 'torch' not in sys.modules and 'sklearn' not in sys.modules;"
        "from disentangle import mig, dci, beta_vae; assert 'torch' not in sys.modules; print(mig.__name__)"
    )
    environment = {"PYTHONPATH": ":".join(p for p in sys.path if p), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "mig", done.stderr


@pytest.mark.parametrize("name", sorted(disentangle._PLACES))
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(disentangle, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'migg'"):
        _ = disentangle.migg


@pytest.mark.parametrize("kind", ["method", "dataset", "metric"])
def test_everything_found_has_its_descriptor_in_one_file(kind):
    for name in find.names(kind):
        found = find.get(kind, name)
        assert found.title
        assert found.paper


@CHECKOUT
def test_the_top_level_is_the_users():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {line.split("/")[0] for line in listed.splitlines() if "/" in line}
    assert folders == {"disentangle", "datasets", "metrics", "tests", "results", ".ci", ".docs"}
    size = sum((ROOT / line).stat().st_size for line in listed.splitlines() if (ROOT / line).exists())
    assert size < 60e6


def test_the_python_of_the_readme_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it writes files
    (tmp_path / "results").symlink_to(ROOT / "results")  # and reads one
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "elbo" in capsys.readouterr().out


def test_the_metric_of_the_contributing_guide_works():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    [block] = re.findall(r"```python\n(.*?)```", text, re.S)
    space = {"__name__": "usage_example"}
    sys.modules["usage_example"] = types.ModuleType("usage_example")  # dataclasses look their module up
    exec(compile(block, "CONTRIBUTING.md", "exec"), space)
    metric, factors = space["METRIC"], np.indices((3, 4)).reshape(2, -1).T
    result = metric.function(np.hstack([factors, 0 * factors]), factors, rng=0)
    assert result.scores() == {metric.headline: float(result)} == {"usage": 0.5}
    for bad in ((np.full((12, 2), np.nan), factors), (factors, 0 * factors)):
        with pytest.raises(disentangle.InputError):
            metric.function(*bad)
    with pytest.raises(disentangle.InputError):
        metric.function(factors, factors, rng=-1)
