"""The command `disentangle compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def compare(
    study: Annotated[Path, Parameter(help="A study's folder, or a table.csv.")],
    /,
    *,
    with_: Annotated[
        list[str],
        Parameter(
            name="--with",
            help="published: the numbers that are shipped; FILE.csv: your own in the same columns (may be "
            "repeated); or another study's folder or table.csv.",
            negative="",
        ),
    ],
    ours: Annotated[
        list[str] | None,
        Parameter(
            help="Only our runs with NAME=VALUE, such as dataset=dsprites, precision=bf16 or beta=4; may be "
            "repeated.",
            negative="",
        ),
    ] = None,
    theirs: Annotated[
        list[str] | None,
        Parameter(help="The same of the other study, which may be ours again.", negative=""),
    ] = None,
    all_scores: Annotated[
        bool, Parameter(help="Between studies: all scores, not each metric's headline only.", negative="")
    ] = False,
    csv: Annotated[
        Path | None, Parameter(help="Also write every line, with all fields, to this file.")
    ] = None,
) -> None:
    """Compare a study with published numbers or another study; say what differs where numbers are not alike.

    Example: disentangle compare results/quick --with published

    Example: disentangle compare results/precision --with results/precision --ours precision=bf16
    --theirs precision=fp32
    """
    from disentangle.commands import named_values
    from disentangle.compare import compare as compare_with
    from disentangle.files import write_bytes

    if csv is not None:
        _check_free(csv)
    found = compare_with(
        study,
        with_,
        ours=named_values(ours or [], "--ours"),
        theirs=named_values(theirs or [], "--theirs"),
        all_scores=all_scores,
    )
    print(found.text, end="")
    if csv is not None:
        write_bytes(csv, found.frame.to_csv(index=False).encode())
        print(f"written to {csv}", file=sys.stderr)


def _check_free(file: Path) -> None:
    """Refuse a file that holds anything but an earlier comparison, such as what is compared."""
    from disentangle import compare_published, compare_studies
    from disentangle.errors import InputError
    from disentangle.published_scores import header

    if file.is_dir():
        raise InputError(f"--csv {file} is a folder; expected the name of a file")
    ours = compare_published.COLUMNS, compare_studies.COLUMNS
    if file.exists() and file.stat().st_size and header(file) not in ours:
        raise InputError(f"--csv {file} exists and holds no comparison; choose another name")
