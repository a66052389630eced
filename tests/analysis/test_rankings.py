"""Rankings of variants: against scipy's ranks and tau, exact t quantiles, and cases by hand."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import kendalltau, rankdata

from ablations.analysis.rankings import (
    EPOCH_COLUMNS,
    RANK_COLUMNS,
    Rankings,
    correlate_rankings,
    first_stable_epoch,
    rank_ranges,
    rank_variants,
)
from ablations.analysis.results import Results
from ablations.analysis.statistics.expected_tau import expected_tau, measure_spread, noise_ceiling
from tests.support.synthetic_suites import make_results

TABLES = ["ranks", "by_seeds", "by_epoch"]
NAMES = ["a", "b", "c", "d"]
# Seeds are rows: four variants whose ranking changes from seed to seed.
ERRORS = np.array([[0.10, 0.11, 0.13, 0.20], [0.12, 0.09, 0.10, 0.21], [0.11, 0.13, 0.09, 0.19]])
ROUNDING = np.full(4, 1e-4 / np.sqrt(12))  # of one image in 10,000


def ranked(results: Results) -> Rankings:
    return rank_variants(results, rng=np.random.default_rng(7))


def test_ranks_are_those_of_mean_errors_and_ties_share_theirs() -> None:
    ranks = ranked(make_results(ERRORS[:, [0, 0, 2, 3]], names=NAMES)).ranks
    means = ERRORS[:, [0, 0, 2, 3]].mean(axis=0)
    np.testing.assert_allclose(ranks["error"], means)
    np.testing.assert_array_equal(ranks["rank"], rankdata(means.round(9)))


def test_the_range_of_ranks_leaves_out_one_percent_of_the_draws_at_either_end() -> None:
    # The first variant is best in 985 of 1,000 draws, and second in 15; the third is never but last.
    drawn = np.tile([1.0, 2.0, 3.0], (1000, 1))
    drawn[:15, 0] = 2.5
    assert [ends.tolist() for ends in rank_ranges(drawn)] == [[1, 1, 3], [2, 2, 3]]
    drawn[5:15, 0] = 1.0
    assert [ends.tolist() for ends in rank_ranges(drawn)] == [[1, 2, 3], [1, 2, 3]]


def test_the_probability_of_being_best_is_that_of_the_difference_of_two_t_distributed_means() -> None:
    steps = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])[:, None] * [[0.01, -0.01]]
    ranks = ranked(make_results(np.array([[0.100, 0.106]]) + steps, names=["a", "b"])).ranks
    error = np.sqrt(2.5 / 5) * 0.01 * np.sqrt(2)  # of either mean: the spread within seeds is split in two halves
    quantiles = stats.t(4).ppf((np.arange(4000) + 0.5) / 4000)
    expected = stats.t(4).cdf(0.006 / error + quantiles).mean()
    assert ranks["best_probability"].tolist() == pytest.approx([expected, 1 - expected], abs=5 * 0.5 / np.sqrt(2000))


def test_below_five_seeds_ranks_have_ranges_but_no_probabilities() -> None:
    five = np.vstack([ERRORS, ERRORS[:2]])
    for errors, known in ((five[:4], False), (five, True)):
        ranks = ranked(make_results(errors, names=NAMES)).ranks
        assert ranks["best_probability"].notna().all() == known
        assert ranks["rank_low"].notna().all() and (ranks["rank_low"] <= ranks["rank_high"]).all()


def test_a_variant_far_from_the_others_has_one_rank_unless_its_spread_may_be_large() -> None:
    results = make_results(np.array([[0.1, 0.11, 0.5], [0.12, 0.1, 0.51], [0.11, 0.12, 0.49]]), names=["a", "b", "far"])
    sure = ranked(results).ranks.set_index("variant")
    assert (sure.loc["far", "rank_low"], sure.loc["far", "rank_high"]) == (3, 3)
    wide = rank_variants(results, least_std={"far": 0.5}, rng=np.random.default_rng(7)).ranks.set_index("variant")
    assert (wide.loc["far", "rank_low"], wide.loc["far", "rank_high"]) == (1, 3)


def test_tau_by_seeds_is_the_expected_one_up_to_the_suites_seeds_and_a_few_beyond() -> None:
    found = ranked(make_results(ERRORS, names=NAMES))
    spread = measure_spread(ERRORS, least_std=ROUNDING)
    assert spread is not None and found.spread_p == spread.p
    assert list(found.by_seeds["seeds"]) == [1, 2, 3, 5, 10, 20]
    for seeds, tau in zip(found.by_seeds["seeds"], found.by_seeds["tau"], strict=True):
        assert tau == expected_tau(spread.ratio, seeds=seeds)


def test_of_many_seeds_twenty_numbers_are_listed() -> None:
    errors = np.random.default_rng(5).integers(900, 1100, size=(40, 3)) / 1e4
    seeds = ranked(make_results(errors, names=list("abc"))).by_seeds["seeds"]
    assert (len(seeds), seeds.iloc[0], seeds.iloc[-1]) == (20, 1, 40)


def test_the_ranking_at_an_epoch_is_compared_with_the_final_one() -> None:
    measured = np.random.default_rng(4).integers(0, 8, size=(5, 3, 4)) / 100  # with ties
    by_epoch = ranked(make_results(ERRORS, names=NAMES, epochs={"train_error": measured})).by_epoch
    assert list(by_epoch["epoch"]) == [1, 2, 3, 4, 5]
    expected: Any = [kendalltau(values.mean(axis=0).round(9), ERRORS.mean(axis=0).round(9)) for values in measured]
    assert by_epoch["tau"].tolist() == pytest.approx([found.statistic for found in expected])


def test_an_epoch_after_which_all_variants_tie_has_no_tau() -> None:
    by_epoch = ranked(make_results(ERRORS, names=NAMES, epochs={"train_error": np.ones((2, 3, 4))})).by_epoch
    assert by_epoch["tau"].isna().all()


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ([], "validation_error"),
        (["validation_error"], "test_error"),
        (["validation_error", "test_error"], "train_error"),
    ],
    ids=str,
)
@pytest.mark.parametrize("absent", [True, False], ids=["no column", "one missing"])
def test_the_best_measure_that_every_epoch_has_is_used(broken: list[str], expected: str, absent: bool) -> None:
    epochs = {name: np.stack([ERRORS, ERRORS]) for name in ("train_error", "validation_error", "test_error")}
    results = make_results(ERRORS, names=NAMES, epochs=epochs)
    if absent:
        results = replace(results, epochs=results.epochs.drop(columns=broken))
    else:
        results.epochs.loc[5, broken] = np.nan
    assert set(ranked(results).by_epoch["measure"]) == {expected}


def test_epochs_that_not_all_runs_have_give_no_ranking_by_epoch() -> None:
    results = make_results(ERRORS, names=NAMES, epochs={"train_error": np.stack([ERRORS, ERRORS])})
    found = ranked(replace(results, epochs=results.epochs.iloc[:-1]))
    assert found.by_epoch.empty and list(found.by_epoch.columns) == list(EPOCH_COLUMNS)
    assert len(found.ranks) == 4 and found.reason == ""


@pytest.mark.parametrize(
    ("taus", "expected"),
    [
        ([0.2, 0.95, 0.8, 0.9, 1.0], 4),
        ([0.9, 0.9], 1),
        ([0.95, 1.0, 0.89], None),
        ([1.0, float("nan"), 1.0], 3),
        ([], None),
    ],
)
def test_the_first_stable_epoch_is_that_from_which_tau_stays_high(taus: list[float], expected: int | None) -> None:
    by_epoch = pd.DataFrame({"epoch": range(1, len(taus) + 1), "tau": taus})
    assert first_stable_epoch(by_epoch) == expected
    assert first_stable_epoch(by_epoch, tau=1.01) is None


def test_without_rankings_the_reason_names_the_remedy() -> None:
    missing = make_results(ERRORS, names=NAMES)
    missing.runs.loc[3, "status"] = "oom"
    cases = {
        "1 of 12 planned runs is not done; run the suite again": missing,
        "no variant beside alone; add one to --variants": make_results(ERRORS[:, :1], names=["alone"]),
    }
    for said, results in cases.items():
        found = ranked(results)
        assert said in found.reason and "\n" not in found.reason
        assert all(getattr(found, table).empty for table in TABLES)
        assert list(found.ranks.columns) == list(RANK_COLUMNS)


def test_one_seed_has_a_ranking_without_probabilities() -> None:
    found = ranked(make_results(ERRORS[:1], names=NAMES, epochs={"train_error": np.stack([-ERRORS[:1], ERRORS[:1]])}))
    assert list(found.ranks["rank"]) == [1, 2, 3, 4]
    assert found.ranks[["rank_low", "rank_high", "best_probability"]].isna().all(axis=None)
    assert list(found.by_epoch["tau"]) == [-1, 1]
    assert found.by_seeds.empty and found.reason == "" and np.isnan(found.spread_p)


def test_rankings_repeat_and_do_not_depend_on_the_order_of_runs() -> None:
    results = make_results(ERRORS, names=NAMES, epochs={"train_error": np.stack([ERRORS, ERRORS[::-1]])})
    first, second = ranked(results), ranked(results)
    shuffled = ranked(replace(results, runs=results.runs.iloc[[0, 1, 2, 3, *range(11, 3, -1)]]))
    for table in TABLES:
        pd.testing.assert_frame_equal(getattr(first, table), getattr(second, table), check_exact=True)
        pd.testing.assert_frame_equal(getattr(first, table), getattr(shuffled, table), check_exact=True)


def test_a_hundred_variants_by_a_hundred_seeds_are_quick_and_small() -> None:
    rng = np.random.default_rng(0)
    names = [f"v{number}" for number in range(100)]
    errors = 0.1 + 0.001 * np.arange(100) + 0.01 * rng.standard_normal((100, 100))
    results = make_results(errors, names=names, epochs={"train_error": rng.uniform(size=(3, 100, 100))})
    tracemalloc.start()
    begun = time.process_time()
    found = ranked(results)
    elapsed = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.ranks) == 100 and len(found.by_epoch) == 3
    assert peak < 200e6
    assert elapsed < 5, "less than a second on a machine with nothing else to do"


def test_suites_are_compared_by_the_variants_that_both_have() -> None:
    other = np.array([[0.41, 0.30, 0.33, 0.35, 0.1], [0.40, 0.31, 0.30, 0.37, 0.1]])
    first = make_results(ERRORS, names=NAMES)
    found = correlate_rankings(first, make_results(other, names=["d", "c", "b", "a", "else"]))
    assert (found.variants, found.seeds, found.reason) == (("a", "b", "c", "d"), (3, 2), "")
    shared = other[:, 3::-1]
    expected: Any = kendalltau(ERRORS.mean(axis=0).round(9), shared.mean(axis=0).round(9))
    assert (found.tau, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    spreads = [measure_spread(grid, least_std=ROUNDING) for grid in (ERRORS, shared)]
    ratios = [spread.ratio for spread in spreads if spread is not None]
    assert found.ceiling == pytest.approx(noise_ceiling((ratios[0], 3), (ratios[1], 2)))
    assert 0 < found.ceiling < 1


def test_with_one_seed_in_either_suite_tau_has_no_noise_ceiling() -> None:
    for first, second in ((ERRORS, ERRORS[:1]), (ERRORS[:1], ERRORS)):
        found = correlate_rankings(make_results(first, names=NAMES), make_results(second, names=NAMES))
        assert np.isnan(found.ceiling)
        assert -1 <= found.tau <= 1 and 0 <= found.p <= 1


def test_suites_in_which_all_variants_tie_have_no_tau() -> None:
    found = correlate_rankings(make_results(ERRORS, names=NAMES), make_results(np.full((2, 4), 0.1), names=NAMES))
    assert np.isnan(found.tau) and np.isnan(found.p) and found.ceiling == 0


def test_suites_that_cannot_be_compared_say_why() -> None:
    broken = make_results(ERRORS, names=NAMES)
    broken.runs.loc[0, "status"] = "missing"
    for pair in ((broken, make_results(ERRORS, names=NAMES)), (make_results(ERRORS, names=NAMES), broken)):
        assert "suite cifar10: 1 of 12 planned runs is not done" in correlate_rankings(*pair).reason
    found = correlate_rankings(make_results(ERRORS, names=NAMES), make_results(ERRORS, names=["a", "b", "x", "y"]))
    assert "share 2 variants; an order needs at least 3" in found.reason
    assert np.isnan(found.tau) and np.isnan(found.ceiling)


def test_the_same_suites_give_the_same_correlation() -> None:
    first, reverse = make_results(ERRORS, names=NAMES), make_results(ERRORS[:, ::-1], names=NAMES)
    assert astuple(correlate_rankings(first, reverse)) == astuple(correlate_rankings(first, reverse))
