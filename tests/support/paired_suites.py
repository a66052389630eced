"""Comparisons of suites that are given as numbers of wrong images, or as wrong images, without any files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ablations.analysis.comparisons import Comparisons, compare_with_baseline
from ablations.analysis.images.per_image import PerImageErrors, RunErrors
from ablations.analysis.looks import Looks
from ablations.analysis.results import Results
from ablations.analysis.statistics.intervals import ALPHA, MIN_SEEDS
from ablations.records.looks import Look
from tests.support.synthetic_suites import make_results

IMAGES = 10_000
MARGIN = 0.005


def looks_of(*numbers: int, level: float = ALPHA) -> Looks:
    """Looks at so many seeds, from seed 1 on, each with the same level; none at a single one."""
    seeds = [tuple(range(1, number + 1)) for number in numbers if number >= MIN_SEEDS]
    return Looks(taken=tuple(Look(runs=tuple(map(str, each)), seeds=each, level=level) for each in seeds))


def results_of(wrong: Mapping[str, Sequence[float]]) -> Results:
    """A suite with these numbers of wrong images of 10,000, by variant and seed."""
    return make_results(np.array(list(wrong.values())).T / IMAGES, names=list(wrong))


def compare(
    results: Results, *, looks: Looks | None = None, per_image: PerImageErrors | None = None, level: float = ALPHA
) -> Comparisons:
    """Compare with the baseline, by default in one look at all seeds and without predictions."""
    looks = looks or looks_of(results.runs["seed"].nunique(), level=level)
    return compare_with_baseline(results, per_image or PerImageErrors(), looks=looks, rng=np.random.default_rng(0))


def predicted(wrong: Mapping[str, NDArray[np.bool_]]) -> PerImageErrors:
    """Predictions that get these images wrong, by variant, each by seed and image (n, N)."""
    return PerImageErrors(
        runs=tuple(
            RunErrors(
                run_id=f"{variant}-s{seed}",
                variant=variant,
                seed=seed,
                images=np.array([row.size], dtype=np.int32),
                wrong=np.array([row.sum()], dtype=np.int32),
                calibration_error=0.0,
                calibrated_error=0.0,
                confidence=0.5,
                wrong_images=np.packbits(row),
            )
            for variant, rows in wrong.items()
            for seed, row in enumerate(rows, start=1)
        )
    )
