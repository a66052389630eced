r"""Tables of a report as LaTeX, to be read by a paper's \input."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ablations.report.document import Table
from ablations.report.formats.markdown import INLINE
from ablations.report.formatting import LONG_FROM, is_numeric

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
COMMANDS = {"strong_open": r"\textbf{", "em_open": r"\emph{", "strong_close": "}", "em_close": "}"}


def render(tables: Sequence[tuple[Table, str]]) -> str:
    """A float with booktabs rules for each table with its caption, labelled tab:NAME.

    Columns of figures stand to the right. Texts are inline Markdown: strong and emphasised text and code keep their
    looks, of a link only the text is left.

    Raises:
        KeyError: if a row lacks a column of its table.
    """
    return "\n".join([HEADER, *(_float(table, caption) for table, caption in tables)])


def escape(text: str) -> str:
    """Plain text as LaTeX source that sets it, in any font encoding; a straight double quote becomes a closing one."""
    return re.sub(r"([-',])(?=\1)", r"\1{}", text.translate(SIGNS))  # some pairs would become another sign


def _float(table: Table, caption: str) -> str:
    columns = list(table.rows[0])
    widths = {name: max(len(row[name]) for row in table.rows) for name in columns}
    numeric = {name for name in columns if is_numeric(name, table.rows)}
    heads = [_heading(name, widths[name]) if name in numeric else _inline(name) for name in columns]
    lines = [[_figure(row[name]) if name in numeric else _inline(row[name]) for name in columns] for row in table.rows]
    kinds = ["r" if name in numeric else "p{4cm}" if widths[name] >= LONG_FROM else "l" for name in columns]
    frame = pd.DataFrame([[_opening(line[0]), *line[1:]] for line in lines], columns=pd.Index(heads))
    styler = frame.style.hide(axis="index").set_table_styles(SMALL if len(columns) > MOST_COLUMNS else [])
    return styler.to_latex(
        column_format="".join(kinds),
        hrules=True,
        caption=_inline(caption),
        label=f"tab:{re.sub(r'[^A-Za-z0-9-]+', '-', table.name)}",
        position="tbp",
        position_float="centering",
    )


def _inline(text: str) -> str:
    parts = []
    for token in INLINE.parseInline(str(text))[0].children or ():
        if token.type == "code_inline":
            parts.append(rf"\texttt{{{escape(token.content)}}}")
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        else:
            parts.append(COMMANDS.get(token.type, escape(token.content)))
    return "".join(parts)


def _heading(name: str, width: int) -> str:
    """The heading of a column of figures, in two lines where one would widen the column."""
    if len(name) <= width or _inline(name) != escape(name):
        return _inline(name)
    layouts = (
        textwrap.wrap(name, size, break_long_words=False, break_on_hyphens=False) for size in range(1, len(name) + 1)
    )
    lines = min(layouts, key=lambda lines: (len(lines) > 2, max(map(len, lines))))
    return r"\begin{tabular}[b]{@{}r@{}}" + r" \\ ".join(map(escape, lines)) + r"\end{tabular}"


def _figure(text: str) -> str:
    """A hyphen before a figure is a minus."""
    return re.sub(r"(?<!\w)-(?=[\d.])", "$-$", _inline(text))


def _opening(source: str) -> str:
    r"""A row's first cell, where a bracket or a star would be read as belonging to the \\ before it."""
    return re.sub(r"^(?=[\[*])", "{}", source)
