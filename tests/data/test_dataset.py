"""Datasets: fingerprint, read-only arrays, and the test set that is read once."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from ablations.data.dataset import Dataset, SealedTest, Split, assemble
from ablations.errors import SealBroken


def small(*, change: str = "") -> Dataset:
    """Three training images and two test images, with one thing changed."""
    images = np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3)
    labels: Any = np.array([0, 1, 0, 1, 0], dtype=np.int64)
    names = ("a", "b")
    match change:
        case "training pixel":
            images[1, 0, 0, 0] += 1
        case "test pixel":
            images[4, 1, 1, 2] += 1
        case "label":
            labels[0] = 1
        case "class name":
            names = ("a", "c")
        case "order":
            images[:2], labels[:2] = images[1::-1].copy(), labels[1::-1].copy()
    test = Split(images=images[3:], labels=labels[3:])
    return assemble(
        name="x", title="x", train=Split(images=images[:3], labels=labels[:3]), test=test, class_names=names
    )


@pytest.mark.parametrize("change", ["training pixel", "test pixel", "label", "class name", "order"])
def test_the_fingerprint_covers_images_labels_order_and_class_names(change: str) -> None:
    assert small().fingerprint == small().fingerprint != small(change=change).fingerprint


def test_the_fingerprint_ignores_name_and_title() -> None:
    first = small()
    again = assemble(name="y", title="y", train=first.train, test=first.test, class_names=first.class_names)
    assert again.fingerprint == first.fingerprint


def test_loaded_arrays_are_read_only(digits: Dataset) -> None:
    for array in (digits.train.images, digits.train.labels, digits.test.images, digits.test.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_split_and_a_dataset_are_frozen(digits: Dataset) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.fingerprint = ""  # pyright: ignore[reportAttributeAccessIssue]


def test_reading_the_test_set_twice_is_an_error(tiny_digits: Dataset) -> None:
    sealed = SealedTest(tiny_digits.test)
    assert sealed.open() is tiny_digits.test
    assert sealed.accesses == 1
    with pytest.raises(SealBroken, match="asked for 2 times in one run"):
        sealed.open()
    assert sealed.accesses == 2
