"""Tables as LaTeX: structure and escaping, read back by a parser that knows TeX's special signs, and by pdflatex."""

from __future__ import annotations

import itertools
import re
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from ablations.report.document import Table
from ablations.report.formats import latex
from ablations.report.formatting import Cell

# What TeX sets for each piece of source; any other use of a sign that is special to it or to its fonts is a fault.
SOURCES = {
    **{rf"\{sign}": sign for sign in "%&$#_{}"},
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textquotedblright{}": '"',
    r"\textendash{}": "–",
    r"\textemdash{}": "—",
    r"\`{}": "`",
    r"$\pm$": "±",
    r"$\times$": "×",
    "$-$": "−",
    "{}": "",
}
TOKEN = re.compile(
    "|".join(map(re.escape, sorted(SOURCES, key=len, reverse=True))) + r"""|--|''|,,|[^\\%&$#_{}~^<>|"`±×–—−]"""
)


def set_by_tex(source: str) -> str:
    """The text that a piece of source without commands of its own is set as."""
    tokens: list[str] = TOKEN.findall(source)
    assert "".join(tokens) == source, f"not to be read as plain text: {source}"
    assert not {"--", "''", ",,"} & set(tokens), f"makes a ligature: {source}"
    return "".join(SOURCES.get(token, token) for token in tokens)


def parse(source: str) -> tuple[str, list[list[str]]]:
    """The column format and the cells of the first table, its head being the first row."""
    found = re.search(r"\\begin\{tabular\}\{(.*)\}\n(.*)\n\\end\{tabular\}\n\\end\{table\}", source, re.DOTALL)
    assert found
    lines = found[2].split("\n")
    assert [lines[0], lines[2], lines[-1]] == [r"\toprule", r"\midrule", r"\bottomrule"]
    rows = [lines[1], *lines[3:-1]]
    assert all(row.endswith(r" \\") for row in rows)
    return found[1], [re.split(r" (?<!\\)& ", row.removesuffix(r" \\")) for row in rows]


def render(rows: list[dict[str, str]], caption: str = "Caption") -> str:
    return latex.render([(Table("results", rows), caption)])


def test_every_pair_of_ascii_signs_is_set_as_it_is_written() -> None:
    printable = string.ascii_letters[:2] + string.digits[:2] + string.punctuation + " "
    for pair in map("".join, itertools.product(printable, repeat=2)):
        assert set_by_tex(latex.escape(pair)) == pair


@pytest.mark.parametrize("text", ["7.45 ± 0.12 %", "–", "a—b", "3 × 3", "−1", "x_1 & y_2 # {z}", r"C:\new~^"])
def test_signs_of_reports_are_set_as_they_are_written(text: str) -> None:
    assert set_by_tex(latex.escape(text)) == text


def test_a_table_has_booktabs_rules_a_caption_and_a_label() -> None:
    rows = [{"variant": "short_2", "error_1 %": Cell("7.45 ± 0.12", 0.0745), "verdict": "**worse** & `a_b`"}]
    source = render(rows, caption="Top-1 error & costs, n = 5")
    form, cells = parse(source)
    assert form == "lrl"
    assert [set_by_tex(cell) for cell in cells[0]] == ["variant", "error_1 %", "verdict"]
    assert cells[1] == [r"short\_2", r"7.45 $\pm$ 0.12", r"\textbf{worse} \& \texttt{a\_b}"]
    assert "\n\\caption{Top-1 error \\& costs, n = 5}\n" in source
    assert "\n\\label{tab:results}\n" in source


def test_the_file_says_which_package_it_needs_and_is_nothing_but_floats() -> None:
    table = Table("one", [{"a": "x"}]), "First"
    other = Table("two", [{"a": "y"}]), "Second"
    source = latex.render([table, other])
    comments = [line for line in source.splitlines() if line.startswith("%")]
    assert any(r"\usepackage{booktabs}" in line for line in comments)
    rest = "\n".join(line for line in source.splitlines() if not line.startswith("%"))
    assert re.fullmatch(r"(\s*\\begin\{table\}(?:(?!\\begin\{table\}).)*?\\end\{table\}\s*){2}", rest, re.DOTALL)
    assert re.findall(r"\\label\{(.*?)\}", rest) == ["tab:one", "tab:two"]


def test_figures_stand_to_the_right_texts_to_the_left_and_sentences_in_a_paragraph() -> None:
    rows = [
        {
            "variant": "a",
            "n": Cell("5", 5),
            "gap": Cell("–"),
            "answer": "yes",
            "evidence": "naive 8.12 % against 7.45 %",
        },
        {"variant": "b", "n": "–", "gap": "–", "answer": "no", "evidence": "short, a little longer than the others"},
    ]
    assert parse(render(rows))[0] == "lrrlp{4cm}"


def test_a_minus_of_a_figure_is_set_as_one_and_a_hyphen_stays() -> None:
    rows = [{"variant": "long-2", "interval": Cell("[-0.24, -0.10]", -0.24), "note": "top-1 and -2"}]
    assert parse(render(rows))[1][1] == ["long-2", "[$-$0.24, $-$0.10]", "top-1 and -2"]


@pytest.mark.parametrize("text", ["[x]", "*"])
def test_a_row_does_not_open_with_what_the_line_before_would_take(text: str) -> None:
    opened = parse(render([{"a": text, "b": text}]))[1][1]
    assert opened == [f"{{}}{text}", text]


def test_a_heading_that_is_wider_than_its_figures_takes_two_lines() -> None:
    rows = [{"variant": "a", "images only it gets wrong": Cell("3", 3), "p": Cell("0.5", 0.5)}]
    source = render(rows)
    assert r"& \begin{tabular}[b]{@{}r@{}}images only \\ it gets wrong\end{tabular} & p \\" in source


def test_a_table_of_many_columns_is_set_smaller() -> None:
    row = {f"c{number}": "x" for number in range(latex.MOST_COLUMNS)}
    assert r"\footnotesize" not in render([row])
    assert "\n\\footnotesize\n" in render([{**row, "one more": "x"}])


def test_links_leave_their_text() -> None:
    rows = [{"a": "see [the_page](https://example.org/a_b%20c)", "b": "*x*"}]
    assert parse(render(rows))[1][1] == [r"see the\_page", r"\emph{x}"]


def test_equal_tables_give_equal_bytes() -> None:
    rows = [{"a": "x", "b": Cell("1", 1)}]
    assert render(rows).encode() == render([dict(row) for row in rows]).encode()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on PATH")
def test_pdflatex_compiles_the_tables_with_booktabs_alone(tmp_path: Path) -> None:
    # Without the dollar, which small installations have to draw a font for.
    signs = [{"text": sign, "b|c": "**bold & `code_`**"} for sign in "%&#_{}~^<>|\"`'±×–—−[*\\"]
    numbers = [{"variant": "a", **{f"figure {n} %": Cell("-1 ± 2", -1) for n in range(10)}, "why": "long words " * 9}]
    tables = [(Table("signs", signs), "5 % & more_"), (Table("two words", numbers), "<")]
    (tmp_path / "tables.tex").write_text(latex.render(tables), encoding="utf-8")
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{tables}\end{document}"
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert finished.returncode == 0, finished.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 0
    assert "Missing character" not in (tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace")
