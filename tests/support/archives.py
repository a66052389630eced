"""Small CIFAR archives: the members and keys of the official ones, with few images."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ablations.data.archives import ARCHIVES, Archive

Members = dict[str, Any]


def small_members(name: str, *, images: int = 2) -> Members:
    """The content of each member, with random images; see https://www.cs.toronto.edu/~kriz/cifar.html."""
    archive, rng = ARCHIVES[name], np.random.default_rng(0)
    members: Members = {}
    for member in (*archive.train_members, archive.test_member):
        labels = rng.integers(0, archive.num_classes, images).tolist()
        members[member] = {"data": rng.integers(0, 256, (images, 3072), np.uint8), archive.label_key: labels}
    members[archive.meta_member] = {archive.names_key: [f"class {number}" for number in range(archive.num_classes)]}
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


def pin(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, **changes: Any) -> Archive:
    """Let `content` be the official archive: pin its checksum and size, and other `changes`."""
    md5 = hashlib.md5(content).hexdigest()
    archive = ARCHIVES[name]._replace(md5=md5, size_bytes=len(content), **changes)
    monkeypatch.setitem(ARCHIVES, name, archive)
    return archive
