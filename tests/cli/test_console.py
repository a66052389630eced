"""Tables and plans on the terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from ablations.cli.console import make_console, show_table
from ablations.cli.listing import show_plan
from ablations.records.suite_folder import SuiteFolder
from ablations.report.document import Column, Table
from tests.support.synthetic_suites import make_plan

PLAN = make_plan("digits", seeds=1, variants=("short3", "short4"))

BRACKETS = ("r[red]x", "r[/x]", "[bold]", ":smile:", "back\\")


@pytest.mark.parametrize("text", BRACKETS)
def test_brackets_in_a_table_are_text(text: str) -> None:
    stream = io.StringIO()
    table = Table.of("t", pd.DataFrame({text: [f"cell {text}"]}))
    show_table(table, console=Console(file=stream, width=80, highlight=False), title=f"of {text}")
    title, _, header, _, row, _ = stream.getvalue().splitlines()
    assert title.rstrip() == f"of {text}"
    assert header.strip("┃ ") == text
    assert row.strip("│ ") == f"cell {text}"


@pytest.mark.parametrize("text", BRACKETS)
def test_brackets_in_the_folder_of_a_plan_are_text(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    show_plan(PLAN, folder=SuiteFolder(Path(text) / "digits"), console=make_console())
    assert stream.getvalue().startswith(f"plan of suite digits, in {Path(text) / 'digits'}")


def test_numbers_are_right_aligned_and_strong_text_is_bold_on_a_terminal() -> None:
    stream = io.StringIO()
    frame = pd.DataFrame({"variant": ["a", "b"], "error": [0.5, 10.25], "verdict": ["worse", "better"]})
    strong = Column("verdict", ("verdict",), style="strong")
    table = Table("t", frame, columns=[Column("variant", ("variant",)), Column("error", ("error",)), strong])
    console = Console(file=stream, width=80, highlight=False, force_terminal=True, color_system="standard")
    show_table(table, console=console, title="t")
    assert [line for line in stream.getvalue().splitlines() if line.startswith("│")] == [
        "│ a       │   0.5 │ \x1b[1mworse  \x1b[0m │",
        "│ b       │ 10.25 │ \x1b[1mbetter \x1b[0m │",
    ]
