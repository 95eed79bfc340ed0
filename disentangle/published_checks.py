"""Whether a line of published numbers says what can be: fields with few known texts, and metric ids."""

from __future__ import annotations

import re

from disentangle import find
from disentangle import published_names as names
from disentangle.errors import InputError, unknown
from disentangle.rules import by_id
from disentangle.splits import tidy

MEANS = ("mean", "average", "mean over seeds", "mean over runs")
STATISTICS = (
    *MEANS, "median", "best", "best reported", "maximum", "minimum", "score", "value",
    "estimation error about +-",
)  # fmt: skip
REPRESENTATIONS = ("mean", "posterior mean", "code", "codes", "sample", "sampled")
_SOURCES = ("official", "drawn", "user:12345678")
_ID = re.compile(r"(\w+)@(\w+)(\[\w+=[^\[\]]+\])?")


def checked(line: dict[str, str], where: str) -> dict[str, str]:
    """A line whose closed fields hold what they can, with its split in the form that tables have.

    Args:
        line: with the protocol filled in.
        where: file and line, for messages.

    Raises:
        InputError: a field holds what the suite does not know; the nearest that it knows is named.
    """
    for field, known in (("statistic", STATISTICS), ("representation", REPRESENTATIONS)):
        if line[field] and names.plain(line[field]) not in map(names.plain, known):
            raise unknown(f"{field} in {where}:", line[field], known)
    source = line["data_source"]
    if source and source not in _SOURCES[:2] and not re.fullmatch("user:[0-9a-f]{8}", source):
        raise unknown(f"data_source in {where}:", source, _SOURCES)
    try:
        return line | {"split": tidy(line["split"])}
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def metric_ids(text: str, metric: str, where: str) -> tuple[str, ...]:
    """The metric ids in a text, which stand with " or " between them.

    Args:
        text: the field.
        metric: ours that the line is of; empty where the suite has none.
        where: file and line, for messages.

    Raises:
        InputError: no metric has such an id or option, or another than the line's has.

    >>> metric_ids("sap@dlib2019 or sap@1", "sap", "mine.csv, line 2")
    ('sap@dlib2019', 'sap@1')
    """
    ids = tuple(re.split(r"\s+or\s+", text)) if text else ()
    for id in ids:
        found = _ID.fullmatch(id)
        own = by_id().get(found[1]) if found else None
        if not found or own is None:
            raise unknown(f"metric_id in {where}:", id, [known.id for known in by_id().values()])
        modes = [*map(str, range(1, int(own.id.partition("@")[2]) + 1)), *own.modes]  # older versions too
        if found[2] not in modes:
            raise unknown(f"metric_id in {where}:", id, [f"{found[1]}@{mode}" for mode in modes])
        if metric and find.get("metric", metric) is not own:
            raise InputError(f"{where}: metric_id is {id!r}, of another metric; expected one of {metric}")
        options = {*own.usual(), "rows", "n", "repeats"}
        for option in re.findall(r"[\[,](\w+)=", found[3] or ""):
            if option not in options:
                raise unknown(f"option of metric_id {id!r} in {where}:", option, options)
    return ids
