"""The console: its width, and tables on it."""

from __future__ import annotations

import textwrap
from contextlib import suppress
from typing import TYPE_CHECKING

from rich import table
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from ablations.report.document import Table

PLAIN_WIDTH = 160  # where no terminal says how wide it is
STYLES = {"plain": "", "code": "", "strong": "bold"}


class _Console(Console):
    """A console that ignores a closed pipe, as after ``| head``, so that the runs go on."""

    def on_broken_pipe(self) -> None:
        with suppress(SystemExit):
            super().on_broken_pipe()


def make_console() -> Console:
    """A console as wide as the terminal, or wide enough for every table where there is none."""
    console = _Console(highlight=False, soft_wrap=False)
    return console if console.is_terminal else _Console(highlight=False, width=PLAIN_WIDTH)


def show_table(shown: Table, *, console: Console, title: str) -> None:
    """Print a table, columns of numbers right-aligned; no word or number is broken, however narrow the terminal.

    Where the columns do not fit side by side, each row is a paragraph of its titles and values.
    """
    # Everything is a Text, because rich reads markup in a plain string.
    console.print(Text(title, style="table.title"), soft_wrap=True)
    widths = _column_widths(shown, available=console.width)
    if not widths:
        _show_paragraphs(shown, console=console)
        return
    printed = table.Table()
    for column, width in zip(shown.columns, widths, strict=True):
        printed.add_column(Text(column.title), justify="right" if shown.is_numeric(column) else "left", width=width)
    for row in shown.rows():
        printed.add_row(*(Text(cell.text, style=STYLES[cell.style]) for cell in row))
    console.print(printed)


def _column_widths(shown: Table, *, available: int) -> list[int]:
    """Widths of the columns in characters; empty if they do not fit.

    A cell of numbers stays on one line. Titles and text break between words, titles before text.
    """
    frame = shown.texts()
    widths, cells, titles = [], [], []
    for place, column in enumerate(shown.columns):
        texts = frame.iloc[:, place].tolist()
        words = [word for text in (column.title, *texts) for word in text.split()]
        widths.append(max(map(cell_len, (*words, *(texts if shown.is_numeric(column) else ()))), default=0))
        cells.append(max(map(cell_len, texts), default=0))
        titles.append(cell_len(column.title))
    spare = available - sum(widths) - 3 * len(widths) - 1  # a border and two spaces a column, and the last border
    if spare < 0:
        return []
    for wanted in (cells, titles):
        for place, width in enumerate(wanted):
            wider = max(0, min(spare, width - widths[place]))
            widths[place] += wider
            spare -= wider
    return widths


def _show_paragraphs(shown: Table, *, console: Console) -> None:
    for row in shown.rows():
        first, *others = (cell.text for cell in row)
        titled = zip(shown.columns[1:], others, strict=True)
        values = "; ".join(f"{column.title}: {text}" for column, text in titled if text)
        wrapped = textwrap.fill(
            values,
            console.width,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        console.print(Text(f"{first}\n{wrapped}"), soft_wrap=True)
