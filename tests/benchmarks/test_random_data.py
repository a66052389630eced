"""Random images in CIFAR-10's format."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import random_data


def test_random_data_are_in_cifars_format() -> None:
    dataset = random_data.random_dataset(train_images=500, test_images=100)
    assert dataset.train.images.shape == (500, 32, 32, 3) and dataset.test.images.shape == (100, 32, 32, 3)
    assert dataset.num_classes == len(np.unique(dataset.train.labels)) == 10
    assert dataset.train.images.mean() == pytest.approx(127.5, abs=0.5)
    assert not np.array_equal(dataset.train.images[:100], dataset.test.images)


def test_random_data_are_always_the_same_and_of_the_size_asked_for() -> None:
    one, again = (random_data.random_dataset(train_images=20, test_images=10, image_size=8) for _ in range(2))
    assert one.train.images.shape == (20, 8, 8, 3)
    assert one.fingerprint == again.fingerprint
    assert len({image.tobytes() for image in (*one.train.images, *one.test.images)}) == 30
