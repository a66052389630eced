"""Calibration: the expected calibration error, per run and per variant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ablations.analysis.images.per_image import RunErrors

BINS = 15  # of confidence, as in Guo et al. 2017
COLUMNS = ["variant", "n", "ece_mean", "ece_std", "calibrated_ece_mean", "confidence_mean", "accuracy_mean"]


def expected_calibration_error(confidence: NDArray[Any], correct: NDArray[np.bool_], *, bins: int = BINS) -> float:
    """The mean gap between confidence and accuracy in bins of equal width, weighted by images per bin; a fraction.

    `confidence` (N,) is the probability of the most likely class, `correct` (N,) whether that is the true one. A bin
    includes its upper edge; the first one includes 0 too.

    Raises:
        ValueError: if there are no images, or a confidence is not in [0, 1].

    Source: Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    check_confidence(confidence)
    exact = confidence.astype(np.float64)
    gaps = np.bincount(_bin_numbers(exact, bins=bins), weights=correct - exact, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def calibrated_network_error(confidence: NDArray[Any], *, bins: int = BINS) -> float:
    """The expected calibration error, a fraction, that a perfectly calibrated network would have on average.

    It is above zero because a bin holds few images. `confidence` (N,) as above. In a bin the number of right images
    less the sum of confidences has mean zero and variance v, the sum of c (1 - c); its mean absolute value is
    sqrt(2 v / pi) for a normal distribution, and at most 2 v. The smaller of both is within 7 % of the mean of drawn
    labels with 360 images (10 % where nearly all confidences are above 0.999) and within 4 % with 10,000.

    Raises:
        ValueError: if there are no images, or a confidence is not in [0, 1].
    """
    check_confidence(confidence)
    exact = confidence.astype(np.float64)
    variances = np.bincount(_bin_numbers(exact, bins=bins), weights=exact * (1 - exact), minlength=bins)
    return float(np.minimum(np.sqrt(2 / np.pi * variances), 2 * variances).sum() / len(confidence))


def _bin_numbers(confidence: NDArray[np.float64], *, bins: int) -> NDArray[np.intp]:
    return np.maximum(np.ceil(confidence * bins), 1).astype(np.intp) - 1


def check_confidence(confidence: NDArray[Any]) -> None:
    """Raise ValueError unless these are the confidences (N,) of at least one image, fractions in [0, 1]."""
    if not len(confidence):
        raise ValueError("there is no image; calibration needs at least one")
    if confidence.dtype.kind != "f":
        raise ValueError(f"confidences are of type {confidence.dtype}; they are fractions in [0, 1]")
    low, high = float(confidence.min()), float(confidence.max())
    if not 0 <= low <= high <= 1:
        raise ValueError(f"confidences go from {low} to {high}; they are fractions in [0, 1]")


def calibrate(runs: Iterable[RunErrors]) -> pd.DataFrame:
    """One row a variant, over its `n` runs whose predictions could be read; all columns are fractions.

    `ece_mean` and `ece_std` are the mean and sample standard deviation of the expected calibration error,
    `calibrated_ece_mean` is the mean of that of a perfectly calibrated network with the same confidences.
    """
    runs = list(runs)
    frame = pd.DataFrame(
        {
            "variant": [run.variant for run in runs],
            "ece": [run.calibration_error for run in runs],
            "calibrated_ece": [run.calibrated_error for run in runs],
            "confidence": [run.confidence for run in runs],
            "accuracy": [1 - int(run.wrong.sum()) / int(run.images.sum()) for run in runs],
        }
    )
    by_variant = frame.groupby("variant", sort=False)
    means = by_variant.mean().add_suffix("_mean")
    return means.assign(n=by_variant.size(), ece_std=by_variant["ece"].std()).reset_index()[COLUMNS]
