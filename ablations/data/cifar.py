"""Read the official CIFAR archives: download if missing, verify the checksum, unpickle the batches in memory."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
import zlib
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from ablations.data.archives import ARCHIVES, SIDE, Archive
from ablations.data.dataset import Dataset, Images, Labels, Split, assemble
from ablations.data.download import download_archive, missing_message
from ablations.errors import DataError, DataMissing
from googlenet.validation import shown

IMAGE_BYTES = 3 * SIDE * SIDE


def load_archive(name: str, data_dir: Path, *, download: bool) -> Dataset:
    """Read an official CIFAR archive as images (N, 32, 32, 3); it is unpickled only after its MD5 is verified.

    Nothing is extracted to disk.

    Raises:
        DataMissing: if it is not there and `download` is False or fails.
        DataError: if it is unreadable, has another MD5, or has other contents than the official archive.
        DiskFull: if there is no room for the download.
    """
    archive = ARCHIVES[name]
    path = data_dir / archive.file_name
    try:
        if not path.is_file():
            if not download:
                raise DataMissing(missing_message(name, archive, data_dir, reason="it was not downloaded yet"))
            download_archive(name, archive, data_dir)
        with path.open("rb") as file:
            return _verify_and_read(name, archive, file)
    except OSError as error:
        why = error.strerror or error
        raise DataError(f"{path} cannot be read ({why}); correct --data-dir or the permissions there") from error


def _verify_and_read(name: str, archive: Archive, file: BufferedReader) -> Dataset:
    found = hashlib.file_digest(file, "md5").hexdigest()
    if found != archive.md5:
        raise DataError(
            f"{file.name} is damaged: its MD5 is {found}, expected {archive.md5} ({file.tell():,} bytes of "
            f"{archive.size_bytes:,}). Nothing was read from it; delete it to download it again."
        )
    file.seek(0)
    return _read(name, archive, file)


def _read(name: str, archive: Archive, file: BufferedReader) -> Dataset:
    try:
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            return assemble(
                name=name,
                title=archive.title,
                train=_read_batches(tar, archive.train_members, archive=archive),
                test=_read_batches(tar, (archive.test_member,), archive=archive),
                class_names=_read_class_names(tar, archive),
            )
    except (ValueError, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{file.name} does not hold what the official archive does: {error}; delete it to download it again"
        ) from error


def _read_batches(tar: tarfile.TarFile, members: tuple[str, ...], *, archive: Archive) -> Split:
    batches = [_read_batch(tar, member, archive=archive) for member in members]
    planes = np.concatenate([images for images, _ in batches]).reshape(-1, 3, SIDE, SIDE)
    return Split(
        images=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        labels=np.concatenate([labels for _, labels in batches]),
    )


def _read_batch(tar: tarfile.TarFile, member: str, *, archive: Archive) -> tuple[Images, Labels]:
    """Images (N, 3072), in planes of red, green and blue, and labels (N,) of one member."""
    images, labels = _unpickle(tar, member, keys=("data", archive.label_key))
    if not isinstance(images, np.ndarray):
        raise ValueError(f"the data of {member} is a {type(images).__name__}, not an array")
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != IMAGE_BYTES:
        raise ValueError(f"the data of {member} is {images.dtype} {images.shape}, not uint8 (N, {IMAGE_BYTES})")
    if not isinstance(labels, list) or len(labels) != len(images):
        raise ValueError(f"the {archive.label_key} of {member} are no list of {len(images)}, one an image")
    for label in labels:
        if not isinstance(label, int) or not 0 <= label < archive.num_classes:
            raise ValueError(f"the label {shown(label)} in {member} is not in 0 to {archive.num_classes - 1}")
    return images, np.asarray(labels, dtype=np.int64)


def _read_class_names(tar: tarfile.TarFile, archive: Archive) -> tuple[str, ...]:
    (names,) = _unpickle(tar, archive.meta_member, keys=(archive.names_key,))
    if not isinstance(names, list) or len(names) != archive.num_classes or not all(isinstance(n, str) for n in names):
        raise ValueError(f"the {archive.names_key} of {archive.meta_member} are not {archive.num_classes} names")
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
