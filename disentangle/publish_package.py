"""What a published study says of itself: the content of its ``datapackage.json``.

The form is the Data Package standard's (datapackage.org), readable under its first and its second version.
There is no date in it: rows have none, and publishing the same files again gives the same bytes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from disentangle.errors import InputError, unknown
from disentangle.publish_columns import HYPER, Column, csv_reader, hyper_column, type_of
from disentangle.publish_files import Contents, File
from disentangle.publish_missing import missing, missing_text
from disentangle.publish_origins import commits, dirty_text, hardware, sources, states, unclean
from disentangle.schema import TABLES
from disentangle.study import datasets

COMMONS, SOURCE = "https://creativecommons.org", "https://opensource.org/licenses"
LICENSES = {
    "CC-BY-4.0": ("Creative Commons Attribution 4.0 International", f"{COMMONS}/licenses/by/4.0/"),
    "CC-BY-SA-4.0": (
        "Creative Commons Attribution Share-Alike 4.0 International",
        f"{COMMONS}/licenses/by-sa/4.0/",
    ),
    "CC-BY-NC-4.0": (
        "Creative Commons Attribution Non-Commercial 4.0 International",
        f"{COMMONS}/licenses/by-nc/4.0/",
    ),
    "CC0-1.0": ("CC0 1.0 Universal", f"{COMMONS}/publicdomain/zero/1.0/"),
    "ODC-BY-1.0": (
        "Open Data Commons Attribution License 1.0", "https://opendatacommons.org/licenses/by/1-0/",
    ),
    "ODbL-1.0": (
        "Open Data Commons Open Database License 1.0", "https://opendatacommons.org/licenses/odbl/1-0/",
    ),
    "MIT": ("MIT License", f"{SOURCE}/MIT"),
    "BSD-3-Clause": ("BSD 3-Clause License", f"{SOURCE}/BSD-3-Clause"),
    "Apache-2.0": ("Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
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
    title: str = "",
    contributors: Sequence[str] = (),
) -> dict[str, Any]:
    """The descriptor of a study.

    Beside the standard's fields it has ``study``; ``commits``, what the software was; ``dirty`` and
    ``dirty_rows``, whether and which rows no commit tells the code of; ``missing``, what of the study is not
    there; ``hardware``.

    Args:
        found: the study's contents.
        license: a name of `LICENSES`.
        title: for people; made of the study's name if left out.
        contributors: names of people, the authors.
    """
    study, dirty = found.study, unclean(found.rows)
    authors = [{"title": name, "role": "author"} for name in contributors]
    versions = states(found.rows, "version")
    lacking = missing(found)
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
        "commits": commits(found.rows),
        "dirty": bool(dirty),
        "dirty_rows": sorted(dirty),
        "hardware": hardware(found.rows),
        "missing": lacking,
        "resources": resources(found),
    }


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
    if path not in TABLES:
        return about | {"schema": _inferred(folder / path)}
    table = TABLES[path]
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


def _inferred(path: Path) -> dict[str, Any]:
    """The schema of a figure's numbers: names, and the types that the cells have."""
    try:
        with csv_reader(path) as reader:
            header: list[str] = next(reader, [])
            lines = [cells for cells in reader if cells]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no CSV file in UTF-8: {error}") from error
    if any(len(cells) != len(header) for cells in lines) or len(set(header)) < len(header):
        raise InputError(f"{path} is no table; expected as many cells in each line as there are names")
    kinds = [type_of(cells[i] for cells in lines) for i in range(len(header))]
    columns = [Column(name=name, type=kind, title=name) for name, kind in zip(header, kinds, strict=True)]
    return {"fields": [column.descriptor() for column in columns], "missingValues": [""]}
