"""Which cells of two studies belong together, and which have no counterpart or nearly one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from disentangle import published_names as names
from disentangle.board import UNIT, by_size
from disentangle.compare_cells import PLACE, as_text, hyper, scored
from disentangle.compare_text import counted, labels, some, told
from disentangle.errors import InputError
from disentangle.rules import LESS, by_id

if TYPE_CHECKING:
    import pandas as pd

# Fields that two cells may differ in and yet be worth telling, as nearly a pair.
_NEAR = ["source", *(name for name in UNIT if name not in ("method", "setting")), "metric_id"]


@dataclass(frozen=True, eq=False)
class Cell:
    """One score of one setting.

    Attributes:
        fields: data set, source, the fields of `disentangle.board.UNIT`, metric id and score.
        values: the score of each seed's run.
        runs: the key of each seed's run.
        hyper: the setting's hyperparameters.
        lost: seeds whose runs have no value, since they diverged or the score has none.
    """

    fields: Mapping[str, Any]
    values: dict[int, float]
    runs: dict[int, str]
    hyper: dict[str, str] = field(default_factory=dict)
    lost: frozenset[int] = frozenset()


Pair = tuple[Cell, Cell]


def cells_of(runs: pd.DataFrame, all_scores: bool) -> list[Cell]:
    """The cells of `disentangle.compare_cells.runs_of`, sorted; headline scores only unless all are wanted.

    UDR is left out always: a model's value depends on the other models, so that no test fits it.
    """
    found = []
    keys = [*PLACE, "metric_id", "score"]
    groups: Any = scored(runs).groupby(keys, sort=False)
    ran: Any = runs.groupby(PLACE, sort=False)["seed"]
    seeds_of = {place: frozenset(seeds) for place, seeds in ran}
    for key, lines in groups:
        fields = dict(zip(keys, key, strict=True))
        if fields["score"] == "udr" or not (all_scores or _is_headline(fields)):
            continue
        seeds = lines["seed"].tolist()
        values = dict(zip(seeds, lines["value"].tolist(), strict=True))
        of = dict(zip(seeds, lines["run_key"], strict=True))
        lost = seeds_of[key[: len(PLACE)]] - values.keys()
        found.append(Cell(fields, values, of, hyper(fields["setting"]), lost))
    return sorted(found, key=lambda cell: [by_size(as_text(cell.fields[k])) for k in keys])


def _is_headline(fields: Mapping[str, Any]) -> bool:
    metric = by_id().get(fields["metric_id"].partition("@")[0])
    return fields["score"] not in LESS and (metric is None or metric.headline == fields["score"])


def pairs_of(ours: Sequence[Cell], theirs: Sequence[Cell], free: set[str]) -> list[Pair]:
    """The cells that belong together: equal in everything but values and the free fields.

    Args:
        ours, theirs: of `cells_of`.
        free: fields and hyperparameters that need not be equal. Where the method is free, only
            hyperparameters that both methods have must be.

    Raises:
        InputError: two cells of one side belong to one of the other.
    """
    exact = [name for name in (*_NEAR, "dataset", "method", "score") if name not in free]
    pairs = [pair for pair in _alike(ours, theirs, exact) if _settings_agree(*pair, free)]
    for place, side in enumerate(("ours", "theirs")):
        met: dict[Cell, Cell] = {}
        for pair in pairs:
            before = met.setdefault(pair[1 - place], pair[place])
            if before is not pair[place]:
                raise _ambiguous(before, pair[place], side)
    return pairs


def _alike(ours: Sequence[Cell], theirs: Sequence[Cell], names: Sequence[str]) -> Iterator[Pair]:
    """Cells of both sides that are equal in the named fields, in our order."""
    places: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in theirs:
        places.setdefault(tuple(cell.fields[name] for name in names), []).append(cell)
    for one in ours:
        for other in places.get(tuple(one.fields[name] for name in names), []):
            yield one, other


def _settings_agree(one: Cell, other: Cell, free: set[str]) -> bool:
    if "setting" in free:
        return True
    if one.fields["method"] == other.fields["method"]:
        known = one.hyper.keys() | other.hyper.keys()
    else:  # the method is free, and each has hyperparameters that the other has not
        known = one.hyper.keys() & other.hyper.keys()
    return not any(_differ(one, other, name) for name in known - free)


def _differ(one: Cell, other: Cell, name: str) -> bool:
    """Whether two cells have another value of a hyperparameter; 4 and 4.0 are one."""
    first, second = one.hyper.get(name), other.hyper.get(name)
    return first != second and (first is None or second is None or not names.same(first, second))


def _ambiguous(one: Cell, other: Cell, side: str) -> InputError:
    differ = [f for f in UNIT if f != "setting" and one.fields[f] != other.fields[f]]
    differ += sorted(k for k in {*one.hyper, *other.hyper} if _differ(one, other, k))
    differ.append("setting")  # where the same is written in two ways
    first, second = labels([one.fields, other.fields])
    return InputError(
        f"two settings of {side} ({first}; {second}) are like one of the other side; choose one with "
        f"--{side} {differ[0]}=VALUE"
    )


def lonely(ours: Sequence[Cell], theirs: Sequence[Cell], pairs: Sequence[Pair], free: set[str]) -> list[str]:
    """Sentences on the cells that are in no pair.

    First what has nearly a counterpart (the same data set, method, setting and score), once for each way in
    which it differs; then what is in one study alone.
    """
    paired = {cell for pair in pairs for cell in pair}
    left, right = ([cell for cell in side if cell not in paired] for side in (ours, theirs))
    ways: dict[tuple[tuple[str, Any, Any], ...], list[str]] = {}
    met: set[Cell] = set()
    for one, other, way in _nearest(left, right, free):
        ways.setdefault(way, []).append(one.fields["score"])
        met |= {one, other}
    found = [_way_told(way, scores) for way, scores in ways.items()]
    if "method" in free or not pairs:
        found += _unlike(left, right, free)
    for side, cells, alone in (("ours", ours, left), ("theirs", theirs, right)):
        names = dict(zip(cells, labels([cell.fields for cell in cells]), strict=True))
        rest = [cell for cell in alone if cell not in met]
        settings = list(dict.fromkeys(f"{names[cell]} on {cell.fields['dataset']}" for cell in rest))
        if rest:
            found.append(f"Only in {side}: {counted(len(rest), 'cell')} of {some(settings)}.")
    return found


def _nearest(
    ours: Sequence[Cell], theirs: Sequence[Cell], free: set[str]
) -> Iterator[tuple[Cell, Cell, tuple[tuple[str, Any, Any], ...]]]:
    """Each of our cells with those of theirs that differ in the fewest fields, and in which."""
    shared = [name for name in ("dataset", "method", "score") if name not in free]
    for one, pairs in groupby(_alike(ours, theirs, shared), key=lambda pair: pair[0]):
        near = []
        for _, other in pairs:
            if _settings_agree(one, other, free):
                differ = [f for f in _NEAR if f not in free and one.fields[f] != other.fields[f]]
                near.append((other, tuple((f, one.fields[f], other.fields[f]) for f in differ)))
        least = min((len(way) for _, way in near), default=0)
        yield from ((one, other, way) for other, way in near if len(way) == least)


def _unlike(ours: Sequence[Cell], theirs: Sequence[Cell], free: set[str]) -> list[str]:
    """A sentence on hyperparameters that keep cells apart which are alike in all else, if there are any."""
    exact = [name for name in PLACE if name not in free | {"setting"}] + ["metric_id", "score"]
    found: dict[str, tuple[set[str], set[str]]] = {}
    for one, other in _alike(ours, theirs, exact):
        for name in sorted((one.hyper.keys() & other.hyper.keys()) - free):
            if _differ(one, other, name):
                values = found.setdefault(name, (set(), set()))
                values[0].add(one.hyper[name])
                values[1].add(other.hyper[name])
    if not found:
        return []
    differ, flags = [], []
    for name, (first, second) in found.items():
        mine, other_ones = (sorted(values, key=by_size) for values in (first, second))
        differ.append(f"{name} (ours {some(mine, ', ')}; theirs {some(other_ones, ', ')})")
        flags += [f"--ours {name}={mine[0]}", f"--theirs {name}={other_ones[0]}"]
    return [
        f"Not compared, since settings that are alike in all else differ in {', '.join(differ)}; to set them "
        f"against each other, add a value for each side, such as {' '.join(flags)}."
    ]


def _way_told(way: tuple[tuple[str, Any, Any], ...], scores: Sequence[str]) -> str:
    what = ", ".join(f"{f.replace('_', ' ')} {told(f, a)} against {told(f, b)}" for f, a, b in way)
    count = f" ({counted(len(scores), 'cell')})" if len(scores) > 1 else ""
    return f"Not compared: {', '.join(dict.fromkeys(scores))}: {what}{count}."
