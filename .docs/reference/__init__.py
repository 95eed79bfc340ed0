"""Pages made from what the suite finds of itself: no list of methods, data sets, metrics or commands is kept.

Everything here gives text, and needs no Sphinx.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from reference import commands, entries, files, guide, library, sources

PARTS = (entries, library, commands, files, sources)


def pages(root: Path) -> dict[str, str]:
    """Every page and every piece of one, by its path in the source folder.

    Args:
        root: of the repository.
    """
    return {name: text for part in PARTS for name, text in part.pages(root).items()}


def write(folder: Path, root: Path) -> None:
    """Write the pages, and the README with all that it links to, into Sphinx's source folder."""
    for name, text in pages(root).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    guide.copy(folder, root)


def version(root: Path) -> str:
    """The suite's version, from its project file."""
    return str(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
