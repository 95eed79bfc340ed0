"""What a run leaves behind while it trains: its checkpoint and its log, so that it can go on."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from disentangle.files import write_bytes

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
TAIL = 4096  # bytes at a log's end that hold its last line
DIGEST = 32  # bytes of SHA-256 before what torch wrote


class Damaged(Exception):
    """A file of a run that cannot be read; it has been set aside."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds beside the parameters: without arguments, of a run that has not begun.

    Attributes:
        step: the steps done.
        seconds: the time that they took.
        stack: how many runs trained as one.
        optimiser: Adam's state, tensors on the CPU.
        data: the checksum of the images; empty in checkpoints of before it was kept.
    """

    step: int = 0
    seconds: float = 0.0
    stack: int = 1
    optimiser: dict[str, Any] | None = None
    data: str = ""


def save(folder: Path, step: int, seconds: float, stack: int, data: str, state: dict[str, Any]) -> None:
    """Write a checkpoint whole. It holds tensors, numbers and texts only: it loads without unpickling.

    Args:
        folder: the run's.
        step: the steps done.
        seconds: the time that they took.
        stack: how many runs train as one.
        data: the checksum of the images.
        state: ``{"model": ..., "optimiser": ...}``, the state dicts.
    """
    content = {"step": step, "milliseconds": int(seconds * 1000), "stack": stack, "data": data, **state}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    body = buffer.getvalue()
    # torch reads tensors without looking whether they are what was written.
    write_bytes(folder / CHECKPOINT, hashlib.sha256(body).digest() + body)


def restore(folder: Path, model: nn.Module) -> Saved:
    """Load a checkpoint into a model on the CPU; where there is none, `Saved()` and the model as it is.

    Raises:
        Damaged: it cannot be read, or is of another model; it is set aside, and the model may
            be half loaded.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return Saved()
    try:
        content = path.read_bytes()
        digest, body = content[:DIGEST], content[DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            raise ValueError("its checksum is not that of its content")
        state = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        moments = state["optimiser"]["state"]
        for index, parameter in enumerate(model.parameters()):
            for name in ("exp_avg", "exp_avg_sq") if index in moments else ():  # a frozen one has none
                if moments[index][name].shape != parameter.shape:
                    raise ValueError(f"{name} {index} is {tuple(moments[index][name].shape)}")
        seconds = state["milliseconds"] / 1000
        stack, data = int(state.get("stack", 1)), str(state.get("data", ""))
        return Saved(int(state["step"]), seconds, stack, state["optimiser"], data)
    except (MemoryError, PermissionError, torch.OutOfMemoryError):
        raise  # the file may be whole
    except Exception as error:  # any damage shows as some exception of torch, zipfile or ours
        raise set_aside(path, error) from error


def set_aside(path: Path, error: BaseException) -> Damaged:
    """Rename a file that cannot be read, so that nothing is lost and it is made again; what to tell."""
    aside = path.with_name(f"{path.name}.damaged")
    with contextlib.suppress(FileNotFoundError):
        path.replace(aside)
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Damaged(f"{path} cannot be read ({reason}) and is set aside as {aside.name}")


def log(folder: Path, line: dict[str, float]) -> None:
    """Add a line to the run's log."""
    with (folder / LOG).open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_log(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's log; a line torn by a kill or damaged is left out."""
    with contextlib.suppress(FileNotFoundError):
        return _parsed((folder / LOG).read_text(errors="replace"))
    return []


def last_line(folder: Path) -> dict[str, float] | None:
    """The last whole line of a run's log, without reading the rest; None if there is none."""
    try:
        with (folder / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = _parsed(file.read().decode(errors="replace"))
    except FileNotFoundError:
        return None
    return lines[-1] if lines else None


def _parsed(text: str) -> list[dict[str, float]]:
    """The lines that are whole."""
    lines = []
    for one in text.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            line = json.loads(one)
            if isinstance(line, dict) and "step" in line:
                lines.append(line)
    return lines


def rewind_log(folder: Path, step: int) -> dict[str, float]:
    """Drop the lines past a step, which are done again; the last line that stays."""
    kept = [line for line in read_log(folder) if line["step"] <= step]
    if (folder / LOG).exists():
        write_bytes(folder / LOG, "".join(json.dumps(line) + "\n" for line in kept).encode())
    return kept[-1] if kept else {}
