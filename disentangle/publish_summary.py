"""Whether a summary is that of its table, by the numbers in the files alone."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from disentangle.publish_columns import csv_reader
from disentangle.schema import SUMMARY

TOLERANCE = 1e-5  # relative; summaries are written with six digits
Key = tuple[str, ...]
NUMBERS = {column.name for column in SUMMARY.columns if column.type == "number"}


def check_summary(table: str | Path, summary: str | Path) -> list[str]:
    """What in ``summary.csv`` is not the mean, or the number, of its lines in ``table.csv``; a sentence each.

    Every line of the table with a score belongs to the one line of the summary with the same kind, data set,
    source, setting, metric id and score. Columns that are missing are for `disentangle.schema.check_csv`.

    Args:
        table: the path of a ``table.csv``.
        summary: the path of its ``summary.csv``.
    """
    table, summary = Path(table), Path(summary)
    try:
        found = _cells(table)
        return list(_departures(summary, table.name, found))
    except (OSError, ValueError, KeyError, csv.Error):  # which `check_csv` tells of
        return []


def _cells(table: Path) -> dict[Key, list[float]]:
    """The scores of each line of the summary that there should be."""
    found: dict[Key, list[float]] = {}
    with csv_reader(table) as reader:
        header: list[str] = next(reader, [])
        for cells in reader:
            line = dict(zip(header, cells, strict=True))
            if line["score"]:
                scores = found.setdefault(_key(line), [])
                scores += [float(line["value"])] if line["value"] else []
    return found


def _key(line: Mapping[str, str]) -> Key:
    """The values of the key's columns; numbers with six digits, as a summary has them."""
    values = ((name, line[name]) for name in SUMMARY.key)
    return tuple(f"{float(text):.6g}" if name in NUMBERS and text else text for name, text in values)


def _departures(summary: Path, table: str, found: dict[Key, list[float]]) -> Iterator[str]:
    left = set(found)
    with csv_reader(summary) as reader:
        header: list[str] = next(reader, [])
        for cells in reader:
            line = dict(zip(header, cells, strict=True))
            key, where = _key(line), f"{summary}: line {reader.line_num}"
            if key not in found:
                yield f"{where}: {_told(key)}: {table} has no such line"
                continue
            left.discard(key)
            scores = found[key]
            if line["n"] != str(len(scores)):
                yield f"{where}, column 'n': found {line['n']!r}, expected {len(scores)}, as in {table}"
            if not _is_mean(line["mean"], scores):
                mean = f"{math.fsum(scores) / len(scores):.6g}" if scores else "nothing"
                yield f"{where}, column 'mean': found {line['mean']!r}, expected {mean}, as in {table}"
    for key in sorted(left):
        yield f"{summary}: {_told(key)}: expected a line, as in {table}"


def _is_mean(text: str, scores: list[float]) -> bool:
    if not scores or not text:
        return not scores and not text
    # Of scores of both signs the mean may be far smaller than what it was rounded from.
    least = 1e-12 * max(map(abs, scores))
    return math.isclose(float(text), math.fsum(scores) / len(scores), rel_tol=TOLERANCE, abs_tol=least)


def _told(key: Key) -> str:
    return ", ".join(f"{name} {text!r}" for name, text in zip(SUMMARY.key, key, strict=True) if text)
