"""A data set as a grid of factors: images are a function of indices, factors are index arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from disentangle.errors import InputError
from disentangle.pairs import Pairs, Rule

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from disentangle.images import ImageStore


CPU = torch.device("cpu")


@dataclass(frozen=True)
class FactorData:
    """The images of a factor grid, in row-major order (the last factor changes fastest).

    Usually every cell of the grid, that is every combination of factor values, has one image. With
    `cells` a cell may have several images, or none.

    Attributes:
        name: the data set's name.
        factor_names: one name per factor.
        factor_values: per factor the physical values that the indices ``0..size-1`` stand for.
        store: the images, see `disentangle.images`.
        source: ``"official"`` (a verified file), ``"drawn"`` (redrawn here) or ``"user"``.
        checksum: of the official file or of the drawn content.
        note: what a reader of a table should know of the source.
        device: where the images lie.
        cells: the number of each image's cell in row-major order ``(N,)``, sorted; None where image i
            is that of cell i.
        split: which images training shows, and how often, where not all alike; see `disentangle.splits`.
            Scores are of all images.

    Raises:
        InputError: names, values and images do not fit together.

    >>> from disentangle.images import Pixels
    >>> grid = np.arange(6, dtype=np.uint8).reshape(6, 1, 1).repeat(2, 1).repeat(2, 2)
    >>> data = FactorData("tiny", ("row", "column"), (np.arange(2), np.arange(3)), Pixels(grid), "user", "")
    >>> data.index([[1, 2]]), data.factors([5])
    (array([5]), array([[1, 2]]))
    >>> data.images([0, 5]).shape
    torch.Size([2, 1, 2, 2])
    """

    name: str
    factor_names: tuple[str, ...]
    factor_values: tuple[NDArray[Any], ...]
    store: ImageStore
    source: str
    checksum: str
    note: str = ""
    device: torch.device = CPU
    cells: NDArray[np.int64] | None = None
    split: str = ""

    @classmethod
    def from_arrays(
        cls, images: ArrayLike, factors: ArrayLike, *, name: str = "own",
        factor_names: Sequence[str] | None = None, factor_values: Sequence[ArrayLike | None] | None = None,
        note: str = "", size: int | None = None,
    ) -> FactorData:  # fmt: skip
        """A user's own images and factors, in any order; not every combination needs an image.

        Args:
            images: ``(N, H, W)``, or ``(N, H, W, C)`` with C 1 or 3. Whole numbers in 0..255, of which zeros
                and ones alone (also bool) mean black and white; or floats in [0, 1], rounded to 8 bits.
            factors: ``(N, F)`` whole numbers, or texts, in any coding: a column's distinct values, in
                ascending order, become the indices ``0..size-1``.
            name, note: see above. No name of the suite's; what was done to the images is added to the note.
            factor_names: ``factor_0`` and so on if left out.
            factor_values: per factor what its distinct values, in ascending order, stand for; or None.
            size: resize to so many pixels in height and width (Lanczos). The suite's networks take 64.

        Raises:
            InputError: naming the argument, what was found and what was expected.

        >>> own = FactorData.from_arrays(np.eye(3)[:, None], [["red", 30], ["red", 10], ["blue", 30]])
        >>> own.sizes, own.all_factors().tolist()
        ((2, 2), [[0, 1], [1, 0], [1, 1]])
        """
        from disentangle.own_data import checked

        own = checked(
            images, factors, factor_names=factor_names, factor_values=factor_values, note=note, size=size
        )
        return own.data(name)

    def __post_init__(self) -> None:
        if len(self.factor_names) != len(self.factor_values) or not self.factor_names:
            raise InputError(
                f"{self.name}: {len(self.factor_names)} factor names for "
                f"{len(self.factor_values)} lists of values"
            )
        if self.cells is not None:
            self._check_cells(self.cells)
        elif self.grid != len(self.store):
            raise InputError(
                f"{self.name}: a grid of sizes {self.sizes} has {self.grid} images, got {len(self.store)}"
            )

    def _check_cells(self, cells: NDArray[np.int64]) -> None:
        if cells.shape != (len(self.store),):
            raise InputError(f"{self.name}: {len(self.store)} images need so many cells, got {cells.shape}")
        if len(cells) and (cells[0] < 0 or cells[-1] >= self.grid or (np.diff(cells) < 0).any()):
            raise InputError(f"{self.name}: cells must rise and be in 0..{self.grid - 1}")

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of values of each factor."""
        return tuple(len(values) for values in self.factor_values)

    @cached_property
    def grid(self) -> int:
        """The number of cells, that is of combinations of factor values."""
        return math.prod(self.sizes)

    @cached_property
    def strides(self) -> NDArray[np.int64]:
        """How far apart two cells are whose one factor differs by 1: ``factors @ strides`` is a cell."""
        return np.array([math.prod(self.sizes[i + 1 :]) for i in range(len(self.sizes))], np.int64)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.store)

    @property
    def random(self) -> bool:
        """Whether an image has a random part, drawn anew whenever training shows it."""
        return bool(getattr(self.store, "random", False))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        return self.store.shape

    def index(self, factors: ArrayLike) -> NDArray[np.int64]:
        """The index of each row of factors ``(..., F)``, shape ``(...)``; of several images the first.

        Raises:
            InputError: a factor is out of its range, there are not F of them, or no image has them.
        """
        rows = np.asarray(factors)
        if rows.ndim < 1 or rows.shape[-1] != len(self.sizes) or not np.issubdtype(rows.dtype, np.integer):
            raise InputError(
                f"{self.name}: factors must be integers of shape (..., {len(self.sizes)}), "
                f"got {rows.dtype} {rows.shape}"
            )
        bad = (rows < 0) | (rows >= np.array(self.sizes))
        if bad.any():
            column = int(np.argwhere(bad)[0][-1])
            raise InputError(
                f"{self.name}: factor {self.factor_names[column]!r} must be in 0..{self.sizes[column] - 1}, "
                f"got {rows[bad][0]}"
            )
        cell = np.asarray(np.ravel_multi_index(tuple(np.moveaxis(rows, -1, 0)), self.sizes), dtype=np.int64)
        if self.cells is None:
            return cell
        first = np.minimum(np.searchsorted(self.cells, cell), len(self.cells) - 1)
        missing = self.cells[first] != cell
        if missing.any():
            raise InputError(f"{self.name} has no image of the factors {rows[missing][0].tolist()}")
        return np.asarray(first, dtype=np.int64)

    def factors(self, index: ArrayLike) -> NDArray[np.int64]:
        """The factors ``(..., F)`` of each index ``(...)``; the inverse of `index`."""
        flat = self._checked(np.asarray(index))
        if self.cells is not None:
            flat = self.cells[flat]
        return np.stack(np.unravel_index(flat, self.sizes), axis=-1).astype(np.int64)

    def all_factors(self) -> NDArray[np.int64]:
        """The factors of all images ``(N, F)``, in order."""
        return self.factors(np.arange(len(self)))

    def images(self, index: ArrayLike | Tensor, keys: Tensor | None = None) -> Tensor:
        """Images ``(B, C, H, W)``, float32 in [0, 1], on the data's device.

        Args:
            index: indices ``(B,)``; a tensor that lies on the device is used as it is, unchecked,
                so that a GPU step needs no synchronisation.
            keys: where the images have a random part, what it is made from: a random number of
                ``0..2**63-1`` per image, int64 ``(B,)`` on the device. Without it the random part of
                image i is always the same, that of scores and pictures.

        Raises:
            InputError: an index is out of range.
        """
        if not isinstance(index, Tensor):
            checked = torch.from_numpy(np.atleast_1d(self._checked(np.asarray(index))))
            index = checked.to(self.device)
        if keys is None or not self.random:
            return self.store.gather(index)
        return self.store.gather(index, keys)

    def pairs(
        self, n: int, k: int | str = 1, rule: Rule = "paper", rng: np.random.Generator | int = 0
    ) -> Pairs:
        """Weakly supervised pairs as training shows them; see `disentangle.sampling.Sampler.pairs`."""
        from disentangle.sampling import Sampler

        return Sampler(self).pairs(n, k, rule, np.random.default_rng(rng))

    def check_same(self, checksum: str, what: str, advice: str) -> None:
        """Refuse what was made of other images than these.

        Args:
            checksum: of the images that it was made of.
            what: what it is, up to where the data set's name belongs.
            advice: what to do.

        Raises:
            InputError: these images have another checksum.
        """
        if checksum != self.checksum:
            raise InputError(
                f"{what} {self.name} with the checksum {checksum!r}, here it is {self.checksum!r}; {advice}"
            )

    def with_split(self, split: str) -> FactorData:
        """The same data, of which training shows what `disentangle.splits` says; ``""`` is all alike.

        Raises:
            InputError: the text is no split of these factors.
        """
        from disentangle.splits import parse

        if split == self.split:
            return self
        canonical = str(parse(split, self))
        return replace(self, split=canonical)

    def to(self, device: str | torch.device) -> FactorData:
        """The same data with its images resident on ``device``.

        Raises:
            InputError: they do not fit there.
        """
        place = torch.device(device)
        if place == self.device:
            return self
        try:
            return replace(self, store=self.store.to(place), device=place)
        except torch.OutOfMemoryError:
            raise InputError(
                f"{self.name}: the images take {self.store.nbytes / 1e9:.1f} GB, which {place} has not free"
            ) from None

    def _checked(self, index: NDArray[Any]) -> NDArray[np.int64]:
        if not np.issubdtype(index.dtype, np.integer):
            raise InputError(f"{self.name}: indices must be integers, got {index.dtype}")
        if index.size and (index.min() < 0 or index.max() >= len(self)):
            worst = index.min() if index.min() < 0 else index.max()
            raise InputError(f"{self.name}: index {worst} is outside 0..{len(self) - 1}")
        return index.astype(np.int64, copy=False)


def draw_factors(sizes: Sequence[int], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``n`` rows of factors ``(n, F)``, uniform over the grid, with replacement."""
    return rng.integers(0, np.asarray(sizes), (n, len(sizes)))
