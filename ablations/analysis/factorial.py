"""Factorial analysis: main effects and two-way interactions of a suite's factors on top-1 error, and their costs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from ablations.analysis.results import Results, by_seed_and_variant
from ablations.analysis.statistics.intervals import ALPHA, MIN_SEEDS, FloatArray, mean_interval
from ablations.suites.plan import Plan
from ablations.suites.values import in_words
from googlenet.architecture import Architecture
from googlenet.controls import original_of
from googlenet.counts import count_macs, count_params

EFFECT_COLUMNS = (
    "factor",
    "first_level",
    "level",
    "other_factor",
    "other_first_level",
    "other_level",
    "n",
    "difference",
    "interval_low",
    "interval_high",
    "p",
    "p_holm",
    "params_ratio",
    "macs_ratio",
)
MEAN_COLUMNS = ("factor", "level", "other_factor", "other_level", "n", "error_mean", "error_low", "error_high")
Term = tuple[tuple[int, int], ...]  # (factor, level) of one factor, or of two: a column of the model


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The cells of a factorial suite: by variant, the number of its level of each factor, 0 for the first level.

    `levels` are in words, by factor.
    """

    levels: Mapping[str, Sequence[str]]
    cells: Mapping[str, tuple[int, ...]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of levels of each factor."""
        return tuple(map(len, self.levels.values()))

    @property
    def full(self) -> bool:
        """Whether there is one cell for every combination of levels."""
        return len(set(self.cells.values())) == len(self.cells) == math.prod(self.shape)

    @property
    def one_at_a_time(self) -> bool:
        """Whether the cells are the first one and all that differ from it in one factor."""
        cells = set(self.cells.values())
        most_changed = max(sum(level > 0 for level in cell) for cell in cells)
        return most_changed <= 1 and len(cells) == len(self.cells) == 1 + sum(size - 1 for size in self.shape)

    def terms(self) -> list[Term]:
        """Each level after the first of each factor and, of a full grid, each pair of such levels of two factors."""
        main: list[list[Term]] = [
            [((factor, level),) for level in range(1, size)] for factor, size in enumerate(self.shape)
        ]
        pairs = itertools.combinations(main, 2) if self.full else ()
        products = [first + second for one, other in pairs for first, second in itertools.product(one, other)]
        return [*itertools.chain(*main), *products]


@dataclass(frozen=True, kw_only=True, eq=False)
class Factorial:
    """The effects of a suite's factors on top-1 error; `reason` says why a factorial suite has none.

    `effects` has a row for each level after the first of each factor: the difference of its marginal mean and the first
    level's, both averaged over the levels of the other factors. Rows with an `other_factor` are interactions: by how
    much the difference at `other_level` exceeds that at the other factor's first level. Errors and differences are
    fractions, intervals 95 % t intervals, `p_holm` is adjusted for all rows, and n is the number of seeds. `level` is
    that of the last look, against which `p_holm` is held.
    `params_ratio` and `macs_ratio` are geometric means of the level's counts relative to the first level's, over pairs
    of variants that differ in this factor alone.

    `means` has, for two factors at a time, the mean error of each pair of levels, averaged over the other factors.
    `residual_std` is the standard deviation of the model's residuals, with `residual_df` degrees of freedom. `left_out`
    are twins of equal capacity and variants that differ from the baseline in more than the factors.
    """

    factors: tuple[str, ...] = ()
    effects: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(EFFECT_COLUMNS)))
    means: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(MEAN_COLUMNS)))
    residual_std: float = math.nan
    residual_df: int = 0
    left_out: tuple[str, ...] = ()
    level: float = ALPHA
    reason: str = ""

    @property
    def main_effects(self) -> pd.DataFrame:
        """The rows of `effects` that are of one factor."""
        return self.effects[self.effects["other_factor"].isna()]

    @property
    def interactions(self) -> pd.DataFrame:
        """The rows of `effects` that are of two factors."""
        return self.effects[self.effects["other_factor"].notna()]


def analyse_factors(results: Results, *, level: float = ALPHA) -> Factorial:
    """The effects of the factors of a complete factorial suite with at least two seeds, to be held against `level`."""
    plan = results.plan
    if not plan.factors:
        return Factorial()
    if results.why_no_comparison:
        return Factorial(factors=plan.factors, reason=results.why_no_comparison)
    if plan.baseline not in results.variants:
        reason = f"the baseline {plan.baseline} is not among these runs; add it to --variants"
        return Factorial(factors=plan.factors, reason=reason)
    if results.runs["seed"].nunique() < MIN_SEEDS:
        reason = "one seed does not show the spread between seeds; use --seeds 5 or more"
        return Factorial(factors=plan.factors, reason=reason)
    architectures = _cell_architectures(plan)
    grid = _grid(architectures, plan)
    if not (grid.full or grid.one_at_a_time):
        reason = (
            f"{len(grid.cells)} of the {math.prod(grid.shape)} combinations of levels are among these runs, which are "
            "neither all of them nor those that differ from the baseline in one factor; run the suite with all of its "
            "variants"
        )
        return Factorial(factors=plan.factors, reason=reason)
    errors = by_seed_and_variant(results.runs, "top1_error", variants=list(grid.cells))
    effects, residual_std, residual_df = estimate_effects(errors, grid, test_images=plan.data.test_images)
    return Factorial(
        factors=plan.factors,
        effects=effects.join(_cost_ratios(architectures, grid, num_classes=plan.data.num_classes)),
        means=_pair_means(errors, grid),
        residual_std=residual_std,
        residual_df=residual_df,
        left_out=tuple(name for name in results.variants if name not in grid.cells),
        level=level,
    )


def estimate_effects(errors: FloatArray, grid: Grid, *, test_images: int) -> tuple[pd.DataFrame, float, int]:
    """The effects by ordinary least squares on top-1 errors (n, C) by seed and cell, with seeds as blocks.

    Returns the rows of `Factorial.effects` without costs, the standard deviation of the residuals and its degrees of
    freedom. An error is a count out of `test_images`, so the variance of a residual is never taken to be less than that
    of rounding to one image.
    """
    n, count = errors.shape
    terms, shape = grid.terms(), grid.shape
    cells = np.array(list(grid.cells.values()))
    indicators = [np.all([cells[:, factor] == level for factor, level in term], axis=0) for term in terms]
    design = np.column_stack([np.ones(count), *indicators]).astype(float)
    seeds = np.eye(n)[:, 1:]  # the first seed is the intercept's
    model = OLS(errors.ravel(), np.hstack([np.tile(design, (n, 1)), np.repeat(seeds, count, axis=0)])).fit()
    contrasts = np.zeros((len(terms), len(model.params)))
    contrasts[:, 1 : 1 + len(terms)] = [[_weight(term, other, shape) for other in terms] for term in terms]
    variance = max(float(model.scale), 1 / 12 / test_images**2)
    df = int(model.df_resid)
    difference = contrasts @ model.params
    standard_error = np.sqrt(variance * np.diag(contrasts @ model.normalized_cov_params @ contrasts.T))
    reach = stats.t.ppf(1 - ALPHA / 2, df) * standard_error
    p = 2 * stats.t.sf(np.abs(difference) / standard_error, df)
    frame = pd.DataFrame([_names(term, grid) for term in terms]).assign(
        n=n,
        difference=difference,
        interval_low=difference - reach,
        interval_high=difference + reach,
        p=p,
        p_holm=multipletests(p, method="holm")[1],
    )
    return frame, math.sqrt(variance), df


def _weight(term: Term, other: Term, shape: Sequence[int]) -> float:
    """What the coefficient of `other` adds to the effect of `term`, averaged over the factors that it lacks."""
    if not set(term) <= set(other):
        return 0.0
    return 1 / math.prod(shape[factor] for factor, level in other if (factor, level) not in term)


def _names(term: Term, grid: Grid) -> dict[str, str | None]:
    """The columns that name an effect; those of the other factor are missing from a main effect."""
    factors = list(grid.levels.items())
    names: dict[str, str | None] = dict.fromkeys(EFFECT_COLUMNS[:6])
    for prefix, (factor, level) in zip(("", "other_"), term, strict=False):
        name, levels = factors[factor]
        names |= {f"{prefix}factor": name, f"{prefix}first_level": levels[0], f"{prefix}level": levels[level]}
    return names


def _cell_architectures(plan: Plan) -> dict[str, Architecture]:
    """By variant, the architectures that equal the baseline in all but the factors, the baseline first."""
    by_variant = {run.architecture.name: run.architecture for run in plan.runs}
    baseline = by_variant[plan.baseline]
    of_baseline = {name: getattr(baseline, name) for name in ("name", *plan.factors)}
    cells = {
        name: arch
        for name, arch in by_variant.items()
        if original_of(name) is None and replace(arch, **of_baseline) == baseline
    }
    return {plan.baseline: baseline, **cells}


def _grid(architectures: Mapping[str, Architecture], plan: Plan) -> Grid:
    """The levels of each factor in the order of their first occurrence, and where each variant stands among them."""
    # A width is the suite's times the variant's own, which the suite names.
    full_size = {name: replace(arch, width=round(arch.width / plan.width, 12)) for name, arch in architectures.items()}
    values = {
        factor: list(dict.fromkeys(getattr(arch, factor) for arch in full_size.values())) for factor in plan.factors
    }
    return Grid(
        levels={factor: tuple(map(_level, own)) for factor, own in values.items()},
        cells={
            name: tuple(own.index(getattr(arch, factor)) for factor, own in values.items())
            for name, arch in full_size.items()
        },
    )


def _level(value: Any) -> str:
    """A level in words: "on" and "off" of a flag."""
    return ("off", "on")[value] if isinstance(value, bool) else in_words(value)


def _cost_ratios(architectures: Mapping[str, Architecture], grid: Grid, *, num_classes: int) -> pd.DataFrame:
    """The ratios of parameters and MACs, a row for each term; of two factors there are none."""
    logs: dict[tuple[int, ...], NDArray[np.float64]] = {
        cell: np.log([count(architectures[name], num_classes=num_classes) for count in (count_params, count_macs)])
        for name, cell in grid.cells.items()
    }
    rows = []
    for term in grid.terms():
        ratios = np.full((1, 2), math.nan)
        if len(term) == 1:
            ((factor, level),) = term
            firsts = {cell: (*cell[:factor], 0, *cell[factor + 1 :]) for cell in logs if cell[factor] == level}
            ratios = np.array([logs[cell] - logs[first] for cell, first in firsts.items()])
        rows.append(np.exp(ratios.mean(axis=0)))
    return pd.DataFrame(rows, columns=["params_ratio", "macs_ratio"])


def _pair_means(errors: FloatArray, grid: Grid) -> pd.DataFrame:
    """The mean errors of each pair of levels of two factors; none if not every combination of levels is a cell."""
    cells = np.array(list(grid.cells.values()))
    rows = []
    for one, other in itertools.combinations(enumerate(grid.levels.items()), 2) if grid.full else ():
        (place, (factor, levels)), (other_place, (other_factor, other_levels)) = one, other
        for (number, level), (other_number, other_level) in itertools.product(
            enumerate(levels), enumerate(other_levels)
        ):
            of_pair = (cells[:, place] == number) & (cells[:, other_place] == other_number)
            by_seed = errors[:, of_pair].mean(axis=1)
            interval = mean_interval(by_seed.tolist())
            assert interval is not None  # of at least two seeds
            bounds = max(0.0, interval.low), min(1.0, interval.high)
            rows.append((factor, level, other_factor, other_level, len(by_seed), by_seed.mean(), *bounds))
    return pd.DataFrame(rows, columns=list(MEAN_COLUMNS))
