"""Study files are written in TOML, for which Python has a reader only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from disentangle.errors import InputError

WIDTH = 100


def lines(struct: msgspec.Struct, blank: msgspec.Struct, always: Iterable[str] = ()) -> list[str]:
    """A line for each field that differs from the blank's or is always told; the runs are told apart."""
    return [
        f"{name} = {wrapped(getattr(struct, name), len(name) + 3)}"
        for name in struct.__struct_fields__
        if name != "runs" and (name in always or getattr(struct, name) != getattr(blank, name))
    ]


def wrapped(value: Any, used: int) -> str:
    """A value in TOML; a list on several lines where one would be too long."""
    text = toml(value)
    if not isinstance(value, list) or used + len(text) <= WIDTH:
        return text
    lines = [""]
    for item in map(toml, value):
        if lines[-1] and len(lines[-1]) + len(item) + 2 > WIDTH:
            lines.append("")
        lines[-1] += f" {item}," if lines[-1] else f"    {item},"
    return "\n".join(["[", *lines, "]"])


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {toml(item)}' for name, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str | bool | int | float):
        # JSON's numbers, truth values and texts are TOML's, but for one control character.
        return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
    raise InputError(f"a study file cannot hold {value!r}: expected texts, numbers, lists or tables")
