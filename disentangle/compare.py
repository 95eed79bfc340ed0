"""Compare a study with published numbers, or with another study.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> about = "run,{i},toy,official,beta_vae,beta=4,{i},5,4,0.001,10,done,mig@1,mig,{value}"
>>> lines = [about.format(i=i, value=value) for i, value in enumerate([0.3, 0.5, 0.4])]
>>> _ = (folder / "table.csv").write_text("\\n".join([",".join(NEEDED), *lines]))
>>> theirs = "A paper,Table 1,toy,β-VAE,beta=4,MIG,mean,0.3,0.1,3,my copy,primary,5,4,1e-3,mig@1"
>>> head = ",".join([*REQUIRED, "steps", "batch", "lr", "metric_id"])
>>> _ = (folder / "paper.csv").write_text(f"{head}\\n{theirs}\\n")
>>> found = compare(folder, folder / "paper.csv")
>>> found.frame[["difference", "in_intervals", "verdict"]].round(3).values.tolist()
[[0.1, 0.285, 'no difference shown']]
>>> print(found.text.splitlines()[0])
# Published numbers
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from disentangle.compare_board import published_board, studies_board
from disentangle.compare_cells import ADDED, LINE, NEEDED, chosen, runs_of
from disentangle.compare_published import cells_of, compare_published, unmatched
from disentangle.compare_studies import compare_studies
from disentangle.compare_text import Side, left_out
from disentangle.errors import InputError
from disentangle.published_scores import REQUIRED, Published, header, read_published

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = "published"  # the name of the numbers that come with the package


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        frame: a line for each pair that was looked at, with the columns of
            `disentangle.compare_published.COLUMNS` or `disentangle.compare_studies.COLUMNS`.
        text: all of it for people, in Markdown that can be read in a terminal as it is.
    """

    frame: pd.DataFrame
    text: str


def compare(
    study: str | Path,
    with_: str | Path | Sequence[str | Path] = SHIPPED,
    *,
    ours: Mapping[str, str] | None = None,
    theirs: Mapping[str, str] | None = None,
    all_scores: bool = False,
) -> Comparison:
    """Compare a study's scores with published ones, or with another study's.

    Args:
        study: a study's folder, or a ``table.csv``.
        with_: ``"published"`` for the numbers that are shipped, a CSV file in the same columns, or several of
            these; or one other study's folder or ``table.csv``.
        ours: keep only our runs with these values of fields (``dataset``, ``source`` and those of
            `disentangle.board.UNIT`) or hyperparameters.
        theirs: the same for the other study.
        all_scores: between studies, all scores instead of each metric's headline.

    Raises:
        InputError: a file is missing or of neither kind, studies are mixed with published numbers, or what
            `compare_published` and `compare_studies` refuse.
    """
    others = [with_] if isinstance(with_, str | Path) else list(with_)
    if not others:
        raise InputError(f"nothing to compare with; expected {SHIPPED!r}, a CSV file or a study's folder")
    numbers = [other for other in others if _is_published(other)]
    if len(numbers) == len(others):
        if theirs or all_scores:
            raise InputError("--theirs and --all-scores are for a second study, not for published numbers")
        return _with_published(study, numbers, ours or {})
    if len(others) > 1:
        names = ", ".join(map(str, others))
        raise InputError(f"expected one other study, or files of published numbers alone, got {names}")
    sides = Side(str(study), ours or {}), Side(str(others[0]), theirs or {})
    paths = table_of(study), table_of(others[0])
    found = compare_studies(
        read_table(paths[0]),
        read_table(paths[1]),
        ours_where=sides[0].where,
        theirs_where=sides[1].where,
        all_scores=all_scores,
        called=(str(paths[0]), str(paths[1])),
    )
    return Comparison(found.frame, studies_board(found, *sides))


def _with_published(study: str | Path, files: Sequence[str | Path], ours: Mapping[str, str]) -> Comparison:
    path = table_of(study)
    runs = chosen(runs_of(read_table(path), str(path)), ours, "ours")
    cells = cells_of(runs)
    rows: list[Published] = []
    for file in files:
        rows += read_published(None if str(file) == SHIPPED else file)
    found = compare_published(cells, rows)
    shown = [f"{SHIPPED} (shipped with the suite)" if str(file) == SHIPPED else str(file) for file in files]
    board = published_board(
        found, unmatched(cells, rows), Side(str(study), ours), shown, left_out(runs, "ours")
    )
    return Comparison(found, board)


def table_of(path: str | Path) -> Path:
    """Where a study's table is read from: its folder of rows where it has one, else its ``table.csv``.

    Raises:
        InputError: there is neither.
    """
    folder = Path(path)
    if folder.is_dir() and (folder / "rows").is_dir():
        return folder / "rows"
    file = folder / "table.csv" if folder.is_dir() else folder
    if not file.is_file():
        raise InputError(
            f"{path}: no study is there; expected a folder with rows/ or table.csv, or such a file"
        )
    return file


def read_table(path: Path) -> pd.DataFrame:
    """The tidy frame of a study, from what `table_of` found; of a file as texts, with the lines as index.

    Raises:
        InputError: it is no CSV file.
    """
    import pandas as pd

    from disentangle.rows import read_rows
    from disentangle.table import tidy

    if path.is_dir():
        return tidy(read_rows(path.parent))
    try:
        frame = pd.read_csv(
            path,
            usecols=lambda name: name in NEEDED or name in ADDED,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,  # they count as lines
        )
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path} could not be read as a CSV file: {error}") from None
    return frame.set_axis(pd.RangeIndex(2, len(frame) + 2, name=LINE))


def _is_published(path: str | Path) -> bool:
    """Whether something holds published numbers; otherwise it is a study's table.

    Raises:
        InputError: it is there, and neither.
    """
    if str(path) == SHIPPED:
        return True
    file = Path(path)
    if not file.exists():
        raise InputError(f"{path} does not exist; expected {SHIPPED!r}, a CSV file or a study's folder")
    if file.is_dir():
        return False
    columns = set(header(file))
    # By what the two kinds do not share, so that a column that is missing is named by who reads it.
    score = len(columns & (set(REQUIRED) - set(NEEDED)))
    if score == 0 and not columns & set(NEEDED):
        raise InputError(
            f"{file} is neither a table.csv nor published numbers; of the latter expected the columns "
            f"{', '.join(REQUIRED)}"
        )
    return score > len(columns & (set(NEEDED) - set(REQUIRED)))
