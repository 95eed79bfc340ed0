"""Encode a data set once: a representation is a table of codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from disentangle import find
from disentangle.data import FactorData
from disentangle.draws import generator
from disentangle.errors import InputError
from disentangle.files import whole_file
from disentangle.memory import keep_freed_memory
from disentangle.precision import computing_in
from disentangle.run import Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Fixed per kind of device, so that the same weights always give the same codes there. On a CPU the
# activations of 64 images stay in its cache (256 take twice as long); a GPU wants more at once.
BATCH = {"cpu": 64}
BATCH_ELSEWHERE = 1024


def evaluation_rows(data: FactorData, rows: int | None) -> NDArray[np.int64]:
    """Which images are scored: all of the grid in order, or a fixed random part of it.

    The part depends on the data set's size and ``rows`` alone, so all runs are scored on the same
    images.

    Args:
        data: the data set.
        rows: how many; ``None`` is all.

    Raises:
        InputError: more rows than images, or fewer than 2.
    """
    if rows is None:
        return np.arange(len(data))
    if not 2 <= rows <= len(data):
        raise InputError(f"rows must be in 2..{len(data)}, the images of {data.name}, got {rows}")
    chosen = generator(0, "score").choice(len(data), rows, replace=False)
    return np.sort(chosen).astype(np.int64)


@torch.inference_mode()
def encode(
    run: Run,
    model: nn.Module,
    data: FactorData,
    rows: NDArray[np.int64] | None = None,
    *,
    cache: Path | None = None,
    progress: bool = False,
) -> NDArray[np.float32]:
    """The representation of a model: one row of codes per image.

    Args:
        run: what the model was trained as.
        model: the model; it is put in evaluation mode.
        data: the data set, on the model's device.
        rows: indices of the images; the whole grid where not given.
        cache: a file ``.npy`` that is read if it has the right shape, and written otherwise.
        progress: show a progress bar where the output is a terminal.

    Returns:
        Codes ``(N, latents)``.
    """
    rows = np.arange(len(data)) if rows is None else rows
    cached: NDArray[np.float32] | None = _read(cache, (len(rows), run.latents))
    if cached is not None:
        return cached
    represent = find.get("method", run.method).represent
    codes = np.empty((len(rows), run.latents), np.float32)
    hidden = None if progress else True
    with (
        computing_in("fp32", data.device),  # whatever the run was trained in
        tqdm(total=len(rows), desc="encoding", disable=hidden, unit="image") as bar,
    ):
        for start, images in batches(model, data, rows):
            part = represent(model, images).float().cpu().numpy()
            codes[start : start + len(part)] = part
            bar.update(len(part))
    if cache is not None:
        with whole_file(cache) as file:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(codes))
            file.write(codes.data)  # numpy's own way of writing hides why a disk refuses
    return codes


def batches(model: nn.Module, data: FactorData, rows: NDArray[np.int64]) -> Iterator[tuple[int, Tensor]]:
    """Put the model in evaluation mode and go through images: where each batch starts, and its images."""
    keep_freed_memory()
    # The faster order of pixels for convolutions.
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = BATCH.get(data.device.type, BATCH_ELSEWHERE)
    for start in range(0, len(rows), size):
        images = data.images(rows[start : start + size])
        yield start, images.contiguous(memory_format=torch.channels_last)


def cache_file(folder: Path, rows: int | None) -> Path:
    """Where a run's folder keeps the codes of so many images, or of all."""
    return folder / ("codes.npy" if rows is None else f"codes-{rows}.npy")


def _read(path: Path | None, shape: tuple[int, int]) -> Any:
    """The cached codes, or None where they are absent, damaged or of another shape."""
    if path is None or not path.exists():
        return None
    try:
        codes = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return None
    return codes if codes.shape == shape and codes.dtype == np.float32 else None
