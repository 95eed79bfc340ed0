"""What can be set: the fields of a struct with their defaults, limits and meanings."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect as types

from reference import rst

NO_LIMITS = (None, sys.float_info.max, 2**63 - 1)  # the last two are those of the computer's numbers
NAMES: dict[Any, str] = {
    types.IntType: "whole number", types.FloatType: "number", types.StrType: "text",
    types.BoolType: "boolean", types.DictType: "table", types.StructType: "table",
}  # fmt: skip


class Setting(NamedTuple):
    """One field.

    Attributes:
        name: as it is written in a study file.
        default: as it is written in TOML; empty where that is nothing.
        needed: whether it must be given.
        limits: what it may be.
        meaning: from the struct's docstring.
    """

    name: str
    default: str
    needed: bool
    limits: str
    meaning: str


def settings(kind: type[msgspec.Struct]) -> list[Setting]:
    """The fields of a struct, in order."""
    told = meanings(kind)[0]
    described: Any = types.type_info(kind)
    return [
        Setting(field.name, _default(field), field.required, limits(field.type), told.get(field.name, ""))
        for field in described.fields
    ]


def table(kind: type[msgspec.Struct]) -> str:
    """The fields of a struct as a table; nothing if it has none."""
    lines = [
        [rst.code(s.name), "*needed*" if s.needed else rst.code(s.default), s.limits, s.meaning]
        for s in settings(kind)
    ]
    return rst.table(["name", "default", "may be", "meaning"], lines)


def notes(kind: type[msgspec.Struct]) -> str:
    """What a struct's docstring says of no single field."""
    return meanings(kind)[1]


def meanings(kind: type[msgspec.Struct]) -> tuple[dict[str, str], str]:
    """What a struct's docstring says of each field, ``name: text`` or ``a, b: text``, and the rest.

    Such a text ends at the next one or at an empty line.
    """
    text = (inspect.getdoc(kind) or "").replace("Attributes:\n", "")
    names = "|".join(sorted(kind.__struct_fields__, key=len, reverse=True))
    if not names:
        return {}, text
    mark = re.compile(rf"(?:^|(?<=\s))((?:{names})(?:, (?:{names}))*): ")
    found, rest = {}, []
    for paragraph in re.split(r"\n\s*\n", text.partition("\n>>> ")[0]):
        before, *parts = mark.split(" ".join(paragraph.split()))
        rest.append(before)
        for fields, meaning in zip(parts[::2], parts[1::2], strict=True):
            found.update(dict.fromkeys(fields.split(", "), meaning.strip()))
    return found, "\n\n".join(filter(None, (part.strip() for part in rest)))


def limits(kind: Any, many: bool = False) -> str:
    """What a field may be, in words, or each of ``many``."""
    if isinstance(kind, types.UnionType):
        return " or ".join(limits(part, many) for part in kind.types if not isinstance(part, types.NoneType))
    if isinstance(kind, types.LiteralType):
        return " or ".join(f"``{written(value)}``" for value in kind.values)
    if isinstance(kind, types.ListType):
        return f"list of {limits(kind.item_type, True)}"
    if isinstance(kind, types.Metadata):
        return limits(kind.type, many)
    return " ".join(filter(None, [NAMES.get(type(kind), "value") + "s" * many, _range(kind)]))


def _range(kind: Any) -> str:
    """The bounds of a number, such as ``"≥ 0"``; every number is finite, so that is not said."""
    bounds = [(sign, getattr(kind, field, None)) for field, sign in
              (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))]  # fmt: skip
    return " and ".join(f"{sign} {value:,}" for sign, value in bounds if value not in NO_LIMITS)


def _default(field: Any) -> str:
    if field.default is not msgspec.NODEFAULT:
        return written(field.default)
    return "" if field.default_factory is msgspec.NODEFAULT else written(field.default_factory())


def written(value: object) -> str:
    """A value as TOML has it.

    >>> written("rnd"), written(True), written(4.0)
    ('"rnd"', 'true', '4.0')
    """
    if value is None or value == {}:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
