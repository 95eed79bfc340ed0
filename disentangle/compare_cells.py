"""What two studies, or a study and published numbers, are compared by: runs of a table, and filters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from disentangle import published_names as names
from disentangle.board import UNIT
from disentangle.errors import InputError, unknown
from disentangle.frame import of_several as several_of
from disentangle.frame import with_digits

if TYPE_CHECKING:
    import pandas as pd

NEEDED = (
    "kind", "run_key", "dataset", "source", "method", "setting", "seed", "steps", "batch", "lr", "latents",
    "status", "metric_id", "score", "value",
)  # fmt: skip
PLACE = ["dataset", "source", *UNIT]  # what a run is of, but for its seed
LINE = "line"  # the name of an index that holds a file's lines
ADDED: dict[str, Any] = {
    "data_checksum": "", "split": "", "precision": "fp32", "metric_std": None, "repeats": 1,
}  # fmt: skip
_TEXTS = [
    "run_key", "dataset", "source", "data_checksum", "method", "setting", "precision", "split", "metric_id",
    "score",
]  # fmt: skip
_HIGHEST = 2**63 - 1
# Of each column of numbers its least and highest value, and what a message calls them.
_NUMBERS: dict[str, tuple[float, float, str]] = {
    "seed": (0, _HIGHEST, "a whole number from 0"),
    "steps": (0, _HIGHEST, "a whole number from 0"),
    "batch": (1, _HIGHEST, "a whole number from 1"),
    "latents": (1, _HIGHEST, "a whole number from 1"),
    "lr": (math.nextafter(0, 1), math.inf, "a number above 0"),
    "value": (-math.inf, math.inf, "a number, or nothing"),
    "metric_std": (0, math.inf, "a number from 0, or nothing"),
    "repeats": (1, _HIGHEST, "a whole number from 1, or nothing"),
}
_NEXT = r", (?=[^\s,=]+=)"  # what parts a setting's hyperparameters; a value may have commas of its own
_ONCE = [*PLACE, "seed", "metric_id", "score"]


def runs_of(frame: pd.DataFrame, name: str = "the table") -> pd.DataFrame:
    """The runs of a tidy frame with their scores, in an order of their own; of a CSV file, with types mended.

    A diverged run has a line without a score, and a score may have no value: neither counts in a mean;
    `disentangle.compare_text.left_out` tells of both.

    Args:
        frame: of `disentangle.table.tidy`, or of a ``table.csv``; an index called `LINE` holds its lines.
        name: what it is called in messages.

    Raises:
        InputError: a column is missing or holds what it cannot, there is no scored run, or a run has a
            score twice.
    """
    missing = [column for column in NEEDED if column not in frame]
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(missing)}; expected a table.csv, as `disentangle table` writes"
        )
    # Older tables lack some columns; in a CSV file what is not there is an empty text.
    runs = frame.assign(**{k: v for k, v in ADDED.items() if k not in frame})
    runs = runs[runs["kind"] == "run"]
    runs = runs.assign(**{c: runs[c].astype(object).fillna("").astype(str) for c in _TEXTS})
    runs["precision"] = runs["precision"].replace("", ADDED["precision"])
    for column, read, expected in [
        ("status", lambda text: text if text in ("done", "diverged") else None, "done or diverged"),
        ("setting", _readable, "NAME=VALUE, NAME=VALUE, each name once"),
        *((c, partial(_number, c), _NUMBERS[c][2]) for c in _NUMBERS),
    ]:
        runs = runs.assign(**{column: _read(runs, column, read, expected, name)})
    runs = runs.astype({"seed": "int64"} | dict.fromkeys([c for c in _NUMBERS if c != "seed"], "float64"))
    runs["repeats"] = runs["repeats"].fillna(1)
    runs = runs[(runs["score"] != "") | (runs["status"] == "diverged")].sort_values(_ONCE, ignore_index=True)
    for one in runs[runs.duplicated(_ONCE)].to_dict("records"):
        what = f"{one['method']} {one['setting']}".strip()
        raise InputError(
            f"{name}: {what}, seed {one['seed']}, on {one['dataset']} ({one['source']}) has "
            f"{one['metric_id']} {one['score']} twice; expected each score of a run once"
        )
    if scored(runs).empty:
        raise InputError(f"{name} has no scored run to compare; expected lines of kind 'run', status 'done'")
    return runs


def of_several(*tables: pd.DataFrame) -> set[tuple[str, str]]:
    """The data sets, with their sources, of which tables of `runs_of` tell several checksums of images."""
    every = {one for runs in tables for one in _images(runs)}
    return several_of((name, _origin(source), checksum) for name, source, checksum in every if checksum)


def told_apart(runs: pd.DataFrame, several: set[tuple[str, str]]) -> pd.DataFrame:
    """The runs with the first digits of their checksum in the source, where that does not say which images.

    So does `disentangle.frame.tidy` within one study.
    """
    sources = [
        with_digits(_origin(source), checksum) if checksum and (name, _origin(source)) in several else source
        for name, source, checksum in _images(runs)
    ]
    return runs.assign(source=sources)


def _images(runs: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    return zip(runs["dataset"], runs["source"], runs["data_checksum"], strict=True)


def _origin(source: str) -> str:
    """A source without the digits of a checksum."""
    return source.partition(":")[0]


def scored(runs: pd.DataFrame) -> pd.DataFrame:
    """The lines of `runs_of` that have a value."""
    return runs[(runs["status"] == "done") & runs["value"].notna()]


def _read(runs: pd.DataFrame, column: str, read: Any, expected: str, name: str) -> list[Any]:
    """A column's values, read one by one; what reads as None is refused by its line, or else its run."""
    known, found = cache(read), []
    for place, value in enumerate(runs[column]):
        found.append(known(value))
        if found[-1] is None:
            own = runs.index.name == LINE
            where = f"line {runs.index[place]}" if own else f"run {runs['run_key'].iloc[place]}"
            raise InputError(f"{name}, {where}: {column} is {_plain(value)!r}; expected {expected}")
    return found


