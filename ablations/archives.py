"""The official CIFAR archives: downloaded once, verified, and read without being unpacked."""

from __future__ import annotations

import hashlib
import http.client
import logging
import pickle
import socket
import tarfile
import time
import urllib.error
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np

from googlenet.checks import shown

from .errors import DataError, DataMissing
from .files import replacing
from .splits import Dataset, Images, Labels, Split, assemble

logger = logging.getLogger(__name__)

WAITS_SECONDS = (1.0, 4.0)  # after the first and the second attempt to download; the third is the last
STALL_SECONDS = 60.0
SIDE = 32  # of an image, in pixels
IMAGE_BYTES = 3 * SIDE * SIDE


class Archive(NamedTuple):
    """An official CIFAR archive: what reports call it, where it comes from, its checksum, and its members by role."""

    title: str
    url: str
    file_name: str
    size_bytes: int
    md5: str
    train_members: tuple[str, ...]
    test_member: str
    meta_member: str
    label_key: str
    names_key: str
    num_classes: int
    train_images: int
    test_images: int


# https://www.cs.toronto.edu/~kriz/cifar.html; the checksums are those that torchvision pins.
ARCHIVES: dict[str, Archive] = {
    "cifar10": Archive(
        title="CIFAR-10",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        file_name="cifar-10-python.tar.gz",
        size_bytes=170_498_071,
        md5="c58f30108f718f92721af3b95e74349a",
        train_members=tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
        test_member="cifar-10-batches-py/test_batch",
        meta_member="cifar-10-batches-py/batches.meta",
        label_key="labels",
        names_key="label_names",
        num_classes=10,
        train_images=50_000,
        test_images=10_000,
    ),
    "cifar100": Archive(
        title="CIFAR-100",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        file_name="cifar-100-python.tar.gz",
        size_bytes=169_001_437,
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        train_members=("cifar-100-python/train",),
        test_member="cifar-100-python/test",
        meta_member="cifar-100-python/meta",
        label_key="fine_labels",
        names_key="fine_label_names",
        num_classes=100,
        train_images=50_000,
        test_images=10_000,
    ),
}


def load_archive(name: str, data_dir: Path, *, download: bool) -> Dataset:
    """Read an official CIFAR archive without unpacking it; it is unpickled only after its checksum is right.

    Raises:
        DataMissing: if it is not there, and was not to be downloaded or could not be.
        DataError: if it may not be read, is not the official archive, or does not hold what that holds.
        DiskFull: if there is no room to download it.
    """
    archive = ARCHIVES[name]
    path = data_dir / archive.file_name
    try:
        if not path.is_file():
            if not download:
                raise DataMissing(_missing_message(name, archive, data_dir, reason="it was not downloaded yet"))
            _download_once(name, archive, data_dir)
        with path.open("rb") as file:
            return _verify_and_read(name, archive, file)
    except OSError as error:
        why = error.strerror or error
        raise DataError(f"{path} cannot be read ({why}); correct --data-dir or the permissions there") from error


def _verify_and_read(name: str, archive: Archive, file: BufferedReader) -> Dataset:
    found = _md5(file)
    if found != archive.md5:
        raise DataError(
            f"{file.name} is damaged: its MD5 is {found}, expected {archive.md5} ({file.tell():,} bytes of "
            f"{archive.size_bytes:,}). Nothing was read from it; delete it to download it again."
        )
    file.seek(0)
    return _read(name, archive, file)


def _download_once(name: str, archive: Archive, data_dir: Path) -> None:
    """Download the archive, unless another process is at it: then wait, and take what that has downloaded."""
    path = data_dir / archive.file_name
    try:
        with _downloading(path):
            if not path.is_file():
                for left_behind in data_dir.glob(f".{archive.file_name}.*.tmp"):  # by a killed process
                    left_behind.unlink()
                _download(name, archive, data_dir)
    except OSError as error:
        reason = f"{data_dir} cannot be written ({error})"
        raise DataMissing(_missing_message(name, archive, data_dir, reason=reason)) from error


@contextmanager
def _downloading(path: Path) -> Iterator[None]:
    """Inside, no other process downloads this file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.warning("another process is downloading %s; waiting for it", path)
        lock.acquire()
    try:
        yield
    finally:
        # Before the release, for whoever waits looks for the archive first. Windows deletes no file that is open.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def _download(name: str, archive: Archive, data_dir: Path) -> None:
    for attempt, wait_seconds in enumerate((*WAITS_SECONDS, None), start=1):
        try:
            _attempt_download(name, archive, data_dir)
            return
        except DataError as error:
            now = "giving up" if wait_seconds is None else f"trying again in {wait_seconds:g} s"
            found = error.__cause__ or "what came has another MD5"
            logger.warning("download of %s, attempt %d of 3, failed: %s; %s", archive.url, attempt, found, now)
            if wait_seconds is None:
                raise
            time.sleep(wait_seconds)


def _attempt_download(name: str, archive: Archive, data_dir: Path) -> None:
    from torchvision.datasets.utils import download_url

    try:
        with replacing(data_dir / archive.file_name, needed_bytes=archive.size_bytes) as partial:
            with _stalls_end():
                download_url(archive.url, str(partial.parent), filename=partial.name)
            with partial.open("rb") as file:
                found = _md5(file)
            if found != archive.md5:
                raise DataError(
                    f"{name}: {archive.url} sent something else than {archive.file_name}: its MD5 is {found}, "
                    f"expected {archive.md5} ({partial.stat().st_size:,} bytes of {archive.size_bytes:,}). Nothing was "
                    f"kept; try again, or put the file into {data_dir} by hand."
                )
    # torchvision gives up on redirections with a RecursionError, and a cut connection is an HTTPException.
    except (OSError, http.client.HTTPException, RecursionError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # its connection
        reason = f"the download from {archive.url} failed ({error})"
        raise DataMissing(_missing_message(name, archive, data_dir, reason=reason)) from error


@contextmanager
def _stalls_end() -> Iterator[None]:
    """Inside, a connection on which nothing comes any more ends in a TimeoutError; torchvision would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _missing_message(name: str, archive: Archive, data_dir: Path, *, reason: str) -> str:
    return (
        f"{name}: the archive {archive.file_name} is not in {data_dir} and {reason}. Put the file there by hand: "
        f"{archive.file_name}, {archive.size_bytes:,} bytes, MD5 {archive.md5}, from {archive.url}. "
        "Without it, --suite digits works at once."
    )


def _md5(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "md5").hexdigest()


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
    """A member's images (N, 3072), colour plane by colour plane, and its labels (N,)."""
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
    """The values of these keys in the pickled dict that is the member of that name."""
    try:
        member = tar.getmember(name)
    except KeyError as error:
        raise ValueError(f"there is no member {name}") from error
    file = tar.extractfile(member) if member.isreg() else None  # of a link it would follow the target
    if file is None:
        raise ValueError(f"the member {name} is a link, a folder or a device, not a file")
    try:
        # The archive's checksum was verified, so this is the publishers' own pickle.
        content = pickle.loads(file.read(), encoding="latin1")
    except Exception as error:  # a broken pickle raises almost anything
        raise ValueError(f"the member {name} cannot be unpickled ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"the member {name} holds a {type(content).__name__}, not a dict")
    for key in keys:
        if key not in content:
            raise ValueError(f"the member {name} has no key {key!r}")
    return [content[key] for key in keys]
