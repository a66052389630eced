"""Tables and plans on the terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ablations.cli.console import make_console, show_table
from ablations.cli.listing import show_plan
from ablations.records.suite_folder import SuiteFolder
from tests.support.synthetic_suites import make_plan

PLAN = make_plan("digits", seeds=1, variants=("short3", "short4"))

BRACKETS = ("r[red]x", "r[/x]", "[bold]", ":smile:", "back\\")


@pytest.mark.parametrize("text", BRACKETS)
def test_brackets_in_a_table_are_text(text: str) -> None:
    stream = io.StringIO()
    show_table([{text: f"cell {text}"}], console=Console(file=stream, width=80, highlight=False), title=f"of {text}")
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
