"""The leaderboard as a page: one HTML file that opens offline, with figures and every run behind its line."""

from __future__ import annotations

import html
import inspect
import os
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from disentangle.board import Column, headlines, keys_of, settings, told
from disentangle.board_text import reading
from disentangle.errors import InputError
from disentangle.figure_style import is_ours
from disentangle.files import write_bytes
from disentangle.page_boards import place, view
from disentangle.page_runs import as_json, embedded, run_data
from disentangle.rules import by_id
from disentangle.table import FIGURES

if TYPE_CHECKING:
    from disentangle.figures import Figure
    from disentangle.table import Tables

Pictures = Literal["auto", "embed", "link", "none"]
MOST = 4_000_000  # bytes of pictures that "auto" puts into the page
NO_FIGURES = "No figures: they need matplotlib; pip install matplotlib"


def write_page(tables: Tables, folder: str | Path, pictures: Pictures = "auto") -> list[str]:
    """Write ``index.html`` and, where matplotlib is installed, ``figures/`` from the tables of studies.

    The page asks for nothing from the network. Pictures of the runs are in it as WebP (``"embed"``), or
    beside it under the paths that rows name (``"link"``); ``"auto"`` embeds up to 4 MB.

    Args:
        tables: of `disentangle.table.make_tables`.
        folder: where the page goes; the tables are there already.
        pictures: ``"auto"``, ``"embed"``, ``"link"`` or ``"none"``.

    Returns:
        What a user should know, a line each: what was written, where pictures are, what is missing.
    """
    folder = Path(folder)
    drawn, said = _figures(tables, folder)
    found, note = _pictures(tables, folder, pictures)
    context = _context(tables, drawn) | {"pictures": as_json(found), "pictures_note": note}
    context["figures_note"] = "" if drawn or not said else said[0]
    content = _template()("page.html").render(context)
    write_bytes(folder / "index.html", content.encode())
    return [
        *said,
        *([note] if note else []),
        f"written: {folder / 'index.html'} ({len(content) / 1e6:.1f} MB)",
    ]


def _part(name: str) -> str:
    return (files("disentangle") / "template" / name).read_text(encoding="utf-8")


def _template() -> Callable[[str], Any]:
    """What gives a template by its name; texts in it are escaped."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    made = Environment(
        loader=DictLoader({"page.html": _part("page.html")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = breakable
    return made.get_template


def breakable(text: str) -> Any:
    """A metric id that may be broken into lines before its brackets and behind its commas.

    >>> print(breakable("mig@1[rows=5]"))
    mig@1<wbr>[rows=5]
    """
    from markupsafe import Markup

    return Markup(
        re.sub(r"([\[,])", lambda m: f"<wbr>{m[1]}" if m[1] == "[" else ",<wbr>", html.escape(text))
    )


def _figures(tables: Tables, folder: Path) -> tuple[list[Figure], list[str]]:
    """Draw the figures and write them; those of an earlier call that are none any more are removed."""
    drawn, said = list["Figure"](), list[str]()
    try:
        from disentangle import figures

        drawn = figures.draw(tables.frame, headlines(tables.joined.studies), settings(tables.joined.studies))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        said = [NO_FIGURES]
    place = folder / FIGURES
    _remove_old(place, {figure.name for figure in drawn})
    for figure in drawn:
        place.mkdir(parents=True, exist_ok=True)
        write_bytes(place / f"{figure.name}.svg", figure.svg.encode())
        if figure.numbers is not None:
            content = figure.numbers.to_csv(index=False, float_format="%.6g").encode()
            write_bytes(place / f"{figure.name}.csv", content)
        write_bytes(place / f"{figure.name}.png", figure.png)
    return drawn, said


def _remove_old(place: Path, names: set[str]) -> None:
    """Remove the figures that an earlier call left of other rows; a user's own files stay."""
    for path in place.glob("*.png"):
        if path.stem not in names and is_ours(path):
            for end in (".svg", ".csv", ".png"):  # the picture last: without it nothing says whose they are
                path.with_suffix(end).unlink(missing_ok=True)
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()


def _pictures(tables: Tables, folder: Path, how: Pictures) -> tuple[dict[str, dict[str, str]], str]:
    """The pictures of each run, by the ends of their names, as addresses; and what is to be said of them."""
    if how not in ("auto", "embed", "link", "none"):
        raise InputError(f"pictures must be auto, embed, link or none, got {how!r}")
    paths: dict[str, dict[str, Path]] = {}
    for row in tables.joined.rows if how != "none" else ():
        for name in row.get("pictures", ()):
            path, end = tables.joined.places[row["key"]] / name, name.rpartition("-")[2]
            if end != "matrices.png" and path.is_file():  # those the page draws itself
                paths.setdefault(row["key"], {})[end] = path
    every = [path for own in paths.values() for path in own.values()]
    size = sum(path.stat().st_size for path in every)
    # Stills shrink to about a third as WebP: what is far too large need not be read to know.
    if how == "embed" or (how == "auto" and size <= 3 * MOST):
        found, damaged = _embedded(paths)
        if how == "embed" or sum(len(text) for own in found.values() for text in own.values()) <= MOST:
            return found, damaged
    link = {key: {end: _link(path, folder) for end, path in own.items()} for key, own in paths.items()}
    places = sorted({os.path.relpath(path.resolve().parent, folder.resolve()) for path in every})
    note = (
        f"Pictures of runs ({size / 1e6:.1f} MB) are not in the page: it looks for them in "
        f"{', '.join(places)}, as seen from its folder. Keep them there, or build it with --pictures embed."
    )
    return link, note if every else ""


