"""Tables as LaTeX: structure and escaping, read back by a parser that knows TeX's special signs, and by pdflatex."""

from __future__ import annotations

import itertools
import re
import shutil
import string
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from ablations.report.document import Column, Style, Table
from ablations.report.formats import latex

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


def table(rows: list[dict[str, object]], *, name: str = "results", caption: str = "Caption", **styles: Style) -> Table:
    """A table of these values, its columns in the given styles."""
    frame = pd.DataFrame(rows)
    columns = [Column(title, (title,), style=styles.get(title, "plain")) for title in map(str, frame)]
    return Table(name, frame, columns=columns, caption=caption)


def render(rows: list[dict[str, object]]) -> str:
    return latex.render([table(rows)])


def test_every_pair_of_ascii_signs_is_set_as_it_is_written() -> None:
    printable = string.ascii_letters[:2] + string.digits[:2] + string.punctuation + " "
    for pair in map("".join, itertools.product(printable, repeat=2)):
        assert set_by_tex(latex.escape(pair)) == pair


@pytest.mark.parametrize("text", ["7.45 ± 0.12 %", "–", "a—b", "3 × 3", "−1", "x_1 & y_2 # {z}", r"C:\new~^"])
def test_signs_of_reports_are_set_as_they_are_written(text: str) -> None:
    assert set_by_tex(latex.escape(text)) == text


def test_a_table_has_booktabs_rules_a_caption_and_a_label() -> None:
    rows: list[dict[str, object]] = [{"variant": "short_2", "e_1 %": 7.45678, "verdict": "worse & x", "field": "a_b"}]
    made = table(rows, name="two words", caption="Top-1 error & costs, n = 5", verdict="strong", field="code")
    source = latex.render([made])
    form, cells = parse(source)
    assert form == "lrll"
    assert [set_by_tex(cell) for cell in cells[0]] == ["variant", "e_1 %", "verdict", "field"]
    assert cells[1] == [r"short\_2", "7.45678", r"\textbf{worse \& x}", r"\texttt{a\_b}"]
    assert "\n\\caption{Top-1 error \\& costs, n = 5}\n" in source
    assert "\n\\label{tab:two-words}\n" in source


def test_the_file_says_which_package_it_needs_and_is_nothing_but_floats() -> None:
    source = latex.render([table([{"a": "x"}], name="one"), table([{"a": "y"}], name="two")])
    comments = [line for line in source.splitlines() if line.startswith("%")]
    assert any(r"\usepackage{booktabs}" in line for line in comments)
    rest = "\n".join(line for line in source.splitlines() if not line.startswith("%"))
    assert re.fullmatch(r"(\s*\\begin\{table\}(?:(?!\\begin\{table\}).)*?\\end\{table\}\s*){2}", rest, re.DOTALL)
    assert re.findall(r"\\label\{(.*?)\}", rest) == ["tab:one", "tab:two"]


def test_numbers_are_right_aligned_texts_left_aligned_and_sentences_set_in_a_paragraph() -> None:
    source = render(
        [
            {"variant": "a", "n": 5, "gap": None, "answer": "yes", "evidence": "naive 8.12 % against 7.45 %"},
            {"variant": "b", "n": None, "gap": None, "answer": "no", "evidence": "short, a little longer than others"},
        ]
    )
    assert parse(source)[0] == "lrrlp{4cm}"


def test_a_minus_of_a_number_is_set_as_one_and_a_hyphen_stays() -> None:
    (_, cells) = parse(render([{"variant": "long-2", "difference": -0.24, "note": "top-1 and -2"}]))
    assert cells[1] == ["long-2", "$-$0.24", "top-1 and -2"]


@pytest.mark.parametrize("text", ["[x]", "*"])
def test_a_row_does_not_open_with_what_the_line_before_would_take(text: str) -> None:
    opened = parse(render([{"a": text, "b": text}]))[1][1]
    assert opened == [f"{{}}{text}", text]


def test_a_heading_that_is_wider_than_its_numbers_takes_two_lines() -> None:
    source = render([{"variant": "a", "images only it gets wrong": 3, "p": 0.5}])
    assert r"& \begin{tabular}[b]{@{}r@{}}images only \\ it gets wrong\end{tabular} & p \\" in source


def test_a_table_of_many_columns_is_set_smaller() -> None:
    row: dict[str, object] = {f"c{number}": "x" for number in range(latex.MOST_COLUMNS)}
    assert r"\footnotesize" not in render([row])
    assert "\n\\footnotesize\n" in render([{**row, "one more": "x"}])


@pytest.mark.process
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on PATH")
def test_pdflatex_compiles_the_tables_with_booktabs_alone(tmp_path: Path) -> None:
    # Without the dollar, which small installations have to draw a font for.
    signs: list[dict[str, object]] = [{"text": sign, "b": f"code {sign}"} for sign in "%&#_{}~^<>|\"`'±×–—−[*\\"]
    numbers: list[dict[str, object]] = [
        {"variant": "a", **{f"number {n} %": -1.5 for n in range(10)}, "why": "long words " * 9}
    ]
    styled = table(signs, name="signs", caption="5 % & more_", text="strong", b="code")
    (tmp_path / "tables.tex").write_text(latex.render([styled, table(numbers, name="numbers")]), encoding="utf-8")
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{tables}\end{document}"
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert finished.returncode == 0, finished.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 0
    assert "Missing character" not in (tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace")
