"""Epochs to a training error: interpolated by hand, and paired differences as scipy's t test sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.epochs.convergence import compare_convergence, epochs_to_error
from ablations.analysis.statistics.intervals import FloatArray
from tests.support.synthetic_suites import make_results


@pytest.mark.parametrize(
    ("errors", "target", "epochs"),
    [
        ([0.9, 0.5, 0.3], 0.3, 2.0),
        ([0.9, 0.5, 0.3], 0.4, 1.5),
        ([0.9, 0.5, 0.3], 0.8, 0.25),
        ([0.9, 0.4, 0.6, 0.2], 0.5, 0.8),  # the first time, although the error rises again
        ([0.9, 0.5, 0.3], 0.9, 0.0),
        ([0.9, 0.9, 0.3], 0.6, 1.5),
        ([0.9, 0.95, 0.95], 0.95, 0.0),
    ],
)
def test_epochs_are_interpolated_between_the_two_around_the_target(
    errors: list[float], target: float, epochs: float
) -> None:
    assert epochs_to_error(np.array(errors)[:, None], target) == pytest.approx([epochs])


def compared(*curves: FloatArray, level: float = 0.05) -> Any:
    """The convergence of two variants with training errors by epoch and seed."""
    names = ("reduced", "flatten-head")
    errors = {"train_error": np.stack(curves, axis=-1)}
    results = make_results(np.full((curves[0].shape[1], 2), 0.1), names=names, epochs=errors)
    return compare_convergence(results, variant="flatten-head", level=level)


def test_the_target_is_the_highest_final_error_and_the_difference_is_paired() -> None:
    # Guessing among ten classes is wrong with 0.9. The highest final error is 0.4, of the second run of reduced.
    reduced = np.array([[0.5, 0.6, 0.7], [0.3, 0.4, 0.35]])
    flatten = np.array([[0.3, 0.4, 0.5], [0.2, 0.3, 0.3]])
    found = compared(reduced, flatten)
    by_hand = np.array([[1.5, 2.0, 1 + 0.3 / 0.35], [0.5 / 0.6, 1.0, 1.5]])
    test: Any = scipy_stats.ttest_rel(by_hand[1], by_hand[0])
    interval = test.confidence_interval()
    assert (found.n, found.train_error) == (3, 0.4)
    assert (found.baseline_epochs, found.variant_epochs) == pytest.approx(by_hand.mean(axis=1))
    assert found.difference == pytest.approx((by_hand[1] - by_hand[0]).mean())
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert found.interval.holds(0) == (test.pvalue > 0.05)
    wider = compared(reduced, flatten, level=0.01).interval
    assert wider == pytest.approx(tuple(test.confidence_interval(0.99)))


def test_runs_that_learn_nothing_do_not_differ() -> None:
    found = compared(np.full((2, 3), 0.95), np.full((2, 3), 0.5))
    assert (found.difference, found.interval) == (0, (0, 0))
