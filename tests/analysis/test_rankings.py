"""Rankings of variants: against every resample, scipy's ranks and tau, and cases by hand."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import astuple, replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, rankdata

from ablations.analysis.intervals import FloatArray
from ablations.analysis.rankings import (
    EPOCH_COLUMNS,
    RANK_COLUMNS,
    RankCorrelation,
    Rankings,
    _subsets,
    correlate_rankings,
    first_stable_epoch,
    rank_variants,
)
from ablations.analysis.results import Results
from tests.support.resamples import ERRORS, NAMES, RESAMPLES, close
from tests.support.synthetic_suites import make_results

TABLES = ["ranks", "by_seeds", "by_epoch"]


def ranked(results: Results) -> Rankings:
    return rank_variants(results, rng=np.random.default_rng(7))


def rows(frame: pd.DataFrame) -> list[Any]:
    return list(frame.itertuples())


def tau_b(first: FloatArray, second: FloatArray) -> Any:
    """Scipy's tau and p, ties being those of values that are equal but for rounding."""
    return kendalltau(first.round(9), second.round(9))


def assert_bounds(low: float, high: float, values: Sequence[float]) -> None:
    """The bounds are percentiles of a distribution that `values` goes through, within sampling error of 2,000."""
    known = np.array(values)
    known = known[~np.isnan(known)]
    for bound, level in ((low, 0.025), (high, 0.975)):
        assert (known < bound - 1e-9).mean() <= level + 0.018
        assert (known <= bound + 1e-9).mean() >= level - 0.018


def test_ranks_and_best_probabilities_are_those_of_every_resample() -> None:
    ranks = ranked(make_results(ERRORS, names=NAMES)).ranks
    means = np.array([ERRORS[s].sum(axis=0).round(6) for s in RESAMPLES])
    drawn = rankdata(means, axis=1)
    best = means == means.min(axis=1, keepdims=True)
    best_share = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(ranks["error"], ERRORS.mean(axis=0))
    np.testing.assert_array_equal(ranks["rank"], rankdata(ERRORS.mean(axis=0).round(9)))
    for place, found in enumerate(rows(ranks)):
        assert_bounds(found.rank_low, found.rank_high, drawn[:, place].tolist())
        assert found.best_probability == close(best_share[place])
    assert ranks["best_probability"].sum() == pytest.approx(1)


def test_variants_that_tie_share_rank_and_best_probability() -> None:
    errors = np.array([[0.1, 0.3, 0.7], [0.2, 0.1, 0.8], [0.3, 0.2, 0.9]])
    twins = ranked(make_results(errors[:, [0, 0, 2]], names=["a", "twin", "last"]))
    assert twins.ranks[["rank_low", "rank_high"]].to_numpy().tolist() == [[1.5, 1.5], [1.5, 1.5], [3, 3]]
    assert list(twins.ranks["best_probability"]) == [0.5, 0.5, 0]


def test_the_ranking_by_fewer_seeds_is_compared_with_that_by_all() -> None:
    errors = np.random.default_rng(2).integers(900, 1100, size=(6, 5)) / 1e4
    by_seeds = ranked(make_results(errors, names=list("abcde"))).by_seeds
    assert list(by_seeds["seeds"]) == [1, 2, 3, 4, 5]
    for found in rows(by_seeds):
        means = [errors[list(chosen)].mean(axis=0) for chosen in combinations(range(6), found.seeds)]
        taus = [tau_b(mean, errors.mean(axis=0)).statistic for mean in means]
        assert found.tau == pytest.approx(np.mean(taus))
        assert (found.tau_low, found.tau_high) == pytest.approx(np.percentile(taus, [2.5, 97.5]))
        best = errors.mean(axis=0).argmin()
        shares = [(mean.argmin() == best) / np.isclose(mean, mean.min(), atol=1e-9, rtol=0).sum() for mean in means]
        assert found.top_agrees == pytest.approx(np.mean(shares))


def test_many_subsets_of_seeds_are_sampled_at_no_more_than_twenty_sizes() -> None:
    rng = np.random.default_rng(5)
    errors = (1000 + 10 * np.arange(6) + rng.integers(-60, 60, size=(40, 6))) / 1e4
    by_seeds = ranked(make_results(errors, names=list("abcdef"))).by_seeds
    assert len(by_seeds) == 20
    assert (by_seeds["seeds"].iloc[0], by_seeds["seeds"].iloc[-1]) == (1, 39)
    for found in rows(by_seeds.iloc[[0, 9, 15]]):
        taus = []
        for _ in range(400):
            chosen = rng.choice(40, size=found.seeds, replace=False)
            taus.append(tau_b(errors[chosen].mean(axis=0), errors.mean(axis=0)).statistic)
        assert found.tau == pytest.approx(np.mean(taus), abs=5 * np.std(taus) * np.sqrt(1 / 500 + 1 / 400))


