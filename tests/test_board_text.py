"""Leaderboards as LaTeX: what is bold, missing and apart, and that no text is read as a command."""

from __future__ import annotations

import math
import re

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from disentangle.board import Board, Cell, Column, Line
from disentangle.board_text import SPECIAL, escape, latex

COLUMNS = (Column("mig@1[rows=50_000]", "mig", False), Column("tc@1", "total_correlation", True))
ONE = Cell(0.25, math.nan, math.nan, 1, False, True)
TWO = Cell(0.5, 0.1, 0.9, 2, True, False)
LINES = (
    Line("run", "vae", ("VAE", "a_b & 5%", "2,400"), (TWO, "missing"), ("2",)),
    Line("run", "ae", ("AE", "", "2,400"), (ONE, "missing"), ("2 of 3",)),
    Line("calibration", "noise", ("noise", "calibration", ""), ("not a number", "missing"), ("",)),
)  # fmt: skip


def board(rule: str = "") -> Board:
    return Board(
        "toy", "drawn", "without x=0", rule, ("method", "setting", "steps"), COLUMNS, ("seeds",), LINES
    )


def test_a_board_becomes_a_booktabs_table() -> None:
    text = latex([board()], pd.DataFrame())
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert (
        rows[0]
        == r"method & setting & steps & mig & \shortstack{total \\ correlation \\ $\downarrow$} & seeds \\"
    )
    assert rows[1] == r"VAE & a\_b \& 5\% & 2,400 & \textbf{0.500} $\pm$ 0.100 & \emph{missing} & 2 \\"
    assert rows[2] == r"AE &  & 2,400 & 0.250 ($n=1$) & \emph{missing} & 2 of 3 \\"
    assert rows[3] == r"\emph{noise} & calibration &  & \emph{not a number} & \emph{missing} &  \\"
    assert text.index(r"\toprule") < text.index(rows[2]) < text.rindex(r"\midrule") < text.index(rows[3])
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption"))
    for word in ("toy, data: drawn", "without x=0", r"mig: mig@1{[}rows=50\_000]", "Less is better of total"):
        assert word in caption
    assert r"\label{tab:toy-drawn-without-x-0}" in text
    assert "oracle:mig" in latex([board("oracle:mig")], pd.DataFrame())
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1


@given(st.text())
def test_no_text_is_a_command(text: str) -> None:
    """Whatever is left of the special letters stands in one of our own replacements."""
    left = escape(text)
    for own in sorted(SPECIAL.values(), key=len, reverse=True):
        left = left.replace(own, "")
    assert not re.search(r"[\\&%$#_{}~^\[]", left)
