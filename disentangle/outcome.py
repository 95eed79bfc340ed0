"""What became of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ATTEMPTS = 3  # of a task that failed for no fault of the user's, or whose process died


@dataclass(frozen=True)
class Outcome:
    """What became of a task of a study.

    Attributes:
        key: the task's.
        status: ``"done"``, ``"diverged"``, ``"held"`` by another command, ``"failed"``, or ``"left"``: not
            begun, because the study could not go on.
        message: for people.
        again: whether it may succeed if it is tried again: its process died, or an error that is no
            mistake of the user's.
        stop: whether nothing else can succeed either, as on a full disk.
    """

    key: str
    status: Literal["done", "diverged", "held", "failed", "left"]
    message: str = ""
    again: bool = False
    stop: bool = False
