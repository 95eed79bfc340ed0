"""Which code, data and machines the rows of a study come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from disentangle import find
from disentangle.provenance import DISTRIBUTION
from disentangle.rows import Row


def origins(rows: Iterable[Row]) -> Iterator[tuple[Row, dict[str, Any], int]]:
    """Each row with each provenance in it, and how many scores are of that; the row's own comes first."""
    for row in rows:
        own = [score["provenance"] for score in row["scores"] if "provenance" in score]
        counted = len(row["scores"]) - len(own) + len(row.get("of", ()))  # of a ranking
        yield row, row["provenance"], counted
        for origin in own:
            yield row, origin, 1


def unclean(rows: Iterable[Row]) -> dict[str, str]:
    """The keys of rows of which the code is in no commit, each with the reason: ``"changed"`` or
    ``"unknown"``. It is enough that one score of the row is so."""
    found: dict[str, str] = {}
    for row, origin, _ in origins(rows):
        if origin.get("dirty"):
            found[row["key"]] = "changed"
        elif not origin.get("commit") or origin.get("dirty") is None:
            found.setdefault(row["key"], "unknown")
    return found


def dirty_text(rows: Sequence[Row]) -> str:
    """One sentence on rows whose code is in no commit; empty without any."""
    found = unclean(rows)
    if not found:
        return ""
    keys = ", ".join(sorted(found)[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    reasons = Counter(found.values())
    parts = [f"{reasons['changed']} by code that was changed after its commit"] if reasons["changed"] else []
    parts += [f"{reasons['unknown']} by code of an unknown commit"] if reasons["unknown"] else []
    count, why = f"{len(found)} of {len(rows)} rows", ", ".join(parts)
    return f"{count} were made by code that no commit holds ({keys}): {why}."


def commits(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The states of the suite that made rows, with the numbers of rows and of scores that are of each."""
    of_rows, of_scores = Counter[tuple[str, str, Any]](), Counter[tuple[str, str, Any]]()
    for row, origin, scores in origins(rows):
        state = (origin.get("version") or "", origin.get("commit") or "", origin.get("dirty"))
        of_rows[state] += origin is row["provenance"]
        of_scores[state] += scores
    return [
        dict(zip(("version", "commit", "dirty"), state, strict=True))
        | {"rows": of_rows[state], "scores": of_scores[state]}
        for state in sorted(of_rows, key=repr)
    ]


def states(rows: Iterable[Row], name: str) -> list[str]:
    """The different values that the provenance of rows and scores has, such as all commits."""
    return sorted({str(origin.get(name) or "") for _, origin, _ in origins(rows)})


def hardware(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The devices that made rows, with the number of rows of each."""
    devices = Counter(
        tuple(str(row["provenance"].get(name, "")) for name in ("hardware", "device")) for row in rows
    )
    return [
        {"hardware": name, "device": device, "rows": devices[name, device]}
        for name, device in sorted(devices)
    ]


def sources(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The data sets, as they were, and the suite: the ``sources`` of a descriptor."""
    names = ("name", "source", "checksum", "note")
    data = {tuple(str(row["data"].get(name, "")) for name in names) for row in rows}
    found = [_data(*one) for one in sorted(data)]
    suite = {name: ", ".join(states(rows, name)) for name in ("version", "commit")}
    return [*found, {"title": DISTRIBUTION, **suite}]


def _data(name: str, source: str, checksum: str, note: str) -> dict[str, Any]:
    title, paper = name, "own data"
    if name in find.names("dataset"):
        described = find.get("dataset", name)
        title, paper = described.title, described.paper
    about = {"title": f"{title} ({source})", "name": name, "paper": paper, "source": source}
    return about | {"checksum": checksum} | ({"note": note} if note else {})
