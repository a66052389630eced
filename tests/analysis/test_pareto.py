"""Pareto fronts: against the definition, pair by pair, exact t distributions, and cases by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablations.analysis.costs import COSTS
from ablations.analysis.pareto import COLUMNS, ParetoFronts, find_fronts, on_front
from ablations.analysis.rankings import rank_variants
from ablations.analysis.results import Results, load_results
from tests.support.synthetic_suites import make_plan, make_results, save_suite

# Seeds are rows: four variants whose ranking changes from seed to seed.
ERRORS = np.array([[0.10, 0.11, 0.13, 0.20], [0.12, 0.09, 0.10, 0.21], [0.11, 0.13, 0.09, 0.19]])
NAMES = ["a", "b", "c", "d"]
SECONDS = np.array([[30.0, 20.0, 31.0, 10.0], [31.0, 36.0, 30.0, 11.0], [29.0, 22.0, 28.0, 12.0]])


def found(results: Results) -> ParetoFronts:
    return find_fronts(results, rng=np.random.default_rng(7))


def row(frame: pd.DataFrame, **where: object) -> Any:
    """The only row with these values."""
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def by_definition(costs: Sequence[float], errors: Sequence[float]) -> list[bool]:
    """Which points no other one matches in both and beats in one, pair by pair."""
    points = list(zip(costs, errors, strict=True))
    return [not any(c <= cost and e <= error and (c < cost or e < error) for c, e in points) for cost, error in points]


def test_the_front_of_a_small_case_worked_by_hand() -> None:
    #                   a    b    c    d      e (as b in both: neither beats the other)
    costs = np.array([[1.0, 2.0, 3.0, 2.5, 2.0]])
    errors = np.array([[0.5, 0.3, 0.2, 0.4, 0.3]])
    assert on_front(costs, errors).tolist() == [[True, True, True, False, True]]


def test_the_fronts_of_many_draws_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(3)
    costs, errors = rng.integers(0, 6, size=(2, 200, 9)).astype(float)  # with many ties
    expected = [by_definition(list(cost), list(error)) for cost, error in zip(costs, errors, strict=True)]
    np.testing.assert_array_equal(on_front(costs, errors), expected)


def test_a_variant_is_on_the_front_if_no_other_dominates_it() -> None:
    # a and b are best at a price; c costs more than b for the same error; d is beaten by a; e is b's twin.
    means = np.array([[0.20, 0.10, 0.10, 0.25, 0.10]])
    results = make_results(means, names=list("abcde"), params=[1, 5, 6, 2, 5], macs=[5, 4, 3, 2, 1])
    table = found(results).table
    assert list(table.columns) == list(COLUMNS)
    assert list(table[table["cost"] == "params"]["on_front"]) == [True, True, False, False, True]
    assert list(table[table["cost"] == "macs"]["on_front"]) == [False, False, False, False, True]
    one = row(table, cost="params", variant="d")
    assert (one["value"], one["error"], one["n"]) == (2, 0.25, 1)


def test_a_front_probability_is_the_share_of_draws_that_put_the_variant_on_it() -> None:
    # Of two variants the dearer one is on the front where its drawn error is less: as often as it is best.
    errors = np.random.default_rng(0).normal([0.10, 0.10], 0.004, size=(6, 2))
    results = make_results(errors, names=["cheap", "dear"], train_seconds=[100.1, 100.2])
    table = found(results).table
    best = rank_variants(results, rng=np.random.default_rng(7)).ranks.set_index("variant")["best_probability"]
    assert row(table, cost="params", variant="cheap")["front_probability"] == 1
    for cost in ("params", "train_seconds"):  # exact, and measured without spread
        assert row(table, cost=cost, variant="dear")["front_probability"] == best["dear"]
    assert 0.1 < best["dear"] < 0.9


def test_measured_costs_are_drawn_from_students_t_distribution_too() -> None:
    # The better variant is always on the front; the other one is where it takes less time.
    errors = np.tile([0.1, 0.2], (5, 1))
    seconds = np.array([[30.0, 31], [34, 28], [29, 29], [31, 31], [32, 27]])
    table = found(make_results(errors, names=["good", "bad"], train_seconds=seconds)).table
    assert row(table, cost="train_seconds", variant="good")["front_probability"] == 1
    good, bad = (stats.t(4, seconds[:, at].mean(), seconds[:, at].std(ddof=1) / np.sqrt(5)) for at in (0, 1))
    expected = bad.cdf(good.ppf((np.arange(4000) + 0.5) / 4000)).mean()
    share = row(table, cost="train_seconds", variant="bad")["front_probability"]
    assert share == pytest.approx(expected, abs=5 * 0.5 / np.sqrt(2000))


def test_variants_that_cost_the_same_share_the_draws() -> None:
    errors = np.array([[0.1, 0.1, 0.7], [0.2, 0.2, 0.8], [0.3, 0.3, 0.9], [0.1, 0.1, 0.7], [0.2, 0.2, 0.8]])
    table = found(make_results(errors, names=["a", "twin", "last"], train_seconds=100.1)).table
    shares = table[table["cost"] == "train_seconds"]["front_probability"]
    assert shares.sum() == pytest.approx(1) and shares.iloc[0] == pytest.approx(0.5, abs=0.06)


def test_the_least_spread_makes_fronts_less_sure() -> None:
    results = make_results(np.tile([0.1, 0.12], (5, 1)), names=["cheap", "dear"])
    for least_std, expected in ((None, 0), ({"cheap": 1.0, "dear": 1.0}, 0.5)):
        table = find_fronts(results, least_std=least_std, rng=np.random.default_rng(7)).table
        assert row(table, cost="params", variant="dear")["front_probability"] == pytest.approx(expected, abs=0.06)


def test_a_cost_that_does_not_compare_has_no_front() -> None:
    results = make_results(ERRORS, names=NAMES, engine=["graph", "eager", "graph", "graph"])
    by_cost = {cost.name: found(results).of(cost) for cost in COSTS}
    assert by_cost.pop("train_seconds").empty
    for front in by_cost.values():
        assert list(front.index) == NAMES
    assert list(by_cost["params"]["on_front"]) == by_definition([1, 2, 3, 4], ERRORS.mean(axis=0).tolist())


def test_without_fronts_the_reason_names_the_remedy() -> None:
    missing = make_results(ERRORS, names=NAMES)
    missing.runs.loc[3, "status"] = "oom"
    cases = {
        "1 of 12 planned runs is not done; run the suite again to finish them": missing,
        "there is no variant beside alone; add one to --variants": make_results(ERRORS[:, :1], names=["alone"]),
    }
    for said, results in cases.items():
        none = found(results)
        assert none.reason == said
        assert none.table.empty and list(none.table.columns) == list(COLUMNS)


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_below_five_seeds_there_is_a_front_without_probabilities(seeds: int) -> None:
    one = found(make_results(np.tile(ERRORS[:1], (seeds, 1)), names=NAMES))
    assert list(one.of(COSTS[0])["on_front"]) == [True, False, False, False]
    assert one.table["front_probability"].isna().all() and one.reason == ""


def test_records_on_disk_have_fronts_of_every_cost(tmp_path: Path) -> None:
    wrong = {"reduced": [1000, 1010], "short": [1020, 1030], "short2": [900, 1100]}
    save_suite(tmp_path, make_plan("cifar10", seeds=2, variants=tuple(wrong)), wrong=wrong)
    results = load_results(tmp_path)
    one = found(results)
    for cost in COSTS:
        assert list(one.of(cost).index) == list(wrong)
        # A front is about the very values that a figure shows, which are the summary's.
        np.testing.assert_allclose(one.of(cost)["value"], results.summary[cost.column].astype(float))
    # Made records cost the same, so the one with the least mean error is on every front.
    assert set(one.table[one.table["on_front"]]["variant"]) == {"short2"}


def test_fronts_repeat_and_do_not_depend_on_the_order_of_runs() -> None:
    results = make_results(ERRORS, names=NAMES, train_seconds=SECONDS)
    shuffled = replace(results, runs=results.runs.iloc[[0, 1, 2, 3, *range(11, 3, -1)]])
    for again in (results, shuffled):
        pd.testing.assert_frame_equal(found(results).table, found(again).table, check_exact=True)
