"""Calibration: the expected calibration error against Guo's sum over bins and by hand, and its mean over runs."""

from __future__ import annotations

import numpy as np
import pytest

from ablations.analysis.images.calibration import (
    COLUMNS,
    calibrate,
    calibrated_network_error,
    expected_calibration_error,
)
from ablations.analysis.images.per_image import RunErrors


def test_the_calibration_error_of_a_case_by_hand() -> None:
    # In thirds: {0.2, 1/3} with none right, {0.5} right, {0.8, 0.9, 1} with one right.
    confidence = np.array([0.2, 1 / 3, 0.5, 0.8, 0.9, 1.0])
    correct = np.array([False, False, True, True, False, False])
    expected = ((0.2 + 1 / 3) + (1 - 0.5) + (2.7 - 1)) / 6
    assert expected_calibration_error(confidence, correct, bins=3) == pytest.approx(expected)


@pytest.mark.parametrize("bins", [1, 2, 15, 40])
def test_the_calibration_error_is_guos_sum_over_bins(bins: int) -> None:
    rng = np.random.default_rng(5)
    confidence = rng.beta(5, 2, size=3000).astype(np.float32)
    correct = rng.random(3000) < confidence**2
    expected = 0.0
    for number in range(1, bins + 1):
        inside = (confidence > (number - 1) / bins) & (confidence <= number / bins)
        if inside.any():
            accuracy, mean = correct[inside].mean(), confidence[inside].astype(float).mean()
            expected += inside.sum() / 3000 * abs(accuracy - mean)
    assert expected_calibration_error(confidence, correct, bins=bins) == pytest.approx(expected)


def test_calibrated_predictions_have_no_calibration_error() -> None:
    correct = np.arange(1000) % 4 > 0
    assert expected_calibration_error(np.full(1000, 0.75), correct) == 0
    assert expected_calibration_error(np.zeros(3), np.zeros(3, bool)) == 0


@pytest.mark.parametrize(
    ("confidence", "said"), [([], "no image"), ([0.5, 1.5], "1.5"), ([-0.1], "-0.1"), ([0.5, np.nan], "nan")]
)
def test_confidences_outside_the_unit_interval_are_refused(confidence: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        expected_calibration_error(np.array(confidence), np.ones(len(confidence), bool))


@pytest.mark.parametrize(
    ("images", "concentration", "tolerance"),
    [(360, (0.5, 20), 0.07), (360, (2, 5), 0.07), (360, (0.3, 300), 0.1), (10_000, (0.3, 300), 0.04)],
)
def test_a_calibrated_network_has_the_error_of_labels_drawn_from_its_confidences(
    images: int, concentration: tuple[float, float], tolerance: float
) -> None:
    rng = np.random.default_rng(4)
    confidence = 1 - rng.beta(*concentration, size=images)
    drawn = [expected_calibration_error(confidence, rng.random(images) < confidence) for _ in range(1000)]
    assert calibrated_network_error(confidence) == pytest.approx(np.mean(drawn), rel=tolerance)


def test_a_network_that_is_sure_has_no_error_if_it_is_calibrated() -> None:
    assert calibrated_network_error(np.ones(10)) == calibrated_network_error(np.zeros(10)) == 0


def run(variant: str, seed: int, *, wrong: int, calibration_error: float, confidence: float) -> RunErrors:
    """A run with this many of 100 test images wrong, in two classes."""
    return RunErrors(
        run_id=f"{variant}-{seed}",
        variant=variant,
        seed=seed,
        images=np.array([60, 40], dtype=np.int32),
        wrong=np.array([wrong - 1, 1], dtype=np.int32),
        calibration_error=calibration_error,
        calibrated_error=calibration_error / 4,
        confidence=confidence,
        wrong_images=np.empty(0, np.uint8),
    )


def test_a_variant_has_means_over_its_runs_and_a_spread_from_two_on() -> None:
    runs = [
        run("reduced", 1, wrong=20, calibration_error=0.1, confidence=0.7),
        run("naive", 1, wrong=10, calibration_error=0.2, confidence=0.9),
        run("reduced", 2, wrong=30, calibration_error=0.3, confidence=0.8),
    ]
    table = calibrate(runs)
    assert list(table.columns) == COLUMNS
    reduced, naive = table.to_dict("records")
    assert (reduced["variant"], reduced["n"], naive["variant"], naive["n"]) == ("reduced", 2, "naive", 1)
    assert [reduced[name] for name in COLUMNS[2:]] == pytest.approx([0.2, np.std([0.1, 0.3], ddof=1), 0.05, 0.75, 0.75])
    assert [naive[name] for name in COLUMNS[2:]] == pytest.approx([0.2, np.nan, 0.05, 0.9, 0.9], nan_ok=True)
    assert calibrate([]).empty and list(calibrate([]).columns) == COLUMNS
