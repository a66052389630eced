"""What a report says of each variant against the baseline: verdicts, p-values, and why where there is no verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.analyse import Analysis
from ablations.analysis.comparisons import Comparisons, compare_with_baseline
from ablations.records.suite_folder import SuiteFolder
from ablations.report.sections.comparisons import comparisons_section, comparisons_table
from tests.support.synthetic_suites import make_analysis, make_results, tables_of, texts_of


def rows_of(analysis: Analysis) -> dict[str, dict[str, str]]:
    return {row["variant"]: row for row in tables_of(comparisons_section(analysis))["comparisons"]}


def in_memory(**wrong: list[int]) -> Analysis:
    """The comparisons of these wrong images of 10,000, by variant and seed."""
    results = make_results(np.array(list(wrong.values())).T / 1e4, names=list(wrong))
    folder = SuiteFolder(Path("absent"))
    return make_analysis(results, comparisons=compare_with_baseline(results, folder, rng=np.random.default_rng(0)))


def test_a_row_has_the_difference_its_interval_and_the_p_values(
    complete: Analysis, wrong: dict[str, list[int]]
) -> None:
    row = rows_of(complete)["short2"]
    differences = np.subtract(wrong["short2"], wrong["reduced"]) / 1e4
    test: Any = scipy_stats.ttest_1samp(differences, 0)
    low, high = (100 * bound for bound in test.confidence_interval())
    expected = {
        "n": "4",
        "difference, points": f"{100 * differences.mean():+.2f}",
        "95 % interval": f"[{low:+.2f}, {high:+.2f}]",
        "p": f"{test.pvalue:.4f}",
    }
    assert {name: row[name] for name in expected} == expected
    assert list(row)[5:] == ["p (Holm)", "p, equivalent (Holm)", "p (signs)", "verdict"], "no bootstrap below 8 seeds"


def test_a_settled_verdict_is_strong_and_an_open_one_says_how_many_seeds_would_settle_it(complete: Analysis) -> None:
    table = comparisons_table(complete.comparisons)
    assert table is not None
    verdicts = {row[0].text: row[-1] for row in table.rows()}
    assert {name: (cell.text, cell.style) for name, cell in verdicts.items() if name != "short2"} == {
        "short": ("better", "strong"),
        "naive": ("worse", "strong"),
        "long": ("equivalent", "strong"),
    }
    (undecided,) = [found for found in complete.comparisons.comparisons if found.variant == "short2"]
    text = f"inconclusive; about {undecided.seeds_needed} seeds would settle it"
    assert verdicts["short2"][:2] == (text, "plain")
    hopeless = comparisons_table(Comparisons(comparisons=(replace(undecided, seeds_needed=None),)))
    assert hopeless is not None
    assert hopeless.texts()["verdict"][0] == "inconclusive; more than 1,000 seeds would be needed"


def test_the_notes_name_the_smallest_p_of_the_signs_and_when_there_is_a_bootstrap(complete: Analysis) -> None:
    notes = texts_of(comparisons_section(complete))
    assert "with 4 seeds its p cannot be below 0.1250" in notes[1]  # 2 of the 16 ways to flip four signs
    assert notes[1].endswith(" Bootstrap intervals need at least 8 seeds.")


def test_from_eight_seeds_on_there_is_a_bootstrap_interval() -> None:
    base = [800, 815, 790, 805, 812, 798, 803, 809]
    analysis = in_memory(reduced=base, short=[count + shift for count, shift in zip(base, range(8), strict=True)])
    assert rows_of(analysis)["short"]["bootstrap 95 %"].startswith("[+0.0")
    assert "Bootstrap" not in " ".join(texts_of(comparisons_section(analysis)))


def test_checks_that_disagree_are_pointed_out() -> None:
    # Seven seeds that all rise, one of them far: signs are sure (2 of 128), the t test is not.
    shifts = [2, 3, 2, 3, 2, 3, 400]
    by_t_test: Any = scipy_stats.ttest_1samp(shifts, 0)
    assert by_t_test.pvalue > 0.05
    base = [800, 815, 790, 805, 810, 795, 802]
    analysis = in_memory(reduced=base, short=[count + shift for count, shift in zip(base, shifts, strict=True)])
    last = texts_of(comparisons_section(analysis))[-1]
    assert last.startswith("For short, the t test and a nonparametric check disagree")


def test_one_seed_is_compared_over_images(one_seed: Analysis) -> None:
    p = 2 * scipy_stats.binom.cdf(10, 23, 0.5)
    assert list(rows_of(one_seed)["short"].values()) == ["short", "13", "10", f"{p:.4f}"]
    (note,) = texts_of(comparisons_section(one_seed))
    assert "One seed gives no verdict on architectures" in note


@pytest.mark.parametrize("suite", ["incomplete", "unread"])
def test_without_a_comparison_the_reason_is_said(suite: str, request: pytest.FixtureRequest) -> None:
    analysis: Analysis = request.getfixturevalue(suite)
    section = comparisons_section(analysis)
    assert texts_of(section) == [f"No verdict: {analysis.comparisons.reason}."] and not tables_of(section)
