"""What there is, for people: methods, data sets, metrics and engines, and what a data set holds."""

from __future__ import annotations

import importlib
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from disentangle import find
from disentangle.errors import InputError, unknown

if TYPE_CHECKING:
    from disentangle.data import FactorData

KINDS: dict[str, find.Kind] = {
    "methods": "method",
    "datasets": "dataset",
    "metrics": "metric",
    "engines": "engine",
}
OWN = "your own"


@dataclass(frozen=True)
class Entry:
    """One line of a list.

    Attributes:
        name: its name on the command line and in study files.
        title: its name in tables.
        paper: where it comes from; empty for an engine.
        about: the first line of its file's text.
        more: a method's hyperparameters with their defaults, a metric's ids, an engine's options.
    """

    name: str
    title: str
    paper: str
    about: str
    more: str = ""


def entries(kind: str) -> list[Entry]:
    """All there is of one kind, by the descriptors and texts of its files; the user's own data sets last.

    Raises:
        InputError: there is no such kind.

    >>> [e.more for e in entries("methods") if e.name == "beta_vae"]
    ['beta=4.0']
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    found = [_entry(KINDS[kind], name) for name in find.names(KINDS[kind])]
    return found + ([_own(name) for name in find.own_names()] if kind == "datasets" else [])


def _entry(kind: find.Kind, name: str) -> Entry:
    described: Any = find.get(kind, name)
    text = importlib.import_module(f"{find.PACKAGES[kind]}.{name}").__doc__ or ""
    more = ""
    if kind in ("method", "engine"):
        more = _settings(described.settings)
    elif kind == "metric":
        stem = described.id.partition("@")[0]
        more = ", ".join([described.id, *(f"{stem}@{mode}" for mode in described.modes)])
    about = (text.strip().splitlines() or [""])[0]
    return Entry(name, described.title, getattr(described, "paper", ""), about, more)


def _settings(kind: type[msgspec.Struct]) -> str:
    """Names and defaults, such as ``"beta=1.0, k=1"``."""
    return ", ".join(f"{f.name}={_default(f)}" for f in msgspec.structs.fields(kind))


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return str(field.default)
    return "(needed)" if field.default_factory is msgspec.NODEFAULT else str(field.default_factory())


def _own(name: str) -> Entry:
    from disentangle.own_files import summary

    try:
        about = summary(name)
    except InputError as error:  # one that is damaged hides no others
        about = str(error)
    described = find.get("dataset", name)
    return Entry(name, f"{described.title} ({OWN})", described.paper, about)


def listing(kinds: list[str], width: int | None = None) -> str:
    """Lists with a heading each, names in a column of their own.

    Args:
        kinds: of `KINDS`.
        width: lines are wrapped to so many letters; not at all if left out.

    >>> print(listing(["engines"]).splitlines()[0])
    engines
    """
    lists = {kind: entries(kind) for kind in kinds}
    column = 2 + max(len(entry.name) for found in lists.values() for entry in found)
    parts = []
    for kind, found in lists.items():
        lines = [line for entry in found for line in _lines(entry, column, width)]
        parts.append("\n".join([kind, *lines]))
    return "\n\n".join(parts)


def _lines(entry: Entry, column: int, width: int | None) -> list[str]:
    """The title and the paper, what it is, and the settings."""
    head = "; ".join(filter(None, [entry.title, entry.paper]))
    texts = [text for text in (head, entry.about, entry.more) if text]
    if width is not None:
        room = max(width - column, 20)
        texts = [
            line
            for text in texts
            for line in textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        ]
    return [f"{entry.name if i == 0 else '':{column}}{text}" for i, text in enumerate(texts)]


def describe(title: str, paper: str, data: FactorData) -> str:
    """What a data set holds and where it comes from."""
    lines = [
        f"{title}: {len(data):,} images of shape {'x'.join(map(str, data.image_shape))}",
        f"paper     {paper}",
        f"source    {data.source}",
        f"checksum  {data.checksum}",
        f"memory    {data.store.nbytes / 1e6:.0f} MB",
    ]
    if data.cells is not None:
        several = len(data.cells) - len(set(data.cells.tolist()))
        seen = len(data.cells) - several
        lines.append(
            f"grid      {seen:,} of {data.grid:,} combinations have images, {several:,} a second or more"
        )
    lines += [f"note      {data.note}"] if data.note else []
    width = max(12, *map(len, data.factor_names))
    for factor, values in zip(data.factor_names, data.factor_values, strict=True):
        ends = f"{_value(values[0])} to {_value(values[-1])}"
        lines.append(f"factor    {factor:{width}} {len(values):4} values from {ends}")
    return "\n".join(lines)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else f"{float(value):.4g}"
