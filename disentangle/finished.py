"""What a finished run leaves behind: its model as safetensors, and its result as JSON."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import torch
from torch import Tensor, nn

from disentangle.build import blank_model
from disentangle.checkpoint import CHECKPOINT, Damaged, last_line, set_aside
from disentangle.errors import InputError
from disentangle.files import write_bytes
from disentangle.provenance import provenance
from disentangle.run import Run

if TYPE_CHECKING:
    from disentangle.data import FactorData

RUN, MODEL, RESULT = "run.json", "model.safetensors", "result.json"
FORMAT = 1
TRAIN_ANEW = "move the folder away to train anew"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended; ``result.json`` in its folder.

    Attributes:
        run: what was trained.
        status: ``"done"`` or ``"diverged"``.
        step: the steps done; for a diverged run the first step whose loss was not finite.
        values: the last losses; those that are no finite numbers as text, which JSON has none for.
        seconds: wall-clock training time; of a stack, this run's share.
        stack: how many runs trained as one, most recently.
        image_shape: channels, height, width.
        data_checksum: of the images.
        model_sha256: of ``model.safetensors``; empty for a diverged run, which has no model.
        provenance: the software and hardware that trained it last.
    """

    format: int
    run: Run
    status: Literal["done", "diverged"]
    step: int
    values: dict[str, float | str]
    seconds: float
    stack: int
    image_shape: tuple[int, int, int]
    data_checksum: str
    model_sha256: str
    provenance: dict[str, Any]

    def numbers(self) -> dict[str, float]:
        """The last losses as numbers."""
        return {name: float(value) for name, value in self.values.items()}

    def check(self, data: FactorData, folder: Path) -> None:
        """Refuse images that the run was not trained on.

        Args:
            data: the data set that is here.
            folder: the run's, for the message.

        Raises:
            InputError: the data set has another checksum.
        """
        data.check_same(self.data_checksum, f"{folder}: the model was trained on", TRAIN_ANEW)


def finish(
    folder: Path,
    run: Run,
    data: FactorData,
    *,
    state: dict[str, Tensor] | None,
    status: Literal["done", "diverged"],
    step: int,
    values: dict[str, float],
    seconds: float,
    stack: int,
) -> Result:
    """Publish a run that has ended, and drop its checkpoint, which it needs no longer.

    The model comes first and names nothing; only the result says that the run is over, so that a
    process killed in between finishes again from the checkpoint.

    Args:
        folder: the run's.
        run: what was trained.
        data: on what, and on which device.
        state: the model's parameters; None if it diverged.
        status, step, values, seconds, stack: see `Result`.
    """
    content = b"" if state is None else _model_bytes(run, state)
    for stale in folder.glob("codes*.npy"):  # of a model that this one replaces
        stale.unlink()
    if content:
        write_bytes(folder / MODEL, content)
    result = Result(
        format=FORMAT,
        run=run,
        status=status,
        step=step,
        values={name: v if math.isfinite(v) else str(v) for name, v in values.items()},
        seconds=round(seconds, 3),
        stack=stack,
        image_shape=data.image_shape,
        data_checksum=data.checksum,
        model_sha256=hashlib.sha256(content).hexdigest() if content else "",
        provenance=provenance(str(data.device)),
    )
    write_bytes(folder / RESULT, msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def _model_bytes(run: Run, state: dict[str, Tensor]) -> bytes:
    """The parameters in the order of their names; the same parameters always give the same bytes."""
    from safetensors.torch import save

    tensors = {name: state[name].detach().cpu().contiguous() for name in sorted(state)}
    # One entry only: safetensors writes several in an order that changes from process to process.
    return bytes(save(tensors, metadata={"run": msgspec.json.encode(run.complete()).decode()}))


def read_result(folder: Path) -> Result | None:
    """How a run ended, or None while it has not.

    Raises:
        Damaged: ``result.json`` cannot be read; it is set aside, and the run goes on from its checkpoint
            or begins anew.
    """
    try:
        return _read(folder / RESULT)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise set_aside(folder / RESULT, error) from error


def is_finished(folder: Path) -> bool:
    """Whether a run has ended, be it diverged. A damaged result counts as none, and is left as it is."""
    try:
        return _read(folder / RESULT) is not None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _read(path: Path) -> Result | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except FileNotFoundError:
        return None


def load_weights(folder: Path, result: Result, model: nn.Module) -> None:
    """Put the published parameters into a model.

    Raises:
        Damaged: the file is missing, has another checksum than the result says, or is of another
            model. It is set aside, and so is the result: the run is not finished any more.
    """
    from safetensors.torch import load as tensors_of

    path = folder / MODEL
    try:
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != result.model_sha256:
            raise ValueError(f"its SHA-256 is {found[:12]}..., expected {result.model_sha256[:12]}...")
        model.load_state_dict(tensors_of(content))
    except (MemoryError, PermissionError, torch.OutOfMemoryError):
        raise  # the file may be whole
    except Exception as error:  # any damage shows as some exception of torch, safetensors or ours
        damaged = set_aside(path, error)
        set_aside(folder / RESULT, error)
        raise damaged from error


def load(run: str | Path) -> nn.Module:
    """The trained model of a run's folder, on the CPU and in evaluation mode.

    Needs ``result.json`` and ``model.safetensors``, and no data set. Nothing is unpickled.

    Args:
        run: the folder that `disentangle.train.train`, ``disentangle train`` or a study made for the run,
            such as ``runs/3f2c8e11a0b94d77``.

    Raises:
        InputError: the folder holds no finished run, or its model is missing, damaged or that of a
            diverged run.

    >>> import tempfile
    >>> from disentangle.train import train
    >>> run, folder = Run(method="vae", dataset="toy", steps=2, batch=4), tempfile.mkdtemp()
    >>> [trained] = train([run], folder=folder, device="cpu", progress=False)
    >>> model = load(f"{folder}/{run.key()}")
    >>> model.encode(torch.zeros(1, 1, 64, 64)).mu.shape
    torch.Size([1, 10])
    """
    return load_result(Path(run))[1]


def load_result(folder: Path) -> tuple[Result, nn.Module]:
    """A finished run's result and its model; see `load`."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of a run; expected one that `disentangle train` made")
    try:
        result = read_result(folder)
        if result is None:
            raise InputError(f"{folder}: {_how_far(folder)}")
        if result.status == "diverged":
            raise InputError(f"{folder}: the run diverged at step {result.step} and has no model")
        model = blank_model(result.run, result.image_shape)
        load_weights(folder, result, model)
    except Damaged as damaged:
        raise InputError(f"{damaged}; train the run again") from None
    return result, model.eval()


def _how_far(folder: Path) -> str:
    """What there is of a run that has no result."""
    try:
        run = msgspec.json.decode((folder / RUN).read_bytes(), type=Run)
    except FileNotFoundError:
        return f"it holds no run: {RESULT} and {RUN} are missing"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"{RUN} is not a run: {error}"
    step = int((last_line(folder) or {"step": 0})["step"])
    return f"the run stopped at step {step} of {run.updates()}; train it again to finish it"
