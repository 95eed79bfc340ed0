"""A plain PyTorch loop of the protocol's network: `side_plain.py loader|memory METHOD IMAGES BATCH`."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

import numpy as np
import torch
from network import BETA, LEARNING_RATE, PlainVAE, mflop_per_image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from turns import Turns, versions

Batch = tuple[Tensor, ...]


class Images(Dataset[Tensor]):
    """One image at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = torch.from_numpy(images).unsqueeze(1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index].float()


class Pairs(Images):
    """One pair at a time: the second image differs from the first in one factor."""

    def __init__(self, images: np.ndarray, sizes: tuple[int, ...]) -> None:
        super().__init__(images)
        self.sizes = sizes

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        factors = list(np.unravel_index(index, self.sizes))
        changed = random.randrange(len(self.sizes))
        shift = random.randrange(1, self.sizes[changed])
        factors[changed] = (factors[changed] + shift) % self.sizes[changed]
        other = int(np.ravel_multi_index(factors, self.sizes))
        return self.images[index].float(), self.images[other].float()


def loader(method: str, images: np.ndarray, sizes: tuple[int, ...], batch: int) -> Iterator[Batch]:
    dataset = Images(images) if method == "beta_vae" else Pairs(images, sizes)
    batches = DataLoader(dataset, batch_size=batch, shuffle=True, drop_last=True, num_workers=0)
    while True:
        for found in batches:
            yield (found,) if isinstance(found, Tensor) else tuple(found)


def memory(method: str, images: np.ndarray, sizes: tuple[int, ...], batch: int) -> Iterator[Batch]:
    """The same draws for a whole batch at a time, by index into one tensor."""
    resident, rng = torch.from_numpy(images).unsqueeze(1), np.random.default_rng(0)
    limits, rows = np.array(sizes), np.arange(batch)
    while True:
        factors = rng.integers(0, limits, (batch, len(limits)))
        drawn = [factors]
        if method == "ada_gvae":
            other, changed = factors.copy(), rng.integers(0, len(limits), batch)
            shift = rng.integers(1, limits[changed])
            other[rows, changed] = (other[rows, changed] + shift) % limits[changed]
            drawn.append(other)
        index = [torch.from_numpy(np.ravel_multi_index(tuple(f.T), sizes)) for f in drawn]
        yield tuple(resident[i].float() for i in index)


def main() -> None:
    kind, method, file, batch = sys.argv[1], sys.argv[2], np.load(sys.argv[3]), int(sys.argv[4])
    sizes = tuple(int(size) for size in file["sizes"])
    torch.manual_seed(0)
    model = PlainVAE(BETA[method])
    turns = Turns(
        {
            "network": "protocol",
            "versions": versions(),
            "mflop_per_image": mflop_per_image(model.encoder, model.decoder),
        }
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    for images in (loader if kind == "loader" else memory)(method, file["images"], sizes, batch):
        loss = model.loss(images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        turns.stepped(loss.item())


if __name__ == "__main__":
    main()
