"""Pieces of reStructuredText."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

UNDER = {1: "=", 2: "-", 3: "~"}


def heading(text: str, level: int = 1) -> str:
    """A heading of a level from 1."""
    return f"{text}\n{UNDER[level] * max(4, len(text))}\n"


def escape(text: str) -> str:
    r"""Text that is to stand as it is.

    >>> escape("a*b `c` d_")
    'a\\*b \\`c\\` d\\_'
    """
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def code(value: object) -> str:
    """A value as code; nothing for an empty text."""
    return f"``{value}``" if str(value) else ""


def table(head: Sequence[str], lines: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table; without a head if that is empty, and nothing without lines.

    Args:
        head: the columns' names.
        lines: cells of reStructuredText.
        kind: a class for the style sheet.
    """
    rows = [*([head] if head else []), *lines]
    if len(rows) == bool(head):
        return ""
    options = [f"   :header-rows: {int(bool(head))}", "   :widths: auto"]
    options += [f"   :class: {kind}"] if kind else []
    return "\n".join([".. list-table::", *options, "", *(_row(row) for row in rows), ""])


def _row(cells: Sequence[str]) -> str:
    marks = ["   * - ", *["     - "] * (len(cells) - 1)]
    return "\n".join(
        mark + indent(cell, 7).lstrip() if cell else mark.rstrip()
        for mark, cell in zip(marks, cells, strict=True)
    )


def indent(text: str, by: int = 3) -> str:
    """Text further in; empty lines stay empty."""
    return "\n".join(" " * by + line if line else "" for line in text.splitlines())


def block(text: str, language: str) -> str:
    """A block of code."""
    return f".. code-block:: {language}\n\n{indent(text)}\n"


ADDRESS = re.compile(r"(arXiv \d{4}\.\d{4,5}|github:[\w.-]+/[\w.-]+@[0-9a-f]{40}(?: [\w./-]+\.\w+)?)")


def linked(text: str) -> str:
    """A paper's name or a source, with arXiv numbers and commits on GitHub as links.

    >>> linked("Chen et al. 2018, arXiv 1802.04942")
    'Chen et al. 2018, `arXiv 1802.04942 <https://arxiv.org/abs/1802.04942>`__'
    """
    pieces = ADDRESS.split(text)
    return "".join(_link(piece) if i % 2 else escape(piece) for i, piece in enumerate(pieces))


def _link(address: str) -> str:
    kind, number = address[:6], address[6:]
    if kind == "arXiv ":
        return f"`{address} <https://arxiv.org/abs/{number}>`__"
    place, _, file = address.removeprefix("github:").partition(" ")
    repository, _, commit = place.partition("@")
    shown = escape(f"{repository}@{commit[:8]} {file}".strip())
    return f"`{shown} <https://github.com/{repository}/{'blob' if file else 'tree'}/{commit}/{file}>`__"
