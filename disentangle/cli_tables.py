"""The commands that make tables of what was measured: table, ladder."""

from __future__ import annotations

# torch and scikit-learn are imported inside the commands, so that --help answers at once.
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number


def table(
    folders: Annotated[list[Path], Parameter(help="A study's folder; several have their tables in common.")],
    /,
    *,
    select: Annotated[
        list[str] | None,
        Parameter(
            help="A selection rule, such as oracle:mig, udr, weak_reconstruction; may be repeated.",
            negative="",
        ),
    ] = None,
    out: Annotated[
        Path | None, Parameter(help="Where the tables go; the study's folder if left out and there is one.")
    ] = None,
    pictures: Annotated[
        Literal["auto", "embed", "link", "none"],
        Parameter(help="Of the runs, in the page: embedded, linked, or, for auto, embedded up to 4 MB."),
    ] = "auto",
) -> None:
    """Write tables, figures and the page index.html from the rows of a study, or of several.

    table.csv (a line per run and score), summary.csv, table.md, table.tex (booktabs), figures/ and
    index.html, which opens offline: a leaderboard to sort and filter, and every run behind its line.

    Example: disentangle table results/quick --select oracle:mig

    Example: disentangle table results/quick results/methods --out both
    """
    from disentangle.commands import write_tables_and_page

    print("\n".join(write_tables_and_page(folders, select, out, pictures)))


def ladder(
    *,
    out: Annotated[Path, Parameter(help="Where the tables and the picture go.")] = Path("results/metrics"),
    metric: Annotated[
        list[str] | None,
        Parameter(help="May be repeated; all metrics if left out.", negative=""),
    ] = None,
    seed: Annotated[
        int, Parameter(help="Of the representations and the metrics' draws.", validator=Number(gte=0))
    ] = 0,
    repeats: Annotated[
        int, Parameter(help="Draws of each metric, but for those that take long.", validator=Number(gte=1))
    ] = 3,
) -> None:
    """Score representations of which all is known, so that one sees what each metric can tell.

    Example: disentangle ladder --out results/metrics
    """
    from disentangle.ladder_board import write_ladder
    from disentangle.ladder_scores import measure

    print("\n".join(write_ladder(out, measure(metric, seed=seed, repeats=repeats))))
