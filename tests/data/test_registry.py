"""The embedded digits against scikit-learn's, and datasets by name."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits as sklearn_digits

from ablations.data.dataset import Dataset
from ablations.data.digits import load_digits
from ablations.data.registry import load_dataset
from ablations.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


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


def test_digits_load_without_torch() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ablations import datasets\n"
        "digits = datasets.load('digits', Path('nowhere'))\n"
        "print(len(digits.train), 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1437", "False"]


def test_loaded_arrays_are_read_only(digits: Dataset) -> None:
    for array in (digits.train.images, digits.train.labels, digits.test.images, digits.test.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100"])
def test_an_image_size_is_for_folders_only(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--image-size 16 .*--suite folder") as caught:
        load_dataset(name, tmp_path, image_size=16)
    assert caught.value.exit_status == 2


def test_an_unknown_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'cifar' is unknown; allowed: digits, .*did you mean 'cifar10'\?"):
        load_dataset("cifar", tmp_path)


def test_a_split_and_a_dataset_are_frozen(digits: Dataset) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.fingerprint = ""  # pyright: ignore[reportAttributeAccessIssue]
