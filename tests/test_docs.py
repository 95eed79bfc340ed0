"""The reference pages: whatever is found has its page, docstrings are in a form that pages can be made of."""

import ast
import doctest
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import disentangle
from disentangle import find, study
from disentangle.listing import KINDS
from disentangle.run import Run

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / ".docs"
sys.path.insert(0, str(DOCS))

import reference  # noqa: E402
from reference import commands, entries, files, guide, library, rst, settings, sources  # noqa: E402

FILES = sorted(
    path
    for folder in ("disentangle", "disentangle/models", "disentangle/engines", "datasets", "metrics")
    for path in (ROOT / folder).glob("*.py")
)
SECTIONS = {"Args", "Attributes", "Raises", "Returns", "Yields"}
OTHERS = [name for _, name, _ in pkgutil.iter_modules([str(DOCS / "reference")]) if name != "sphinx_parts"]


@pytest.fixture(scope="module")
def pages():
    return reference.pages(ROOT)


@pytest.mark.parametrize(("plural", "kind"), KINDS.items())
def test_whatever_is_found_has_its_page_and_its_line(pages, plural, kind):
    for name in find.names(kind):
        described, page = find.get(kind, name), pages[f"{plural}/{name}.rst"]
        assert described.title.lower() in page.lower()
        assert f".. automodule:: {find.PACKAGES[kind]}.{name}\n" in page
        assert f":doc:`{name} <{plural}/{name}>`" in pages[f"made/{plural}.inc"]
        assert f"\n   {name} <{plural}/{name}>\n" in pages[f"made/{plural}.inc"]
        if hasattr(described, "paper"):
            assert rst.linked(described.paper) in page
    shown = {Path(path).stem for path in pages if path.startswith(f"{plural}/")}
    assert shown == set(find.names(kind))


@pytest.mark.parametrize("kind", ["method", "engine"])
def test_every_setting_has_its_default_limits_and_meaning(pages, kind):
    plural = {"method": "methods", "engine": "engines"}[kind]
    for name in find.names(kind):
        described = find.get(kind, name).settings
        found = settings.settings(described)
        assert [s.name for s in found] == list(described.__struct_fields__)
        for setting in found:
            assert setting.meaning, f"{name}: the text of its Settings does not say what {setting.name} is"
            assert setting.limits != "value"
            assert f"   * - ``{setting.name}``\n" in pages[f"{plural}/{name}.rst"]


def test_every_field_of_runs_and_studies_has_its_meaning(pages):
    for kind in (Run, study.Study, study.Grid):
        assert all(s.meaning for s in settings.settings(kind)), kind
    for name in study.Study.__struct_fields__:
        assert f"   * - ``{name}``\n" in pages["made/study.inc"]


def test_every_metric_tells_its_ids_headline_and_published_sizes(pages):
    for name in find.names("metric"):
        metric, page = find.get("metric", name), pages[f"metrics/{name}.rst"]
        assert f"``{metric.id}``" in page
        assert f"``{metric.headline}``; {'less' if metric.lower_is_better else 'more'} is better" in page
        assert all(f"``{metric.id.partition('@')[0]}@{mode}``" in page for mode in metric.modes)
        lines = entries.options(metric)
        for option, value in metric.published.items():
            assert f"``{option}``" in lines
            assert rst.code(entries._option(value)) in lines


