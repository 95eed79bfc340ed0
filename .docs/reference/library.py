"""Pages of the library: the short names, and a page for each module that a user or contributor imports."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import disentangle
from disentangle import find
from reference import rst

# What people import, by what they are at. A module that does not exist is left out; one that is not named
# here stands in the last table of the page.
GROUPS = {
    "Data": ("data", "pairs", "own_data", "splits", "images", "random_images"),
    "Training": ("run", "train", "finished", "losses", "nets", "autoencoder", "precision", "pictures"),
    "Scores": ("score", "encode", "calibrate", "ladder", "ranking", "weak"),
    "Studies": ("study", "presets", "launch", "status", "rows"),
    "Tables and pages": (
        "frame", "joined", "table", "board", "rules", "selection", "page", "figures", "matrices", "analysis",
        "analysis_responses",
    ),
    "Comparison and publication": (
        "compare", "compare_statistics", "published_scores", "schema", "publish", "publish_columns",
        "publish_check", "provenance",
    ),
    "Adding to the suite": ("find", "errors", "files", "outcome", "work"),
}  # fmt: skip


def pages(root: Path) -> dict[str, str]:
    """A page for each module of `groups`, the short names, and the lists of modules."""
    found = {f"library/{name}.rst": _page(name) for names in groups().values() for name in names}
    found["made/names.inc"] = names()
    found["made/modules.inc"] = "\n".join(map(_group, groups()))
    rest = [[_name(name), first_line(name)] for name in inside()]
    return {**found, "made/inside.inc": rst.table(["module", "what it is"], rest)}


def groups() -> dict[str, list[str]]:
    """The modules with a page, of those that exist."""
    there = modules()
    kept = {title: [name for name in names if name in there] for title, names in GROUPS.items()}
    return {title: names for title, names in kept.items() if names}


def modules() -> list[str]:
    """The modules of the package's own folder."""
    found = (path.stem for path in Path(disentangle.__file__).parent.glob("*.py"))
    return sorted(name for name in found if not name.startswith("_"))


def inside() -> list[str]:
    """The modules without a page."""
    shown = {name for names in groups().values() for name in names}
    return [name for name in modules() if name not in shown]


def first_line(module: str) -> str:
    """The first line of a module's text, without importing it."""
    text = Path(disentangle.__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def names() -> str:
    """What ``from disentangle import ...`` gives, and where each is described."""
    places = disentangle._PLACES | {metric: f"metrics.{metric}" for metric in find.names("metric")}
    lines = [[_link(f"disentangle.{place}", name), _name(place)] for name, place in places.items()]
    return rst.table(["name", "defined in"], lines)


def _link(module: str, name: str) -> str:
    place = getattr(importlib.import_module(module), name)
    return f"`{name} <{place.__module__}.{place.__qualname__}>`"


def _name(module: str) -> str:
    return f"``disentangle.{module}``"


def _group(title: str) -> str:
    found = groups()[title]
    lines = [[f":doc:`{name} <library/{name}>`", first_line(name)] for name in found]
    contents = "\n".join(f"   {name} <library/{name}>" for name in found)
    head = rst.heading(title, 2)
    return f"{head}\n{rst.table(['module', 'what it is'], lines)}\n.. toctree::\n   :hidden:\n\n{contents}\n"


def _page(name: str) -> str:
    return f"{rst.heading(name)}\n.. automodule:: disentangle.{name}\n   :members:\n"
