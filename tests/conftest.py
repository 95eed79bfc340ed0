"""Tests never touch the user's data: DISENTANGLE_DATA is a folder of this session, shared by its workers."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

from disentangle.data import FactorData
from disentangle.find import get

FOLDER = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
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
