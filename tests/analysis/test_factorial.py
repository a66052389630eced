"""Effects of factors: by hand, against statsmodels' own formulas, in simulations without effects, and of a suite."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from statsmodels.formula import api as formulas
from statsmodels.stats.anova import anova_lm

from ablations.analysis.factorial import Factorial, Grid, analyse_factors, estimate_effects
from ablations.analysis.results import load_results
from ablations.suites import plan as plans
from ablations.suites.builtin import SUITES
from ablations.suites.factors import factor_settings
from ablations.suites.plan import Plan
from ablations.suites.suite import select
from googlenet.counts import count_macs, count_params
from googlenet.registry import architecture
from googlenet.variants import REDUCED
from tests.support.synthetic_suites import make_plan, save_suite

IMAGES = 10_000
RUNS = 100  # of the simulation


def grid(*sizes: int) -> Grid:
    """A full grid of factors a, b, c with levels 0, 1, 2."""
    levels = {name: tuple(map(str, range(size))) for name, size in zip("abc", sizes, strict=False)}
    cells = {str(cell): cell for cell in itertools.product(*map(range, sizes))}
    return Grid(levels=levels, cells=cells)


def estimated(errors: NDArray[np.float64], of: Grid) -> Any:
    return estimate_effects(errors, of, test_images=IMAGES)[0]


def in_rows(errors: NDArray[np.float64], of: Grid) -> Any:
    """A row for each run, with its seed and levels."""
    rows = [
        {"seed": seed, "cell": name, **dict(zip(of.levels, map(str, cell), strict=True)), "error": errors[seed, place]}
        for seed in range(len(errors))
        for place, (name, cell) in enumerate(of.cells.items())
    ]
    return pd.DataFrame(rows)


def random_errors(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return 0.06 + 0.002 * np.random.default_rng(seed).standard_normal(shape)


def test_two_by_two_by_hand() -> None:
    # In thousandths, cells (0, 0), (0, 1), (1, 0), (1, 1). Their means are 10, 13, 15 and 20, and seed 2 exceeds seed 1
    # by 0, 2, 2 and 0: half the squares around its mean 1, that is 2, are residual, with 3 degrees of freedom.
    errors = np.array([[10, 12, 14, 20], [10, 14, 16, 20]]) / 1000
    found, std, df = estimate_effects(errors, grid(2, 2), test_images=IMAGES)
    frame: Any = found
    assert (std, df) == (pytest.approx(math.sqrt(2 / 3) / 1000), 3)
    assert frame[["factor", "first_level", "level", "other_factor", "other_level", "n"]].fillna(
        ""
    ).to_numpy().tolist() == [
        ["a", "0", "1", "", "", 2],
        ["b", "0", "1", "", "", 2],
        ["a", "0", "1", "b", "1", 2],
    ]
    effects = np.array([(15 + 20 - 10 - 13) / 2, (13 + 20 - 10 - 15) / 2, 20 - 15 - 13 + 10])
    # A main effect is a mean of 4 cell means with weights 1/2, each of 2 runs; the interaction has weights 1.
    errors_of_effects = np.sqrt([2 / 3 * 4 / 4 / 2, 2 / 3 * 4 / 4 / 2, 2 / 3 * 4 / 2])
    t = 3.182446305  # the table's 97.5 % quantile for 3 degrees of freedom
    assert frame["difference"].to_numpy() * 1000 == pytest.approx(effects)
    assert frame["interval_low"].to_numpy() * 1000 == pytest.approx(effects - t * errors_of_effects)
    assert frame["interval_high"].to_numpy() * 1000 == pytest.approx(effects + t * errors_of_effects)
    # The interaction's t is the square root of 3, whose p has a closed form; with Holm the largest stays as it is.
    assert frame["p"][2] == pytest.approx(1 / 2 - 1 / math.pi) == pytest.approx(frame["p_holm"][2])
    of_a, of_b = (2 * scipy_stats.t.sf(effect * math.sqrt(3), 3) for effect in effects[:2])
    assert frame["p"][:2].tolist() == pytest.approx([of_a, of_b])
    assert frame["p_holm"][:2].tolist() == pytest.approx([3 * of_a, 2 * of_b])


def test_two_by_three_is_the_analysis_of_variance() -> None:
    errors = random_errors(4, 6)
    frame, rows = estimated(errors, grid(2, 3)), in_rows(errors, grid(2, 3))
    fit: Any = formulas.ols("error ~ C(seed) + C(a, Sum) * C(b, Sum)", rows).fit()
    table: Any = anova_lm(fit, typ=3)
    t = scipy_stats.t.isf(frame["p"][0] / 2, fit.df_resid)
    assert t**2 == pytest.approx(table.loc["C(a, Sum)", "F"])
    means = rows.groupby("b")["error"].mean()
    assert frame["difference"][1:3].tolist() == pytest.approx([means["1"] - means["0"], means["2"] - means["0"]])
    cells = rows.groupby(["a", "b"])["error"].mean()
    expected = [cells["1", level] - cells["1", "0"] - cells["0", level] + cells["0", "0"] for level in ("1", "2")]
    assert frame["difference"][3:].tolist() == pytest.approx(expected)


def test_three_factors_have_all_two_way_interactions() -> None:
    errors = random_errors(3, 12)
    frame, rows = estimated(errors, grid(2, 2, 3)), in_rows(errors, grid(2, 2, 3))
    fit: Any = formulas.ols("error ~ C(seed) + (C(a, Sum) + C(b, Sum) + C(c, Sum)) ** 2", rows).fit()
    keys = (frame["factor"] + frame["other_factor"].fillna("")).tolist()
    assert keys == ["a", "b", "c", "c", "ab", "ac", "ac", "bc", "bc"]
    # Of two levels a sum-coded coefficient is minus half the difference, a product's a quarter.
    for key, coefficient, factor in (
        ("a", "C(a, Sum)[S.0]", -2),
        ("b", "C(b, Sum)[S.0]", -2),
        ("ab", "C(a, Sum)[S.0]:C(b, Sum)[S.0]", 4),
    ):
        row = frame.loc[keys.index(key)]
        assert row["difference"] == pytest.approx(factor * fit.params[coefficient])
        assert row["p"] == pytest.approx(fit.pvalues[coefficient])
        ends = sorted((factor * fit.conf_int().loc[coefficient]).tolist())
        assert [row["interval_low"], row["interval_high"]] == pytest.approx(ends)


def test_one_factor_at_a_time_gives_each_level_against_the_baseline() -> None:
    levels = {"a": ("0", "1"), "b": ("0", "1", "2")}
    main = Grid(levels=levels, cells={"base": (0, 0), "a1": (1, 0), "b1": (0, 1), "b2": (0, 2)})
    assert main.one_at_a_time and not main.full
    errors = random_errors(5, 4)
    frame = estimated(errors, main)
    fit: Any = formulas.ols("error ~ C(seed) + C(cell, Treatment('base'))", in_rows(errors, main)).fit()
    cells = [f"C(cell, Treatment('base'))[T.{name}]" for name in ("a1", "b1", "b2")]
    assert frame["other_factor"].isna().all()
    assert frame["difference"].tolist() == pytest.approx(fit.params[cells].tolist())
    assert frame["p"].tolist() == pytest.approx(fit.pvalues[cells].tolist())


def test_without_effects_five_percent_are_significant_whatever_seeds_have_in_common() -> None:
    rng = np.random.default_rng(3)
    of = grid(2, 2)
    found = []
    for _ in range(RUNS):
        seeds = 0.01 * rng.standard_normal((4, 1))
        found.append(estimated(0.06 + seeds + 0.001 * rng.standard_normal((4, 4)), of))
    low, high = scipy_stats.binom.interval(0.99, RUNS, 0.05)
    for effect in range(3):
        assert low <= sum(frame["p"][effect] <= 0.05 for frame in found) <= high
    assert sum((frame["p_holm"] <= 0.05).any() for frame in found) <= high, "Holm holds it for all three together"


def test_errors_without_any_spread_have_that_of_rounding() -> None:
    found, std, df = estimate_effects(np.full((2, 4), 0.06), grid(2, 2), test_images=IMAGES)
    frame: Any = found
    assert std == pytest.approx(math.sqrt(1 / 12) / IMAGES)
    assert frame["p"].tolist() == pytest.approx([1, 1, 1])
    reach = scipy_stats.t.ppf(0.975, df) * std / math.sqrt(2)
    assert frame["interval_high"][0] == pytest.approx(reach)


WRONG = {
    "reduced": [550, 556, 549],
    "branch-3x3": [560, 570, 559],
    "no-reduction": [600, 606, 602],
    "naive": [640, 655, 640],
}


def analysed(folder: Path, plan: Plan, wrong: dict[str, list[int]]) -> Factorial:
    save_suite(folder, plan, wrong=wrong)
    return analyse_factors(load_results(folder))


def differences_of(factorial: Factorial) -> list[float]:
    return factorial.effects["difference"].tolist()


def hand_computed(wrong: dict[str, list[int]]) -> list[float]:
    reduced, branch, no_reduction, naive = (float(np.mean(wrong[name])) / IMAGES for name in WRONG)
    return [
        (no_reduction + naive - reduced - branch) / 2,
        (branch + naive - reduced - no_reduction) / 2,
        naive - no_reduction - branch + reduced,
    ]


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Factorial:
    return analysed(tmp_path_factory.mktemp("design"), make_plan("design", seeds=3), WRONG)


def test_a_suite_has_the_effects_and_the_exact_costs_of_its_levels(design: Factorial) -> None:
    assert design.factors == ("reduction", "branch5x5") and not design.reason and not design.left_out
    assert differences_of(design) == pytest.approx(hand_computed(WRONG))
    main: Any = design.main_effects
    assert main[["factor", "level", "first_level"]].to_numpy().tolist() == [
        ["reduction", "off", "on"],
        ["branch5x5", "3x3", "3x3+3x3"],
    ]
    assert len(design.interactions) == 1
    for column, count in (("params_ratio", count_params), ("macs_ratio", count_macs)):
        reduced, branch, no_reduction, naive = (count(architecture(name), num_classes=10) for name in WRONG)
        assert main[column].tolist() == pytest.approx(
            [
                math.sqrt(no_reduction / reduced * naive / branch),
                math.sqrt(branch / reduced * naive / no_reduction),
            ]
        )


def test_means_of_two_factors_have_intervals_over_seeds(design: Factorial) -> None:
    assert len(design.means) == 4
    means: Any = design.means
    row = means.set_index(["level", "other_level"]).loc["off", "3x3"]
    errors = np.array(WRONG["naive"]) / IMAGES
    test: Any = scipy_stats.ttest_1samp(errors, 0)
    assert (row["error_mean"], row["n"]) == (pytest.approx(errors.mean()), 3)
    assert (row["error_low"], row["error_high"]) == pytest.approx(tuple(test.confidence_interval()))


def test_twins_and_other_variants_are_no_cells_and_the_baseline_has_the_first_levels(tmp_path: Path) -> None:
    whole = plans.make_plan(
        select(SUITES["design"], seeds=3, control="params"), data=make_plan("design", seeds=1).data, command=""
    )
    part = make_plan("design", seeds=3, variants=("naive", "half-width"))
    others = {run.architecture.name: [900, 910, 905] for run in (*whole.runs, *part.runs)}
    found = analysed(tmp_path, part.joined(whole), others | WRONG)
    assert differences_of(found) == pytest.approx(hand_computed(WRONG))
    assert {"half-width", "naive@params"} <= set(found.left_out)
    assert set(found.effects["level"]) == {"off", "3x3"}, "though naive comes first"


def test_widths_are_those_of_the_suites_file(tmp_path: Path) -> None:
    settings = factor_settings(REDUCED, {"width": (1.0, 0.5), "dropout": (0.4, 0.0)}, resolution="main")
    suite = replace(SUITES["design"], **settings, width=0.3, seeds=2)
    plan = plans.make_plan(select(suite), data=make_plan("design", seeds=1).data, command="")
    found = analysed(tmp_path, plan, {run.architecture.name: [600, 610] for run in plan.runs})
    effects: Any = found.effects
    assert effects[["factor", "first_level", "level"]].to_numpy().tolist() == [
        ["width", "1", "0.5"],
        ["dropout", "0.4", "0"],
    ]
    assert found.means.empty, "without every combination there is none to average"


@pytest.mark.parametrize(
    ("suite", "seeds", "variants", "wrong", "reason"),
    [
        ("cifar10", 2, ("reduced", "short"), {"reduced": [1, 2], "short": [1, 2]}, ""),
        ("design", 1, None, {name: counts[:1] for name, counts in WRONG.items()}, "one seed does not show the spread"),
        ("design", 3, None, WRONG | {"naive": [640]}, "2 of 12 planned runs are not done"),
    ],
)
def test_without_effects_the_reason_is_said(
    suite: str,
    seeds: int,
    variants: tuple[str, ...] | None,
    wrong: dict[str, list[int]],
    reason: str,
    tmp_path: Path,
) -> None:
    found = analysed(tmp_path, make_plan(suite, seeds=seeds, variants=variants), wrong)
    assert found.reason.startswith(reason) and bool(found.reason) == bool(reason)
    assert found.effects.empty and found.means.empty
    assert "difference" in found.effects.columns, "of a CSV file without rows"


@pytest.mark.parametrize(
    ("variants", "reason"),
    [
        (("naive", "no-reduction"), "the baseline reduced is not among these runs; add it to --variants"),
        (("reduced", "branch-3x3", "naive"), "3 of the 4 combinations of levels are among these runs"),
    ],
)
def test_a_part_of_the_grid_has_no_effects(variants: Sequence[str], reason: str, tmp_path: Path) -> None:
    plan = replace(make_plan("design", seeds=3, variants=tuple(variants)), factors=("reduction", "branch5x5"))
    assert analysed(tmp_path, plan, {name: WRONG[name] for name in variants}).reason.startswith(reason)
