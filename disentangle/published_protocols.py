"""What is known of published papers' protocols: ``published/protocols.csv``."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from disentangle import published_names as names

PROTOCOLS = Path(__file__).parent / "published" / "protocols.csv"
FIELDS = ("steps", "batch", "lr", "latents", "data_source", "representation", "metric_id")
HYPER = "hyper."  # begins the names of hyperparameters, as in tables
_FOR = ("dataset", "method", "metric")  # what a line may be for alone
_ARXIV = re.compile(r"(?<!\d)\d{4}\.\d{4,5}(?!\d)")


class Known(NamedTuple):
    """A field of a protocol, and whether its source is primary or secondary."""

    text: str
    sureness: str


def arxiv(text: str) -> set[str]:
    """The arXiv numbers in a text, without their versions.

    >>> arxiv("Locatello et al. 2019 (arXiv:1811.12359v4)")
    {'1811.12359'}
    """
    return set(_ARXIV.findall(text))


def known_of(
    paper: str, datasets: tuple[str, ...], methods: tuple[str, ...], metric: str
) -> dict[str, Known]:
    """What is known of a paper's protocol for a data set, method and metric.

    The keys are of `FIELDS`, ``other``, and hyperparameters with ``hyper.`` before them. A paper is known by
    its arXiv number, or by its whole text; of lines that apply the more special count.
    """
    ids, found = arxiv(paper), dict[str, Known]()
    meant = {"dataset": datasets, "method": methods, "metric": (metric,)}
    ours = [
        line
        for line in protocols()
        if (line["paper"] == paper or ids & arxiv(line["paper"]))
        and all(not line[field] or line[field] in meant[field] for field in _FOR)
    ]
    for line in sorted(ours, key=lambda line: sum(bool(line[field]) for field in _FOR)):
        hyper = names.setting(line["hyperparameter"]) or {}
        told = {name: line[name] for name in (*FIELDS, "other")} | {HYPER + k: v for k, v in hyper.items()}
        found |= {name: Known(text, line["sureness"]) for name, text in told.items() if text}
    return found


@cache
def protocols() -> tuple[dict[str, str], ...]:
    """The lines of the file."""
    with PROTOCOLS.open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))
