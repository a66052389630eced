"""A report as data, whatever it is written as: sections of paragraphs, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Row = Mapping[str, str]  # by column name; a `cells.Cell` where the text stands for a number


@dataclass(frozen=True)
class Text:
    """A paragraph of inline Markdown (code, strong, links); `kind` "note" is set off from the others."""

    text: str
    kind: Literal["plain", "note"] = "plain"


@dataclass(frozen=True)
class Items:
    """A list, each item inline Markdown."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table of inline Markdown under a name that is unique in the report; the first column is text. It has a row."""

    name: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Picture:
    """A figure by the name of its files in figures/, with what it shows in words."""

    name: str
    caption: str


Block = Text | Items | Table | Picture


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    sections: Sequence[Section]
