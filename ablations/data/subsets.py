"""TODO"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ablations.data.dataset import Labels, Split
from ablations.errors import ConfigError
from ablations.seeding import derive_seed

SPLIT_SEED = 0  # of splits and subsets that belong to the data and not to a run


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
    purpose_seed = derive_seed(seed, purpose="validation-split") % 2**32  # numpy takes 32 bits
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
