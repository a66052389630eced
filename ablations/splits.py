"""A dataset once it is read: its images and labels, its fingerprint, and the parts that a run trains on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .draws import draw_seed
from .errors import ConfigError, SealBroken

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

SPLIT_SEED = 0  # of splits and subsets that belong to the data and not to a run


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


def limit(split: Split, count: int | None) -> Split:
    """A stratified subset of `count` images, the same for every seed; everything for None.

    Raises:
        ConfigError: if the split has fewer images, or more classes, than that.
    """
    if count is None:
        return split
    classes = len(np.unique(split.labels))
    if not classes <= count <= len(split):
        raise ConfigError(
            f"--limit-train {count:,}: use at least {classes:,}, one image a class, and at most {len(split):,}, which "
            "is all there are"
        )
    return split.take(np.sort(_stratified_order(split.labels, seed=SPLIT_SEED)[:count]))


def held_out_count(images: int, fraction: float) -> int:
    """How many of `images` a recipe holds out for validation: none for fraction 0, otherwise at least one."""
    return max(1, round(images * fraction)) if fraction else 0


def hold_out(split: Split, *, fraction: float, seed: int) -> tuple[Split, Split | None]:
    """The split without a stratified `fraction`, and that fraction for validation (None for fraction 0)."""
    count = held_out_count(len(split), fraction)
    if not count:
        return split, None
    purpose_seed = draw_seed(seed, purpose="validation-split") % 2**32  # numpy takes 32 bits
    order = _stratified_order(split.labels, seed=purpose_seed)
    return split.take(np.sort(order[count:])), split.take(np.sort(order[:count]))


def _stratified_order(labels: Labels, *, seed: int) -> NDArray[np.int64]:
    """Positions in a random order whose every beginning holds each class in proportion, to within one image.

    scikit-learn's stratified splits refuse to leave fewer images out than there are classes.
    """
    shuffled = np.random.RandomState(seed).permutation(len(labels))  # a stream that numpy has frozen
    place_in_class = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place_in_class[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place_in_class[shuffled], kind="stable")]
