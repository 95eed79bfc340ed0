"""A page for each method, data set, metric and engine that is found, and a table of each kind."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from disentangle import find
from disentangle.listing import KINDS
from reference import rst
from reference.presets import sweeps
from reference.settings import notes, settings, table, written

FOLDERS = {
    "method": "disentangle/models",
    "dataset": "datasets",
    "metric": "metrics",
    "engine": "disentangle/engines",
}
NO_OPTIONS = ("rng", "test", "threads", "device")  # of a metric's parameters: they are no part of its id


def pages(root: Path) -> dict[str, str]:
    """A page for each name, ``metrics/mig.rst``, and of each kind a table, ``made/metrics.inc``."""
    found = {}
    for plural, kind in KINDS.items():
        found[f"made/{plural}.inc"] = index(plural, kind)
        for name in find.names(kind):
            found[f"{plural}/{name}.rst"] = page(kind, name)
    return found


def index(plural: str, kind: find.Kind) -> str:
    """The table of a kind, and what puts its pages into the list of contents."""
    lines = []
    for name in find.names(kind):
        described: Any = find.get(kind, name)
        paper = rst.linked(getattr(described, "paper", ""))
        link, title = f":doc:`{name} <{plural}/{name}>`", rst.escape(described.title)
        lines.append([link, title, paper, about(kind, name)])
    head = ["name", "title", "paper", "what it is"]
    if kind == "engine":
        head, lines = [*head[:2], head[3]], [[*line[:2], line[3]] for line in lines]
    contents = "\n".join(f"   {name} <{plural}/{name}>" for name in find.names(kind))
    return f"{rst.table(head, lines)}\n.. toctree::\n   :hidden:\n\n{contents}\n"


def about(kind: find.Kind, name: str) -> str:
    """The first line of a file's text."""
    return (module(kind, name).__doc__ or "").strip().partition("\n")[0]


def module(kind: find.Kind, name: str) -> Any:
    """The module of a name."""
    return importlib.import_module(f"{find.PACKAGES[kind]}.{name}")


def page(kind: find.Kind, name: str) -> str:
    """All that is known of one name: facts, text, settings, how it is asked for, and its functions."""
    described: Any = find.get(kind, name)
    facts, parts = TELLERS[kind](name, described)
    paper = {"paper": rst.linked(described.paper)} if getattr(described, "paper", "") else {}
    title = described.title[:1].upper() + described.title[1:] if kind == "engine" else described.title
    facts = {"name": rst.code(name), **paper, **facts, "file": rst.code(f"{FOLDERS[kind]}/{name}.py")}
    return "\n".join(
        [
            rst.heading(rst.escape(title)),
            f".. automodule:: {find.PACKAGES[kind]}.{name}\n",
            rst.table([], [[key, text] for key, text in facts.items()], "facts"),
            *parts,
            rst.heading("In Python", 2),
            *python(kind, name, described),
        ]
    )


Facts = tuple[dict[str, str], list[str]]


def method(name: str, described: find.Method) -> Facts:
    """Of a method: what it trains on and what it can do; its settings and the studies' sweeps."""
    needs = {"step": "the step's number", "label": "the number of the changed factor",
             "shuffle": "an order of the batch for each latent"}  # fmt: skip
    trains = "weakly supervised pairs" if described.pairs else "single images"
    facts = {
        "trains on": ", ".join([trains, *(needs.get(need, need) for need in described.needs)]),
        "posterior": "Gaussian" if described.posterior else "none, so UDR does not compare its models",
    }
    known = settings(described.settings)
    option = f" --set {known[0].name}={known[0].default.strip(chr(34))}" if known else ""
    asked = f"disentangle train --method {name} --dataset dsprites{option}"
    return facts, [*_settings(described.settings), *_sweeps(name), _asked(asked)]


def _settings(kind: Any) -> list[str]:
    return [rst.heading("Settings", 2), notes(kind) + "\n", table(kind)]


def _sweeps(name: str) -> list[str]:
    lines = sweeps(name)
    head = ["preset", "data sets", "values", "seeds", "steps"]
    return [rst.heading("In published studies", 2), rst.table(head, lines)] if lines else []


def _asked(command: str, text: str = "") -> str:
    return "\n".join([rst.heading("How to ask for it", 2), rst.block(f"$ {command}", "console"), text])


def dataset(name: str, described: find.Dataset) -> Facts:
    """Of a data set: whether its file can be fetched."""
    fetched = f"``disentangle data {name} --download``" if described.download else "none"
    return {"official file": fetched}, [_asked(f"disentangle data {name} --picture {name}.png")]


def metric(name: str, described: find.Metric) -> Facts:
    """Of a metric: its ids, its headline, and its options with those of the published protocol."""
    stem = described.id.partition("@")[0]
    better = "less is better" if described.lower_is_better else "more is better"
    takes = "codes of several models" if described.of_models else "codes and factors of one model"
    modes = ", ".join(f"``{mode}`` with the id ``{stem}@{mode}``" for mode in described.modes)
    facts = {
        "id": rst.code(described.id),
        "other modes": modes or "none",
        "headline": f"``{described.headline}``; {better}",
        "takes": takes,
    }
    told = "Studies use the published protocol; an option that departs from it is spelled out in the id.\n"
    asked = (
        "disentangle udr RUN RUN RUN"
        if described.of_models
        else f"disentangle score codes.npz --metric {name}"
    )
    title = rst.heading("Options and published sizes", 2)
    return facts, [title, options(described), told, _asked(asked)]


def options(described: find.Metric) -> str:
    """The options of a metric that may change its numbers: defaults, and the published protocol."""
    published = {k: rst.code(_option(v)) for k, v in described.published.items()}
    lines = [
        [rst.code(k), rst.code(_option(v)), published.get(k, "")]
        for k, v in described.defaults().items()
        if k not in NO_OPTIONS
    ]
    return rst.table(["option", "default", "published protocol"], lines)


def _option(value: object) -> str:
    return "none" if value is None else f"{value:,}" if type(value) is int else written(value)


def engine(name: str, described: find.Engine) -> Facts:
    """Of an engine: its options."""
    known = [s.name for s in settings(described.settings)]
    option = f" --option {known[0]}=..." if known else ""
    asked = f"disentangle study study.toml --engine {name}{option}"
    return {}, [*_settings(described.settings), _asked(asked)]


TELLERS: dict[find.Kind, Callable[[str, Any], Facts]] = {
    "method": method, "dataset": dataset, "metric": metric, "engine": engine,
}  # fmt: skip


def python(kind: find.Kind, name: str, described: Any) -> list[str]:
    """The module's functions and classes; a metric's function first, what a model's methods give last."""
    function = getattr(getattr(described, "function", None), "__name__", "")
    found = public(module(kind, name).__file__)
    found.sort(key=lambda item: (item[0] != function, item[0].endswith("Output")))
    return [_member(item, is_class) for item, is_class in found if item != "Settings"]


def _member(name: str, is_class: bool) -> str:
    return f".. autoclass:: {name}\n   :members:\n" if is_class else f".. autofunction:: {name}\n"


def public(file: str) -> list[tuple[str, bool]]:
    """The functions and classes that a file defines for others and describes: name, whether a class."""
    body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    kinds = (ast.FunctionDef, ast.ClassDef)
    named = [node for node in body if isinstance(node, kinds) and not node.name.startswith("_")]
    return [(node.name, isinstance(node, ast.ClassDef)) for node in named if ast.get_docstring(node)]
