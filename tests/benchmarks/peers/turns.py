"""What every side does between its steps: say who it is, warm up, wait, do n steps, say what they took.

One line of JSON each way. The driver (`training.py`) writes the number of steps to standard input; the side
answers with the wall and CPU seconds and the page faults of exactly these steps. Between turns a side sleeps
in a read.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, NoReturn

import torch

WARM_UP = 4


def versions(*distributions: str) -> str:
    """``"disent 0.9.3, lightning 2.6.6, torch 2.13.0, python 3.12.1"``."""
    found = [f"{name} {metadata.version(name)}" for name in distributions]
    return ", ".join([*found, f"torch {torch.__version__}", f"python {platform.python_version()}"])


def _page_faults() -> int:
    """Pages that this process had mapped in so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


class Turns:
    """Counts steps and answers the driver after the last one of each turn.

    Args:
        about: what the driver shall know of the side; sent once the warm-up is over.
    """

    def __init__(self, about: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        # Libraries print; the driver must read nothing but answers.
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._about = about
        self._left = WARM_UP
        self._wall = self._cpu = 0.0
        self._faults = 0

    def stepped(self, loss: float | None = None) -> None:
        """To be called after each step; returns when there is another one to do."""
        self._left -= 1
        if self._left == 0:
            self._answer(loss)
            self._wait()

    def serve(self, advance: Callable[[int], float]) -> NoReturn:
        """For sides that can be asked for n steps: answer turns until the driver goes away."""
        while True:
            loss = advance(self._left)
            self._answer(loss)
            self._wait()

    def _answer(self, loss: float | None) -> None:
        took = {
            "wall": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu,
            "faults": _page_faults() - self._faults,
        }
        print(json.dumps({**(self._about or took), "loss": loss}), file=self._out, flush=True)
        self._about = {}

    def _wait(self) -> None:
        line = sys.stdin.readline()
        if not line:  # the driver is done; a trainer in whose callback we are would go on for ever
            os._exit(0)
        self._left = int(line)
        self._faults = _page_faults()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
