r"""Tables of a report as LaTeX, for a paper's \input."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ablations.report.document import LONG_FROM, Cell, Table

HEADER = r"""% Tables of a report, each in its own float. In the preamble: \usepackage{booktabs}
% Refer to a table with \ref{tab:NAME}. A text that is too long for one line is set in a column 4 cm wide.
"""
# Where the classic fonts have another sign in the place, or where the sign means something to TeX.
SIGNS = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "%&$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "`": r"\`{}",
        '"': r"\textquotedblright{}",
        "±": r"$\pm$",
        "×": r"$\times$",
        "−": "$-$",
        "–": r"\textendash{}",
        "—": r"\textemdash{}",
    }
)
MOST_COLUMNS = 8  # of a table in the paper's own size
SMALL: Any = [
    {"selector": "footnotesize", "props": ":;"},
    {"selector": "setlength", "props": r":{\tabcolsep}{3pt};"},
]
COMMANDS = {"plain": "{}", "code": r"\texttt{{{}}}", "strong": r"\textbf{{{}}}"}


def render(tables: Sequence[Table]) -> str:
    """A float with booktabs rules and a caption for each table, labelled tab:NAME; numbers are right-aligned."""
    return "\n".join([HEADER, *map(_float, tables)])


def escape(text: str) -> str:
    """Plain text as LaTeX source for any font encoding; a straight double quote becomes a closing one."""
    return re.sub(r"([-',])(?=\1)", r"\1{}", text.translate(SIGNS))  # some pairs would become another sign


def _float(table: Table) -> str:
    rows = table.rows()
    heads, kinds, sources = [], [], []
    for column, cells in zip(table.columns, zip(*rows, strict=True), strict=True):
        width = max(len(cell.text) for cell in cells)
        if table.is_numeric(column):
            heads.append(_heading(column.title, width))
            kinds.append("r")
            sources.append([_number(cell) for cell in cells])
        else:
            heads.append(escape(column.title))
            kinds.append("p{4cm}" if width >= LONG_FROM else "l")
            sources.append([_text(cell) for cell in cells])
    sources[0] = [_opening(source) for source in sources[0]]
    frame = pd.DataFrame(list(zip(*sources, strict=True)), columns=pd.Index(heads))
    styler = frame.style.hide(axis="index").set_table_styles(SMALL if len(heads) > MOST_COLUMNS else [])
    return styler.to_latex(
        column_format="".join(kinds),
        hrules=True,
        caption=escape(table.caption),
        label=f"tab:{re.sub(r'[^A-Za-z0-9-]+', '-', table.name)}",
        position="tbp",
        position_float="centering",
    )


def _text(cell: Cell) -> str:
    return COMMANDS[cell.style].format(escape(cell.text))


def _number(cell: Cell) -> str:
    """A hyphen before a number is a minus."""
    return re.sub(r"(?<!\w)-(?=[\d.])", "$-$", _text(cell))


def _heading(title: str, width: int) -> str:
    """The heading of a column of numbers, in two lines where one would widen the column."""
    if len(title) <= width:
        return escape(title)
    layouts = (
        textwrap.wrap(title, size, break_long_words=False, break_on_hyphens=False) for size in range(1, len(title) + 1)
    )
    lines = min(layouts, key=lambda lines: (len(lines) > 2, max(map(len, lines))))
    return r"\begin{tabular}[b]{@{}r@{}}" + r" \\ ".join(map(escape, lines)) + r"\end{tabular}"


def _opening(source: str) -> str:
    r"""A row's first cell, where a bracket or a star would be read as belonging to the \\ before it."""
    return re.sub(r"^(?=[\[*])", "{}", source)
