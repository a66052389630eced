"""The datasets by name, and the embedded digits.

Neither this module nor those that it reads with import torch, unless an archive has to be downloaded.
"""

from __future__ import annotations

from pathlib import Path

from ablations.data.archives import ARCHIVES
from ablations.data.cifar import load_archive
from ablations.data.dataset import Dataset
from ablations.data.digits import load_digits
from ablations.data.image_folder import MAX_IMAGE_SIZE, load_folder
from ablations.errors import ConfigError
from googlenet.validation import check_choice, check_count

DATASETS = ("digits", *ARCHIVES, "folder")


def load_dataset(name: str, data_dir: Path, *, image_size: int | None = None, download: bool = True) -> Dataset:
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
