"""The numbers of Carbonneau et al. 2022, and which of ours each can be held against."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from disentangle.published_scores import SCORES

PAPER = "Carbonneau et al. 2022 (arXiv 2012.09276)"


@dataclass(frozen=True)
class Counterpart:
    """The score here that comes nearest to a published one.

    Attributes:
        published: the metric's name there.
        score: the key of a metric's `scores()` here.
        differs: how theirs is defined where ours is not.
        same: False where it is another quantity or another scale, and equal numbers would mean nothing.
        variant: of the score here, see `disentangle.ladder_scores.VARIANTS`.
    """

    published: str
    score: str
    differs: str
    same: bool = True
    variant: str = ""


_BINS = "theirs: 10 bins of each code, and the continuous factor in 10 bins; ours: 20 bins of each code"
_FOREST = (
    "theirs: a forest of 10 regression trees on the continuous factor; ours: boosted classification trees"
)
COUNTERPARTS = (
    Counterpart(
        "Z-diff",
        "beta_vae",
        "theirs: batches of 200 pairs, and the accuracy a rescaled to (a - 1/F) / (1 - 1/F); ours: accuracy",
    ),
    Counterpart(
        "Z-min Variance",
        "factor_vae",
        "theirs: 800 + 800 votes of 200 points, threshold 0.02, rescaled likewise; ours: the accuracy",
    ),
    Counterpart(
        "IRS",
        "irs",
        "theirs: the maximum, ours: the 99 % quantile; a continuous code still moves within its factor's bin",
    ),
    Counterpart("DCI RF Modularity", "dci_disentanglement", _FOREST),
    Counterpart("DCI RF Compactness", "dci_completeness", _FOREST),
    Counterpart(
        "DCI RF Explicitness",
        "dci_informativeness_test",
        "another quantity: 1 - 12 MSE of regression (1 - 6 MSE in the paper's text) on the points it was "
        "fitted to; ours: accuracy of classification on other points",
        same=False,
    ),
    Counterpart(
        "Explicitness Score",
        "explicitness",
        "another scale: 2 AUC - 1 of classes weighted alike, on the points it was fitted to; ours: the AUC "
        "on other points, of which 0.5 is chance",
        same=False,
    ),
    Counterpart(
        "SAP",
        "sap",
        "another quantity: squared correlations, as our continuous kind; ours: linear classifiers' accuracy",
        same=False,
    ),
    Counterpart(
        "SAP",
        "sap",
        "theirs: the correlation with the continuous factor; ours: with the index of its value",
        variant="kind=continuous",
    ),
    Counterpart("MIG-RMIG", "mig", _BINS),
    Counterpart("MIG-sup", "mig_sup", _BINS),
    Counterpart("Modularity Score", "modularity", _BINS),
)


def published() -> list[dict[str, str]]:
    """The rows of the paper, with source and sureness.

    >>> published()[0]["metric"], published()[0]["value"], published()[0]["sureness"]
    ('Z-diff', '1.0', 'primary')
    """
    with SCORES.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["paper"] == PAPER]


def counterparts(case: str, lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Lines of scores with the published numbers of a case in them, then those that have none here."""
    rows = {row["metric"]: row for row in published() if row["dataset"] == case}
    nearest = {(c.score, c.variant): c for c in COUNTERPARTS if c.published in rows}
    met = set()
    for line in lines:
        found = nearest.get((line["score"], line["variant"]))
        if found is None:
            yield line
        else:
            met.add(found.published)
            yield {**line, **_cells(rows[found.published]), "differs": found.differs}
    for name, row in rows.items():
        if name not in met:
            yield {**_cells(row), "message": "no counterpart was scored"}


def _cells(row: dict[str, str]) -> dict[str, Any]:
    source = f"{row['paper']}, {row['table']}; {row['source']}; {row['sureness']}"
    return {"published": float(row["value"]), "published_metric": row["metric"], "published_source": source}
