"""Analysis of a suite: every table and test that its report shows, computed from the records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ablations.analysis.answers import Answers, answer_all
from ablations.analysis.comparisons import Comparisons, compare_with_baseline
from ablations.analysis.factorial import Factorial, analyse_factors
from ablations.analysis.images.calibration import calibrate
from ablations.analysis.images.per_class import per_class_errors
from ablations.analysis.images.per_image import read_per_image_errors
from ablations.analysis.looks import looks_at
from ablations.analysis.modules import module_costs
from ablations.analysis.pareto import ParetoFronts, find_fronts
from ablations.analysis.rankings import RankCorrelation, Rankings, correlate_rankings, rank_variants
from ablations.analysis.results import Results, load_results, with_floors
from ablations.errors import ConfigError
from ablations.records.suite_folder import SuiteFolder

RANDOM_SEED = 0  # of every draw, so that a report can be rebuilt byte for byte


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What a suite's report is written from.

    `unread` has a line for each finished run whose predictions cannot be read. `rank_correlation` is None unless the
    suite is compared with another one.
    """

    results: Results
    comparisons: Comparisons
    answers: Answers
    factorial: Factorial
    pareto: ParetoFronts
    rankings: Rankings
    modules: pd.DataFrame
    per_class: pd.DataFrame
    calibration: pd.DataFrame
    unread: tuple[str, ...]
    rank_correlation: RankCorrelation | None


def analyse(suite_dir: Path, *, compare_with: Path | None = None) -> Analysis:
    """Analyse a suite; with `compare_with`, the folder of another one, also how far the two rank variants alike.

    Raises:
        ConfigError: if a plan, a record or predictions cannot be read or do not belong together.
    """
    results, folder = load_results(suite_dir), SuiteFolder(suite_dir)
    per_image = read_per_image_errors(results, folder)
    least_std = per_image.least_stds()
    results = with_floors(results, least_std)
    rank_correlation = None
    if compare_with is not None:
        check_comparable(suite_dir, compare_with)
        other = load_results(compare_with)
        rank_correlation = correlate_rankings(results, other)
    looks = looks_at(results, folder.looks.read())
    comparisons = compare_with_baseline(results, per_image, looks=looks, rng=_fixed_rng())
    return Analysis(
        results=results,
        comparisons=comparisons,
        answers=answer_all(results, comparisons),
        factorial=analyse_factors(results, level=looks.level),
        pareto=find_fronts(results, least_std=least_std, rng=_fixed_rng()),
        rankings=rank_variants(results, least_std=least_std, rng=_fixed_rng()),
        modules=module_costs(results.plan),
        per_class=per_class_errors(per_image.runs, results.plan),
        calibration=calibrate(per_image.runs),
        unread=per_image.unread,
        rank_correlation=rank_correlation,
    )


def check_comparable(suite_dir: Path, other: Path) -> None:
    """Check that another folder holds a suite whose ranking can be compared with this one's.

    Raises:
        ConfigError: if it is the same folder, or has no plan.
    """
    if other.resolve() == suite_dir.resolve():
        raise ConfigError(f"--compare-with {other.name} is the suite itself; name another one")
    SuiteFolder(other).read_plan()


def _fixed_rng() -> np.random.Generator:
    return np.random.default_rng(RANDOM_SEED)
