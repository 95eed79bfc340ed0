"""Tables: rows to a tidy table, a summary and leaderboards. The rows are all that is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle.board import Board, boards, columns, settings
from disentangle.board_text import latex, markdown, selection_markdown
from disentangle.errors import InputError
from disentangle.files import write_bytes
from disentangle.frame import COLUMNS, GROUP, summarise, tidy
from disentangle.joined import Joined, read_studies
from disentangle.rules import Rule, parse_rule
from disentangle.selection import select
from disentangle.selection_board import selection_boards
from disentangle.study import Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "GROUP",
    "Tables",
    "make_tables",
    "place_of",
    "save_tables",
    "summarise",
    "tidy",
    "write_tables",
]


FIGURES = "figures"  # the folder, beside the tables
# What each file that is written has in it, by which it is known that the one before was of the suite too.
MARKS = {
    "table.csv": b"study,kind,run_key,",
    "summary.csv": b"kind,dataset,source,",
    "selection.csv": b"rule,dataset,source,",
    "table.md": b"Cells: mean over seeds",
    "table.tex": b"booktabs",
    "index.html": b'<meta name="generator" content="disentangle-bench',
}


@dataclass(frozen=True)
class Tables:
    """What the tables of one study or several are made of.

    Attributes:
        joined: the studies and their rows.
        frame: of `tidy`.
        summary: of `summarise`.
        boards: a leaderboard of every setting per data set, source and split.
        chosen: a selection rule, what it chose (see `disentangle.selection.select`), and its leaderboards.
        problems: selection rules that could not choose yet, and why.
    """

    joined: Joined
    frame: pd.DataFrame
    summary: pd.DataFrame
    boards: list[Board]
    chosen: list[tuple[Rule, pd.DataFrame, list[Board]]]
    problems: list[tuple[Rule, str]]


def make_tables(joined: Joined, rules: Sequence[str] | None = None) -> Tables:
    """Build everything that tables show, from rows alone.

    Args:
        joined: of `disentangle.joined.read_studies`.
        rules: selection rules, such as ``"oracle:mig"``; the studies' own if left out.

    Raises:
        InputError: the studies fix different settings for the rule ``"fixed"``, or a rule of ``rules`` can
            choose nothing; of the studies' own rules the tables say so, for their rows may come yet.
    """
    frame, studies = tidy(joined.rows), joined.studies
    summary, order, chosen, problems = summarise(frame), settings(studies), [], []
    for rule in _rules(studies, rules):
        try:
            selected = select(frame, rule, order)
        except InputError as error:
            if rules is not None:
                raise InputError(f"selection rule {rule.name!r}: {error}") from error
            problems.append((rule, str(error)))
        else:
            chosen.append((rule, selected, selection_boards(selected, columns(studies))))
    return Tables(joined, frame, summary, boards(studies, frame, summary), chosen, problems)


def _rules(studies: Sequence[Study], texts: Sequence[str] | None) -> list[Rule]:
    """The rules asked for, each once."""
    fixed: dict[str, Any] = {}
    for study in studies:
        for method, hyper in study.fixed.items():
            if fixed.setdefault(method, hyper) != hyper:
                raise InputError(
                    f"study {study.name}: fixed: {method} is {hyper}, and in another study {fixed[method]}; "
                    "expected the same, or another selection rule"
                )
    own = [text for study in studies for text in study.selection]
    return [parse_rule(text, fixed) for text in dict.fromkeys(own if texts is None else texts)]


def write_tables(
    folders: str | Path | Sequence[str | Path],
    study_path: str | Path | None = None,
    rules: Sequence[str] | None = None,
    out: str | Path | None = None,
) -> str:
    """Write ``table.csv``, ``summary.csv``, ``table.md`` and ``table.tex`` from the rows of studies.

    Where there are selection rules, ``selection.csv`` has what each of them chose, and ``table.md`` a table
    for each, apart from the others. `disentangle.page.write_page` adds figures and a page.

    Args:
        folders: a study's folder, or several, whose rows are joined (see `disentangle.joined`). Each holds
            ``rows/`` and, unless ``study_path`` is given, ``study.toml``.
        study_path: the study file, for the cells that are missing.
        rules: selection rules, such as ``"oracle:mig"``; the studies' if left out. See `disentangle.rules`.
        out: where the tables go; the folder itself if there is one.

    Returns:
        The text of ``table.md``.

    Raises:
        InputError: several folders and no ``out``, or they cannot be joined.
    """
    several = [folders] if isinstance(folders, str | Path) else list(folders)
    place = place_of(several, out)
    return save_tables(make_tables(read_studies(several, study_path), rules), place)


def place_of(folders: Sequence[str | Path], out: str | Path | None) -> Path:
    """Where the tables of some studies go.

    Raises:
        InputError: several studies and no place for what they have together, or the place is a file, is
            another study's, or holds files of these names that the suite did not write.
    """
    if out is None and len(folders) > 1:
        raise InputError("tables of several studies go into a folder of their own; name it with --out")
    place = Path(folders[0] if out is None else out)
    for path in (place, place / FIGURES):
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; expected a folder, or nothing, where the tables go")
    if place.resolve() in [Path(folder).resolve() for folder in folders]:
        return place
    for name in ("study.toml", "rows"):
        if (place / name).exists():
            raise InputError(f"{place} is another study's folder; choose another --out")
    for name, mark in MARKS.items():
        if (place / name).exists() and mark not in (place / name).read_bytes():
            raise InputError(f"{place / name} is not the suite's; move it, or choose another --out")
    return place


def save_tables(tables: Tables, folder: Path) -> str:
    """Write the tables as files into a folder; the text of ``table.md``."""
    import pandas as pd

    studies, frame = tables.joined.studies, tables.frame
    parts = [markdown(studies, tables.boards, frame)]
    parts += [selection_markdown(rule, made) for rule, _, made in tables.chosen]
    parts += [f"# Selection rule: {rule.name}\n\nNothing is chosen: {why}\n" for rule, why in tables.problems]
    text = "\n\n".join([*parts, *(f"{note}\n" for note in tables.joined.notes)])
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "table.csv", frame.to_csv(index=False).encode())
    write_bytes(folder / "summary.csv", tables.summary.to_csv(index=False, float_format="%.6g").encode())
    if tables.chosen:
        selected = pd.concat([chosen for _, chosen, _ in tables.chosen], ignore_index=True)
        write_bytes(folder / "selection.csv", selected.to_csv(index=False, float_format="%.6g").encode())
    else:  # one of an earlier call would tell of other rows
        (folder / "selection.csv").unlink(missing_ok=True)
    every = [*tables.boards, *(board for _, _, made in tables.chosen for board in made)]
    write_bytes(folder / "table.tex", latex(every, frame).encode())
    write_bytes(folder / "table.md", text.encode())
    return text