def _plain(value: Any) -> str:
    """A cell's text, empty where there is none."""
    text = str(value).strip()
    return "" if text in ("nan", "None", "<NA>") else text


def _number(column: str, value: Any) -> float | None:
    """A cell as a number, NaN where it is empty and may be; None where it is none that the column takes."""
    (least, most, expected), text = _NUMBERS[column], _plain(value)
    if not text and expected.endswith("nothing"):
        return math.nan
    # A seed may have more digits than a float holds; what is longer is no number, or too large.
    number = int(text) if re.fullmatch("[0-9]{1,19}", text) else names.number(text)
    whole = "whole" not in expected or number == number // 1
    return number if least <= number <= most and whole else None


def chosen(runs: pd.DataFrame, wanted: Mapping[str, str], side: str) -> pd.DataFrame:
    """The runs that have the wanted values.

    Args:
        runs: of `runs_of`.
        wanted: a field of `PLACE` or a hyperparameter (``beta`` or ``hyper.beta``), and its value as text.
        side: whose runs they are, for messages.

    Raises:
        InputError: no run has such a field, that value, or all of them together; or a field is there twice.
    """
    for field, value in bare(wanted).items():
        texts = _texts(runs, field)
        known = sorted({text for text in texts if text is not None})
        if field not in PLACE and not known:
            left = " that are left" if len(wanted) > 1 else ""
            raise unknown(f"field among the runs of {side}{left}:", field, {*PLACE, *hypers(runs)})
        if not any(names.same(text, value) for text in known):
            everywhere = ", ".join(map(repr, known))
            raise InputError(
                f"{side}: {field}={value} is in no run{' that is left' if len(wanted) > 1 else ''}; there is "
                f"{everywhere}"
            )
        runs = runs[[text is not None and names.same(text, value) for text in texts]]
    return runs.reset_index(drop=True)


def bare(wanted: Mapping[str, str]) -> dict[str, str]:
    """Fields without the ``hyper.`` that a table's column has.

    Raises:
        InputError: a field is there with and without it.

    >>> bare({"hyper.beta": "4", "steps": "10"})
    {'beta': '4', 'steps': '10'}
    """
    found = {field.removeprefix("hyper."): value for field, value in wanted.items()}
    for field in found if len(found) < len(wanted) else ():
        if {field, f"hyper.{field}"} <= wanted.keys():
            raise InputError(f"{field} and hyper.{field} are one field; expected it once")
    return found


def hypers(runs: pd.DataFrame) -> set[str]:
    """The hyperparameters that any of the runs has."""
    return {name for setting in runs["setting"].unique() for name in hyper(setting)}


def hyper(setting: str) -> dict[str, str]:
    """The hyperparameters of a run's setting (`disentangle.run.Run.setting`), as texts.

    >>> hyper("beta=1, k=rnd, pairs=paper")
    {'beta': '1', 'k': 'rnd', 'pairs': 'paper'}
    >>> hyper("sizes=64, 32, k=1"), hyper("")
    ({'sizes': '64, 32', 'k': '1'}, {})
    """
    parts = re.split(_NEXT, setting) if setting else []
    return dict(part.split("=", 1) for part in parts)


def _readable(setting: str) -> str | None:
    """A setting that `hyper` reads whole, else None."""
    found = [part.partition("=") for part in re.split(_NEXT, setting)] if setting else []
    each_once = len({name for name, _, _ in found}) == len(found)
    return setting if each_once and all(name and equals for name, equals, _ in found) else None


def _texts(runs: pd.DataFrame, field: str) -> list[str | None]:
    """A field of each run as text; None where a run has no such hyperparameter."""
    if field in PLACE:
        return [as_text(value) for value in runs[field]]
    return [hyper(setting).get(field) for setting in runs["setting"]]


def as_text(value: Any) -> str:
    """A value as people write it.

    >>> as_text(2400.0), as_text(0.001), as_text("fp32")
    ('2400', '0.001', 'fp32')
    """
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else f"{value:g}"
    return str(value)