def test_a_new_metric_has_its_page_without_an_edit(tmp_path, monkeypatch):
    [block] = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    folder = tmp_path / "metrics_of_a_contributor"
    folder.mkdir()
    (folder / "usage.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(find.PACKAGES, "metric", folder.name)
    find.names.cache_clear()
    try:
        made = entries.pages(ROOT)
    finally:
        find.names.cache_clear()
    assert "usage@1" in made["metrics/usage.rst"]
    assert ".. autofunction:: usage\n" in made["metrics/usage.rst"]
    assert "metrics/mig.rst" not in made


def test_every_command_and_option_is_told(pages):
    from disentangle.__main__ import app

    text = pages["made/commands.inc"]
    for name in app.resolved_commands():
        if name.startswith("-"):
            continue
        assert f"## disentangle {name}\n" in text
        [told] = re.findall(rf"(?ms)^## disentangle {re.escape(name)}\n(.*?)(?=^## |\Z)", text)
        for argument in app[name].assemble_argument_collection():
            longest = max(argument.names, key=len)
            if longest.startswith("--no-") or not longest.startswith("--"):
                continue
            assert f"{longest} " in told.replace("`", " "), longest
    assert "Example:" not in text  # they are blocks of code


@given(st.lists(st.sampled_from(["a", "<key>", "`<code>`", " < ", "\n\n"])))
def test_no_help_is_read_as_html_and_code_stays(pieces):
    found = commands.command("".join(pieces))
    assert found.count("`<code>`") == pieces.count("`<code>`")
    assert "<" not in found.replace("`<code>`", "")


@given(st.text(), st.integers(1, 30))
def test_examples_are_short_and_begin_as_they_do(text, most):
    found = files.short(text, most)
    assert found == text or (found.endswith("...") and text.startswith(found[:-3]) and len(found) == most + 3)


def test_the_library_shows_every_short_name_and_each_module_once(pages):
    for name in [*disentangle._PLACES, *find.names("metric")]:
        assert f"`{name} <disentangle." in pages["made/names.inc"]
    shown = [name for names in library.groups().values() for name in names]
    assert sorted([*shown, *library.inside()]) == library.modules()
    assert {"run", "train", "study", "score", "table", "data", "find", "own_data"} <= set(shown)
    assert all(library.first_line(name) for name in library.modules())


def test_every_column_of_a_table_is_told(pages):
    for name, table in files.TABLES.items():
        told = files.table(ROOT / "results" / "quick" / name)
        assert told in pages["made/tables.inc"]
        assert all(f"   * - ``{column.name}``\n" in told for column in table.columns)
    assert '"scores": [' in pages["made/row.inc"]


def test_sources_name_every_paper_and_every_published_file(pages):
    assert all(
        path.name in pages["made/published.inc"] for path in (ROOT / "disentangle/published").glob("*.csv")
    )
    for plural, kind in KINDS.items():
        if kind != "engine":
            assert all(f"<{plural}/{name}>" in pages["made/papers.inc"] for name in find.names(kind))
    text = ROOT / "metrics" / "mig.py"
    assert any("Isolating Sources of Disentanglement" in told for told in sources.said(text))


def test_all_that_the_readme_links_to_is_copied(tmp_path):
    guide.copy(tmp_path, ROOT)
    assert (tmp_path / "README.md").read_text().startswith("# Guide\n")
    for path in tmp_path.rglob("*.md"):
        text = path.read_text()
        for link in [*guide.links(text), *re.findall(r'<a href="(?!http)([^"#]+)"', text)]:
            place = path.parent / link
            extra = tmp_path / guide.EXTRA / place.relative_to(tmp_path)
            assert place.is_file() or extra.is_file(), f"{path.relative_to(tmp_path)} links to {link}"


def test_a_whole_html_page_is_put_beside_the_built_ones_and_opened(tmp_path):
    root, made = tmp_path / "root", tmp_path / "made"
    (root / "results").mkdir(parents=True)
    (root / "results" / "index.html").write_text("<p>a study</p>")
    (root / "README.md").write_text("# disentangle\n[page](results/index.html) [gone](results/gone.html)\n")
    guide.copy(made, root)
    text = (made / "README.md").read_text()
    assert text == '# Guide\n<a href="results/index.html">page</a> [gone](results/gone.html)\n'
    assert (made / guide.EXTRA / "results" / "index.html").read_text() == "<p>a study</p>"


def test_links_to_folders_are_plain_and_a_page_alone_says_so(tmp_path):
    (tmp_path / "sub").mkdir()
    assert (
        guide.page("see [this](sub) and [that](a.md)", tmp_path, alone=False) == "see this and [that](a.md)"
    )
    assert guide.page("text", tmp_path, alone=True).startswith("---\norphan: true\n---\n")


@pytest.mark.parametrize("name", OTHERS)
def test_the_examples_of_the_generator_run(name):
    failed, _ = doctest.testmod(importlib.import_module(f"reference.{name}"))
    assert not failed


class Toy(msgspec.Struct):
    """A toy. a: the first, as
    it is. b, c: the others.

    Beside these, nothing.

    >>> a: no field
    """

    a: int
    b: float = 0.5
    c: list[str] | None = None
    d: Annotated[int, msgspec.Meta(ge=2, le=65_536)] | Literal["rnd"] = "rnd"


def test_meanings_are_read_from_a_text():
    found, rest = settings.meanings(Toy)
    assert found == {"a": "the first, as it is.", "b": "the others.", "c": "the others."}
    assert rest == "A toy.\n\nBeside these, nothing."
    assert [(s.name, s.default, s.needed, s.limits) for s in settings.settings(Toy)] == [
        ("a", "", True, "whole number"),
        ("b", "0.5", False, "number"),
        ("c", "", False, "list of texts"),
        ("d", '"rnd"', False, 'whole number ≥ 2 and ≤ 65,536 or ``"rnd"``'),
    ]


AFTER = r"(?=$|[\s'\")\]}>\-/\\:.,;!?])"  # what may follow the end of code in reStructuredText


def marked(text):
    """Whether all backticks of a text, but for its examples, stand around code or a name."""
    prose = re.sub(r"(?m)^\s*(>>>|\.\.\.)[^\n]*", "", text)
    for mark in ("``", "`"):
        prose = re.sub(rf"{mark}(?! )[^`]+?{mark}{AFTER}", "", prose)
    return "`" not in prose


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("``a``", True),
        ("`a`, ``b``\\ s", True),
        ("``a``s", False),
        ("``a", False),
        ("a`", False),
        ("``a``@b", False),
    ],
)
def test_marks_of_code_are_told_from_stray_ones(text, good):
    assert marked(text) == good


