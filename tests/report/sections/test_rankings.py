"""What a report says of rankings: by seeds and epochs, and beside another suite's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from ablations.analysis.rankings import RankCorrelation, Rankings, correlate_rankings, rank_variants
from ablations.analysis.results import Results
from ablations.report.document import Section
from ablations.report.sections.rankings import rankings_section
from tests.support.synthetic_suites import make_analysis, make_results, tables_of, texts_of

# Seeds are rows.
ERRORS = np.array([[0.20, 0.13, 0.10, 0.40], [0.21, 0.12, 0.10, 0.41], [0.19, 0.11, 0.10, 0.42]])
NAMES = ["c", "b", "a", "d"]


def ranked(results: Results) -> Rankings:
    return rank_variants(results, rng=np.random.default_rng(7))


def section_of(results: Results, correlation: RankCorrelation | None = None) -> Section | None:
    return rankings_section(make_analysis(results, rankings=ranked(results), rank_correlation=correlation))


def correlation_of(first: Results, second: Results) -> RankCorrelation:
    return correlate_rankings(first, second)


def of(section: Section | None, start: str) -> list[str]:
    """The paragraphs that begin so."""
    return [text for text in texts_of(section) if text.startswith(f"**{start}.**")]


def test_variants_are_listed_in_the_order_of_their_error() -> None:
    section = section_of(make_results(ERRORS, names=NAMES))
    rows = tables_of(section)["rankings"]
    assert [row["variant"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["top-1 error %"] for row in rows] == ["10.00", "12.00", "20.00", "41.00"]
    # The last one is ten standard errors away from the others, the first two are two apart.
    assert [row["95 % interval"] for row in rows] == ["[1, 2]", "[1, 2]", "[3, 3]", "[4, 4]"]
    assert {row["best in draws"] for row in rows} == {"too few"}
    assert texts_of(section)[0] == (
        "Intervals of ranks are from 2,000 draws of the true mean errors. Fewer than 5 seeds are too few to say how "
        "often a variant is best."
    )


def test_from_five_seeds_on_the_share_of_draws_in_which_a_variant_is_best_is_said() -> None:
    errors = np.vstack([ERRORS, ERRORS[:2]])
    section = section_of(make_results(errors, names=NAMES))
    best = [row["best in draws"] for row in tables_of(section)["rankings"]]
    assert best == ["> 99 %", "< 1 %", "< 1 %", "< 1 %"]
    assert texts_of(section)[0].endswith("in which a variant is best as often as the last column says.")


def test_ranks_that_are_shared_are_not_rounded() -> None:
    errors = np.array([[0.1, 0.1, 0.2], [0.1, 0.1, 0.3]])
    rows = tables_of(section_of(make_results(errors, names=["a", "b", "c"])))["rankings"]
    assert [row["rank"] for row in rows] == ["1.5", "1.5", "3"]


def test_one_seed_has_ranks_without_intervals() -> None:
    section = section_of(make_results(ERRORS[:1], names=NAMES))
    rows = tables_of(section)["rankings"]
    assert {(row["95 % interval"], row["best in draws"]) for row in rows} == {("–", "too few")}
    assert texts_of(section) == []


def seeds_text(spread_p: float) -> str:
    by_seeds = pd.DataFrame({"seeds": [1, 2, 3, 4, 5, 10, 20], "tau": [0.3, 0.4, 0.5, 0.55, 0.6, 0.7, 0.8]})
    results = make_results(np.tile(ERRORS[0], (4, 1)), names=NAMES)
    found = replace(ranked(results), by_seeds=by_seeds, spread_p=spread_p)
    (said,) = of(rankings_section(make_analysis(results, rankings=found)), "Seeds")
    return said


def test_the_expected_tau_is_said_of_some_numbers_of_seeds_and_the_suites_own() -> None:
    said = (
        "**Seeds.** Kendall's tau that a ranking is expected to have with the true order, by the number of seeds: 0.30 "
        "with 1, 0.40 with 2, 0.50 with 3, 0.55 with 4, 0.60 with 5, 0.70 with 10, 0.80 with 20. This suite has 4."
    )
    assert seeds_text(0.01) == said
    assert seeds_text(0.34) == (
        f"{said} The variants spread no more than seeds alone could make them (F test, p 0.3400), so these values may "
        "be too high: if all true errors are equal, there is no true order."
    )


def epochs_text(measure: str, *by_epoch: np.ndarray) -> str:
    (said,) = of(section_of(make_results(ERRORS, names=NAMES, epochs={measure: np.stack(by_epoch)})), "Epochs")
    return said


@pytest.mark.parametrize(
    ("measure", "by_epoch", "said"),
    [
        (
            "train_error",
            (ERRORS, ERRORS, -ERRORS),
            "training error after each epoch and the ranking by final test error: it does not reach 0.9 and stay "
            "there; after the last epoch it is -1.00. Training error says little about unseen images; a recipe with a "
            "validation_fraction would tell more.",
        ),
        (
            "validation_error",
            (-ERRORS, ERRORS, ERRORS),
            "validation error after each epoch and the ranking by final test error: it is 0.9 or above from epoch 2 of "
            "3 on, so the ranking was settled by then.",
        ),
        (
            "test_error",
            (-ERRORS, ERRORS),
            "test error after each epoch and the ranking by final test error: it reaches 0.9 only at the last of 2 "
            "epochs. The test error of earlier epochs is from the selection bias diagnostic.",
        ),
    ],
    ids=["training error", "validation error", "test error"],
)
def test_rankings_by_epoch_are_summed_up_with_the_caveat_of_their_measure(
    measure: str, by_epoch: tuple[np.ndarray, ...], said: str
) -> None:
    section = section_of(make_results(ERRORS, names=NAMES, epochs={measure: np.stack(by_epoch)}))
    assert of(section, "Epochs") == [f"**Epochs.** Kendall's tau between the ranking by {said}"]


def test_epochs_in_which_all_variants_tie_are_left_out() -> None:
    results = make_results(ERRORS, names=NAMES, epochs={"train_error": np.ones((2, *ERRORS.shape))})
    assert of(section_of(results), "Epochs") == []


@pytest.mark.parametrize("broken", [True, False])
def test_without_a_ranking_there_is_no_section(broken: bool) -> None:
    results = make_results(ERRORS if broken else ERRORS[:, :1], names=NAMES if broken else ["c"])
    if broken:
        results.runs.loc[0, "status"] = "oom"
    assert section_of(results) is None


def test_another_suites_ranking_is_compared_by_kendalls_tau() -> None:
    here, there = make_results(ERRORS, names=NAMES), np.array([[0.3, 0.1, 0.2], [0.31, 0.11, 0.19]])
    section = section_of(here, correlation_of(here, make_results(there, names=["a", "b", "d"])))
    expected: Any = kendalltau([0.10, 0.12, 0.41], there.mean(axis=0))
    (said,) = of(section, "Other suite")
    assert said.startswith(
        "**Other suite.** Kendall's tau between the rankings of 3 variants in this suite and in cifar10: "
        f"{expected.statistic:+.2f}, p {expected.pvalue:.4f}. "
    )


@pytest.mark.parametrize(
    ("ceiling", "said"),
    [
        (
            0.9,
            "Two suites with the same true order would have +0.90 on average, with 3 and 5 seeds (noise ceiling): the "
            "0.30 below it is chance or a difference of the true orders.",
        ),
        (
            0.6,
            "Two suites with the same true order would have +0.60 on average, with 3 and 5 seeds (noise ceiling): "
            "these two agree as well as their seeds let them.",
        ),
        (
            0.0,
            "In one suite the variants spread no more than seeds alone make them, so nothing can be told of the true "
            "orders.",
        ),
        (float("nan"), "One seed does not tell how far seeds alone lower it."),
    ],
)
def test_tau_with_another_suite_is_held_against_its_noise_ceiling(ceiling: float, said: str) -> None:
    found = RankCorrelation(other="there", variants=("a", "b", "c"), tau=0.6, p=0.1, seeds=(3, 5), ceiling=ceiling)
    (text,) = of(section_of(make_results(ERRORS, names=NAMES), found), "Other suite")
    assert text.endswith(f"there: +0.60, p 0.1000. {said}")


def test_a_suite_that_cannot_be_compared_with_says_why() -> None:
    here = make_results(ERRORS, names=NAMES)
    (said,) = of(
        section_of(here, correlation_of(here, make_results(ERRORS, names=["a", "b", "x", "y"]))), "Other suite"
    )
    assert said == (
        "**Other suite.** No comparison with the ranking of cifar10: suites cifar10 and cifar10 share 2 variants; an "
        "order needs at least 3, so add some to --variants."
    )
    level = correlation_of(here, make_results(np.full((1, 4), 0.1), names=NAMES))
    (said,) = of(section_of(here, level), "Other suite")
    assert said == "**Other suite.** No comparison with the ranking of cifar10: in one suite all variants tie."


def test_an_incomplete_suite_still_says_why_its_ranking_is_not_compared() -> None:
    broken = make_results(ERRORS, names=NAMES)
    broken.runs.loc[0, "status"] = "oom"
    section = section_of(broken, correlation_of(broken, make_results(ERRORS, names=NAMES)))
    assert not tables_of(section)
    (said,) = texts_of(section)
    assert "suite cifar10: 1 of 12 planned runs is not done; run the suite again to finish them" in said
