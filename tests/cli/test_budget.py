"""--budget and --expect-sd: how many seeds fit, and what they show."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ablations.analysis.looks import FIRST
from ablations.analysis.planning.design import detectable_difference, detectable_margin
from ablations.cli.budget import budget_seconds, expected_std, show_design
from ablations.cli.planning import survey
from ablations.errors import ConfigError
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.plan import Plan
from tests.support.synthetic_suites import make_plan, save_suite

PLAN = make_plan("cifar10", seeds=1, variants=("reduced", "short", "short2"))
# Runs of synthetic records take 107 s; these have 2, 2 and 1 of their seeds.
WRONG = {"reduced": [1000, 1010], "short": [1010, 1000], "short2": [1100]}


def said(
    folder: Path,
    *,
    plan: Plan = PLAN,
    budget: float | None = None,
    std: float | None = None,
    known: bool = True,
    slots: int | None = 1,
) -> str:
    if known:
        save_suite(folder / "cifar10", make_plan("cifar10", seeds=2, variants=tuple(WRONG)), wrong=WRONG)
    stream = io.StringIO()
    state = survey(plan, folder=SuiteFolder(folder / "cifar10"))
    console = Console(file=stream, width=400, highlight=False)
    show_design(state, console=console, budget=budget, std=std, slots=slots)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("6h", 21_600), ("2d", 172_800), ("0.5h", 1800), ("1.25d", 108_000)]
)
def test_a_budget_is_minutes_hours_or_days(text: str, seconds: float) -> None:
    assert budget_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "6 h", "-1h", "0h", "1e3h", "6H", "1h30m", "infd"])
def test_any_other_budget_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"^--budget is '{text}'; give minutes, hours or days, as in 90m, 6h or 2d$"):
        budget_seconds(text)


@pytest.mark.parametrize("points", [0.0, -1.0, 50.1, float("nan"), float("inf")])
def test_an_impossible_deviation_is_refused(points: float) -> None:
    with pytest.raises(
        ConfigError, match=r"^--expect-sd is .*; it must be a number in \(0, 50\] of percentage points$"
    ):
        expected_std(points)
    assert expected_std(0.15) == pytest.approx(0.0015)


def test_a_budget_names_the_seeds_that_fit_and_what_they_show(tmp_path: Path) -> None:
    # Twelve seeds of three variants are 36 runs, of which 5 are done: 31 x 107 s; a thirteenth takes 3 more.
    text = said(tmp_path, budget=33 * 107, std=0.002)
    std, level = 0.002 * 2**0.5, FIRST / 2
    difference = 100 * detectable_difference(12, std=std, level=level)
    margin = 100 * detectable_margin(12, std=std, level=level)
    assert "A budget of 0.98 hours fits 12 seeds of each of 3 variants: 31 more runs, 0.92 hours one by one. " in text
    assert f"detect a difference of {difference:.2f} points, and show one of zero to be within {margin:.2f}" in text
    seeds = [int(row) for row in re.findall(r"^│ +(\d+) │", text, re.MULTILINE)]
    assert seeds == [3, 5, 8, 10, 12, 15, 20]
    drawn = {path.name for path in (tmp_path / "cifar10" / "figures").iterdir()}
    assert drawn == {"design.svg", "design.png"} and "design.svg" in text.splitlines()[-1]


def test_a_budget_counts_runs_side_by_side(tmp_path: Path) -> None:
    # 12 seeds are 31 runs of 107 s: on 4 slots 8 after one another, and one of a thirteenth would be a ninth.
    text = said(tmp_path, budget=8 * 107, std=0.002, slots=4)
    assert "12 seeds of each of 3 variants: 31 more runs, 0.24 hours with 4 side by side. They" in text
    assert "what seeds show, in hours with 4 side by side" in text
    assert "fits 1 seed of each of 3 variants: 0 more runs" in said(tmp_path, budget=0.1, slots=4)
    # A cluster of unknown size: hours of one run after the other, which may be more than it takes.
    text = said(tmp_path, budget=33 * 107, std=0.002, slots=None)
    assert "31 more runs, 0.92 hours one by one. Ray's cluster may train several side by side, so more may fit." in text


def test_a_budget_that_is_too_small_says_what_a_seed_takes(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short", "short2", "short3"))
    with pytest.raises(ConfigError, match="^--budget: no time is known of short3, .* --dry-run"):
        said(tmp_path, plan=plan, budget=3600)
    # Another fingerprint: the data of none of the runs that are there, but the same work.
    other = replace(PLAN, runs=tuple(replace(run, fingerprint="cd" * 32) for run in PLAN.runs))
    text = said(tmp_path, plan=other, budget=300)
    assert "A budget of 0.083 hours fits no seed: one of each of 3 variants takes 0.089 hours one by one." in text
    assert not (tmp_path / "cifar10" / "figures").exists()


def test_the_spread_is_expected_measured_or_assumed_and_says_so(tmp_path: Path) -> None:
    # Differences of short are 10 and -10 of 10,000 images: a standard deviation of 14.1.
    assert "a standard deviation of 0.14 points, that of 2 differences over up to 2 seeds that are there." in said(
        tmp_path
    )
    assert "0.71 points: the square root of 2 times 0.50 of a variant, as --expect-sd says." in said(
        tmp_path, std=0.005
    )
    empty = tmp_path / "empty"
    assert "0.21 points: the square root of 2 times 0.15 of a variant, which is assumed (" in said(empty, known=False)
    unknown = replace(PLAN, data=replace(PLAN.data, name="folder"))
    text = said(empty, plan=unknown, known=False)
    assert "not known for folder: give --expect-sd" in text and text.count("–") == 3 * 6


def test_a_suite_without_comparisons_has_hours_alone(tmp_path: Path) -> None:
    alone = make_plan("cifar10", seeds=1, variants=("reduced",))
    for plan in (alone, replace(PLAN, declared=("recipe",))):
        text = said(tmp_path, plan=plan, budget=600)
        assert "This suite has no comparisons, so no verdicts." in text and "hours one by one.\n" in text
    assert not (tmp_path / "cifar10" / "figures").exists()
