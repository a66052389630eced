"""Stratified subsets: limit the training images, or hold some out for validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ablations.data.dataset import Labels, Split
from ablations.errors import ConfigError
from ablations.seeding import derive_seed

SPLIT_SEED = 0  # for splits that are the same in every run


def limit(split: Split, count: int | None) -> Split:
    """Return a stratified subset of `count` images, the same for every run seed; the whole split for None.

    Raises:
        ConfigError: if `count` is below the number of classes or above the number of images.
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
    """Number of images held out for validation: 0 for fraction 0, otherwise at least 1."""
    return max(1, round(images * fraction)) if fraction else 0


def hold_out(split: Split, *, fraction: float, seed: int) -> tuple[Split, Split | None]:
    """Split off a stratified `fraction` for validation: (training, validation), validation being None for 0."""
    count = held_out_count(len(split), fraction)
    if not count:
        return split, None
    purpose_seed = derive_seed(seed, purpose="validation-split") % 2**32  # numpy takes 32 bits
    order = _stratified_order(split.labels, seed=purpose_seed)
    return split.take(np.sort(order[count:])), split.take(np.sort(order[:count]))


def _stratified_order(labels: Labels, *, seed: int) -> NDArray[np.int64]:
    """Random order (N,) of which every prefix is stratified: each class has its share, to within one image.

    scikit-learn's stratified splits refuse to leave out fewer images than there are classes.
    """
    shuffled = np.random.RandomState(seed).permutation(len(labels))  # numpy guarantees this stream across versions
    rank_in_class = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        rank_in_class[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(rank_in_class[shuffled], kind="stable")]