def test_sampled_subsets_have_their_size_and_every_seed_equally_often() -> None:
    drawn = np.array(list(_subsets(40, 10, np.random.default_rng(0))))
    assert drawn.shape == (500, 40)
    assert set(drawn.sum(axis=1)) == {10} and set(drawn.ravel()) == {0, 1}
    assert len(np.unique(drawn, axis=0)) > 490
    assert np.abs(drawn.sum(axis=0) - 125).max() < 5 * np.sqrt(500 * 0.25 * 0.75)


def test_the_ranking_at_an_epoch_is_compared_with_the_final_one() -> None:
    measured = np.random.default_rng(4).integers(0, 8, size=(5, 3, 4)) / 100  # with ties
    by_epoch = ranked(make_results(ERRORS, names=NAMES, epochs={"train_error": measured})).by_epoch
    assert list(by_epoch["epoch"]) == [1, 2, 3, 4, 5]
    for values, found in zip(measured, rows(by_epoch), strict=True):
        taus = [tau_b(values[s].mean(axis=0), ERRORS[s].mean(axis=0)) for s in RESAMPLES]
        everything = tau_b(values.mean(axis=0), ERRORS.mean(axis=0))
        assert found.tau == pytest.approx(everything.statistic)
        assert_bounds(found.tau_low, found.tau_high, [tau.statistic for tau in taus])


def test_tau_of_the_final_ranking_is_one_and_of_its_reverse_minus_one() -> None:
    errors = np.array([[0.1, 0.2, 0.3], [0.12, 0.21, 0.29]])
    epochs = {"train_error": np.stack([-errors, errors, np.ones_like(errors)])}
    by_epoch = ranked(make_results(errors, names=list("abc"), epochs=epochs)).by_epoch
    assert by_epoch[["tau", "tau_low", "tau_high"]].to_numpy()[:2].tolist() == [[-1] * 3, [1] * 3]
    assert by_epoch[["tau", "tau_low", "tau_high"]].iloc[2].isna().all(), "there is no ranking where all tie"


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
        "1 of 12 planned runs are not done; run the suite again": missing,
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
    assert found.by_epoch[["tau_low", "tau_high"]].isna().all(axis=None)
    assert found.by_seeds.empty and found.reason == ""


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
    epochs = {"train_error": rng.uniform(size=(14, 100, 100))}
    results = make_results(errors, names=names, epochs=epochs)
    tracemalloc.start()
    begun = time.process_time()
    found = ranked(results)
    elapsed = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.ranks) == 100 and len(found.by_epoch) == 14
    assert peak < 200e6
    assert elapsed < 15, "a second or two on a machine with nothing else to do"


def correlated(first: Results, second: Results) -> RankCorrelation:
    return correlate_rankings(first, second, rng=np.random.default_rng(7))


def test_suites_are_compared_by_the_variants_that_both_have() -> None:
    other = np.array([[0.41, 0.30, 0.33, 0.35, 0.1], [0.40, 0.31, 0.30, 0.37, 0.1]])
    found = correlated(make_results(ERRORS, names=NAMES), make_results(other, names=["d", "c", "b", "a", "else"]))
    assert (found.variants, found.seeds, found.reason) == (("a", "b", "c", "d"), (3, 2), "")
    shared = other[:, 3::-1]
    expected = tau_b(ERRORS.mean(axis=0), shared.mean(axis=0))
    assert (found.tau, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    pairs = product(RESAMPLES, product(range(2), repeat=2))
    taus = [tau_b(ERRORS[s].mean(axis=0), shared[list(t)].mean(axis=0)) for s, t in pairs]
    assert found.interval is not None
    assert_bounds(*found.interval, [tau.statistic for tau in taus])


def test_with_one_seed_in_either_suite_tau_has_no_interval() -> None:
    for first, second in ((ERRORS, ERRORS[:1]), (ERRORS[:1], ERRORS)):
        found = correlated(make_results(first, names=NAMES), make_results(second, names=NAMES))
        assert found.interval is None
        assert -1 <= found.tau <= 1 and 0 <= found.p <= 1


def test_suites_in_which_all_variants_tie_have_no_tau() -> None:
    found = correlated(make_results(ERRORS, names=NAMES), make_results(np.full((2, 4), 0.1), names=NAMES))
    assert np.isnan(found.tau) and np.isnan(found.p) and found.interval is None


def test_suites_that_cannot_be_compared_say_why() -> None:
    broken = make_results(ERRORS, names=NAMES)
    broken.runs.loc[0, "status"] = "missing"
    for pair in ((broken, make_results(ERRORS, names=NAMES)), (make_results(ERRORS, names=NAMES), broken)):
        assert "suite cifar10: 1 of 12 planned runs are not done" in correlated(*pair).reason
    found = correlated(make_results(ERRORS, names=NAMES), make_results(ERRORS, names=["a", "b", "x", "y"]))
    assert "share 2 variants; an order needs at least 3" in found.reason
    assert np.isnan(found.tau) and found.interval is None


def test_the_same_suites_give_the_same_correlation() -> None:
    reverse = make_results(ERRORS[:, ::-1], names=NAMES)
    first, second = (correlated(make_results(ERRORS, names=NAMES), reverse) for _ in range(2))
    assert astuple(first) == astuple(second)
