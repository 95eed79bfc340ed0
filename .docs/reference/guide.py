"""README and CONTRIBUTING as pages, with all files that they link to, so that their links lead somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

START = ("README.md", "CONTRIBUTING.md")
EXTRA = "made/extra"  # what is put beside the built pages as it is
LINK = re.compile(r"(\[[^\]\n]*\])\((?!https?:|mailto:|#)([^)\s]+)\)")


def copy(folder: Path, root: Path) -> None:
    """Copy the two and what they link to, to the same places below a folder; HTML below its `EXTRA`."""
    left, seen = list(START), set[str]()
    while left:
        name = left.pop()
        source = root / name
        place = folder / EXTRA / name if source.suffix == ".html" else folder / name
        if name in seen or not source.is_file():  # what is missing is Sphinx's to tell
            continue
        seen.add(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            shutil.copyfile(source, place)
            continue
        text = source.read_text(encoding="utf-8")
        place.write_text(page(text, source.parent, alone=name not in START), encoding="utf-8")
        left += [inside(source.parent / link, root) for link in links(text)]


def inside(path: Path, root: Path) -> str:
    """A path's name from the root."""
    return path.resolve().relative_to(root.resolve()).as_posix()


def links(text: str) -> list[str]:
    """The files that a Markdown text links to or shows, without their anchors.

    >>> links("[a](b/c.md#d) ![e](f.png) [g](https://h.org)")
    ['b/c.md', 'f.png']
    """
    return [target.partition("#")[0] for _, target in LINK.findall(text)]


def page(text: str, folder: Path, alone: bool) -> str:
    """A Markdown text as a page: README is the guide.

    A page cannot lead to a folder: such a link becomes plain text. One to a whole HTML page opens it.

    Args:
        text: Markdown.
        folder: where it lies.
        alone: whether it is in no list of contents.
    """

    def told(found: re.Match[str]) -> str:
        text, target = found[1][1:-1], folder / found[2]
        if target.is_dir():
            return text
        return (
            f'<a href="{found[2]}">{text}</a>' if target.suffix == ".html" and target.is_file() else found[0]
        )

    text = LINK.sub(told, text)
    return f"---\norphan: true\n---\n\n{text}" if alone else text.replace("# disentangle\n", "# Guide\n", 1)