def documented(path):
    """Of a file: each function and class for others, with its name, text and parameters."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        text, function = ast.get_docstring(node), node
        if isinstance(node, ast.ClassDef):
            own = (
                item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"
            )
            function = next(own, None)
        known = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)} if function else None
        if text:
            yield node.name, text, known


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_docstrings_have_a_form_that_pages_can_be_made_of(path):
    for name, text, known in documented(path):
        where = f"{path.relative_to(ROOT)}, {name}"
        assert marked(text), f"{where}: a backtick has no other, or is within a word"
        for section, body in re.findall(r"(?m)^(\w+):\n((?:[ \t]+\S[^\n]*\n?|\n(?=[ \t]))*)", text):
            assert section in SECTIONS, f"{where}: the section {section!r} is none of {sorted(SECTIONS)}"
            assert body.strip(), f"{where}: nothing in {section}"
            if section in ("Args", "Attributes", "Raises"):
                heads = re.findall(
                    r"(?m)^    (\S[^\n]*)",
                    inspect.cleandoc(text).partition(f"{section}:\n")[2].partition("\n\n")[0],
                )
                for head in heads:
                    assert ":" in head or "," in head, f"{where}: {head!r} in {section} is no 'name: text'"
                names = {
                    part.strip().lstrip("*") for head in heads for part in head.partition(":")[0].split(",")
                }
                if section == "Args" and known is not None:
                    assert names <= known, f"{where}: no parameters {sorted(names - known)}"


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    for needed in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(needed)
    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(DOCS / "pages", source)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-d",
        tmp_path / "trees",
        "-c",
        DOCS,
    ]
    done = subprocess.run(
        [*command, source, out], capture_output=True, text=True, env={**os.environ}, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    for plural, kind in KINDS.items():
        for name in find.names(kind):
            assert (out / plural / f"{name}.html").is_file()
    assert "sphinx" not in (out / "commands.html").read_text().partition("<h1>")[2].partition("<footer")[0]
    pages = [path.read_text() for path in out.rglob("*.html")]
    # No script, style, font or picture from elsewhere: it is read without a network too.
    assert not [p for p in pages if re.search(r'(?:src|<link[^>]* href)="(?:https?:)?//', p)]
    assert not [p for p in pages if 'class="problematic"' in p]
