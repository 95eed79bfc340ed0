"""What a run leaves behind while it trains: its checkpoint and its log, so that it can go on."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import torch
from torch import nn

from disentangle.files import write_bytes

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


class Damaged(Exception):
    """A checkpoint that cannot be read; it has been set aside."""


def save(folder: Path, step: int, seconds: float, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write a checkpoint whole. It holds tensors and numbers only, so that it loads without unpickling."""
    state = {
        "step": step,
        "milliseconds": int(seconds * 1000),
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    for stale in folder.glob("codes*.npy"):  # of a model that this one replaces
        stale.unlink()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(folder / CHECKPOINT, buffer.getvalue())


def restore(
    folder: Path, device: torch.device, model: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    """Load a checkpoint into the model and the optimiser.

    Returns:
        The steps done and the seconds they took; ``(0, 0.0)`` where there is no checkpoint.

    Raises:
        Damaged: it cannot be read; it now ends in ``.damaged``, and model and optimiser may be half
            loaded.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return 0, 0.0
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"]), state["milliseconds"] / 1000
    except (MemoryError, PermissionError, torch.OutOfMemoryError):
        raise  # the file may be whole
    except Exception as error:  # any damage shows as some exception of torch, zipfile or ours
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Damaged(f"{path} cannot be read ({reason}) and is set aside as {aside.name}") from error


def is_finished(folder: Path, steps: int) -> bool:
    """Whether a run's folder holds its last checkpoint."""
    lines = read_log(folder)
    return steps == 0 or ((folder / CHECKPOINT).exists() and bool(lines) and lines[-1]["step"] >= steps)


def log(folder: Path, line: dict[str, float]) -> None:
    """Add a line to the run's log."""
    with (folder / LOG).open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_log(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's log; a line torn by a kill is left out."""
    lines = []
    with contextlib.suppress(FileNotFoundError):
        for text in (folder / LOG).read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(text))
    return lines


def rewind_log(folder: Path, step: int) -> dict[str, float]:
    """Drop the lines past a step, which are done again; the last line that stays."""
    kept = [line for line in read_log(folder) if line["step"] <= step]
    if (folder / LOG).exists():
        write_bytes(folder / LOG, "".join(json.dumps(line) + "\n" for line in kept).encode())
    return kept[-1] if kept else {}
