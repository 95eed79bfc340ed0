"""The errors that are the user's to mend: a wrong name, file, value or setting.

The command line prints them as one line without a traceback; from Python they are ordinary
`ValueError`\\ s whose message names the file or field, the value found and what was expected.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what was given and expected."""


class DataError(InputError):
    """A data file is missing, damaged, in the wrong form or not the file it should be."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that does not exist, naming the nearest ones that do.

    >>> print(unknown("metric", "migg", ["dci", "mig"]))
    unknown metric 'migg'; did you mean 'mig'? Known: dci, mig
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    return InputError(f"unknown {kind} {name!r}{hint} Known: {', '.join(names) or 'none'}")


def cut(text: str, most: int = 60) -> str:
    """A text for a message, cut where it is long.

    >>> cut("a" * 99, 6)
    'aaa...'
    """
    return text if len(text) <= most else f"{text[: most - 3]}..."


def short(text: str) -> str:
    """A text in quotes for a message, cut where it is long."""
    return repr(cut(text))


def convert(content: Any, kind: Any, what: str = "", strict: bool = True) -> Any:
    """`msgspec.convert`, with errors that name the field, the value found and what was expected.

    Args:
        content: plain data, such as a parsed TOML file.
        kind: the type it must have.
        what: put before the field's name in messages.
        strict: whether a number may not be written as text.

    Raises:
        InputError: the content is not of that type.

    >>> try:
    ...     convert([1, "2"], list[int], "sizes")
    ... except InputError as error:
    ...     print(error)
    sizes[1] is '2': expected `int`, got `str`
    """
    import msgspec

    try:
        return msgspec.convert(content, kind, strict=strict)
    except msgspec.ValidationError as error:
        expected, _, path = str(error).partition(" - at `$")
        path = path.rstrip("`").lstrip(".")
        field = (what + path if path.startswith("[") else f"{what} {path}".strip()) or "content"
        found = _at(content, path)
        known = getattr(kind, "__struct_fields__", ())
        strange = re.search(r"unknown field `(.*)`", expected)
        if strange and not path:
            raise unknown(what or "field", strange[1], known) from None
        if isinstance(found, dict):
            raise InputError(f"{field.rstrip(':')}: {_lower(expected)}") from None
        raise InputError(f"{field} is {cut(repr(found), 200)}: {_lower(expected)}") from None


def _at(content: Any, path: str) -> Any:
    """The value that a path such as ``runs[0].lr`` leads to."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        if index and isinstance(content, list):
            content = content[int(index)]
        elif isinstance(content, dict) and name in content:
            content = content[name]
    return content


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
