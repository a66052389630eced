"""Read the official CIFAR archives: the batches are unpickled in memory once the archive's checksum is verified."""

from __future__ import annotations

import pickle
import tarfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ablations.data.archive_files import decoding, open_archive
from ablations.data.archives import ARCHIVES
from ablations.data.dataset import Dataset, Images, Labels, Split, assemble
from googlenet.validation import shown

SIDE = 32  # pixels
IMAGE_BYTES = 3 * SIDE * SIDE
ALIGN_WARNING = r"dtype\(\): align should be passed"


class Layout(NamedTuple):
    """Where the data is in an archive: its members, and the keys in them."""

    train_members: tuple[str, ...]
    test_member: str
    meta_member: str
    label_key: str
    names_key: str
    num_classes: int


# https://www.cs.toronto.edu/~kriz/cifar.html
LAYOUTS: dict[str, Layout] = {
    "cifar10": Layout(
        train_members=tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
        test_member="cifar-10-batches-py/test_batch",
        meta_member="cifar-10-batches-py/batches.meta",
        label_key="labels",
        names_key="label_names",
        num_classes=10,
    ),
    "cifar100": Layout(
        train_members=("cifar-100-python/train",),
        test_member="cifar-100-python/test",
        meta_member="cifar-100-python/meta",
        label_key="fine_labels",
        names_key="fine_label_names",
        num_classes=100,
    ),
}


def load_cifar(name: str, data_dir: Path, *, download: bool) -> Dataset:
    """Read CIFAR-10 or CIFAR-100 as images (N, 32, 32, 3); nothing is extracted to disk.

    Raises:
        DataMissing: if the archive is not there and `download` is False or fails.
        DataError: if it is unreadable, has another MD5, or has other contents than the official archive.
        DiskFull: if there is no room for the download.
    """
    layout = LAYOUTS[name]
    with (
        open_archive(name, data_dir, download=download) as (file,),
        decoding(file),
        tarfile.open(fileobj=file, mode="r:gz") as tar,
    ):
        return assemble(
            name=name,
            title=ARCHIVES[name].title,
            train=_read_batches(tar, layout.train_members, layout=layout),
            test=_read_batches(tar, (layout.test_member,), layout=layout),
            class_names=_read_class_names(tar, layout),
        )


def _read_batches(tar: tarfile.TarFile, members: tuple[str, ...], *, layout: Layout) -> Split:
    batches = [_read_batch(tar, member, layout=layout) for member in members]
    planes = np.concatenate([images for images, _ in batches]).reshape(-1, 3, SIDE, SIDE)
    return Split(
        images=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        labels=np.concatenate([labels for _, labels in batches]),
    )


def _read_batch(tar: tarfile.TarFile, member: str, *, layout: Layout) -> tuple[Images, Labels]:
    """Images (N, 3072), in planes of red, green and blue, and labels (N,) of one member."""
    images, labels = _unpickle(tar, member, keys=("data", layout.label_key))
    if not isinstance(images, np.ndarray):
        raise ValueError(f"the data of {member} is a {type(images).__name__}, not an array")
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != IMAGE_BYTES:
        raise ValueError(f"the data of {member} is {images.dtype} {images.shape}, not uint8 (N, {IMAGE_BYTES})")
    if not isinstance(labels, list) or len(labels) != len(images):
        raise ValueError(f"the {layout.label_key} of {member} are no list of {len(images)}, one an image")
    for label in labels:
        if not isinstance(label, int) or not 0 <= label < layout.num_classes:
            raise ValueError(f"the label {shown(label)} in {member} is not in 0 to {layout.num_classes - 1}")
    return images, np.asarray(labels, dtype=np.int64)


def _read_class_names(tar: tarfile.TarFile, layout: Layout) -> tuple[str, ...]:
    (names,) = _unpickle(tar, layout.meta_member, keys=(layout.names_key,))
    if not isinstance(names, list) or len(names) != layout.num_classes or not all(isinstance(n, str) for n in names):
        raise ValueError(f"the {layout.names_key} of {layout.meta_member} are not {layout.num_classes} names")
    return tuple(names)


def _unpickle(tar: tarfile.TarFile, name: str, *, keys: tuple[str, ...]) -> list[Any]:
    """Unpickle the member `name`, a dict, and return the values of `keys`.

    Raises:
        ValueError: if it is missing, no regular file, no pickled dict, or lacks a key.
    """
    try:
        member = tar.getmember(name)
    except KeyError as error:
        raise ValueError(f"there is no member {name}") from error
    file = tar.extractfile(member) if member.isreg() else None  # extractfile follows links
    if file is None:
        raise ValueError(f"the member {name} is a link, a folder or a device, not a file")
    try:
        with warnings.catch_warnings():
            # Numpy 2.4.0 to 2.4.4 warn of dtypes as old versions pickled them.
            warnings.filterwarnings("ignore", ALIGN_WARNING, np.exceptions.VisibleDeprecationWarning)
            # Safe: the archive's checksum was verified, so this is the publishers' own pickle.
            content = pickle.loads(file.read(), encoding="latin1")
    except Exception as error:  # a broken pickle can raise any exception
        raise ValueError(f"the member {name} cannot be unpickled ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"the member {name} holds a {type(content).__name__}, not a dict")
    for key in keys:
        if key not in content:
            raise ValueError(f"the member {name} has no key {key!r}")
    return [content[key] for key in keys]
