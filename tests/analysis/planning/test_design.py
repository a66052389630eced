"""Designs: detectable differences and margins against the noncentral t distribution and simulated experiments."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from ablations.analysis.looks import FIRST, TOTAL
from ablations.analysis.planning.design import (
    Spread,
    Variant,
    assumed_spread,
    design_table,
    detectable_difference,
    detectable_margin,
    pooled_spread,
    seconds_of,
    seeds_within,
)
from benchmarks.synthetic_records import make_record
from tests.support.synthetic_suites import make_plan

LEVEL = FIRST / 6  # of one of six comparisons at the first look
SIMULATED = 40_000
DONE = (0, 3, 1, 0, 2)  # runs of five variants
ERROR = 4 * math.sqrt(0.8 * 0.2 / SIMULATED)  # four standard errors


@pytest.mark.parametrize("seeds", [2, 3, 5, 20, 500])
def test_a_detectable_difference_has_80_percent_power_by_the_noncentral_t_distribution(seeds: int) -> None:
    critical = stats.t.ppf(1 - LEVEL / 2, seeds - 1)
    needed = optimize.brentq(lambda shift: stats.nct.sf(critical, seeds - 1, shift) - 0.8, 0, 1000)
    found = detectable_difference(seeds, std=0.002, level=LEVEL)
    assert found == pytest.approx(float(np.asarray(needed)) * 0.002 / math.sqrt(seeds), rel=1e-4)


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_in_80_percent_of_experiments_seeds_show_what_they_can(seeds: int) -> None:
    errors = np.random.default_rng(seeds).normal(scale=0.3, size=(SIMULATED, seeds))
    difference = detectable_difference(seeds, std=0.3, level=LEVEL)
    means, reach = errors.mean(axis=1), errors.std(axis=1, ddof=1) / math.sqrt(seeds)
    detected = means + difference > stats.t.ppf(1 - LEVEL / 2, seeds - 1) * reach
    assert np.mean(detected) == pytest.approx(0.8, abs=ERROR)
    margin = detectable_margin(seeds, std=0.3, level=LEVEL)
    within = np.abs(means) + stats.t.ppf(1 - LEVEL, seeds - 1) * reach < margin
    assert np.mean(within) == pytest.approx(0.8, abs=ERROR)


def test_one_seed_shows_nothing() -> None:
    assert math.isnan(detectable_difference(1, std=1, level=LEVEL))
    assert math.isnan(detectable_margin(1, std=1, level=LEVEL))


def test_the_spread_is_pooled_over_variants_by_their_degrees_of_freedom() -> None:
    plan = make_plan("digits", seeds=4, variants=("reduced", "short", "short2", "short3"))
    # Of 10,000 images; short3 has one seed in common with reduced, which says nothing of the spread.
    wrong = {"reduced": (100, 110, 90, 100), "short": (110, 100, 90), "short2": (120, 130), "short3": (500,)}
    records = [
        make_record(run, wrong=wrong[run.architecture.name][run.seed - 1])
        for run in plan.runs
        if run.seed <= len(wrong[run.architecture.name])
    ]
    found = pooled_spread(records, baseline="reduced", least_std=0.0)
    # short: differences 10, -10, 0 have squares of 200 with 2 degrees of freedom; short2: 20, 20 have 0 with 1.
    assert found is not None and found.std == pytest.approx(math.sqrt(200 / 3) / 10_000)
    assert found[1:] == (5, 3)
    assert pooled_spread(records, baseline="reduced", least_std=0.5) == Spread(0.5, differences=5, seeds=3)
    assert pooled_spread(records[:4], baseline="reduced", least_std=0.0) is None, "one seed"
    assert pooled_spread(records, baseline="naive", least_std=0.0) is None, "no baseline"


def test_runs_that_are_not_correlated_double_the_variance_of_their_difference() -> None:
    drawn = np.random.default_rng(0).normal(scale=0.0015, size=(2, 100_000))
    assert assumed_spread(0.0015).std == pytest.approx(float(np.std(drawn[0] - drawn[1])), rel=0.02)


def test_a_budget_buys_what_is_left_of_the_largest_number_of_seeds() -> None:
    fresh = [Variant(100, 0), Variant(20, 0)]
    assert [seeds_within(seconds, fresh, slots=1, most=50) for seconds in (119, 120, 239.9, 360, 1e9)] == [
        0,
        1,
        1,
        3,
        50,
    ]
    # Three and one of the runs are there: a third seed takes two runs of the second variant, a fourth 120 s more.
    begun = [Variant(100, 3), Variant(20, 1)]
    assert [seeds_within(seconds, begun, slots=1, most=50) for seconds in (0, 39, 40, 159, 160)] == [1, 2, 3, 3, 4]
    with pytest.raises(ValueError, match="nan"):
        seeds_within(10, [Variant(math.nan, 0)], slots=1, most=50)


def test_runs_side_by_side_take_until_the_last_of_them_ends() -> None:
    # Two slots: 100 beside 20 for one seed; 100 + 20 in both for two; 100 + 100 beside 100 + 3 x 20 for three.
    variants = [Variant(100, 0), Variant(20, 0)]
    assert [seconds_of(seeds, variants, slots=2) for seeds in (1, 2, 3)] == [100, 120, 200]
    assert [seeds_within(seconds, variants, slots=2, most=50) for seconds in (99, 100, 120, 199, 200)] == [
        0,
        1,
        2,
        2,
        3,
    ]
    assert seconds_of(1, [Variant(100, 1), Variant(20, 0)], slots=2) == 20, "a run that is done"
    assert seconds_of(5, variants, slots=10) == 100, "a slot for each run"
    assert math.isnan(seconds_of(2, [Variant(100, 0), Variant(math.nan, 0)], slots=2))


@pytest.mark.parametrize("slots", [1, 2, 3, 7])
def test_simulated_slots_are_busy_for_as_long(slots: int) -> None:
    rng = np.random.default_rng(slots)
    variants = [Variant(float(seconds), int(done)) for seconds, done in zip(rng.uniform(1, 9, 5), DONE, strict=True)]
    queue = sorted((variant.seconds for variant in variants for _ in range(max(0, 4 - variant.done))), reverse=True)
    clock, running = 0.0, []
    while queue or running:
        while queue and len(running) < slots:
            running.append(clock + queue.pop(0))
        clock = min(running)
        running.remove(clock)
    assert seconds_of(4, variants, slots=slots) == pytest.approx(clock)
    fitting = seeds_within(clock * 1.0001, variants, slots=slots, most=100)
    assert seconds_of(fitting, variants, slots=slots) <= clock * 1.0001 < seconds_of(fitting + 1, variants, slots=slots)


def test_a_row_has_the_level_of_its_first_look_and_the_hours_that_are_left() -> None:
    variants = {"reduced": Variant(3600, 2), "short": Variant(1800, 0), "naive": Variant(7200, 0)}
    spread = Spread(0.002)
    table = design_table((2, 5), spread=spread, comparisons=2, looks=(), declared=(), variants=variants, slots=1)
    assert table["seconds"].tolist() == [18_000, 3 * 3600 + 5 * 9000]
    assert table["level"].tolist() == [FIRST / 2, FIRST / 2]
    assert table["margin"].tolist() == [detectable_margin(seeds, std=0.002, level=FIRST / 2) for seeds in (2, 5)]
    # Two looks are declared, each with half of the total; before the first one there is no verdict.
    declared = design_table(
        (3, 5, 10), spread=spread, comparisons=2, looks=(), declared=(5, 10), variants=variants, slots=1
    )
    assert declared["level"].tolist() == pytest.approx([0.0, TOTAL / 4, TOTAL / 2])
    assert declared["difference"].isna().tolist() == [True, False, False]
    unknown = design_table((5,), spread=None, comparisons=2, looks=(), declared=(), variants=variants, slots=1)
    assert unknown[["difference", "margin"]].isna().all(axis=None)
