"""What the data sets have in common whose images are in their files only and cannot be drawn."""

from __future__ import annotations

from pathlib import Path

from disentangle.errors import DataError, unknown

SOURCES = ("auto", "official", "user")


def check_source(dataset: str, source: str, how: str) -> None:
    """Refuse a source that such a data set has not.

    Args:
        dataset: its name, for the message.
        source: ``"official"``: a file whose checksum is known; ``"user"``: any file of the official form;
            ``"auto"``: official if the checksum is known, else user.
        how: how to get the official file.

    Raises:
        DataError: the images are to be drawn.
        InputError: there is no such source.
    """
    if source == "drawn":
        raise DataError(f"{dataset} cannot be drawn, its images are in the official file only: {how}")
    if source not in SOURCES:
        raise unknown("source", source, SOURCES)


def label(place: Path, source: str, official: bool, reason: str) -> tuple[str, str]:
    """The source and the note of data whose form was checked.

    Args:
        place: the file, or the folder of several.
        source: what was asked for, see `check_source`.
        official: whether this is known to be the official data.
        reason: why it is not, if so: what was found and expected.

    Raises:
        DataError: the official data are asked for and this is not known to be them.

    >>> label(Path("a.npz"), "auto", True, "")
    ('official', '')
    >>> label(Path("a.npz"), "user", True, "")
    ('user', '')
    >>> label(Path("a.npz"), "auto", False, "found md5:2, expected md5:1")[0]
    'user'
    """
    if official:
        return ("user" if source == "user" else "official"), ""
    if source == "official":
        raise DataError(
            f"{place}: {reason}: it has the form of the official data, but is not known to be them; load it"
            " as source 'user'"
        )
    return "user", f"Has the form of the official data, but is not known to be them ({reason})."
