"""A report as one HTML file that needs no network, with sortable tables and figures with tooltips."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import jinja2
from markupsafe import Markup

from ablations.report.document import LONG_FROM, Cell, Document
from ablations.report.formats.markdown import INLINE

WIDE_FROM = 480.0  # points from which a figure has a row to itself
TAGS = {"plain": Markup("{}"), "code": Markup("<code>{}</code>"), "strong": Markup("<strong>{}</strong>")}


def render(document: Document, *, svgs: Mapping[str, str]) -> str:
    """The whole page; the same bytes for the same arguments.

    A section without a title has no heading and no place in the contents. Titles, paragraphs, items and captions are
    read as inline Markdown, the texts of tables as plain text.

    Args:
        svgs: by a picture's name its <svg> element, without an XML declaration. It is put in as it is, so it has to
            be trusted; ids must be unique in the page. The text of a mark's <title> shows on hover and on focus.

    Raises:
        KeyError: if a picture has no SVG, or a table's frame lacks a column's source.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ablations.report.formats"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "inline": _inline,
        "plain": lambda text: _inline(text).striptags(),
        "styled": _styled,
        "kind": lambda block: type(block).__name__,
        "width": _width,
    }
    environment.tests |= {
        "facts": lambda items: all(item.startswith("**") for item in items),
        "long": lambda text: len(text) >= LONG_FROM,
        "wide": lambda svg: _width(svg) >= WIDE_FROM,
    }
    titles = [section.title for section in document.sections]
    return environment.get_template("report.html.j2").render(
        document=document,
        sections=list(zip(_anchors(titles), document.sections, strict=True)),
        svg_of=lambda picture: Markup(svgs[picture.name]),
    )


def _inline(text: str) -> Markup:
    return Markup(INLINE.renderInline(str(text)))


def _styled(cell: Cell) -> Markup:
    return TAGS[cell.style].format(cell.text)


def _width(svg: str) -> float:
    """A figure's width in points."""
    box = re.search(r'viewBox="\S+ \S+ (\S+) \S+"', svg)
    return float(box[1]) if box else WIDE_FROM


def _anchors(titles: Sequence[str]) -> list[str]:
    """An id for each title, to be read in a link, all of them different."""
    anchors: list[str] = []
    for title in titles:
        anchor = f"section-{'-'.join(re.findall(r'[a-z0-9]+', title.lower()))}"
        while anchor in anchors:
            anchor += "-again"
        anchors.append(anchor)
    return anchors
