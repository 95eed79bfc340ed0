"""Tests never touch the user's data: DISENTANGLE_DATA is a folder of this session, shared by its workers."""

from __future__ import annotations

import os
import shutil
import tempfile

import hypothesis
import pytest
import torch

from disentangle.data import FactorData
from disentangle.find import get

FOLDER = pytest.StashKey[str]()
# A loaded machine is no reason to fail: timings belong in benchmarks.
hypothesis.settings.register_profile("patient", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("patient")
    torch.set_num_threads(1)  # xdist has a process per core already
    os.environ["OMP_NUM_THREADS"] = "1"
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read where kernels are first imported
    if hasattr(config, "workerinput"):  # a pytest-xdist worker inherits the controller's environment
        return
    config.stash[FOLDER] = os.environ["DISENTANGLE_DATA"] = tempfile.mkdtemp(prefix="disentangle-tests-")
    os.environ["DISENTANGLE_OFFLINE"] = "1"


def pytest_unconfigure(config: pytest.Config) -> None:
    if FOLDER in config.stash:
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def dsprites() -> FactorData:
    """Drawn dSprites; drawn once in the session."""
    return get("dataset", "dsprites").load("drawn")


@pytest.fixture(scope="session")
def shapes3d() -> FactorData:
    """Drawn 3DShapes; drawn once in the session."""
    return get("dataset", "shapes3d").load("drawn")
