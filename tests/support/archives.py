"""Small archives with the layout of the official ones, CIFAR's and MNIST's, and few images."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ablations.data.archives import ARCHIVES, ArchiveFile
from ablations.data.cifar import LAYOUTS

Members = dict[str, Any]


def small_members(name: str, *, images: int = 2) -> Members:
    """The content of each member, with random images; see https://www.cs.toronto.edu/~kriz/cifar.html."""
    layout, rng = LAYOUTS[name], np.random.default_rng(0)
    members: Members = {}
    for member in (*layout.train_members, layout.test_member):
        labels = rng.integers(0, layout.num_classes, images).tolist()
        members[member] = {"data": rng.integers(0, 256, (images, 3072), np.uint8), layout.label_key: labels}
    members[layout.meta_member] = {layout.names_key: [f"class {number}" for number in range(layout.num_classes)]}
    return members


def add_file(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def pack(members: Members, *, more: Callable[[tarfile.TarFile], None] = lambda tar: None) -> bytes:
    """A .tar.gz of these members: bytes as they are, anything else pickled; `more` adds to it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for name, value in members.items():
            add_file(tar, name, value if isinstance(value, bytes) else pickle.dumps(value, protocol=2))
        more(tar)
    return buffer.getvalue()


def idx_bytes(values: NDArray[np.uint8], *, kind: int = 8, dimensions: int | None = None) -> bytes:
    """These values in the IDX format, before compression; see http://yann.lecun.com/exdb/mnist."""
    shape = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes((0, 0, kind, values.ndim if dimensions is None else dimensions)) + shape + values.tobytes()


def small_idx_files(name: str, *, images: int = 6) -> dict[str, bytes]:
    """The content of each of the archive's files before compression, with random images."""
    archive, rng = ARCHIVES[name], np.random.default_rng(0)
    contents = {}
    for number, file in enumerate(archive.files):
        shape, high = ((images, 28, 28), 256) if number % 2 == 0 else ((images,), archive.num_classes)
        contents[file.name] = idx_bytes(rng.integers(0, high, shape, np.uint8))
    return contents


def pin(monkeypatch: pytest.MonkeyPatch, name: str, contents: Mapping[str, bytes], **changes: Any) -> None:
    """Let `contents` be the archive's official files: pin their checksums and sizes, and other `changes` of them."""
    files = (
        file._replace(md5=hashlib.md5(contents[file.name]).hexdigest(), size_bytes=len(contents[file.name]), **changes)
        for file in ARCHIVES[name].files
    )
    monkeypatch.setitem(ARCHIVES, name, ARCHIVES[name]._replace(files=tuple(files)))


def pin_cifar(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, **changes: Any) -> ArchiveFile:
    """Let `content` be the only file of a CIFAR archive, with other `changes`."""
    pin(monkeypatch, name, {ARCHIVES[name].files[0].name: content}, **changes)
    return ARCHIVES[name].files[0]


def write_idx(monkeypatch: pytest.MonkeyPatch, name: str, data_dir: Path, contents: Mapping[str, bytes]) -> Path:
    """Compress `contents` into the archive's folder, and pin their checksums; return the folder."""
    folder = data_dir / ARCHIVES[name].folder
    folder.mkdir(parents=True, exist_ok=True)
    compressed = {file_name: gzip.compress(content, mtime=0) for file_name, content in contents.items()}
    for file_name, content in compressed.items():
        (folder / file_name).write_bytes(content)
    pin(monkeypatch, name, compressed)
    return folder
