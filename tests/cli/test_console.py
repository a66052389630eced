"""Tables and plans on the terminal."""

from __future__ import annotations

import io
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from ablations.analysis.analyse import Analysis, analyse
from ablations.cli.console import make_console, show_table
from ablations.cli.listing import show_architectures
from ablations.cli.outcome import errors_and_costs, verdicts
from ablations.cli.planning import show_plan, survey
from ablations.records.suite_folder import SuiteFolder
from ablations.report.document import Column, Table
from ablations.suites.plan import Plan
from googlenet import VARIANTS
from tests.support.synthetic_suites import make_plan, save_suite

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
    show_plan(survey(PLAN, folder=SuiteFolder(Path(text) / "digits")), console=make_console())
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


# Widths


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, SuiteFolder, Analysis]:
    """A suite of three seeds, whose tables are as wide as they get."""
    folder = SuiteFolder(tmp_path_factory.mktemp("cifar100"))
    plan = make_plan("cifar100", seeds=3)
    save_suite(folder.path, plan, wrong={name: [3000 + 90 * n, 3170, 3050 - n] for n, name in enumerate(VARIANTS)})
    return plan, folder, analyse(folder.path)


def shown_at(width: int, suite: tuple[Plan, SuiteFolder, Analysis]) -> dict[str, str]:
    """What the command line shows of the suite on a terminal of that width, by what is shown."""
    plan, folder, analysis = suite
    compared = verdicts(analysis.comparisons)
    assert compared is not None
    shows: dict[str, Callable[[Console], None]] = {
        "list": show_architectures,
        "plan": lambda console: show_plan(survey(plan, folder=folder), console=console),
        "errors": lambda console: show_table(errors_and_costs(analysis.results), console=console, title="errors"),
        "verdicts": lambda console: show_table(compared, console=console, title="verdicts"),
    }
    found = {}
    for name, show in shows.items():
        stream = io.StringIO()
        show(Console(file=stream, width=width, highlight=False))
        found[name] = stream.getvalue()
    return found


def numbers(text: str) -> Counter[str]:
    return Counter(re.findall(r"[-+]?\d+(?:[.,]\d+)*", text))


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, SuiteFolder, Analysis]:
    """A suite of twelve seeds with twins of equal parameters, some of whose verdicts are inconclusive."""
    folder = SuiteFolder(tmp_path_factory.mktemp("branches"))
    plan = make_plan("branches", seeds=12, control="params")
    names = dict.fromkeys(run.architecture.name for run in plan.runs)
    wrong = {name: [3000 - 30 * place, 4170, 3250 + 40 * place] * 4 for place, name in enumerate(names)}
    save_suite(folder.path, plan, wrong=wrong)
    return plan, folder, analyse(folder.path)


def test_every_table_has_a_row_a_variant_within_80_columns(twins: tuple[Plan, SuiteFolder, Analysis]) -> None:
    for name, text in shown_at(80, twins).items():
        tables = [line for line in text.splitlines() if line[0] in "┃│┏┡└"]
        assert tables and max(map(len, tables)) <= 80 and "…" not in text, name
        named = [line for line in tables if "without-5x5@params" in line]
        assert len(named) == {"plan": 2 + 12, "list": 0}.get(name, 1), name


@pytest.mark.parametrize("width", [100, 80, 40, 20])
def test_no_digit_is_lost_on_a_narrow_terminal(width: int, suite: tuple[Plan, SuiteFolder, Analysis]) -> None:
    wide, narrow = shown_at(400, suite), shown_at(width, suite)
    for name, text in narrow.items():
        assert len(numbers(wide[name])) > 20
        lost = numbers(wide[name]) - numbers(text)
        assert not lost, f"{name}: {lost}"
        longest = max(len(word) for word in text.split() if word[0] not in "┏┡└")
        assert max(map(len, text.splitlines()[1:])) <= max(width, longest + 2), name


def test_columns_that_do_not_fit_are_a_paragraph_a_row() -> None:
    frame = pd.DataFrame(
        {"variant": ["a b", "c"], "MACs": [11_160_357_696, 5], "verdict": ["no better than others", ""]}
    )
    stream = io.StringIO()
    table = Table("t", frame, columns=[Column(name, (name,), format=str) for name in map(str, frame)])
    show_table(table, console=Console(file=stream, width=24, highlight=False), title="of [red]")
    assert stream.getvalue().splitlines() == [
        *("of [red]", "a b", "  MACs: 11160357696;", "  verdict: no better", "  than others", "c", "  MACs: 5")
    ]


def test_titles_and_text_break_between_words_before_a_table_is_given_up() -> None:
    frame = pd.DataFrame({"variant": ["a"], "top-1 error %": [12.5], "verdict": ["no better than others"]})
    stream = io.StringIO()
    show_table(Table.of("t", frame), console=Console(file=stream, width=36, highlight=False), title="t")
    rows = [re.split(r" *[┃│] *", line)[1:-1] for line in stream.getvalue().splitlines() if line[0] in "┃│"]
    titles = [["", "top-1", ""], ["", "error", ""], ["variant", "%", "verdict"]]
    assert rows == [*titles, ["a", "12.5", "no better than"], ["", "", "others"]]


def test_a_table_without_rows_is_its_titles() -> None:
    stream = io.StringIO()
    frame = pd.DataFrame({"variant": [], "n": []})
    show_table(Table.of("t", frame), console=Console(file=stream, width=40, highlight=False), title="t")
    assert stream.getvalue().splitlines()[2].split() == ["┃", "variant", "┃", "n", "┃"]
