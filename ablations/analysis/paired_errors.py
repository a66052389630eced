"""Paired errors: those of a suite's variants and its baseline on the same seeds and test images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ablations.analysis.per_image import PerImageErrors
from ablations.analysis.results import Results, by_seed_and_variant
from ablations.analysis.statistics.intervals import FloatArray
from ablations.analysis.statistics.paired_tests import rounding_std
from ablations.analysis.statistics.variance_components import (
    MeanVariance,
    least_std,
    mean_squares,
    variance_on_new_images,
)
from ablations.analysis.statistics.verdicts import Sample


@dataclass(frozen=True, kw_only=True, eq=False)
class PairedErrors:
    """Top-1 errors by seed and variant (n, 1 + V), the baseline's first.

    `images` has for each of the V variants by seed and image (n, N) whether it gets the image wrong, less whether the
    baseline does; None if predictions cannot be read.
    """

    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    errors: FloatArray
    images: Sequence[NDArray[np.int8] | None]
    test_images: int

    def sample(self, seeds: Sequence[int]) -> Sample:
        """The differences over some of the seeds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        chosen = self.errors[rows]
        found = [None if images is None else mean_squares(images[rows]) for images in self.images]
        floors = np.array([max(rounding_std(self.test_images), least_std(each) if each else 0.0) for each in found])
        unknown = MeanVariance(math.nan, math.nan)
        variance, df = np.array([variance_on_new_images(each) if each else unknown for each in found]).T
        return Sample(
            differences=chosen[:, 1:] - chosen[:, :1],
            least_std=floors,
            new_error=np.sqrt(np.maximum(variance, floors**2 / len(rows))),
            new_df=df,
        )


def pair_errors(results: Results, per_image: PerImageErrors) -> PairedErrors:
    """The paired errors of a complete suite that has its baseline."""
    baseline = results.plan.baseline
    variants = tuple(name for name in results.variants if name != baseline)
    seeds = tuple(sorted({int(seed) for seed in results.runs["seed"]}))
    base = per_image.wrong(baseline, seeds=seeds)
    wrong = (per_image.wrong(name, seeds=seeds) for name in variants)
    return PairedErrors(
        variants=variants,
        seeds=seeds,
        errors=by_seed_and_variant(results.runs, "top1_error", variants=[baseline, *variants]),
        images=[None if of is None or base is None else of.astype(np.int8) - base for of in wrong],
        test_images=results.plan.data.test_images,
    )
