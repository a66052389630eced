"""The digits dataset that comes with scikit-learn: 1,797 images of 8x8 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ablations.data.dataset import Dataset, Split, assemble
from ablations.data.subsets import SPLIT_SEED


def load_digits() -> Dataset:
    """Load scikit-learn's handwritten digits as RGB (N, 8, 8, 3): 1,437 for training, 360 for testing, stratified.

    Source: https://archive.ics.uci.edu/dataset/80 (test part), as in `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits as load_sklearn_digits
    from sklearn.model_selection import train_test_split

    bunch: Any = load_sklearn_digits()
    gray = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # pixel values are counts from 0 to 16
    images = np.repeat(gray[..., None], 3, axis=3)
    labels = bunch.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=SPLIT_SEED)
    everything = Split(images=images, labels=labels)
    return assemble(
        name="digits",
        title="handwritten digits of scikit-learn",
        train=everything.take(np.asarray(train)),
        test=everything.take(np.asarray(test)),
        class_names=tuple(str(digit) for digit in bunch.target_names),
    )
