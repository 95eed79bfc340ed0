"""The command `disentangle publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def publish(
    study: Annotated[
        Path, Parameter(help="A study's folder or its study file; with --check of any package.")
    ],
    /,
    *,
    license: Annotated[
        str, Parameter(help="Of tables, rows and figures: CC-BY-4.0, CC-BY-SA-4.0, CC0-1.0 or ODC-BY-1.0.")
    ] = "CC-BY-4.0",
    title: Annotated[
        str | None, Parameter(help="Of the package; made of the study's name if left out.")
    ] = None,
    contributor: Annotated[
        list[str] | None, Parameter(help="An author's name; may be repeated.", negative="")
    ] = None,
    allow_dirty: Annotated[
        bool,
        Parameter(help="Take rows too whose code is in no commit; the package says so.", negative=""),
    ] = False,
    out: Annotated[
        Path | None, Parameter(help="Also copy the package, and nothing else, into this folder.")
    ] = None,
    check: Annotated[
        bool, Parameter(help="Verify a package instead; nothing in it is changed.", negative="")
    ] = False,
) -> None:
    """Build a study's tables, figures and page from its rows, and make a data package of the folder.

    Writes datapackage.json (Frictionless Data: columns, types, scores and their units, licence, sources,
    commits, what is missing) and SHA256SUMS. Rows of code that no commit holds are refused. --check compares
    checksums, schema, and the tables and all such facts with what the rows give.

    Example: disentangle publish results/quick --out quick-1.0

    Example: disentangle publish quick-1.0 --check
    """
    from disentangle.errors import InputError
    from disentangle.publish import publish as publish_study
    from disentangle.publish import verify

    others: dict[str, Any] = {
        "title": title,
        "contributors": contributor or (),
        "allow_dirty": allow_dirty,
        "out": out,
    }
    if not check:
        print(publish_study(study, license=license, **others).text())
        return
    if any(others.values()) or license != "CC-BY-4.0":
        raise InputError("--check verifies a package as it is; it takes no other option")
    problems, told = verify(study)
    print(told)
    if problems:
        raise SystemExit(1)
