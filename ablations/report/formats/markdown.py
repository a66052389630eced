"""A report as Markdown, and escaping of plain text for it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt

from ablations.report.document import Block, Cell, Document, Items, Picture, Table, Text

# Parses inline Markdown. Images are disabled, because a page would fetch them; figures are embedded as SVG.
INLINE = MarkdownIt("commonmark", {"html": False}).disable("image")
# A bracket closes a link only before one of ( [ :, and < opens a tag or an address only before what is no space.
_PUNCTUATION = re.compile(r"([\\`*_{}>#|~&]|<(?=\S)|\](?=[(\[:]))")


def escape(text: str) -> str:
    """Plain text, such as a folder's name or an error message, as Markdown on one line."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text as a code span, whatever backticks it holds."""
    text = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def commands(lines: Iterable[str]) -> str:
    """Command lines as code spans, in the order to run them."""
    return ", then ".join(map(code, lines))


def render(document: Document) -> str:
    """The document as GitHub-flavoured Markdown."""
    lines = [f"# {document.title}"]
    for section in document.sections:
        if section.title:
            lines.append(f"## {section.title}")
        if section.fold:
            lines.append(f"<details>\n<summary>{html.escape(section.fold)}</summary>")
        lines += ["\n".join(_block(block)) for block in section.blocks]
        if section.fold:
            lines.append("</details>")
    return "\n\n".join(lines) + "\n"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Text):
        yield f"> {block.text}" if block.kind == "note" else block.text
    elif isinstance(block, Items):
        yield from (f"- {item}" for item in block.items)
    elif isinstance(block, Picture):
        yield f"![{block.caption}](figures/{block.name}.png)"
    else:
        yield from _table(block)


def _table(table: Table) -> Iterator[str]:
    yield _line(escape(column.title) for column in table.columns)
    yield _line("---:" if table.is_numeric(column) else "---" for column in table.columns)
    yield from (_line(map(_cell, row)) for row in table.rows())


def _cell(cell: Cell) -> str:
    if cell.style == "code":
        return code(cell.text).replace("|", r"\|")  # which splits cells even within code
    return f"**{escape(cell.text)}**" if cell.style == "strong" else escape(cell.text)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
