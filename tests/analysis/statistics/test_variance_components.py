"""Variances of means over seeds and images: against statsmodels' analysis of variance, by hand, and in simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from ablations.analysis.statistics.variance_components import (
    MeanSquares,
    least_std,
    mean_squares,
    variance_on_new_images,
)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8])
def test_mean_squares_are_those_of_a_two_way_layout(dtype: type) -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(15)
    values = (rng.random((4, 15)) < hard).astype(dtype)
    if dtype is np.int8:
        values -= (rng.random((4, 15)) < hard).astype(dtype)
    layout = pd.DataFrame({"value": values.ravel().astype(float)})
    layout["seed"], layout["image"] = np.indices(values.shape).reshape(2, -1)
    table = anova_lm(ols("value ~ C(seed) + C(image)", layout).fit())
    found = mean_squares(values)
    expected = table["mean_sq"]
    assert (found.seeds, found.images, found.residual) == pytest.approx(tuple(expected))
    assert (found.seed_count, found.image_count, found.cells) == (4, 15, 60)


def test_values_that_are_all_the_same_have_no_variance() -> None:
    found = mean_squares(np.ones((3, 7), dtype=bool))
    assert (found.seeds, found.images, found.residual, least_std(found)) == (0, 0, 0, 0)
    assert variance_on_new_images(found) == (0, 2)


def squares(seeds: float, images: float, residual: float) -> MeanSquares:
    """Of 3 seeds and 11 images."""
    return MeanSquares(seeds, images, residual, 3, 11)


@pytest.mark.parametrize(
    ("found", "variance", "df"),
    [
        # (6 + 4 - 1) / 33 and 9^2 / (6^2 / 2 + 4^2 / 10 + 1^2 / 20)
        (squares(6.0, 4.0, 1.0), 9 / 33, 81 / (18 + 1.6 + 0.05)),
        # Images vary no more than the residual: only seeds are left.
        (squares(6.0, 0.5, 1.0), 6 / 33, 2),
        # Seeds vary less than the residual, which is their floor: (1 + 4 - 1) / 33.
        (squares(0.2, 4.0, 1.0), 4 / 33, 16 / (0.5 + 1.6 + 0.05)),
        (squares(0.2, 0.5, 1.0), 1 / 33, 2),
    ],
)
def test_the_variance_on_new_images_by_hand(found: MeanSquares, variance: float, df: float) -> None:
    assert variance_on_new_images(found) == pytest.approx((variance, df))


def test_the_least_spread_over_seeds_is_that_of_the_residual() -> None:
    assert least_std(squares(0.0, 4.0, 0.44)) == pytest.approx(0.2)


def crossed(rng: np.random.Generator) -> NDArray[np.int64]:
    """Values of 5 seeds on 40 images, with standard deviations of 20 and 60 of the effects and 100 of the rest."""
    values = rng.normal(0, 20, (5, 1)) + rng.normal(0, 60, (1, 40)) + rng.normal(0, 100, (5, 40))
    return np.rint(values).astype(np.int64)


def test_the_mean_of_new_seeds_on_new_images_has_that_variance() -> None:
    rng = np.random.default_rng(1)
    samples = [crossed(rng) for _ in range(2_000)]
    found = np.array([variance_on_new_images(mean_squares(each)) for each in samples])
    truth = 20**2 / 5 + 60**2 / 40 + 100**2 / 200
    # 2,000 samples give their variance to 3.2 % and the mean of an estimate of about ten degrees of freedom to 1 %.
    assert np.var([each.mean() for each in samples]) == pytest.approx(truth, rel=0.1)
    assert found[:, 0].mean() == pytest.approx(truth, rel=0.05)
    # The estimates are spread as those with such degrees of freedom: a variance of 2 / df of the square.
    assert found[:, 0].std() / truth == pytest.approx(np.sqrt(2 / np.median(found[:, 1])), rel=0.2)
