"""A dataset in memory: training and test images, labels, class names and a fingerprint; access to the test set."""

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
    """Images (N, H, W, C) as uint8, of 1 or 3 channels, with their labels (N,) as int64."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The images and labels at `indices`, in that order."""
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
        """Height and width of an image in pixels."""
        return self.train.images.shape[1]

    @property
    def channels(self) -> int:
        """Channels of an image, 1 or 3."""
        return self.train.images.shape[3]


class SealedTest:
    """The test set, which a run may read once, after its last epoch; `accesses` counts the reads."""

    def __init__(self, test: Split) -> None:
        self._test = test
        self.accesses = 0

    def open(self) -> Split:
        """Return the test set for the reported result.

        Raises:
            SealBroken: on the second call.
        """
        self.accesses += 1
        if self.accesses > 1:
            raise SealBroken(
                f"the test images were asked for {self.accesses} times in one run; a run reads them once, after its "
                "last epoch, and chooses by a validation split (validation_fraction of the recipe)"
            )
        return self._test

    def peek(self) -> Split:
        """Return the test set for the selection-bias diagnostic only: no choice and no result may depend on it."""
        return self._test


def assemble(*, name: str, title: str, train: Split, test: Split, class_names: tuple[str, ...]) -> Dataset:
    """Build a dataset from its splits: compute the fingerprint and make the arrays read-only."""
    digest = hashlib.sha256()
    for part in _fingerprint_parts(train, test, class_names):
        digest.update(part)
    for array in (train.images, train.labels, test.images, test.labels):
        array.setflags(write=False)  # all runs of a suite share them
    return Dataset(
        name=name, title=title, train=train, test=test, class_names=class_names, fingerprint=digest.hexdigest()
    )


def _fingerprint_parts(train: Split, test: Split, class_names: tuple[str, ...]) -> Iterator[bytes | memoryview]:
    yield "\n".join(class_names).encode(errors="surrogateescape")
    for split in (train, test):
        yield f"{split.images.shape}".encode()
        yield np.ascontiguousarray(split.images).data
        yield split.labels.astype("<i8").tobytes()
