"""The peers' environments: found, or made with `python -m venv` and pip."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch


class Missing(Exception):
    """A peer that cannot be had here, and why."""


@dataclass(frozen=True)
class Peer:
    """A package of the index: its module, what to install, the oldest Python that it takes."""

    module: str
    requirement: str
    python: tuple[int, int]


PEERS = {
    "disent": Peer("disent", "disent==0.9.3", (3, 12)),
    "pythae": Peer("pythae", "pythae==0.1.2", (3, 11)),
}


def find_python(name: str, folder: Path) -> Path:
    """The interpreter of a peer's environment ``folder/name``, which is made if it is not there.

    Raises:
        Missing: there is no fitting Python here, or pip cannot install the peer.
    """
    peer, place = PEERS[name], folder / name
    python = place / "bin" / "python"
    if python.exists() and _runs(python, f"import torch, {peer.module}"):
        return python
    print(f"making {place} for {peer.requirement} ...", flush=True)
    _call([_interpreter(peer.python), "-m", "venv", "--clear", str(place)])
    # The torch of this process, so that only the packages differ; any other if that one is not to be had.
    ours = "torch==" + torch.__version__.split("+")[0]
    install = [str(python), "-m", "pip", "install", "-q", peer.requirement]
    try:
        _call([*install, ours])
    except Missing:
        _call([*install, "torch"])
    if not _runs(python, f"import torch, {peer.module}"):
        raise Missing(f"{peer.requirement} was installed in {place} and cannot be imported")
    return python


def _interpreter(oldest: tuple[int, int]) -> str:
    """A Python of at least this version that has venv: this one, one on the path, one of pyenv's."""
    names = [f"python3.{minor}" for minor in range(oldest[1], 14)]
    homes = sorted((Path.home() / ".pyenv" / "versions").glob("3.*/bin/python"))
    found = [sys.executable, *filter(None, map(shutil.which, names)), *map(str, homes)]
    check = f"import sys, venv; sys.exit(not {oldest} <= sys.version_info[:2] <= (3, 13))"
    for candidate in found:  # pyenv's shims are on the path for versions that they then refuse to start
        if _runs(Path(candidate), check):
            return candidate
    raise Missing(f"needs Python {oldest[0]}.{oldest[1]} or later, and none was found")


def _runs(python: Path, code: str) -> bool:
    return subprocess.run([str(python), "-c", code], capture_output=True).returncode == 0


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise Missing(str(error)) from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(lines[-1] if lines else f"{command[0]} failed")
