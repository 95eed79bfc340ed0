"""The published studies that the suite knows by name, as tables."""

from __future__ import annotations

from functools import cache

from disentangle.presets import NAMES, preset
from disentangle.study import Grid, Study
from reference import rst
from reference.settings import written


def sweeps(method: str) -> list[list[str]]:
    """The lines of a method: preset, data sets, values, seeds and steps."""
    return [line for name, block, line in _lines() if block == method]


def all_sweeps() -> list[list[str]]:
    """The lines of all methods: preset, method and the rest."""
    return [[line[0], f":doc:`{method} <methods/{method}>`", *line[1:]] for _, method, line in _lines()]


@cache
def _lines() -> list[tuple[str, str, list[str]]]:
    found = []
    for name in NAMES:
        study = preset(name)
        found += [(name, str(block.method), _line(name, study, block)) for block in study.runs]
    return found


def _line(name: str, study: Study, block: Grid) -> list[str]:
    datasets = block.dataset if isinstance(block.dataset, list) else [block.dataset]
    values = "; ".join(f"``{key}`` {_values(value)}" for key, value in block.hyper.items())
    seeds = study.seeds if block.seeds is None else block.seeds
    steps = study.steps if block.steps is None else block.steps
    return [rst.code(name), ", ".join(map(rst.code, datasets)), values, str(len(seeds)), f"{steps:,}"]


def _values(value: object) -> str:
    many = value if isinstance(value, list) else [value]
    return ", ".join(f"{one:g}" if isinstance(one, float) else written(one) for one in many)
