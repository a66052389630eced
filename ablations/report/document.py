"""A report as data, independent of the format that it is written in: sections of text, tables and figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd

from ablations.report.formatting import text

LONG_FROM = 28  # characters from which a cell's text may break into lines

Style = Literal["plain", "code", "strong"]


@dataclass(frozen=True)
class Text:
    """A paragraph of inline Markdown (code, strong, links).

    One of `kind` "note" stands out from the others; one of kind "lead" says what was found.
    """

    text: str
    kind: Literal["plain", "note", "lead"] = "plain"


@dataclass(frozen=True)
class Items:
    """A list, each item inline Markdown."""

    items: Sequence[str]


@dataclass(frozen=True)
class Column:
    """A column of a table: the columns of its data frame that it shows, and how.

    `format` takes a row's values of the `sources`, in their order, and returns plain text; rows sort by the first
    source. `style` holds for every row, or is chosen for each row from the same values.
    """

    title: str
    sources: tuple[str, ...]
    _: KW_ONLY
    format: Callable[..., str] = text
    style: Style | Callable[..., Style] = "plain"


class Cell(NamedTuple):
    """A table's cell: plain text, its style, and the number it sorts by, which only finite numbers have."""

    text: str
    style: Style
    value: float | None


@dataclass(frozen=True, eq=False)
class Table:
    """A table of numbers and plain text, formatted when it is written; `name` is unique in the report.

    A table with a `caption`, in plain text, is also written to the LaTeX file. A `columns` source that `frame` lacks
    raises a KeyError when the table is written.
    """

    name: str
    frame: pd.DataFrame
    _: KW_ONLY
    columns: Sequence[Column]
    caption: str = ""

    @classmethod
    def of(cls, name: str, frame: pd.DataFrame) -> Table:
        """A table of all columns of the frame under their own names, each value as `str` gives it."""
        return cls(name, frame, columns=[Column(title, (title,)) for title in map(str, frame)])

    def is_numeric(self, column: Column) -> bool:
        """Whether a column is right-aligned: its first source holds numbers, or nothing at all."""
        values = self.frame[column.sources[0]]
        return pd.api.types.is_numeric_dtype(values) or bool(values.isna().all())

    def rows(self) -> list[list[Cell]]:
        """The cells of each row."""
        return [list(row) for row in zip(*map(self._cells, self.columns), strict=True)]

    def texts(self) -> pd.DataFrame:
        """The table as text: a column for each title."""
        return pd.DataFrame(
            [[cell.text for cell in row] for row in self.rows()], columns=[column.title for column in self.columns]
        )

    def _cells(self, column: Column) -> list[Cell]:
        numeric = self.is_numeric(column)
        cells = []
        for values in self.frame[list(column.sources)].itertuples(index=False, name=None):
            style: Style = column.style(*values) if callable(column.style) else column.style
            cells.append(Cell(column.format(*values), style, _number(values[0]) if numeric else None))
        return cells


@dataclass(frozen=True)
class Picture:
    """A figure: the name of its files in figures/, and a caption in inline Markdown."""

    name: str
    caption: str


Block = Text | Items | Table | Picture


@dataclass(frozen=True)
class Section:
    """A title and what follows it; the first section of a report has no title.

    With `fold`, plain text that says what is in it, the section is folded until a reader opens it.
    """

    title: str
    blocks: Sequence[Block]
    _: KW_ONLY
    fold: str = ""


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    sections: Sequence[Section]


def _number(value: Any) -> float | None:
    return None if pd.isna(value) or not math.isfinite(value) else float(value)
