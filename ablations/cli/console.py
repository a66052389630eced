"""What a person sees while a suite runs: one live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 160  # where no terminal says how wide it is


class _Console(Console):
    """One that falls silent when nobody reads it any more, as after ``| head``: the runs are worth more than that."""

    def on_broken_pipe(self) -> None:
        with suppress(SystemExit):
            super().on_broken_pipe()


def make_console() -> Console:
    """A console as wide as the terminal, or wide enough for every table where there is none."""
    console = _Console(highlight=False, soft_wrap=False)
    return console if console.is_terminal else _Console(highlight=False, width=PLAIN_WIDTH)


def show_table(rows: Iterable[Mapping[str, str]], *, console: Console, title: str) -> None:
    """Print a table of text, the first column to the left and the others to the right."""
    shown = Table(title=Text(title, style="table.title"), title_justify="left")  # a plain string would be markup
    for index, row in enumerate(rows):
        if index == 0:
            for place, column in enumerate(row):
                shown.add_column(Text(column), justify="right" if place else "left", overflow="fold")
        shown.add_row(*map(Text, row.values()))
    console.print(shown)
