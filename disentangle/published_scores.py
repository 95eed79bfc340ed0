"""Published scores with their sources: the file that is shipped, and users' files in the same columns."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from disentangle import published_names as names
from disentangle.errors import InputError, unknown
from disentangle.published_checks import checked, metric_ids
from disentangle.published_protocols import FIELDS, HYPER, arxiv, known_of

FOLDER = Path(__file__).parent / "published"
SCORES = FOLDER / "scores.csv"
REQUIRED = (
    "paper", "table", "dataset", "method", "hyperparameter", "metric", "statistic", "value", "std",
    "n_seeds", "source", "sureness",
)  # fmt: skip
OPTIONAL = (
    "steps", "batch", "lr", "latents", "metric_id", "data_source", "representation", "split", "selection",
)  # fmt: skip
SURENESS = ("primary", "secondary")
_NEEDED = ("paper", "dataset", "method", "metric", "statistic", "source")  # may not be empty
_WHOLE, _MOST = ("n_seeds", "steps", "batch", "latents"), 10**15
_WIDEST = 0.5**0.5  # the standard deviation of 0 and 1; no numbers between them have a greater
Line = dict[str, str]


@dataclass(frozen=True)
class Published:
    """One published number, what is known of how it was made, and what its names mean here.

    Attributes:
        paper, table, dataset, method, hyperparameter, metric, statistic, value, std, n_seeds, source,
            sureness: as the file has them; ``std`` and ``n_seeds`` are None where the paper does not tell.
        steps, batch, lr, latents, metric_ids, data_source, representation, split, selection: the protocol,
            from the file or else from ``published/protocols.csv``; None or empty where nobody knows.
            Several metric ids have the same protocol.
        datasets: our data sets that it may be of; several where the paper does not tell which.
        methods: our methods that it may be of; none where the suite has none.
        score: our score, such as ``"mig"``; empty where the suite has none.
        settings: hyperparameters and their values that the file tells; None where they cannot be read.
        fixed: further ones, which the protocol tells of each of these data sets and methods.
        protocol: the sureness of what ``published/protocols.csv`` tells of it; empty where that is nothing.
        unclear: what stands against a comparison whatever the study, in words.
    """

    paper: str
    table: str
    dataset: str
    method: str
    hyperparameter: str
    metric: str
    statistic: str
    value: float
    std: float | None
    n_seeds: int | None
    source: str
    sureness: str
    steps: int | None
    batch: int | None
    lr: float | None
    latents: int | None
    metric_ids: tuple[str, ...]
    data_source: str
    representation: str
    split: str
    selection: str
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    score: str
    settings: tuple[tuple[str, str], ...] | None
    fixed: Mapping[tuple[str, str], Mapping[str, str]]
    protocol: str
    unclear: tuple[str, ...]

    @property
    def metric_id(self) -> str:
        """The metric ids, with " or " between them."""
        return " or ".join(self.metric_ids)


def read_published(path: str | Path | None = None) -> list[Published]:
    """The published numbers of a file, in its order.

    Args:
        path: a CSV file with the columns `REQUIRED` and any of `OPTIONAL`; the one that is shipped if left
            out. Its names may be the paper's or ours.

    Raises:
        InputError: the file is missing, is no text in UTF-8, lacks a column or has an unknown one, or a
            line says something that cannot be; the message names file, line, field and value.

    >>> one = read_published()[0]
    >>> one.paper, one.method, one.methods, one.score, one.value, one.sureness
    ('Lin et al. 2020 InfoGAN-CR (arXiv 1906.06034)', 'VAE', ('vae',), 'factor_vae', 0.63, 'primary')
    """
    path = SCORES if path is None else Path(path)
    return [_published(line, f"{path}, line {number}") for number, line in _lines(path)]


def header(path: Path) -> list[str]:
    """The column names of a CSV file.

    Raises:
        InputError: it is missing, a folder, empty, or no text in UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = next(csv.reader(file), None)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} could not be read as a CSV file in UTF-8: {error}") from None
    if not first:
        raise InputError(f"{path} is empty; expected a CSV file with its columns' names in the first line")
    return [name.strip() for name in first]


