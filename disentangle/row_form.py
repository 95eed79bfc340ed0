"""The form of rows: which fields a row has, and their types. What else stands in one is kept and not read."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Origin(msgspec.Struct):
    """Software and hardware; those of before a field was there do not have it."""

    version: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    device: str | None = None
    hardware: str | None = None


class Score(msgspec.Struct):
    """A score under its metric's id; null is not a number."""

    id: str
    name: str
    value: float | None
    points: str
    seconds: float
    std: float | None = None
    repeats: int = 1
    provenance: Origin | None = None


class Data(msgspec.Struct):
    """The images."""

    name: str
    source: str
    checksum: str
    note: str = ""
    images: int | None = None
    scored: int | None = None
    factors: list[str] | None = None


class Matrix(msgspec.Struct):
    """What each code tells of each factor (D, F)."""

    id: str
    name: str
    unit: str
    values: list[list[float | None]]


class Representation(msgspec.Struct):
    """A calibration representation."""

    method: str
    dataset: str
    hyper: dict[str, int | float | str]
    seed: int


class Trained(Representation):
    """A run."""

    steps: int
    batch: int
    lr: float
    latents: int
    precision: str = "fp32"
    split: str = ""


class Calibrated(msgspec.Struct):
    """A row of a calibration representation, and what rows of runs have too."""

    kind: Literal["run", "calibration"]
    key: str
    study: str
    run: Representation
    data: Data
    status: Literal["done", "diverged"]
    scores: list[Score]
    provenance: Origin
    seconds: dict[str, float]
    format: int
    model_sha256: str = ""
    matrices: list[Matrix] = []
    pictures: list[str] = []


class OfRun(Calibrated):
    """A row of a run."""

    run: Trained


class Ranked(msgspec.Struct):
    """A row that ranks several runs by UDR."""

    kind: Literal["ranking"]
    key: str
    study: str
    run: dict[str, Any]
    data: Data
    status: str
    id: str
    of: dict[str, float]
    provenance: Origin
    seconds: dict[str, float]
    format: int
    pictures: list[str] = []


FORMS: dict[str, type[msgspec.Struct]] = {"run": OfRun, "calibration": Calibrated, "ranking": Ranked}
