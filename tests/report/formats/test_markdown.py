"""A report as Markdown, read back by a parser of its own: the blocks it comes to, and that no text breaks out."""

from __future__ import annotations

import html

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ablations.report.document import Column, Document, Items, Picture, Section, Table, Text
from ablations.report.formats import markdown
from ablations.report.formats.markdown import code, commands, escape
from ablations.report.formatting import NONE, count_of, interval_of

PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
HOSTILE = [
    "plain words",
    r"*strong* _emphasis_ **both** ~~struck~~",
    "`code` and ``more``",
    "[a link](https://example.org) ![an image](x.png)",
    "<script>alert('x')</script> <https://example.org>",
    "# heading",
    "one | two | three",
    r"C:\folder\*new* and a last \ ".strip(),
    "{braces} [brackets]",
    "[-1.90, +1.63] and [x]: y and [x][y] and [x] (y)",
    "p < 0.05, <b, < i> and a<b",
    "AT&T, a&lt;b, &#42; and &copy;",
    "größe, 尺寸, 🐈",
    "\"quoted\" & 'single'",
]


def parse(document: Document) -> list[Token]:
    return PARSER.parse(markdown.render(document))


def cells_of(tokens: list[Token], kind: str) -> list[str]:
    return [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == f"{kind}_open"]


def alignments(tokens: list[Token], kind: str) -> list[str | float | int | None]:
    return [token.attrGet("style") for token in tokens if token.type == f"{kind}_open"]


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_reads_as_it_was(text: str) -> None:
    # A reader turns < into &lt; and so on, as html.escape does, and leaves apostrophes.
    assert PARSER.renderInline(escape(text)) == html.escape(text, quote=False).replace('"', "&quot;")


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_stays_in_its_cell_item_and_note(text: str) -> None:
    shown = escape(text)
    blocks = [Table.of("t", pd.DataFrame({text: [text]})), Items([f"**n:** {shown}"]), Text(f"Of {shown}", "note")]
    tokens = parse(Document("Suite x", [Section("Results", blocks)]))
    cells = [*cells_of(tokens, "th"), *cells_of(tokens, "td")]
    assert [PARSER.renderInline(cell) for cell in cells] == [PARSER.renderInline(shown)] * 2
    assert [token.type for token in tokens if token.type.endswith("_open") and token.level == 0] == [
        *("heading_open", "heading_open", "table_open", "bullet_list_open", "blockquote_open")
    ]


@pytest.mark.parametrize("space", ["\n", "\r\n", "\n\n", "\t", "  ", "\u2028", "\x0b"])
def test_escaped_text_is_on_one_line(space: str) -> None:
    assert escape(f"first{space}second{space}") == "first second"
    assert code(f"first{space}second") == "`first second`"
    assert code(f"{space}`first") == "`` `first ``"


@pytest.mark.parametrize(
    "text",
    [
        "python run_all.py --suite mine.toml",
        "a`b",
        "`",
        "``",
        "`start",
        "end`",
        "`both`",
        "a``b`c```d",
        r"back\slash\` *not strong* <b> &amp; [x](y)",
    ],
)
def test_a_code_span_holds_its_text_whatever_is_in_it(text: str) -> None:
    (inline,) = PARSER.parseInline(f"To train: {code(text)}.")
    children = [(token.type, token.content) for token in inline.children or ()]
    assert children == [("text", "To train: "), ("code_inline", text), ("text", ".")]


def test_commands_are_code_spans_in_the_order_in_which_they_are_to_be_run() -> None:
    assert commands(["python run_all.py"]) == "`python run_all.py`"
    assert commands(["one 'a`b'", "two"]) == "``one 'a`b'``, then `two`"


def test_numbers_are_right_aligned_and_cells_have_the_style_of_their_column() -> None:
    frame = pd.DataFrame(
        {"v": ["a_b", "c"], "n": [3, 1], "of": [3, 3], "low": [-0.1, None], "high": [0.2, None], "field": ["x|y", "z"]}
    )
    columns = [
        Column("variant", ("v",)),
        Column("n", ("n", "of"), format=count_of),
        Column("interval", ("low", "high"), format=interval_of),
        Column("verdict", ("v",), style="strong"),
        Column("field", ("field",), style="code"),
    ]
    tokens = parse(Document("Suite x", [Section("Results", [Table("summary", frame, columns=columns)])]))
    assert alignments(tokens, "th") == [None, "text-align:right", "text-align:right", None, None]
    assert alignments(tokens, "td") == alignments(tokens, "th") * 2
    assert cells_of(tokens, "th") == ["variant", "n", "interval", "verdict", "field"]
    assert cells_of(tokens, "td") == [
        *("a\\_b", "3", "[-10.00, 20.00]", "**a\\_b**", "`x|y`"),
        *("c", "1 of 3", NONE, "**c**", "`z`"),
    ]


def test_every_block_comes_to_its_own_element() -> None:
    blocks = [
        Text("Plain."),
        Text("**Note.** Set off.", kind="note"),
        Items(["**n:** 3", "**Commit:** `abc`"]),
        Picture("rankings", "Ranks of the variants"),
        Table.of("summary", pd.DataFrame({"variant": ["naive"], "n": [3]})),
    ]
    tokens = parse(Document("Suite x", [Section("", [Text("Before.")]), Section("Results", blocks)]))
    opened = [(token.type, token.tag) for token in tokens if token.type.endswith("_open") and token.level == 0]
    assert [tag for _, tag in opened] == ["h1", "p", "h2", "p", "blockquote", "ul", "p", "table"]
    (image,) = [child for token in tokens for child in token.children or () if child.type == "image"]
    assert (image.attrGet("src"), image.content) == ("figures/rankings.png", "Ranks of the variants")
    assert [token.content for token in tokens if token.type == "inline"][:3] == ["Suite x", "Before.", "Results"]


def test_a_document_ends_with_one_newline_and_has_no_blank_lines_in_a_row() -> None:
    text = markdown.render(Document("Suite x", [Section("A", []), Section("B", [Text("One."), Items(["two"])])]))
    assert text == "# Suite x\n\n## A\n\n## B\n\nOne.\n\n- two\n"


def test_a_folded_section_keeps_its_title_and_its_blocks_are_still_markdown() -> None:
    table = Table.of("t", pd.DataFrame({"p": [0.5]}))
    section = Section("Tests", [table, Text("**Strong.**")], fold="p-values & <more>")
    tokens = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .parse(markdown.render(Document("Suite x", [section, Section("After", [])])))
    )
    shown = [token.content.strip() or token.tag for token in tokens if token.level == 0 and token.nesting >= 0]
    assert shown == [
        *("h1", "h2", "<details>\n<summary>p-values &amp; &lt;more&gt;</summary>", "table", "p", "</details>", "h2")
    ]