def _lines(path: Path) -> Iterator[tuple[int, Line]]:
    """The lines of a file with their numbers, all columns there, white space taken off."""
    columns = header(path)
    for name in (*columns, *REQUIRED):
        if name not in (*REQUIRED, *OPTIONAL):
            raise unknown(f"column in {path}:", name, (*REQUIRED, *OPTIONAL))
        if name not in columns:
            raise InputError(f"{path} has no column {name!r}; expected {', '.join(REQUIRED)}")
    if len(set(columns)) < len(columns):
        twice = Counter(columns).most_common(1)[0][0]
        raise InputError(f"{path} has the column {twice!r} twice; expected each once")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            next(reader)
            for cells in filter(None, reader):
                if len(cells) != len(columns):
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(cells)} fields; expected the {len(columns)} "
                        "of its first line (a field with a comma in it stands in double quotes)"
                    )
                line = dict.fromkeys(OPTIONAL, "") | dict(zip(columns, map(str.strip, cells), strict=True))
                yield reader.line_num, line
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} could not be read as a CSV file in UTF-8: {error}") from None


def _published(line: Line, where: str) -> Published:
    for field in _NEEDED:
        if not line[field]:
            raise InputError(f"{where}: {field} is empty; expected a text")
    if line["sureness"] not in SURENESS:
        raise InputError(f"{where}: sureness is {line['sureness']!r}; expected {' or '.join(SURENESS)}")
    if len(arxiv(line["paper"])) > 1:
        raise InputError(
            f"{where}: paper is {line['paper']!r}, with several arXiv numbers; expected that of the paper "
            "whose scores these are (who quotes them stands in source)"
        )
    value = _number(line, "value", where)
    if value is None:
        raise InputError(f"{where}: value is empty; expected a number")
    methods, chosen = names.methods(line["method"])
    metric, score = names.score(line["metric"])
    datasets, settings = names.datasets(line["dataset"]), names.setting(line["hyperparameter"])
    told = {field for field in FIELDS if line[field]} | {HYPER + name for name in settings or ()}
    known = known_of(line["paper"], datasets, methods, metric)
    used = {field: text for field, (text, _) in known.items() if field not in told}
    fixed = {
        (dataset, method): {
            name.removeprefix(HYPER): text
            for name, (text, _) in known_of(line["paper"], (dataset,), (method,), metric).items()
            if name.startswith(HYPER) and name not in told
        }
        for dataset, method in product(datasets, methods)
    }
    full = checked(line | {field: used[field] for field in FIELDS if field in used}, where)
    ids = metric_ids(full.pop("metric_id"), metric, where)
    fields: dict[str, Any] = full | {f: _whole(full, f, where) for f in _WHOLE}
    fields |= {"value": value, "selection": line["selection"] or chosen, "metric_ids": ids}
    fields |= {"std": _number(full, "std", where, least=0), "lr": _number(full, "lr", where, above=0)}
    return Published(
        **fields,
        datasets=datasets,
        methods=methods,
        score=score,
        settings=None if settings is None else tuple(settings.items()),
        fixed=fixed,
        protocol=max((known[field].sureness for field in used), default=""),  # secondary, if any is
        unclear=(*_unclear(line, fields, methods, score), *filter(None, [used.get("other", "")])),
    )


def _unclear(line: Line, fields: dict[str, Any], methods: tuple[str, ...], score: str) -> Iterator[str]:
    """What a name leaves open, and numbers that are none of its score."""
    if len(names.datasets(line["dataset"])) > 1:
        yield f"data set: which {line['dataset']} is not told"
    if len(methods) > 1:
        yield f"method: which {line['method']} is not told"
    if names.plain(line["metric"]) == "dci":
        yield "DCI: which of its numbers is not told, taken as disentanglement"
    if score == "udr":
        yield "UDR: a model's value depends on the other models"
    if not score or score.startswith(("unsupervised", "dci_es_size")):
        return
    value, std = fields["value"], fields["std"]
    if abs(value) > 1:
        yield f"value: theirs, {value:g}, is out of the score's range (in percent?)"
    elif std is not None and std > _WIDEST:
        yield f"std: theirs, {std:g}, is more than scores from 0 to 1 can have (in percent?)"


def _number(
    line: Line, field: str, where: str, least: float | None = None, above: float | None = None
) -> float | None:
    """A field as a finite number of at least, or above, so much; None where it is empty."""
    if not line[field]:
        return None
    number = names.number(line[field])
    expected, good = "a number", not math.isnan(number)
    if least is not None:
        expected, good = f"a number of at least {least:g}, or nothing", number >= least
    if above is not None:
        expected, good = f"a number above {above:g}, or nothing", number > above
    if not good:
        raise InputError(f"{where}: {field} is {line[field]!r}; expected {expected}")
    return number


def _whole(line: Line, field: str, where: str) -> int | None:
    """A field as a whole number from 1; None where it is empty."""
    number = _number(line, field, where, least=1)
    if number is not None and (number % 1 or number > _MOST):
        raise InputError(
            f"{where}: {field} is {line[field]!r}; expected a whole number up to {_MOST:g}, or nothing"
        )
    return None if number is None else int(number)
