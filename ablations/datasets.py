"""The datasets by name, and the embedded digits.

Neither this module nor those that it reads with import torch, unless an archive has to be downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from googlenet.checks import check_choice, check_count

from .archives import ARCHIVES, load_archive
from .errors import ConfigError
from .image_folder import MAX_IMAGE_SIZE, load_folder
from .splits import SPLIT_SEED, Dataset, Split, assemble

DATASETS = ("digits", *ARCHIVES, "folder")


def load(name: str, data_dir: Path, *, image_size: int | None = None, download: bool = True) -> Dataset:
    """Load a dataset.

    Args:
        name: one of `DATASETS`.
        data_dir: where archives are kept (cifar10, cifar100), or the tree to read (folder).
        image_size: side to which a folder's images are resized, at most 1024; by default they must be 32x32.
        download: whether a missing archive may be downloaded.

    Raises:
        ConfigError: if the name is unknown, or `image_size` is not in 1 to 1024 or given for a dataset whose size is
            fixed.
        DataMissing: if the data is not there.
        DataError: if the data is damaged, may not be read or has no usable images.
    """
    try:
        check_choice("dataset", name, DATASETS)
        check_count("--image-size", 1 if image_size is None else image_size, high=MAX_IMAGE_SIZE)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if name == "folder":
        return load_folder(data_dir, image_size=image_size)
    if image_size is not None:
        raise ConfigError(f"--image-size {image_size} goes with --suite folder only; {name} has a fixed size")
    return load_digits() if name == "digits" else load_archive(name, data_dir, download=download)


def load_digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits (UCI Optical Recognition) as (N, 8, 8, 3), one fifth for testing."""
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
