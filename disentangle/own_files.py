"""A user's own images as files: read, checked, and found by name in the data folder."""

from __future__ import annotations

import functools
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle import find, nets
from disentangle.data import FactorData
from disentangle.errors import DataError, InputError, unknown
from disentangle.files import data_folder
from disentangle.own_archive import FORM, array, head, mapped, opened
from disentangle.own_data import NAME, Own, checked, write

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

NEEDED = ("images", "factors")
KNOWN = (*NEEDED, "factor_names", "note")
VALUES = "values_"  # begins the name of a member with a factor's values


def read(path: str | os.PathLike[str], size: int | None = None) -> FactorData:
    """Read and check a file of a user's own images; its name is the data set's.

    The form is that of `disentangle.own_data`. Uncompressed images in row-major order are mapped from the
    file, so that processes share them; a process reads through a file once. Nothing is unpickled.

    Args:
        path: the .npz.
        size: resize the images to so many pixels in height and width.

    Raises:
        DataError: the file is missing, damaged or of another form; the message names it and the member.
    """
    path = Path(path)
    own = _own(path, size)
    try:
        return own.data(path.stem)
    except InputError as error:
        raise DataError(f"{path}: {error}") from None


def names() -> tuple[str, ...]:
    """The names of the user's files in the data folder, sorted; `disentangle.find.names` has the suite's."""
    found = (file.stem for file in data_folder().glob("*.npz") if file.is_file() and _has_form(file))
    return tuple(sorted(name for name in found if _may_be(name)))


def dataset(name: str) -> find.Dataset:
    """The data set of the user's file ``<name>.npz`` in the data folder.

    Raises:
        InputError: there is none; the message gives the nearest names, and how to bring one's own file.
    """
    if not _may_be(name) or not _file(name).is_file():
        raise InputError(
            f"{unknown('dataset', name, (*find.names('dataset'), *names()))}. Images of your own: "
            f"`disentangle data {name}.npz --add` puts such a file into {data_folder()}"
        )
    return find.Dataset(title=name, paper="own data", load=functools.partial(_load, name))


def add(path: str | os.PathLike[str], size: int | None = None) -> tuple[Path, FactorData, bool]:
    """Put a file of a user's own images into the data folder, where studies find it by its name.

    It is written whole or not at all, with its images in row-major order and uncompressed.

    Args:
        path: the .npz, ``<name>.npz``.
        size: resize the images to so many pixels in height and width.

    Returns:
        The file in the data folder, what is in it, and whether it is new there.

    Raises:
        InputError: the name is none for a data set, or the suite's, or is taken by other images, or by these
            with another note or other values; the images do not have the size that the networks take.
        DataError: see `read`.
    """
    path = Path(path)
    if not NAME.fullmatch(path.stem):
        raise InputError(
            f"{path}: the data set's name would be {path.stem!r}; expected small letters, digits and '_', "
            "a letter first: rename the file"
        )
    data, place, side = read(path, size), _file(path.stem), nets.SIDE
    _, height, width = data.image_shape
    if (height, width) != (side, side):
        raise InputError(
            f"{path}: images are {height}x{width}, and the networks take {side}x{side}; resize them "
            f"(Lanczos) with size={side}, --size {side} on the command line"
        )
    if not place.exists():
        write(place, _own(path, size))
        return place, data, True
    if (there := read(place)).checksum != data.checksum:
        raise InputError(
            f"{place} is there and holds other images or factors ({there.checksum}, not {data.checksum}); "
            "expected the same: rename yours, for rows of studies name their data so"
        )
    if there.note != data.note or not all(map(np.array_equal, there.factor_values, data.factor_values)):
        raise InputError(
            f"{place} is there with the same images and factors, and another note or other values of a "
            "factor; remove it first to replace it"
        )
    return place, there, False


def summary(name: str) -> str:
    """What a user's file holds, by its heads alone.

    Raises:
        DataError: it is damaged.
    """
    path = _file(name)
    with opened(path) as archive:
        shapes = {member: head(path, archive, member)[0] for member in NEEDED}
    images, factors = shapes["images"], shapes["factors"]
    if len(images) not in (3, 4) or len(factors) != 2:
        raise DataError(f"{path}: images has shape {images} and factors {factors}; expected {FORM}")
    return f"{images[0]:,} images of {'x'.join(map(str, images[1:]))}, {factors[-1]} factors, {path}"


def _load(name: str, source: str = "auto", path: str | os.PathLike[str] | None = None) -> FactorData:
    if source in ("official", "drawn"):
        raise DataError(
            f"{name} is your own data and has no {source} images; its source is 'user', or 'auto'"
        )
    if source not in ("auto", "user"):
        raise unknown("source", source, ("auto", "user"))
    return read(_file(name) if path is None else path)


def _file(name: str) -> Path:
    return data_folder() / f"{name}.npz"


def _may_be(name: str) -> bool:
    return NAME.fullmatch(name) is not None and name not in find.names("dataset")


def _has_form(file: Path) -> bool:
    """Whether the members are there: official files and codes lie in such folders too."""
    try:
        with zipfile.ZipFile(file) as archive:
            return {f"{member}.npy" for member in NEEDED} <= set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _own(path: Path, size: int | None) -> Own:
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected {FORM}") from None
    return _read(path.absolute(), state.st_size, state.st_mtime_ns, size)


@functools.lru_cache(maxsize=2)  # a study asks what a file is, and then for its images
def _read(path: Path, length: int, modified: int, size: int | None) -> Own:
    with opened(path) as archive:
        members = [name.removesuffix(".npy") for name in archive.namelist()]
        for missing in (name for name in NEEDED if name not in members):
            have = ", ".join(members) or "none"
            raise DataError(f"{path} has no member {missing!r}, its members are {have}; expected {FORM}")
        for strange in (name for name in members if name not in KNOWN and not name.startswith(VALUES)):
            raise DataError(f"{path}: {unknown('member', strange, [*KNOWN, 'values_<factor name>'])}")
        small = {name: array(path, archive, name) for name in members if name != "images"}
        images = mapped(path, archive, "images")
    try:
        return checked(images, small.pop("factors"), size=size, **_options(small))
    except InputError as error:
        raise DataError(f"{path}: {error}") from None


def _options(small: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The options of `checked` that a file's small members are."""
    note, given = small.pop("note", np.array("")), small.pop("factor_names", None)
    if note.dtype.kind != "U" or note.ndim:
        raise InputError(
            f"note has dtype {note.dtype} and shape {note.shape}; expected one text, np.array('...')"
        )
    if given is not None and (given.ndim != 1 or given.dtype.kind != "U"):
        raise InputError(
            f"factor_names has dtype {given.dtype} and shape {given.shape}; expected texts of shape (F,)"
        )
    if not small:
        return {"factor_names": given, "note": str(note)}
    if given is None:
        raise InputError(f"{next(iter(small))} names a factor, and there is no factor_names; expected it too")
    names = given.tolist()
    for member in small:
        if member.removeprefix(VALUES) not in names:
            raise unknown("member", member, [VALUES + name for name in names])
    return {
        "factor_names": names,
        "factor_values": [small.get(VALUES + name) for name in names],
        "note": str(note),
    }
