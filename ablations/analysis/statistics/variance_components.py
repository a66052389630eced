"""Variance of a mean over seeds and test images: of the same images, and of new images of the same kind."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class MeanSquares(NamedTuple):
    """Mean squares of a two-way layout without replication, n seeds by N test images."""

    seeds: float
    images: float
    residual: float
    seed_count: int
    image_count: int

    @property
    def cells(self) -> int:
        """The number of values, n N."""
        return self.seed_count * self.image_count


class MeanVariance(NamedTuple):
    """The variance of a mean, and the degrees of freedom of its estimate."""

    variance: float
    df: float


def mean_squares(values: NDArray[Any]) -> MeanSquares:
    """Mean squares of values by seed and image (n, N), of at least two of each.

    The values are whether an image is wrong, or the difference of that between two variants.
    """
    seeds, images = values.shape
    by_seed, by_image = (values.sum(axis=axis, dtype=np.int64) for axis in (1, 0))
    total = int(by_seed.sum())
    correction = total**2 / (seeds * images)
    all_squares = float(np.square(values, dtype=np.int64).sum()) - correction
    of_seeds = float(np.square(by_seed).sum()) / images - correction
    of_images = float(np.square(by_image).sum()) / seeds - correction
    # Differences of equal sums can be negative by rounding.
    residual = max(0.0, all_squares - of_seeds - of_images)
    return MeanSquares(
        seeds=max(0.0, of_seeds) / (seeds - 1),
        images=max(0.0, of_images) / (images - 1),
        residual=residual / ((seeds - 1) * (images - 1)),
        seed_count=seeds,
        image_count=images,
    )


def least_std(found: MeanSquares) -> float:
    """What the standard deviation over seeds of an error, a fraction, cannot be less than.

    Each seed's error is a mean over images, which vary by the residual even where seeds do not differ otherwise.
    """
    return (found.residual / found.image_count) ** 0.5


def variance_on_new_images(found: MeanSquares) -> MeanVariance:
    """The variance of the mean over seeds and images, both drawn anew, with Satterthwaite's degrees of freedom.

    It is never less than either of its parts, which chance may make it.

    Source: crossed random effects, Clark 1973 for the quasi-F ratio; Hillis 2007 for the degrees of freedom in reader
    studies, in which cases and readers cross as images and seeds do here.
    """
    n, count = found.seed_count - 1, found.image_count - 1
    seeds = max(found.seeds, found.residual)
    both = seeds + found.images - found.residual
    if found.images < found.residual:
        return MeanVariance(seeds / found.cells, n)
    scatter = seeds**2 / n + found.images**2 / count + found.residual**2 / (n * count)
    return MeanVariance(both / found.cells, both**2 / scatter if scatter else n)
