"""The official CIFAR archives: downloaded once, verified, and read without being unpacked."""

from __future__ import annotations

import hashlib
import http.client
import pickle
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import DataError, DataMissing
from .files import replacing
from .splits import Dataset, Split, assemble


class Archive(NamedTuple):
    """An official CIFAR archive: where it comes from, its checksum, and its members by role."""

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


# https://www.cs.toronto.edu/~kriz/cifar.html; the checksums are those that torchvision pins.
ARCHIVES: dict[str, Archive] = {
    "cifar10": Archive(
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
    ),
    "cifar100": Archive(
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
    ),
}


def load_archive(name: str, data_dir: Path, *, download: bool) -> Dataset:
    """Read an official CIFAR archive without unpacking it; it is unpickled only after its checksum is right."""
    archive = ARCHIVES[name]
    path = data_dir / archive.file_name
    if not path.is_file():
        if not download:
            raise DataMissing(_missing_message(name, archive, data_dir, reason="it was not downloaded yet"))
        _download(name, archive, data_dir)
    found = _md5(path)
    if found != archive.md5:
        raise DataError(
            f"{path} is damaged: its MD5 is {found}, expected {archive.md5} ({path.stat().st_size:,} bytes of "
            f"{archive.size_bytes:,}). Nothing was read from it; delete it to download it again."
        )
    with tarfile.open(path, "r:gz") as tar:
        meta = _unpickle(tar, archive.meta_member)
        return assemble(
            name=name,
            title={"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}[name],
            train=_read_batches(tar, archive.train_members, label_key=archive.label_key),
            test=_read_batches(tar, (archive.test_member,), label_key=archive.label_key),
            class_names=tuple(meta[archive.names_key]),
        )


def _download(name: str, archive: Archive, data_dir: Path) -> None:
    from torchvision.datasets.utils import download_url

    path = data_dir / archive.file_name
    try:
        with replacing(path) as partial:
            download_url(archive.url, str(partial.parent), filename=partial.name)
            found = _md5(partial)
            if found != archive.md5:
                raise DataError(
                    f"{name}: {archive.url} sent something else than {archive.file_name}: its MD5 is {found}, "
                    f"expected {archive.md5}. Nothing was kept; try again, or put the file into {data_dir} by hand."
                )
    # torchvision gives up on redirections with a RecursionError, and a cut connection is an HTTPException.
    except (OSError, http.client.HTTPException, RecursionError) as error:
        reason = f"the download from {archive.url} failed ({error})"
        raise DataMissing(_missing_message(name, archive, data_dir, reason=reason)) from error


def _missing_message(name: str, archive: Archive, data_dir: Path, *, reason: str) -> str:
    return (
        f"{name}: the archive {archive.file_name} is not in {data_dir} and {reason}. Put the file there by hand: "
        f"{archive.file_name}, {archive.size_bytes:,} bytes, MD5 {archive.md5}, from {archive.url}. "
        "Without it, --suite digits works at once."
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _unpickle(tar: tarfile.TarFile, member: str) -> dict[str, Any]:
    file = tar.extractfile(member)
    if file is None:
        raise DataError(f"{tar.name}: the member {member} is not a file")
    # The archive's checksum was verified, so this is the publishers' own pickle.
    return pickle.loads(file.read(), encoding="latin1")


def _read_batches(tar: tarfile.TarFile, members: tuple[str, ...], *, label_key: str) -> Split:
    batches = [_unpickle(tar, member) for member in members]
    planes = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([np.asarray(batch[label_key], dtype=np.int64) for batch in batches])
    return Split(images=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels=labels)
