"""Leaderboards as text: Markdown to read, LaTeX (booktabs) to paste into a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from disentangle.board import Board, Cell, Column, Line
from disentangle.calibrate import ABOUT
from disentangle.rules import Rule
from disentangle.study import Study

if TYPE_CHECKING:
    import pandas as pd

CHOSEN = (
    "Cells: mean over seeds ± standard deviation (n - 1 in the denominator). **Bold**: the best mean of "
    "a column. Candidates: how many there were to choose from; of equal ones the first is taken."
)
# What LaTeX reads as commands.
SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "±": r"$\pm$", "↓": r"$\downarrow$",
    "[": "{[}",  # behind a line's end it would begin a length
}  # fmt: skip


def markdown(studies: Sequence[Study], boards: Sequence[Board], frame: pd.DataFrame) -> str:
    """The leaderboards of every setting, with what a reader must know to use the numbers."""
    parts = []
    for study in studies:
        parts += [f"# {study.name}", *([study.description] if study.description else [])]
    for board in boards:
        parts += [f"## {board.title}", table(board)]
    return "\n\n".join([*parts, *reading(studies, frame)]) + "\n"


def selection_markdown(rule: Rule, boards: Sequence[Board]) -> str:
    """The leaderboards of one selection rule."""
    parts = [f"# Selection rule: {rule.name}", rule.about]
    for board in boards:
        parts += [f"## {board.title}", table(board), *board.notes]
    return "\n\n".join([*parts, CHOSEN]) + "\n"


def table(board: Board) -> str:
    """One board as a Markdown table."""
    rows = [[*board.before, *map(_head, board.columns), *board.after]]
    rows += [["---"] * len(rows[0])]
    for line in board.lines:
        first, second, *rest = line.before
        known = line.kind == "calibration" or (line.unit is None and second == "none")
        before = [f"*{first}*" if line.kind == "calibration" else first]
        before += [f"*{second}*" if known else second, *rest]
        rows.append([*before, *map(_text, line.cells), *line.after])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _head(column: Column) -> str:
    return f"{column.score}{' (less is better)' if column.less else ''}<br>`{column.metric_id}`"


def _text(cell: Cell | str) -> str:
    """Mean ± standard deviation, bold where best, with its own n where it has fewer than all seeds."""
    if isinstance(cell, str):
        return cell
    text = f"{cell.mean:.3f}" + (f" ± {cell.std:.3f}" if cell.n > 1 else "")
    text = f"**{text}**" if cell.best else text
    return f"{text} (n = {cell.n})" if cell.fewer else text


def reading(studies: Sequence[Study], frame: pd.DataFrame) -> list[str]:
    """What a reader must know to use the numbers, in paragraphs."""
    rows = dict.fromkeys(
        "all images" if study.rows is None else f"{study.rows:,} random images" for study in studies
    )
    known = "; ".join(f"*{name.replace('_', ' ')}*, {about}" for name, about in ABOUT.items())
    return [
        "Cells: mean over seeds ± standard deviation (n - 1 in the denominator); the 95 % interval of "
        "the mean is in `summary.csv`. **Bold**: the best mean of a column. Selection rule: none, "
        "every setting of the study is a line. *missing*: no row has this score yet; *diverged*: every run "
        "of the setting did; *not a number*: the score of every run is none.",
        f"Representation: posterior mean (of autoencoders the code), of {' or '.join(rows)}. Calibration "
        f"lines are representations of known quality: {known}.",
        "Data marked `drawn` are redrawn from published figures and are not DeepMind's files; the two "
        "are never joined in one cell.",
        *([made_by(frame)] if len(frame) else []),
    ]


def made_by(frame: pd.DataFrame) -> str:
    """With which settings, software and hardware the rows were made."""
    pairs = zip(frame["commit"], frame["dirty"], strict=True)
    commits = sorted(
        {f"{c[:10]}{' with changes' if d else ''}" for c, d in pairs if isinstance(c, str) and c}
    )
    rates, batches, precisions, versions, hardware = (
        ", ".join(sorted({f"{v:g}" if isinstance(v, float) else str(v) for v in frame[name].dropna()}))
        for name in ("lr", "batch", "precision", "version", "hardware")
    )
    return (
        f"Batch {batches}, learning rate {rates}, trained in {precisions}. Made by "
        f"disentangle-bench {versions}, commit {', '.join(commits) or 'not known'}, on {hardware}."
    )


def latex(boards: Sequence[Board], frame: pd.DataFrame) -> str:
    """Boards as LaTeX tables for the package booktabs, each a float with a caption and a label.

    The caption names the data set, its source, the rule and every metric's id; where a column is over fewer
    seeds than its line, the cell says so.
    """
    head = "% \\usepackage{booktabs,graphicx}  % graphicx makes wide tables fit\n"
    head += f"% {made_by(frame)}\n" if len(frame) else ""
    return head + "\n".join(_float(board) for board in boards)


def _float(board: Board) -> str:
    heads = [*map(_plain, board.before), *map(_short, board.columns), *map(_stacked, board.after)]
    scores = len(board.columns)
    align = "l" * len(board.before) + "r" * (scores + len(board.after))
    runs = [_row(line) for line in board.lines if line.kind == "run"]
    known = [_row(line) for line in board.lines if line.kind != "run"]
    body = [*runs, *([r"\midrule", *known] if known else [])]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_caption(board)}}}",
            rf"\label{{tab:{_label(board)}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _row(line: Line) -> str:
    first, *rest = line.before
    name = rf"\emph{{{escape(first)}}}" if line.kind == "calibration" else escape(first)
    return (
        " & ".join([name, *map(escape, rest), *map(_number, line.cells), *map(escape, line.after)]) + r" \\"
    )


def _number(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return rf"\emph{{{escape(cell)}}}"
    text = rf"\textbf{{{cell.mean:.3f}}}" if cell.best else f"{cell.mean:.3f}"
    text += rf" $\pm$ {cell.std:.3f}" if cell.n > 1 else ""
    return rf"{text} ($n={cell.n}$)" if cell.fewer else text


def _caption(board: Board) -> str:
    """What the table is of: data, source, split, rule, what cells are, and the metrics' ids."""
    on = f"{board.dataset}, data: {board.source}" + (f", trained on {board.split}" if board.split else "")
    rule = f"Selection rule: {board.rule or 'none, every setting is a line'}."
    ids = ", ".join(f"{c.score}: {c.metric_id}" for c in board.columns)
    cells = "Mean over seeds ± standard deviation; bold: the best mean of a column."
    less = [c.score for c in board.columns if c.less]
    better = f" Less is better of {', '.join(less)}." if less else ""
    calibration = " Under the line: representations of known quality." * any(
        line.kind == "calibration" for line in board.lines
    )
    return escape(f"{on}. {rule} {cells}{better}{calibration} Metrics: {ids}.")


def _label(board: Board) -> str:
    parts = (board.dataset, board.source, board.split, board.rule)
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(filter(None, parts))).strip("-")


def _short(column: Column) -> str:
    return _stacked(column.score.replace("_", " ") + (" ↓" if column.less else ""))


def _plain(head: str) -> str:
    """A head of a Markdown table as LaTeX."""
    return _stacked(head.replace("<br>", " ").replace("`", "").replace("[", " ["))


def _stacked(head: str) -> str:
    """A head with a line per word: tables of many metrics are wide enough."""
    words = [escape(word) for word in head.split()]
    return words[0] if len(words) == 1 else r"\shortstack{" + r" \\ ".join(words) + "}"


def escape(text: str) -> str:
    r"""Text for LaTeX.

    >>> escape("k=1 & 50% of mig@1[rows=50_000]")
    'k=1 \\& 50\\% of mig@1{[}rows=50\\_000]'
    """
    return "".join(SPECIAL.get(letter, letter) for letter in text)