def _embedded(paths: dict[str, dict[str, Path]]) -> tuple[dict[str, dict[str, str]], str]:
    """The pictures as data addresses; those that are damaged are left out and told."""
    found: dict[str, dict[str, str]] = {}
    damaged = []
    for key, own in paths.items():
        for end, path in own.items():
            try:
                found.setdefault(key, {})[end] = embedded(path)
            except (OSError, ValueError, SyntaxError):  # what Pillow says of files that are no pictures
                damaged.append(str(path))
    return found, f"Left out, for they are no whole pictures: {', '.join(damaged)}." if damaged else ""


def _link(path: Path, folder: Path) -> str:
    """The address of a file, from the page's folder."""
    return quote(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())


def _context(tables: Tables, drawn: Sequence[Figure]) -> dict[str, Any]:
    from disentangle.provenance import version

    studies, frame = tables.joined.studies, tables.frame
    keys = keys_of(frame)
    boards = [*tables.boards, *(board for _, _, made in tables.chosen for board in made)]
    shown = [view(board, keys, tables) for board in boards]
    heads = tables.boards[0].columns if tables.boards else ()
    runs, left_out = run_data(tables)
    methods = dict.fromkeys(line.method for b in tables.boards for line in b.lines if line.kind == "run")
    return {
        "title": ", ".join(study.name for study in studies),
        "version": version(),
        "css": _raw(_part("page.css")),
        "js": _raw(_part("page.js")),
        "studies": studies,
        "notes": tables.joined.notes,
        "places": [
            {"id": place(board.dataset, board.source, board.split), "title": board.title.replace("`", "")}
            for board in tables.boards
        ],
        "methods": [(name, told(name)) for name in methods],
        "headlines": heads,
        "metrics": [_metric(column) for column in heads],
        "rules": [rule for rule, _, _ in tables.chosen] + [rule for rule, _ in tables.problems],
        "problems": [{"rule": rule.name, "why": why} for rule, why in tables.problems],
        "boards": shown,
        "published": _published({board.dataset for board in boards}),
        "figures": [_figure(figure) for figure in drawn],
        "reading": [_marked(text) for text in [*reading(studies, frame)[1:], *left_out]],
        "runs": as_json(runs),
    }


def _raw(text: str) -> Any:
    """Text of the suite's own that is HTML, a style or a script already."""
    from markupsafe import Markup

    return Markup(text)


def _marked(text: str) -> Any:
    """The little Markdown of our sentences as HTML."""
    safe = html.escape(text, quote=False)
    safe = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", safe)
    safe = re.sub(r"\*(.+?)\*", r"<i>\1</i>", safe)
    return _raw(re.sub(r"`(.+?)`", r"<code>\1</code>", safe))


def _metric(column: Column) -> dict[str, Any]:
    """What a metric measures, as the docstring of its function says."""
    metric = by_id()[column.metric_id.partition("@")[0]]
    first, _, rest = (inspect.getdoc(metric.function) or "").partition("\n\nArgs:")[0].partition("\n")
    return {"id": column.metric_id, "score": column.score, "title": metric.title, "paper": metric.paper,
            "less": column.less, "first": first,
            "rest": rest.strip().removeprefix("::").strip("\n")}  # fmt: skip


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "place": place(figure.dataset, figure.source, figure.split),
        "kind": figure.kind,
        "svg": _raw(figure.svg),
        "title": figure.title,
        "caption": figure.caption,
        "png": f"{FIGURES}/{quote(figure.name)}.png",
        "numbers": f"{FIGURES}/{quote(figure.name)}.csv" if figure.numbers is not None else "",
    }


def _published(names: set[str]) -> list[dict[str, Any]]:
    """What other papers published on these data sets, of methods and metrics that the suite has."""
    from disentangle.published_scores import read_published

    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sorted(names)}
    for one in read_published():
        for name in found.keys() & set(one.datasets) if one.methods and one.score else ():
            value = f"{one.value:g}" + (f" ± {one.std:g}" if one.std is not None else "")
            of = "" if len(one.datasets) == 1 else f", on {one.dataset} (which is not told)"
            found[name].append(
                {"method": " ".join(one.methods), "title": one.method, "setting": one.hyperparameter,
                 "metric": one.metric, "score": one.score, "id": one.metric_id, "value": value,
                 "statistic": one.statistic, "n": one.n_seeds, "paper": one.paper,
                 "table": f"{one.table}{of}", "sureness": one.sureness, "source": one.source}
            )  # fmt: skip
    return [{"dataset": name, "rows": rows} for name, rows in found.items() if rows]
