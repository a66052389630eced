"""Read MNIST and Fashion-MNIST: gzipped files of unsigned bytes in the IDX format."""

from __future__ import annotations

import gzip
import math
import struct
from io import BufferedReader
from pathlib import Path

import numpy as np

from ablations.data.archive_files import decoding, open_archive
from ablations.data.archives import ARCHIVES, Archive
from ablations.data.dataset import Dataset, Images, Split, assemble

UNSIGNED_BYTE = 8  # the type of the values, in the header's third byte
CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "mnist": (
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ),
}


def load_idx(name: str, data_dir: Path, *, download: bool) -> Dataset:
    """Read MNIST or Fashion-MNIST as images (N, 28, 28, 1).

    Raises:
        DataMissing: if a file is not there and `download` is False or fails.
        DataError: if a file is unreadable, has another MD5, or has other contents than the official one.
        DiskFull: if there is no room for the download.
    """
    archive = ARCHIVES[name]
    with open_archive(name, data_dir, download=download) as files:
        train_images, train_labels, test_images, test_labels = files
        return assemble(
            name=name,
            title=archive.title,
            train=_read_split(train_images, train_labels, archive=archive),
            test=_read_split(test_images, test_labels, archive=archive),
            class_names=CLASS_NAMES[name],
        )


def _read_split(images_file: BufferedReader, labels_file: BufferedReader, *, archive: Archive) -> Split:
    with decoding(images_file):
        images = parse(gzip.GzipFile(fileobj=images_file).read(), dimensions=3)
        if images.shape[1:] != (archive.image_size, archive.image_size):
            raise ValueError(f"its shape is {images.shape}, not (N, {archive.image_size}, {archive.image_size})")
    with decoding(labels_file):
        labels = parse(gzip.GzipFile(fileobj=labels_file).read(), dimensions=1)
        if len(labels) != len(images):
            raise ValueError(f"it has {len(labels)} labels for {len(images)} images")
        if len(labels) == 0 or labels.max() >= archive.num_classes:
            raise ValueError(f"its labels are not in 0 to {archive.num_classes - 1}")
    return Split(images=images[..., None], labels=labels.astype(np.int64))


def parse(content: bytes, *, dimensions: int) -> Images:
    """The array of unsigned bytes that `content` holds in the IDX format.

    Its header is two zero bytes, the type of the values, the number of dimensions, and each dimension as a big-endian
    32-bit integer (http://yann.lecun.com/exdb/mnist).

    Raises:
        ValueError: if the type or the number of dimensions is another, or the header announces another number of
            values than there are.
    """
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if content[:4] != magic:
        raise ValueError(f"it begins with the bytes {content[:4].hex(' ')!r}, not {magic.hex(' ')!r}")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError(f"its header of {start} bytes ends after {len(content)}")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    announced, found = math.prod(shape), len(content) - start
    if found != announced:
        raise ValueError(f"its header announces {shape}, {announced:,} bytes, and {found:,} follow")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
