"""The HTML report: one file that needs no network, is well formed, and takes every text for text."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from ablations.report.document import Column, Document, Items, Picture, Section, Table, Text
from ablations.report.formats import html
from ablations.report.formatting import percent

ROOT = Path(__file__).resolve().parents[3]
VOID = {"meta", "br", "hr", "img", "link", "input"}
HOSTILE = """<script>alert('x')</script> a|b "double" & 'single'"""
SVG = '<svg viewBox="0 0 300 200"><g id="dots"><circle r="9"><title>short: 7 %</title></circle></g></svg>'


class Page(HTMLParser):
    """The elements of a page with their attributes and own text; it fails on a tag that closes another one's."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[int] = []
        self.feed(source)
        self.close()
        assert not self.open, [self.elements[place][0] for place in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute is given twice: {attrs}"
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open[-1]][0] == tag
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for place in self.open:
            self.elements[place][2].append(data)

    def texts(self, *tags: str) -> list[str]:
        return ["".join(text).strip() for tag, _, text in self.elements if tag in tags]

    def attributes(self, *tags: str) -> list[dict[str, str | None]]:
        return [given for tag, given, _ in self.elements if tag in tags]


def make_document(text: str = "plain") -> Document:
    """A report with every kind of block, and `text` wherever a text can be."""
    frame = pd.DataFrame({"x": [text, "short"], "mean": [0.1 + 0.2, None], "std": [0.01, None], "verdict": [text, "y"]})
    columns = [
        Column(text, ("x",)),
        Column("error %", ("mean", "std"), format=percent),
        Column("verdict", ("verdict",), style=lambda verdict: "code" if verdict == "y" else "strong"),
    ]
    blocks = (
        Items([f"**n:** {text}", f"**{text}**"]),
        Table(text, frame, columns=columns),
        Text(text),
        Text(text, "note"),
    )
    return Document(text, [Section(text, blocks), Section(text, [Picture("dots", text), Items([text])])])


def render(text: str = "plain") -> str:
    return html.render(make_document(text), svgs={"dots": SVG})


@pytest.mark.parametrize("text", ["plain", HOSTILE, "</title></style></script><!--", "`a<b` **x** [y](https://z.org)"])
def test_tags_are_balanced_and_ids_unique_whatever_the_texts_hold(text: str) -> None:
    page = Page(render(text))
    ids = [given["id"] for _, given, _ in page.elements if "id" in given]
    assert len(ids) == len(set(ids)) == 3  # two sections of one title, and the figure's group
    targets = [given["href"] for given in page.attributes("a") if (given["href"] or "").startswith("#")]
    assert targets == [f"#{name}" for name in ids if name != "dots"]


def test_hostile_text_reads_the_same_everywhere_and_adds_no_element() -> None:
    hostile, plain = Page(render(HOSTILE)), Page(render())
    assert [tag for tag, _, _ in hostile.elements] == [tag for tag, _, _ in plain.elements]
    assert hostile.texts("title")[0] == HOSTILE
    assert hostile.texts("h1") == [HOSTILE]
    assert hostile.texts("h2") == [HOSTILE, HOSTILE]
    assert hostile.texts("p") == [HOSTILE, HOSTILE]
    assert hostile.texts("button")[0] == HOSTILE
    assert hostile.texts("figcaption") == [HOSTILE]
    assert hostile.attributes("table")[0]["aria-label"] == HOSTILE
    assert HOSTILE in hostile.texts("th") and HOSTILE in hostile.texts("strong")
    assert hostile.texts("li") == [HOSTILE, HOSTILE, f"n: {HOSTILE}", HOSTILE, HOSTILE]


def test_markdown_is_read_in_paragraphs_and_titles_and_not_in_tables() -> None:
    text = "**strong**, `code` and [a link](https://example.org/a?b=1&c=2)"
    page = Page(render(text))
    for tag in ("p", "h1", "h2", "figcaption"):
        assert page.texts(tag)[0] == "strong, code and a link"
    assert page.texts("title")[0] == "strong, code and a link"
    assert page.texts("button")[0] == page.texts("td")[1] == text
    assert {given["href"] for given in page.attributes("a")} >= {"https://example.org/a?b=1&c=2"}


