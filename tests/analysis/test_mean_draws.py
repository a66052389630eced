"""Draws of true means: their distribution against Student's t, and the spreads that they use."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ablations.analysis.mean_draws import DRAWS, draw_errors, draw_means, least_stds, own_std, seed_means
from tests.support.synthetic_suites import make_results

# Seeds are rows.
ERRORS = np.array([[0.10, 0.11, 0.13], [0.12, 0.09, 0.10], [0.11, 0.13, 0.09], [0.10, 0.12, 0.10]])


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_draws_of_a_mean_have_students_t_distribution_and_do_not_depend_on_each_other() -> None:
    std = np.array([0.01, 0.02, 0.03])
    drawn = draw_means(ERRORS, std=std, rng=rng())
    assert drawn.shape == (DRAWS, 3)
    scaled = (drawn - ERRORS.mean(axis=0)) / (std / 2)
    for values in scaled.T:
        assert stats.kstest(values, stats.t(3).cdf).pvalue > 0.001
    signs = np.corrcoef(np.sign(scaled), rowvar=False)
    assert np.abs(signs[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(DRAWS)


def test_what_a_seed_does_to_all_variants_does_not_widen_the_draws() -> None:
    shifted = ERRORS + np.array([[0.0], [0.2], [-0.1], [0.05]])
    np.testing.assert_allclose(own_std(shifted), own_std(ERRORS))
    # Seeds by variants without a common effect: each standard deviation is estimated without bias of its square.
    many = np.random.default_rng(0).normal(0, 0.02, size=(20_000, 5))
    np.testing.assert_allclose(own_std(many), 0.02, rtol=0.03)
    # The spread of a difference within seeds is split in two equal halves.
    pair = ERRORS[:, :2]
    np.testing.assert_allclose(own_std(pair), (pair[:, 0] - pair[:, 1]).std(ddof=1) / np.sqrt(2))


def test_errors_that_hardly_vary_are_drawn_with_the_least_spread() -> None:
    drawn = draw_errors(np.full((6, 2), 0.1), least_std=np.array([0.01, 0.001]), rng=rng())
    low, high = np.quantile(drawn, [0.25, 0.75], axis=0)
    expected = 2 * stats.t(5).ppf(0.75) * np.array([0.01, 0.001]) / np.sqrt(6)
    np.testing.assert_allclose(high - low, expected, rtol=0.15)


def test_one_seed_has_no_draws() -> None:
    assert draw_errors(ERRORS[:1], least_std=np.full(3, 0.01), rng=rng()).shape == (0, 3)


def test_means_of_the_same_values_in_another_order_are_equal() -> None:
    values = np.array([0.0817, 0.0793, 0.0829, 0.0801, 0.0809, 0.0811, 0.0799])
    shuffle = np.random.default_rng(1)
    grid = np.stack([shuffle.permutation(values) for _ in range(20)], axis=1)
    assert len(set(grid.mean(axis=0))) > 1, "these values show nothing"
    assert len(set(seed_means(grid))) == 1


def test_the_least_spread_is_the_one_given_but_no_less_than_rounding_to_one_of_the_test_images() -> None:
    results = make_results(ERRORS, names=["a", "b", "c"])  # 10,000 images
    rounding = 1e-4 / np.sqrt(12)
    assert least_stds(results) == pytest.approx([rounding] * 3)
    assert least_stds(results, {"b": 0.002, "c": 1e-9}) == pytest.approx([rounding, 0.002, rounding])
