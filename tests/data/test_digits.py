"""The digits against scikit-learn's."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits as sklearn_digits

from ablations.data.dataset import Dataset
from ablations.data.digits import load_digits


def test_digits_are_scikit_learns_images(digits: Dataset) -> None:
    bunch: Any = sklearn_digits()
    # From counts of 0 to 16 to bytes; a multiple of 255/16 never lies halfway, so rounding is unambiguous.
    expected = [
        (tuple(int(value * 255 / 16 + 0.5) for value in image.ravel()), int(label))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    ]
    found = []
    for split in (digits.train, digits.test):
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert (split.images == split.images[..., :1]).all()
        found += [
            (tuple(image[..., 0].ravel().tolist()), int(label))
            for image, label in zip(split.images, split.labels, strict=True)
        ]
    # As multisets: the splits are disjoint and nothing is missing.
    assert sorted(found) == sorted(expected)
    assert max(pixel for image, _ in found for pixel in image) == 255


def test_one_fifth_of_the_digits_is_for_testing(digits: Dataset) -> None:
    assert digits.train.images.shape == (1437, 8, 8, 3)
    assert digits.test.images.shape == (360, 8, 8, 3)
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.class_names == tuple("0123456789")
    assert (digits.num_classes, digits.image_size) == (10, 8)
    for label in range(10):
        tested = int((digits.test.labels == label).sum())
        everything = tested + int((digits.train.labels == label).sum())
        assert abs(tested - everything / 5) <= 1


def test_digits_have_the_pinned_fingerprint(digits: Dataset) -> None:
    # Run ids contain it: if a library changes the images or the split, old records must not pass for new ones.
    assert digits.fingerprint == "03adf401aabdc4dc842b6161cc463b2220db59c40fa8554c258ee47072ca0e99"
    assert load_digits().fingerprint == digits.fingerprint
