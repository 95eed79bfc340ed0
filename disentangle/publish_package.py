"""What a published study says of itself: the content of its ``datapackage.json``.

The form is the Data Package standard's (datapackage.org), readable under its first and its second version.
There is no date in it: rows have none, and publishing the same files again gives the same bytes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from disentangle.errors import unknown
from disentangle.provenance import commit, version
from disentangle.publish_columns import HYPER, Column, Table, check_csv, csv_reader, hyper_column
from disentangle.publish_facts import (
    commits,
    dirty_text,
    hardware,
    missing,
    missing_text,
    scores,
    sources,
    states,
    unclean,
)
from disentangle.publish_files import Contents, File
from disentangle.schema import TABLES, figure
from disentangle.study import Task, datasets

COMMONS = "https://creativecommons.org"
LICENSES = {
    "CC-BY-4.0": ("Creative Commons Attribution 4.0 International", f"{COMMONS}/licenses/by/4.0/"),
    "CC-BY-SA-4.0": (
        "Creative Commons Attribution Share-Alike 4.0 International", f"{COMMONS}/licenses/by-sa/4.0/",
    ),
    "CC0-1.0": ("CC0 1.0 Universal", f"{COMMONS}/publicdomain/zero/1.0/"),
    "ODC-BY-1.0": (
        "Open Data Commons Attribution License 1.0", "https://opendatacommons.org/licenses/by/1-0/",
    ),
}  # fmt: skip
MEDIA = {
    "csv": "text/csv", "gif": "image/gif", "html": "text/html", "md": "text/markdown", "png": "image/png",
    "svg": "image/svg+xml", "tex": "text/x-tex", "toml": "application/toml", "webp": "image/webp",
}  # fmt: skip
TITLES = {
    "study.toml": "The study file, from which the runs can be made again",
    "table.md": "The leaderboard, as Markdown",
    "table.tex": "The leaderboard, for LaTeX",
    "index.html": "The leaderboard, as a page",
}
ABOUT = (
    "table.csv has a line per run and score with everything that is known of it, summary.csv the mean and "
    "spread of every setting. Both are built from rows/ alone, one JSON file per run, listed in "
    "SHA256SUMS. Drawn images are no official data sets; numbers under different metric ids are not "
    "comparable. The licence is that of tables, rows and figures; pictures show images of the data sets, "
    "which have licences of their own."
)


def license_of(name: str) -> dict[str, str]:
    """A licence as a descriptor names it.

    Raises:
        InputError: it is none of `LICENSES`.

    >>> license_of("CC0-1.0")["title"]
    'CC0 1.0 Universal'
    """
    if name not in LICENSES:
        raise unknown("licence", name, LICENSES)
    title, path = LICENSES[name]
    return {"name": name, "path": path, "title": title}


def describe(
    found: Contents,
    *,
    license: str,
    state: Callable[[Task], str],
    title: str = "",
    contributors: Sequence[str] = (),
) -> dict[str, Any]:
    """The descriptor of a study.

    Beside the standard's fields it has ``study``; ``made_by``, what wrote the descriptor; ``commits``, what
    the software of the rows was; ``dirty`` and ``dirty_rows``, whether and which rows no commit tells the
    code of; ``hardware``; ``scores``, with metric, unit and which way is better; ``missing``, what of the
    study is not there.

    Args:
        found: the study's contents, of which the CSV files keep to their schema.
        license: a name of `LICENSES`.
        state: see `disentangle.publish_facts.missing`.
        title: for people; made of the study's name if left out.
        contributors: names of people, the authors; empty ones are left out.
    """
    study, dirty = found.study, unclean(found.rows)
    authors = [{"title": name.strip(), "role": "author"} for name in contributors if name.strip()]
    versions = states(found.rows, "version")
    lacking = missing(study, found.rows, found.files, state)
    told = [
        f"{study.description.rstrip('. ')}." if study.description else "",
        dirty_text(found.rows),
        ABOUT,
        missing_text(lacking),
    ]
    return {
        "name": study.name.lower(),
        "title": title or f"{study.name}: scores of disentangled representations",
        "description": " ".join(text for text in told if text),
        # Several versions are told under `commits` alone.
        **({"version": versions[0]} if len(versions) == 1 else {}),
        "profile": "data-package",
        "licenses": [license_of(license)],
        "sources": sources(found.rows),
        **({"contributors": authors} if authors else {}),
        "keywords": ["disentanglement", "representation learning", "benchmark", *datasets(study)],
        "study": study.name,
        "made_by": maker(),
        "commits": commits(found.rows),
        "dirty": bool(dirty),
        "dirty_rows": sorted(dirty),
        "hardware": hardware(found.rows),
        "scores": scores(found.rows),
        "missing": lacking,
        "resources": resources(found),
    }


def maker() -> dict[str, Any]:
    """The version that runs, and the state of its code."""
    head, dirty = commit()
    return {"version": version(), "commit": head, "dirty": dirty}


def departures(found: Contents) -> list[str]:
    """What of the CSV files departs from their schemas; see `disentangle.publish_columns.check_csv`."""
    paths = (path for path in found.files if path.endswith(".csv"))
    return [told for path in paths for told in check_csv(found.folder / path, table_of(found.folder / path))]


def table_of(path: Path) -> Table:
    """The schema of a study's CSV file, by its name, or of a figure's, by the columns that it has."""
    if path.name in TABLES:
        return TABLES[path.name]
    try:
        with csv_reader(path) as reader:
            return figure(next(reader, []))
    except (csv.Error, ValueError):  # no CSV file, which `check_csv` tells
        return figure([])


def resources(found: Contents) -> list[dict[str, Any]]:
    """Every published file but the rows, with its checksum, and the CSV files with their schema."""
    listed, names = [], set[str]()
    # A reader may open the first one: the tables, then what else is at the top.
    order = sorted(found.files.items(), key=lambda one: (one[0] not in TABLES, "/" in one[0]))
    for path, file in order:
        if path.startswith("rows/"):  # thousands; an array of paths would mean pieces of one table
            continue
        name = re.sub(r"[^a-z0-9._-]+", "-", path.lower().removesuffix(".csv"))
        while name in names:
            name += "-"
        names.add(name)
        listed.append({"name": name, **_resource(found.folder, path, file)})
    return listed


def _resource(folder: Path, path: str, file: File) -> dict[str, Any]:
    ending = path.rpartition(".")[2]
    about: dict[str, Any] = {"path": path, "title": _title(path), "format": ending}
    about |= {"mediatype": MEDIA[ending], "bytes": file.bytes, "hash": f"sha256:{file.sha256}"}
    if not MEDIA[ending].startswith("image/") or ending == "svg":
        about["encoding"] = "utf-8"
    if ending != "csv":
        return about
    about |= {"profile": "tabular-data-resource", "type": "table"}
    table = table_of(folder / path)
    hyper = hyper_columns(folder / path) if table.hyper else []
    return about | {"description": table.description, "schema": table.descriptor(hyper)}


def _title(path: str) -> str:
    """A file's title for people."""
    folder, _, name = path.rpartition("/")
    if not folder:
        return TABLES[path].title if path in TABLES else TITLES[path]
    stem, _, ending = name.rpartition(".")
    if ending == "csv":
        return f"Numbers of the figure {stem}"
    return f"{'Figure' if folder == 'figures' else 'Picture'} {stem}"


def hyper_columns(path: Path) -> list[Column]:
    """The columns of hyperparameters in a ``table.csv``, with the types that they have there."""
    with csv_reader(path) as reader:
        header = next(reader)
        places = [i for i, name in enumerate(header) if name.startswith(HYPER)]
        method = header.index("method")
        found = {(place, cells[place], cells[method]) for cells in reader for place in places if cells[place]}
    return [
        hyper_column(
            header[place],
            {text for at, text, _ in found if at == place},
            {method for at, _, method in found if at == place},
        )
        for place in places
    ]
