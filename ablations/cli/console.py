"""The console: its width, and tables on it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from rich import table
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
    """Print a table, columns of numbers right-aligned."""
    # Everything is a Text, because rich reads markup in a plain string.
    printed = table.Table(title=Text(title, style="table.title"), title_justify="left")
    for column in shown.columns:
        printed.add_column(Text(column.title), justify="right" if shown.is_numeric(column) else "left", overflow="fold")
    for row in shown.rows():
        printed.add_row(*(Text(cell.text, style=STYLES[cell.style]) for cell in row))
    console.print(printed)
