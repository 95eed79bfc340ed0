"""A run: everything that changes the numbers, and nothing else."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Annotated, Any, Literal

import msgspec

from disentangle import find
from disentangle.errors import convert
from disentangle.splits import tidy

Hyper = str | int | float | bool
Precision = Literal["fp32", "tf32", "bf16"]
USUAL = {"precision": "fp32", "split": ""}  # not in keys, as it was before there was a choice
FORMAT = 1  # raised when the same settings begin to give other numbers


def digest(content: Any) -> str:
    """A hash of plain data, 16 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run. Equal runs give equal numbers; `key` names them.

    Attributes:
        method: a name of `find.names("method")`.
        dataset: a name of `find.names("dataset")`, or of `find.own_names()`.
        source: which images, ``"drawn"`` or ``"official"`` (``"user"`` for one's own).
        hyper: the method's hyperparameters; those left out take the method's defaults.
        seed: of everything that is drawn.
        steps: optimiser steps; 0 is the untrained network.
        batch: images, or pairs, per step.
        lr: Adam's learning rate.
        latents: dimensions of the code.
        precision: the arithmetic of training, ``"fp32"``, ``"tf32"`` or ``"bf16"``; see
            `disentangle.precision`.
        split: which images training shows, and how often, such as ``"correlated x y 0.2"``; all alike
            where empty. See `disentangle.splits`.

    >>> run = Run(method="beta_vae", dataset="dsprites", source="drawn", hyper={"beta": 4}, seed=0, steps=10)
    >>> run.key() == run.complete().key()
    True
    >>> run.label()
    'beta_vae beta=4'
    """

    method: str
    dataset: str
    source: Literal["drawn", "official", "user"] = "drawn"
    hyper: dict[str, Hyper] = {}
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    steps: Annotated[int, msgspec.Meta(ge=0)] = 300_000
    batch: Annotated[int, msgspec.Meta(ge=1)] = 64
    lr: Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max)] = 1e-4
    latents: Annotated[int, msgspec.Meta(ge=1)] = 10
    precision: Precision = "fp32"
    split: str = ""

    def settings(self) -> Any:
        """The method's checked hyperparameters.

        Raises:
            InputError: the method is unknown, or a hyperparameter unknown or of the wrong type.
        """
        method = find.get("method", self.method)
        return convert(self.hyper, method.settings, f"{self.method} hyperparameter")

    def complete(self) -> Run:
        """The same run, checked, with every default of the method written out.

        Raises:
            InputError: a field is of the wrong type or out of range.
        """
        full = {
            **msgspec.structs.asdict(self),
            "hyper": msgspec.to_builtins(self.settings()),
            "split": tidy(self.split),
        }
        run: Run = convert(full, Run, f"run {self.label()!r}:")
        return run

    def key(self) -> str:
        """A hash of everything above, the run's name: 16 hexadecimal digits."""
        content = {"format": FORMAT, **msgspec.to_builtins(self.complete())}
        for name, usual in USUAL.items():
            if content[name] == usual:
                del content[name]
        return digest(content)

    def updates(self) -> int:
        """How often training changes the parameters: `steps`, unless the method counts otherwise."""
        counted = find.get("method", self.method).updates
        return self.steps if counted is None else counted(self.steps, self.settings())

    def setting(self) -> str:
        """The hyperparameters in one text, such as ``"beta=1, k=rnd"``; empty where there are none."""
        return ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.hyper.items())

    def label(self) -> str:
        """Method, setting and split, for people."""
        split = f", {self.split}" if self.split else ""
        return f"{self.method} {self.setting()}".strip() + split
