"""Subsets and held-out images: exact, stratified, and reproducible by seed."""

import numpy as np
import pytest

from ablations.data.dataset import Dataset, Split
from ablations.data.subsets import hold_out, limit
from ablations.errors import ConfigError


def balanced(*, classes: int = 10, per_class: int = 20) -> Split:
    """Images whose first byte is their position, so that a subset can be traced."""
    count = classes * per_class
    images = np.zeros((count, 1, 1, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return Split(images=images, labels=np.tile(np.arange(classes), per_class))


def positions(split: Split) -> list[int]:
    return split.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("count", [10, 11, 57, 100, 190, 191, 199])  # the last two leave out fewer than 10 classes
def test_a_subset_is_exact_and_stratified(count: int) -> None:
    whole = balanced()
    subset = limit(whole, count)
    per_class = np.bincount(subset.labels, minlength=10)
    assert len(subset) == len(subset.images) == len(set(positions(subset))) == count
    assert per_class.max() - per_class.min() <= 1
    assert subset.labels.tolist() == [whole.labels[position] for position in positions(subset)]
    assert positions(limit(whole, count)) == positions(subset)


def test_a_subset_of_digits_keeps_the_shares_of_the_classes(digits: Dataset) -> None:
    subset = limit(digits.train, 500)
    shares = np.bincount(digits.train.labels) * 500 / len(digits.train)
    assert len(subset) == 500
    assert np.abs(np.bincount(subset.labels) - shares).max() < 1


@pytest.mark.parametrize("count", [None, 200])
def test_no_limit_is_everything(count: int | None) -> None:
    whole = balanced()
    assert positions(limit(whole, count)) == positions(whole)


@pytest.mark.parametrize("count", [-1, 0, 9, 201])
def test_an_impossible_subset_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"--limit-train {count}: use at least 10.* at most 200"):
        limit(balanced(), count)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.33, 0.5])
def test_held_out_images_are_stratified_and_disjoint(fraction: float) -> None:
    whole = balanced()
    kept, held = hold_out(whole, fraction=fraction, seed=1)
    assert held is not None
    assert len(held) == round(200 * fraction)
    assert sorted(positions(kept) + positions(held)) == positions(whole)
    for part in (kept, held):
        per_class = np.bincount(part.labels, minlength=10)
        assert per_class.max() - per_class.min() <= 1
        assert part.labels.tolist() == [whole.labels[position] for position in positions(part)]


def test_held_out_images_depend_on_the_seed_only() -> None:
    held = [hold_out(balanced(), fraction=0.2, seed=seed)[1] for seed in (1, 1, 2, 2**31 - 1)]
    first, again, second, largest = (positions(part) for part in held if part is not None)
    assert first == again
    assert len({tuple(first), tuple(second), tuple(largest)}) == 3


def test_nothing_is_held_out_by_default() -> None:
    kept, held = hold_out(balanced(), fraction=0.0, seed=1)
    assert positions(kept) == positions(balanced())
    assert held is None
