"""Runs that failed to train: by hand, in simulated suites, and how many failures no failure leaves possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from ablations.analysis.failed_seeds import failed_by_variant, failed_to_train, failures_not_excluded


def flagged(
    errors: Mapping[str, Sequence[float] | NDArray[np.float64]], *, images: int = 10_000
) -> list[tuple[str, int]]:
    """The variant and place of each run that failed, of finished runs with these errors on ten classes."""
    rows = [(name, place, error) for name, own in errors.items() for place, error in enumerate(own)]
    runs = pd.DataFrame(rows, columns=["variant", "place", "top1_error"]).assign(status="done")
    failed = runs[failed_to_train(runs, num_classes=10, test_images=images)]
    return list(zip(failed["variant"], failed["place"], strict=True))


def test_an_error_near_chance_is_a_failure_with_any_number_of_seeds() -> None:
    # 0.9 times 90 % of guessing among ten classes.
    assert flagged({"a": [0.1, 0.81], "b": [0.809], "c": [0.9, 0.9, 0.9]}) == [("a", 1), ("c", 0), ("c", 1), ("c", 2)]


def test_an_error_far_above_the_variants_others_is_a_failure_from_three_seeds_on() -> None:
    # Deviations from the median of 0.1 points: a robust deviation of 0.148 points, twelve of which are 1.78.
    near = [0.100, 0.101, 0.102]
    assert flagged({"a": [*near[:2], 0.099, 0.121]}) == [("a", 3)]
    assert flagged({"a": [0.1, 0.3]}) == []
    assert flagged({"a": [*near, 0.3]}) == [("a", 3)]
    assert flagged({"a": [*near, 0.01]}) == [], "a low error is none"
    assert flagged({"a": [*near, 0.119]}) == [], "less than two points is a bad seed"


def test_the_deviation_is_at_least_the_suites_median_and_one_image() -> None:
    steady, loose = [0.1, 0.1, 0.1, 0.15], [0.10, 0.11, 0.12, 0.13]
    assert flagged({"a": steady}) == [("a", 3)]
    # The median of 0, 1.48 and 1.48 points, twelve of which are 17.8.
    assert flagged({"a": steady, "b": loose, "c": loose}) == []
    assert flagged({"a": [*steady[:3], 0.29], "b": loose, "c": loose}) == [("a", 3)]
    assert flagged({"a": steady}, images=200) == [], "twelve of 200 images are 6 points"


def test_runs_that_are_not_done_never_failed_to_train() -> None:
    runs = pd.DataFrame({"variant": "a", "status": ["done", "oom", "missing"], "top1_error": [0.9, 0.9, None]})
    failed = failed_to_train(runs, num_classes=10, test_images=100)
    assert failed.tolist() == [True, False, False] and failed.dtype == bool
    more = pd.concat([runs, runs.assign(variant="b", status="missing")], ignore_index=True)
    marked = more.assign(failed_to_train=failed_to_train(more, num_classes=10, test_images=100))
    assert failed_by_variant(marked) == {"a": 1, "b": 0}


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_sound_suites_have_none_and_most_failures_are_found(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    sound = found = 0
    for _ in range(40):
        errors = {name: np.rint(1e4 * rng.normal(0.2, 0.002, size=seeds)) / 1e4 for name in "abcdefg"}
        sound += bool(flagged(errors))
        errors["a"][0] += 0.1
        found += flagged(errors) == [("a", 0)]
    assert sound == 0 and found >= 34


@pytest.mark.parametrize("n", [1, 3, 10, 100])
def test_the_share_of_failures_that_none_in_n_leaves_possible(n: int) -> None:
    share = failures_not_excluded(n)
    assert share == pytest.approx(stats.binomtest(0, n, alternative="less").proportion_ci(0.95).high)
    assert share <= 3 / n
