"""A report as Markdown, read back by a parser of its own: the blocks it comes to, and that no text breaks out."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ablations.analysis.analyse import analyse
from ablations.report.contents import compose
from ablations.report.document import Document, Items, Picture, Section, Table, Text
from ablations.report.formats import markdown
from ablations.report.formats.markdown import code, commands, escape
from ablations.report.formatting import NONE, Cell
from tests.support.synthetic_suites import make_plan, make_record, save

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
    "AT&T, a&lt;b, &#42; and &copy;",
    "größe, 尺寸, 🐈",
    "\"quoted\" & 'single'",
]


def parse(document: Document) -> list[Token]:
    return PARSER.parse(markdown.render(document))


def one_table(rows: list[dict[str, str]]) -> list[Token]:
    return parse(Document("Suite x", [Section("Results", [Table("summary", rows)])]))


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
    blocks = [Table("t", [{"variant": shown, "error": "x"}]), Items([f"**n:** {shown}"]), Text(f"Of {shown}", "note")]
    tokens = parse(Document("Suite x", [Section("Results", blocks)]))
    assert len(cells_of(tokens, "td")) == 2
    assert [token.type for token in tokens if token.type.endswith("_open") and token.level == 0] == [
        *("heading_open", "heading_open", "table_open", "bullet_list_open", "blockquote_open")
    ]
    (cell,) = [token for token in tokens if token.type == "inline" and token.content == cells_of(tokens, "td")[0]]
    assert PARSER.renderInline(cell.content) == PARSER.renderInline(shown)


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


def test_only_columns_of_figures_are_aligned_to_the_right() -> None:
    rows: list[dict[str, str]] = [
        {"variant": "naive", "n": Cell("3", 3), "error": Cell("7.50 ± 0.10", 0.075), "verdict": "**worse**"},
        {"variant": "short", "n": Cell("1 of 3", 1), "error": NONE, "verdict": NONE},
    ]
    tokens = one_table(rows)
    assert alignments(tokens, "th") == [None, "text-align:right", "text-align:right", None]
    assert alignments(tokens, "td") == alignments(tokens, "th") * 2
    assert cells_of(tokens, "th") == ["variant", "n", "error", "verdict"]
    assert cells_of(tokens, "td") == ["naive", "3", "7.50 ± 0.10", "**worse**", "short", "1 of 3", NONE, NONE]


def test_every_block_comes_to_its_own_element() -> None:
    blocks = [
        Text("Plain."),
        Text("**Note.** Set off.", kind="note"),
        Items(["**n:** 3", "**Commit:** `abc`"]),
        Picture("ranks", "Ranks of the variants"),
        Table("summary", [{"variant": "naive", "n": Cell("3", 3)}]),
    ]
    tokens = parse(Document("Suite x", [Section("", [Text("Before.")]), Section("Results", blocks)]))
    opened = [(token.type, token.tag) for token in tokens if token.type.endswith("_open") and token.level == 0]
    assert [tag for _, tag in opened] == ["h1", "p", "h2", "p", "blockquote", "ul", "p", "table"]
    (image,) = [child for token in tokens for child in token.children or () if child.type == "image"]
    assert (image.attrGet("src"), image.content) == ("figures/ranks.png", "Ranks of the variants")
    assert [token.content for token in tokens if token.type == "inline"][:3] == ["Suite x", "Before.", "Results"]


def test_a_document_ends_with_one_newline_and_has_no_blank_lines_in_a_row() -> None:
    text = markdown.render(Document("Suite x", [Section("A", []), Section("B", [Text("One."), Items(["two"])])]))
    assert text == "# Suite x\n\n## A\n\n## B\n\nOne.\n\n- two\n"


def test_a_whole_report_has_as_many_cells_in_every_row(tmp_path: Path) -> None:
    plan = make_plan("cifar100", seeds=3, variants=("reduced", "short", "short2", "short3", "short4", "naive"))
    save(tmp_path, plan, [make_record(run, wrong=3000 + 7 * place) for place, run in enumerate(plan.runs)])
    document = compose(analyse(tmp_path), {})
    tokens = parse(document)
    tables = [block for section in document.sections for block in section.blocks if isinstance(block, Table)]
    assert sum(token.type == "table_open" for token in tokens) == len(tables) >= 6
    # A row of too many cells loses some to the reader, and one of too few gets empty ones.
    assert cells_of(tokens, "td") == [text for table in tables for row in table.rows for text in row.values()]
    headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings == [document.title, *(section.title for section in document.sections if section.title)]
