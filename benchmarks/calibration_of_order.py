"""How often a report's statements about the order of variants are true, in simulated suites."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, rankdata

from ablations.analysis.mean_draws import DRAWS, SHARE_SEEDS, draw_errors, seed_means
from ablations.analysis.pareto import on_front
from ablations.analysis.rankings import rank_ranges
from ablations.analysis.statistics.expected_tau import expected_tau, measure_spread
from ablations.analysis.statistics.intervals import FloatArray

VARIANTS = 7
SEEDS = (3, 5, 10)
STD = 0.0016  # of an error over seeds, as measured on CIFAR-10
SPREADS = (0.0, 0.3, 1.0, 3.0)  # standard deviation of the true errors, as a multiple of that over seeds
TEST_IMAGES = 10_000
Scatter = Literal["equal", "common", "unequal"]
SURE = 0.95  # from which share on a statement counts as sure; one less it, as ruled out
FRONT_COSTS = np.arange(VARIANTS, dtype=float)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A kind of suite: how far its true errors lie apart, in units of `STD` and 0 if all tie, and how seeds scatter.

    `equal`: all variants alike; `common`: also, a seed moves all variants together, by twice as far; `unequal`: one
    variant, by chance, six times as far as the others.
    """

    seeds: int
    spread: float
    scatter: Scatter

    def true_errors(self, rng: np.random.Generator) -> FloatArray:
        """The true errors of the variants of a suite, (V,)."""
        return 0.08 + self.spread * STD * rng.standard_normal(VARIANTS)

    def stds(self, rng: np.random.Generator) -> FloatArray:
        """The standard deviations of its variants over seeds, (V,)."""
        std = np.full(VARIANTS, STD)
        if self.scatter == "unequal":
            std[rng.integers(VARIANTS)] *= 6
        return std

    def measure(self, true: FloatArray, std: FloatArray, *, rng: np.random.Generator) -> FloatArray:
        """Errors (n, V), in whole images, of a suite with these true errors."""
        errors = true + std * rng.standard_normal((self.seeds, VARIANTS))
        if self.scatter == "common":
            errors += 2 * STD * rng.standard_normal((self.seeds, 1))
        return np.round(errors * TEST_IMAGES) / TEST_IMAGES


SCENARIOS = tuple(
    Scenario(seeds=seeds, spread=spread, scatter=scatter)
    for seeds, spread, scatter in product(SEEDS, SPREADS, get_args(Scatter))
)


def order_calibration(suites: int, seed: int) -> pd.DataFrame:
    """How often statements about order hold in this many simulated suites of each scenario; a row a scenario.

    `rank_coverage` is the share of variants whose range holds their true rank; `best_right` the share of variants said
    to be best in 95 % of draws that are, and `best_wrong` the share of suites in which one is said to be and is not;
    `front_out` the share of variants in at most 5 % of the fronts drawn that are on the true one, `front_in` that of
    variants in at least 95 %. `tau_bias` is the mean modelled tau of rankings by n seeds less the mean tau that such
    rankings have with the true order. Each has its Monte Carlo standard error in a column `_se`; NaN where nothing was
    stated. Shares are stated from five seeds on.
    """
    rngs = np.random.default_rng(seed).spawn(len(SCENARIOS))
    return pd.DataFrame([_row(scenario, suites=suites, rng=rng) for scenario, rng in zip(SCENARIOS, rngs, strict=True)])


def _row(scenario: Scenario, *, suites: int, rng: np.random.Generator) -> dict[str, object]:
    found: dict[str, list[float]] = {
        name: [] for name in ("rank_coverage", "best_right", "best_wrong", "front_out", "front_in", "tau_bias")
    }
    for _ in range(suites):
        for name, values in _statements(scenario, rng).items():
            found[name] += values
    row: dict[str, object] = {**asdict(scenario)}
    for name, values in found.items():
        row |= {name: np.mean(values) if values else math.nan, f"{name}_se": _standard_error(values)}
    return row


def _standard_error(values: list[float]) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _statements(scenario: Scenario, rng: np.random.Generator) -> dict[str, list[float]]:
    """What a suite's report states of order: for each kind of statement, how far each one is true."""
    true, std = scenario.true_errors(rng), scenario.stds(rng)
    errors = scenario.measure(true, std, rng=rng)
    floor = np.full(VARIANTS, math.sqrt(1 / 12) / TEST_IMAGES)
    drawn = draw_errors(errors, least_std=floor, rng=rng)
    low, high = rank_ranges(drawn)
    ranks = rankdata(true)
    spread = measure_spread(errors, least_std=floor)
    assert spread is not None
    again = seed_means(scenario.measure(true, std, rng=rng))
    real: Any = kendalltau(again, true)
    stated = {
        "rank_coverage": [float(((low <= ranks) & (ranks <= high)).mean())],
        "tau_bias": [
            expected_tau(spread.ratio, seeds=scenario.seeds) - (float(real.statistic) if scenario.spread else 0.0)
        ],
    }
    if scenario.seeds < SHARE_SEEDS:
        return stated
    best = (drawn == drawn.min(axis=1, keepdims=True)).mean(axis=0)
    sure, is_best = best >= SURE, true == true.min()
    costs = np.broadcast_to(FRONT_COSTS, (DRAWS, VARIANTS))
    front, is_front = on_front(costs, drawn).mean(axis=0), on_front(FRONT_COSTS[None], true[None])[0]
    return stated | {
        "best_right": is_best[sure].astype(float).tolist(),
        "best_wrong": [float((sure & ~is_best).any())],
        "front_out": is_front[front <= 1 - SURE].astype(float).tolist(),
        "front_in": is_front[front >= SURE].astype(float).tolist(),
    }
