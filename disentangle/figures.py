"""The study's figures: scores as violins and against hyperparameters, rank correlation, shares of variance.

Each is of one data set, source and split and names the metric ids it shows; nothing is joined across these.
The numbers in them are those of `disentangle.analysis`.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from disentangle import figure_style as style
from disentangle.board import Unit
from disentangle.figure_curves import against
from disentangle.figure_place import places
from disentangle.figure_scores import density, scores
from disentangle.figure_svg import svg
from disentangle.figure_tables import correlation, variance

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Figure", "density", "draw"]

KINDS = {"scores": scores, "against": against, "correlation": correlation, "variance": variance}


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of a study.

    Attributes:
        name: a file's name without its ending, of letters, digits and ``.-_``; unique in a study.
        dataset, source, split: what it is of.
        kind: ``"scores"``, ``"against"``, ``"correlation"`` or ``"variance"``.
        title: one line, which is in the picture.
        caption: what it shows, of how many models, what bars and bands are, and the metric ids.
        png: the picture on white.
        svg: an ``<svg>`` element to put into a page; it takes text colour and font from there.
        numbers: what is drawn.
    """

    name: str
    dataset: str
    source: str
    split: str
    kind: str
    title: str
    caption: str
    png: bytes
    svg: str
    numbers: pd.DataFrame | None


def draw(frame: pd.DataFrame, headlines: Mapping[str, str], order: Sequence[Unit] = ()) -> list[Figure]:
    """The figures of a study: of each data set, source and split those that there is something for.

    - ``scores``: every setting's models, a panel per metric; a violin (a density, over the range of the
      scores) of five seeds or more, and no single models beside it where there are over twenty.
    - ``against``: mean scores with Student's 95 % interval against a hyperparameter; where one is varied.
    - ``correlation``: Spearman's rank correlation of the metrics; of three models and two metrics at least.
    - ``variance``: the shares of method, setting and seed; where two settings and some seeds are.

    Args:
        frame: of `disentangle.table.tidy`.
        headlines: metric id to the score that stands for it, of `disentangle.board.headlines`.
        order: the study's settings in their order, of `disentangle.board.settings`; others come after these.

    Returns:
        The figures, the same from the same lines whatever their order.

    Raises:
        InputError: see `disentangle.analysis.models`.
        ModuleNotFoundError: matplotlib is not installed.

    >>> import pandas as pd
    >>> shared = dict(kind="run", dataset="toy", source="drawn", method="vae", setting="", steps=5, batch=4,
    ...               lr=1e-3, latents=2, precision="fp32", split="", metric_id="mig@1", score="mig")
    >>> frame = pd.DataFrame([{**shared, "run_key": str(i), "seed": i, "value": 0.1 * i} for i in range(2)])
    >>> [figure.name for figure in draw(frame, {"mig@1": "mig"})]
    ['toy-drawn-scores']
    """
    found, figures, taken = places(frame, headlines, order), [], set[str]()
    with style.look():
        for place, (kind, make) in itertools.product(found, KINDS.items()):
            for drawn in make(place):
                name = _name([*place.of, kind, drawn.suffix], taken)
                pictures = style.png(drawn.drawing, name), svg(drawn.drawing, name, drawn.title)
                told = drawn.title, f"{drawn.caption} {place.about}"
                figures.append(Figure(name, *place.of, kind, *told, *pictures, drawn.numbers))
    return figures


def _name(told: Sequence[str], taken: set[str]) -> str:
    """A file's name that no other figure has, whether or not a disk tells capitals apart."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(filter(None, told))).strip("-.")
    if len(name) > 100:
        name = f"{name[:90].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    numbered = (f"{name}-{i}" if i else name for i in itertools.count())
    unique = next(one for one in numbered if one.lower() not in taken)
    taken.add(unique.lower())
    return unique
