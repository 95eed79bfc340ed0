"""The commands that show what there is: data, list."""

from __future__ import annotations

# torch and scikit-learn are imported inside the commands, so that --help answers at once.
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from disentangle.cli_options import Source

if TYPE_CHECKING:
    from disentangle.data import FactorData


def data(
    name: Annotated[str, Parameter(help="A data set, or a file of your own: FILE.npz.")],
    /,
    *,
    source: Source = "auto",
    path: Annotated[
        Path | None, Parameter(help="The official file, where it is not in the usual places.")
    ] = None,
    download: Annotated[bool, Parameter(help="Fetch the official file first.", negative="")] = False,
    add: Annotated[
        bool,
        Parameter(help="Put FILE.npz into the data folder; studies find it by its name.", negative=""),
    ] = False,
    size: Annotated[
        int | None,
        Parameter(help="Resize FILE's images to so many pixels (Lanczos).", validator=Number(gte=1)),
    ] = None,
    picture: Annotated[Path | None, Parameter(help="Write a contact sheet, one row per factor.")] = None,
) -> None:
    """Show what a data set is and where it comes from; or check a file of your own, and add it.

    Example: disentangle data dsprites --picture sheet.png

    Example: disentangle data mine.npz --add
    """
    from disentangle import find
    from disentangle.errors import InputError
    from disentangle.listing import describe

    if name.endswith(".npz"):
        if download or path is not None or source not in ("auto", "user"):
            raise InputError(
                f"{name} is a file of your own; --source, --path and --download are for a data set's name"
            )
        loaded = _own_file(Path(name), size, add)
        title, paper = loaded.name, "own data"
    elif add or size is not None:
        raise InputError(f"--add and --size are for a file of your own, FILE.npz, got {name!r}")
    else:
        dataset = find.get("dataset", name)
        if download:
            if dataset.download is None:
                raise InputError(f"the data set {name!r} has no official file to download")
            path = dataset.download()
        loaded, title, paper = dataset.load(source, path), dataset.title, dataset.paper
    print(describe(title, paper, loaded))
    if picture is not None:
        from disentangle.pictures import contact_sheet

        contact_sheet(loaded, picture)
        print(f"picture   {picture}")


def _own_file(path: Path, size: int | None, add: bool) -> FactorData:
    """A user's file, checked, and added to the data folder if asked."""
    from disentangle import own_files

    if not add:
        return own_files.read(path, size)
    place, found, new = own_files.add(path, size)
    print(f'{"added" if new else "there already"}: {place}\nin a study: dataset = "{found.name}"')
    return found


def list_what_is(
    kind: Annotated[
        Literal["methods", "datasets", "metrics", "engines"] | None, Parameter(help="Only these.")
    ] = None,
    /,
) -> None:
    """List methods, data sets, metrics and engines: name, title, paper, what it is, and its settings.

    Example: disentangle list methods
    """
    from shutil import get_terminal_size

    from disentangle.listing import KINDS, listing

    width = get_terminal_size().columns if sys.stdout.isatty() else None
    print(listing([kind] if kind else [*KINDS], width))
