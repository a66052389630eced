"""Load a dataset by name. No dataset needs torch."""

from __future__ import annotations

from pathlib import Path

from ablations.data.archives import ARCHIVES
from ablations.data.cifar import LAYOUTS, load_cifar
from ablations.data.dataset import Dataset
from ablations.data.digits import load_digits
from ablations.data.idx import load_idx
from ablations.data.image_folder import MAX_IMAGE_SIZE, load_folder
from ablations.errors import ConfigError
from googlenet.validation import check_choice, check_count

DATASETS = ("digits", *ARCHIVES, "folder")


def load_dataset(name: str, data_dir: Path, *, image_size: int | None = None, download: bool = True) -> Dataset:
    """Load a dataset by name.

    Args:
        name: one of `DATASETS`.
        data_dir: folder of the official archives, or of train/ and test/ (folder); unused for digits.
        image_size: height and width to resize a folder's images to, 1 to 1024; None requires 32x32 images.
        download: download a missing archive; False raises DataMissing instead.

    Raises:
        ConfigError: if the name is unknown, or `image_size` is not in 1 to 1024 or given for another dataset than
            folder.
        DataMissing: if the data is not there and cannot be downloaded.
        DataError: if the data is damaged or unreadable, or has no usable images.
        DiskFull: if there is no room for a download.
    """
    try:
        check_choice("dataset", name, DATASETS)
        check_count("--image-size", 1 if image_size is None else image_size, high=MAX_IMAGE_SIZE)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if name == "folder":
        return load_folder(data_dir, image_size=image_size)
    if image_size is not None:
        raise ConfigError(
            f"--image-size {image_size} goes with --suite folder or --dataset folder only; {name} has a fixed size"
        )
    if name == "digits":
        return load_digits()
    load = load_cifar if name in LAYOUTS else load_idx
    return load(name, data_dir, download=download)
