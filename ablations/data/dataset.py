"""A dataset once it is read: its images and labels, its fingerprint, and the parts that a run trains on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ablations.errors import SealBroken

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images (N, H, W, 3) as uint8 and labels (N,) as int64."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The images and labels at these positions."""
        return Split(images=self.images[indices], labels=self.labels[indices])


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Training and test images of one size. `fingerprint` is the SHA-256 of all images, labels and class names."""

    name: str
    title: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    fingerprint: str

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        """Side of an image in pixels."""
        return self.train.images.shape[1]


class SealedTest:
    """A dataset's test images, which a run may read once, after its last choice; `accesses` counts.

    Raises:
        SealBroken: on a second access.
    """

    def __init__(self, test: Split) -> None:
        self._test = test
        self.accesses = 0

    def open(self) -> Split:
        """The test images, for the result that is reported."""
        self.accesses += 1
        if self.accesses > 1:
            raise SealBroken(
                f"the test images were asked for {self.accesses} times in one run; a run reads them once, after its "
                "last epoch, and chooses by a validation split (validation_fraction of the recipe)"
            )
        return self._test

    def peek(self) -> Split:
        """The test images for the diagnostic of selection bias, of which no choice and no result may come."""
        return self._test


def assemble(*, name: str, title: str, train: Split, test: Split, class_names: tuple[str, ...]) -> Dataset:
    """The dataset of these splits, with its fingerprint; their arrays become read-only."""
    digest = hashlib.sha256()
    for part in _fingerprint_parts(train, test, class_names):
        digest.update(part)
    for array in (train.images, train.labels, test.images, test.labels):
        array.setflags(write=False)  # every run of a suite reads the same arrays
    return Dataset(
        name=name, title=title, train=train, test=test, class_names=class_names, fingerprint=digest.hexdigest()
    )


def _fingerprint_parts(train: Split, test: Split, class_names: tuple[str, ...]) -> Iterator[bytes | memoryview]:
    yield "\n".join(class_names).encode(errors="surrogateescape")
    for split in (train, test):
        yield f"{split.images.shape}".encode()
        yield np.ascontiguousarray(split.images).data
        yield split.labels.astype("<i8").tobytes()