@pytest.mark.parametrize("text", ["![x](https://example.org/x.png)", "[x](javascript:alert(1))", "<img src=x>"])
def test_nothing_is_fetched_and_no_link_runs_a_script(text: str) -> None:
    page = Page(render(text))
    assert not page.attributes("img", "link", "iframe", "object", "embed", "audio", "video", "source", "base")
    for tag, given, _ in page.elements:
        assert "src" not in given, given
        assert not [name for name in given if name.startswith("on")], given
        assert tag == "a" or "href" not in given
    assert not [a for a in page.attributes("a") if not re.match("#|https?://", a["href"] or "")]


def test_styles_and_scripts_lie_in_the_page_and_name_no_address() -> None:
    page = Page(render())
    for text in page.texts("style", "script"):
        assert text
        assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttpRequest|import\(", text.replace("// ", ""))


def test_the_policy_forbids_every_fetch() -> None:
    metas = Page(render()).attributes("meta")
    policy = next(meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy")
    directives = dict(part.strip().split(" ", 1) for part in (policy or "").split(";"))
    assert directives == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "script-src": "'unsafe-inline'",
        "img-src": "data:",
    }


def test_the_page_names_its_language_encoding_and_width() -> None:
    source = render()
    page = Page(source)
    assert source.startswith("<!DOCTYPE html>\n")
    assert page.attributes("html") == [{"lang": "en"}]
    metas = page.attributes("meta")
    assert metas[0] == {"charset": "utf-8"}
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in metas
    assert page.texts("title")[0] == "plain"


def test_a_cell_carries_its_whole_value_and_its_style_and_a_gap_none() -> None:
    page = Page(render())
    cells = [(given, "".join(text)) for tag, given, text in page.elements if tag == "td"]
    assert cells[0] == ({"class": "number", "data-value": "0.30000000000000004"}, "30.00 ± 1.00")
    assert cells[2] == ({"class": "number"}, "–")
    assert cells[1] == ({}, "plain")
    assert page.texts("strong")[-1] == "plain" and page.texts("code") == ["y"]


def test_headers_are_buttons_and_first_cells_head_their_rows() -> None:
    page = Page(render())
    assert page.texts("button") == ["plain", "error %", "verdict"]
    assert [given["scope"] for given in page.attributes("th")] == ["col"] * 3 + ["row"] * 2


def test_a_section_without_a_title_has_no_heading_and_no_entry() -> None:
    page = Page(html.render(Document("d", [Section("", [Text("first")]), Section("Next", [])]), svgs={}))
    assert page.texts("h2") == ["Next"]
    assert page.texts("li") == ["Next"]
    assert page.texts("p") == ["first"]


@pytest.mark.parametrize(("box", "wide"), [("0 0 331.2 420", False), ("0 0 662.4 288", True)])
def test_a_figure_of_two_panels_has_a_row_to_itself_and_text_of_the_same_size(box: str, wide: bool) -> None:
    document = Document("d", [Section("s", [Picture("p", "caption")])])
    page = Page(html.render(document, svgs={"p": f'<svg viewBox="{box}"></svg>'}))
    width = f"--points: {box.split()[2]}"
    assert page.attributes("figure") == [{"class": "wide", "style": width} if wide else {"style": width}]


def test_a_folded_section_is_found_by_its_heading_and_says_what_it_holds() -> None:
    document = Document("d", [Section("Tests", [Text("inside")], fold=HOSTILE), Section("Open", [Text("outside")])])
    page = Page(html.render(document, svgs={}))
    (inside,) = page.texts("details")
    assert "inside" in inside and "outside" not in inside
    assert page.texts("summary")[0].split() == ["Tests", *HOSTILE.split()]
    assert page.texts("h2") == ["Tests", "Open"] and page.attributes("h2")[0]["id"] == "section-tests"
    assert "open" not in page.attributes("details")[0]


def test_figures_stand_in_the_page_as_they_were_given() -> None:
    assert render().count(SVG) == 1


def test_a_figure_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="dots"):
        html.render(make_document(), svgs={})


@pytest.mark.process
def test_another_process_writes_the_same_bytes() -> None:
    # With a hash seed of its own: an order that came from a set would differ.
    code = "import sys, test_html; sys.stdout.buffer.write(test_html.render(test_html.HOSTILE).encode())"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, env=environment, capture_output=True, check=True, cwd=ROOT)
    assert finished.stdout == render(HOSTILE).encode()
