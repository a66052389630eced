"""What a report says of each variant against the baseline: verdicts, p-values, and why where there is no verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.analyse import Analysis
from ablations.analysis.looks import FIRST, Looks
from ablations.analysis.statistics.advice import SeedsNeeded
from ablations.report.sections.comparisons import advice, comparisons_section, comparisons_table, looks_sentence
from tests.support.paired_suites import compare, looks_of, predicted, results_of
from tests.support.synthetic_suites import make_analysis, tables_of, texts_of


def rows_of(analysis: Analysis) -> dict[str, dict[str, str]]:
    return {row["variant"]: row for row in tables_of(comparisons_section(analysis))["comparisons"]}


def in_memory(*, looks: Looks | None = None, **wrong: list[int]) -> Analysis:
    """The comparisons of these wrong images of 10,000, by variant and seed."""
    results = results_of(wrong)
    return make_analysis(results, comparisons=compare(results, looks=looks))


def test_a_row_has_the_difference_its_interval_and_the_p_values(
    complete: Analysis, wrong: dict[str, list[int]]
) -> None:
    row = rows_of(complete)["short2"]
    differences = np.subtract(wrong["short2"], wrong["reduced"]) / 1e4
    test: Any = scipy_stats.ttest_1samp(differences, 0)
    equivalent: Any = scipy_stats.ttest_1samp(differences, 0.005, alternative="less")
    low, high = (100 * bound for bound in test.confidence_interval(1 - FIRST))
    assert row == {
        "variant": "short2",
        "n": "4",
        "difference, points": f"{100 * differences.mean():+.2f}",
        f"{100 * (1 - FIRST):g} % interval": f"[{low:+.2f}, {high:+.2f}]",
        "on new images": "–",
        "p": f"{test.pvalue:.4f}",
        "p, equivalent": f"{equivalent.pvalue:.4f}",
        "p (signs)": "0.8750",
        "verdict on these images": "inconclusive",
        "verdict on new images": "–",
        "would be settled by": row["would be settled by"],
    }


def test_a_settled_verdict_is_strong_and_an_open_one_says_how_many_seeds_would_settle_it(complete: Analysis) -> None:
    table = comparisons_table(complete.comparisons)
    assert table is not None
    (undecided,) = [found for found in complete.comparisons.comparisons if found.variant == "short2"]
    assert undecided.seeds_needed is not None
    likely, safe = undecided.seeds_needed
    rows = {row[0].text: row for row in table.rows()}
    assert {name: (row[8].text, row[8].style, row[10].text) for name, row in rows.items()} == {
        "short": ("better", "strong", ""),
        "naive": ("worse", "strong", ""),
        "long": ("equivalent", "strong", ""),
        "short2": ("inconclusive", "plain", f"{likely} to {safe} seeds"),
    }


@pytest.mark.parametrize(
    ("needed", "said"),
    [
        (SeedsNeeded(12, 31), "12 to 31 seeds"),
        (SeedsNeeded(6, 6), "6 seeds"),
        (SeedsNeeded(700, None), "700 to > 1,000 seeds"),
        (SeedsNeeded(None, None), "> 1,000 seeds"),
    ],
)
def test_advice_in_words(needed: SeedsNeeded, said: str) -> None:
    assert advice(*needed, advised=True) == said
    assert advice(*needed, advised=False) == ""


def test_a_verdict_of_an_earlier_look_says_so_and_the_looks_are_counted() -> None:
    looks = replace(looks_of(3, 4, level=0.024), declared=(3, 4))
    # Worse in three seeds, and the fourth one is an outlier.
    analysis = in_memory(looks=looks, reduced=[800, 815, 790, 805], naive=[1000, 1014, 991, 700])
    assert rows_of(analysis)["naive"]["verdict on these images"] == "worse (at 3 seeds)"
    said = texts_of(comparisons_section(analysis))[1]
    assert said.startswith("Verdicts were read 2 times, at 3 and 4 seeds (3, 4 were declared). This look has 2.4 % of")


def test_the_first_look_is_said_to_be_the_first() -> None:
    assert looks_sentence(looks_of(5)).startswith("Verdicts are read for the first time, at 5 seeds. This look has 5 %")
    assert looks_sentence(Looks()) == ""
    between = replace(looks_of(3), declared=(3, 10), seeds=8)
    assert looks_sentence(between).endswith("This report, at 8 seeds, gives no new verdict: the next are read at 10.")
    assert looks_sentence(replace(between, declared=(3,))).endswith("no level is left for further ones.")
    assert ", and at other seeds in an earlier report. This" in looks_sentence(replace(looks_of(3, 5), elsewhere=1))
    assert "all of them together 10 %" in looks_sentence(looks_of(3, 5, level=0.05))


def test_with_predictions_there_are_intervals_and_verdicts_on_new_images() -> None:
    # All seeds get the same images wrong, short 30 others too: sure on these images, 5.5 standard errors on new ones.
    base = np.tile(np.arange(10_000) < 800, (3, 1))
    wrong = {"reduced": base, "short": np.tile(np.arange(10_000) < 830, (3, 1))}
    results = results_of({name: rows.sum(axis=1).tolist() for name, rows in wrong.items()})
    analysis = make_analysis(results, comparisons=compare(results, per_image=predicted(wrong)))
    row = rows_of(analysis)["short"]
    assert (row["verdict on these images"], row["verdict on new images"]) == ("worse, within the margin",) * 2
    reach = 1.96 * np.sqrt(0.003 / 1e4)
    assert row["on new images"] == f"[{100 * (0.003 - reach):+.2f}, {100 * (0.003 + reach):+.2f}]"
    assert row["95 % interval"] == "[+0.29, +0.31]"
    notes = " ".join(texts_of(comparisons_section(analysis)))
    assert "Only the second is about architectures. The sign-flip" in notes


def test_the_notes_say_at_which_level_tests_are_held_and_what_is_missing(complete: Analysis) -> None:
    notes = " ".join(texts_of(comparisons_section(complete)))
    # Two of the four are settled beyond the margin and leave the count.
    assert f"A p is held against {50 * FIRST:g} %: the level of this look, {100 * FIRST:g} %, shared by all" in notes
    assert "with 4 seeds its p cannot be below 0.1250" in notes  # 2 of the 16 ways to flip four signs
    assert "It takes the predictions of all runs." in notes
    assert "No equivalence" not in notes


def test_why_there_can_be_no_equivalence_is_said_once() -> None:
    analysis = in_memory(reduced=[800, 815], short=[801, 816], short2=[802, 815])
    why = tuple(replace(each, why_not_equivalent="some reason") for each in analysis.comparisons.comparisons)
    changed = replace(analysis, comparisons=replace(analysis.comparisons, comparisons=why))
    assert texts_of(comparisons_section(changed)).count("No equivalence: some reason.") == 1


def test_signs_that_disagree_with_the_t_test_are_pointed_out() -> None:
    # Seven seeds that all rise, one of them far: signs are sure (2 of 128), the t test is not.
    shifts = [2, 3, 2, 3, 2, 3, 400]
    by_t_test: Any = scipy_stats.ttest_1samp(shifts, 0)
    assert by_t_test.pvalue > 0.05
    base = [800, 815, 790, 805, 810, 795, 802]
    analysis = in_memory(reduced=base, short=[count + shift for count, shift in zip(base, shifts, strict=True)])
    last = texts_of(comparisons_section(analysis))[-1]
    assert last.startswith("For short, the t test and the sign-flip test disagree")


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
