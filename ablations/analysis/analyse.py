"""Everything that is worked out from a suite's records, for its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ablations.analysis.calibration import calibrate
from ablations.analysis.comparisons import Comparisons, compare_with_baseline
from ablations.analysis.pareto import ParetoFronts, find_fronts
from ablations.analysis.per_class import per_class_errors
from ablations.analysis.per_image import read_per_image_errors
from ablations.analysis.rankings import RankCorrelation, Rankings, correlate_rankings, rank_variants
from ablations.analysis.results import Results, load_results
from ablations.errors import ConfigError
from ablations.records.suite_folder import SuiteFolder

RANDOM_SEED = 0  # of all that is drawn: a report can be rebuilt byte for byte


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All that is worked out from a suite's records."""

    results: Results
    comparisons: Comparisons
    pareto: ParetoFronts
    rankings: Rankings
    per_class: pd.DataFrame
    calibration: pd.DataFrame
    unread: tuple[str, ...]
    rank_correlation: RankCorrelation | None


def analyse(suite_dir: Path, *, compare_with: Path | None = None) -> Analysis:
    """Work out everything that the report says.

    Raises:
        ConfigError: if a plan, a record or predictions cannot be read or do not belong together.
    """
    results, folder = load_results(suite_dir), SuiteFolder(suite_dir)
    per_image = read_per_image_errors(results, folder)
    rank_correlation = None
    if compare_with is not None:
        check_comparable(suite_dir, compare_with)
        other = load_results(compare_with)
        rank_correlation = correlate_rankings(results, other, rng=_fixed_rng())
    return Analysis(
        results=results,
        comparisons=compare_with_baseline(results, folder, unread=per_image.unread, rng=_fixed_rng()),
        pareto=find_fronts(results, rng=_fixed_rng()),
        rankings=rank_variants(results, rng=_fixed_rng()),
        per_class=per_class_errors(per_image.runs, results.plan),
        calibration=calibrate(per_image.runs),
        unread=per_image.unread,
        rank_correlation=rank_correlation,
    )


def check_comparable(suite_dir: Path, other: Path) -> None:
    """Refuse a folder whose order of the variants cannot be compared with the suite's.

    Raises:
        ConfigError: if it is the suite's own, or that of no suite that was run.
    """
    if other.resolve() == suite_dir.resolve():
        raise ConfigError(f"--compare-with {other.name} is the suite itself; name another one")
    SuiteFolder(other).read_plan()


def _fixed_rng() -> np.random.Generator:
    return np.random.default_rng(RANDOM_SEED)
