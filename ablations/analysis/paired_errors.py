"""Paired errors: those of a suite's variants and its baseline on the same seeds and test images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ablations.analysis.images.per_image import PerImageErrors
from ablations.analysis.results import Results, by_seed_and_variant
from ablations.analysis.statistics.intervals import MIN_SEEDS, FloatArray
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

    `images` has for each of the V variants and by seed, of those whose predictions could be read, whether it gets an
    image wrong less whether the baseline does, (N,).
    """

    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    errors: FloatArray
    images: Sequence[Mapping[int, NDArray[np.int8]]]
    test_images: int

    def sample(self, seeds: Sequence[int]) -> Sample:
        """The differences over some of the seeds.

        Where predictions are missing, the floor of the spread is that of the seeds which were read or, of fewer than
        two, the largest of the other variants: losing files makes nothing more certain.
        """
        rows = [self.seeds.index(seed) for seed in seeds]
        chosen = self.errors[rows]
        read = [[images[seed] for seed in seeds if seed in images] for images in self.images]
        found = [mean_squares(np.stack(images)) if len(images) >= MIN_SEEDS else None for images in read]
        known = [least_std(each) for each in found if each]
        highest = max([rounding_std(self.test_images), *known])
        floors = np.array([max(rounding_std(self.test_images), least_std(each)) if each else highest for each in found])
        unknown = MeanVariance(math.nan, math.nan)
        variance, df = np.array(
            [
                variance_on_new_images(each) if each and len(images) == len(rows) else unknown
                for each, images in zip(found, read, strict=True)
            ]
        ).T
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
    base = _by_seed(per_image, baseline, seeds)
    wrong = (_by_seed(per_image, name, seeds) for name in variants)
    return PairedErrors(
        variants=variants,
        seeds=seeds,
        errors=by_seed_and_variant(results.runs, "top1_error", variants=[baseline, *variants]),
        images=[{seed: of[seed].astype(np.int8) - base[seed] for seed in of.keys() & base.keys()} for of in wrong],
        test_images=results.plan.data.test_images,
    )


def _by_seed(per_image: PerImageErrors, variant: str, seeds: Sequence[int]) -> dict[int, NDArray[np.bool_]]:
    found = {seed: per_image.wrong(variant, seeds=[seed]) for seed in seeds}
    return {seed: wrong[0] for seed, wrong in found.items() if wrong is not None}
