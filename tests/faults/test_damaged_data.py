"""Damaged archives, and archives whose members are not what they should be: one clear error, and nothing written."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablations.data.cifar import LAYOUTS
from ablations.data.registry import load_dataset
from ablations.errors import DataError
from tests.support.archives import Members, add_file, pack, pin_cifar, small_members

NAME = "cifar10"
LAYOUT = LAYOUTS[NAME]
BATCH = LAYOUT.train_members[2]
GOOD = pack(small_members(NAME))


def add_special(tar: tarfile.TarFile, name: str, kind: bytes, *, target: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    tar.addfile(info)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder inside another, which a member named ``../x`` would reach."""
    folder = tmp_path / "outer" / "data"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def trusted(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """Writes an archive and pins its checksum, so that it is read."""

    def write(content: bytes) -> Path:
        path = data_dir / pin_cifar(monkeypatch, NAME, content).name
        path.write_bytes(content)
        return path

    return write


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda good: b"", id="empty"),
        pytest.param(lambda good: good[: len(good) // 2], id="truncated"),
        pytest.param(lambda good: good[:300] + bytes([good[300] ^ 1]) + good[301:], id="one-bit"),
        pytest.param(lambda good: b"<html>404</html>", id="another-file"),
        pytest.param(lambda good: good + b"\0", id="longer"),
    ],
)
def test_nothing_is_unpickled_from_a_damaged_archive_and_the_error_names_both_checksums(
    damage: Callable[[bytes], bytes], trusted: Callable[[bytes], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trusted(GOOD)
    bad = damage(GOOD)
    path.write_bytes(bad)

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("unpickled")

    for function in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, function, fail)
    monkeypatch.setattr(tarfile, "open", fail)
    with pytest.raises(DataError) as raised:
        load_dataset(NAME, path.parent)
    assert raised.value.exit_status == 4
    assert str(raised.value) == (
        f"{path} is damaged: its MD5 is {hashlib.md5(bad).hexdigest()}, expected {hashlib.md5(GOOD).hexdigest()} "
        f"({len(bad):,} bytes of {len(GOOD):,}). Nothing was read from it; delete it to download it again."
    )
    assert files_below(tmp_path) == [path]
    assert path.read_bytes() == bad, "it may be all that the user has"


HOSTILE: list[Any] = [
    pytest.param(lambda tar: add_file(tar, "../escaped", b"x"), id="parent"),
    pytest.param(lambda tar: add_file(tar, f"{LAYOUT.test_member}/../../../escaped", b"x"), id="parent-inside"),
    pytest.param(lambda tar: add_file(tar, "/tmp/escaped-from-an-archive", b"x"), id="absolute"),
    pytest.param(lambda tar: add_special(tar, "link", tarfile.SYMTYPE, target="/etc/passwd"), id="symlink"),
    pytest.param(lambda tar: add_special(tar, "hard", tarfile.LNKTYPE, target="/etc/passwd"), id="hard-link"),
    pytest.param(lambda tar: add_special(tar, "pipe", tarfile.FIFOTYPE), id="pipe"),
    pytest.param(lambda tar: add_special(tar, "device", tarfile.CHRTYPE), id="device"),
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_members_beside_the_data_write_nothing(
    hostile: Callable[[tarfile.TarFile], None], trusted: Callable[[bytes], Path], data_dir: Path, tmp_path: Path
) -> None:
    path = trusted(pack(small_members(NAME), more=hostile))
    assert len(load_dataset(NAME, data_dir).train) == 10
    assert files_below(tmp_path) == [path]
    assert not Path("/tmp/escaped-from-an-archive").exists()


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, LAYOUT.train_members[0].rpartition("/")[2]),
        (tarfile.LNKTYPE, LAYOUT.train_members[0]),
        *((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.FIFOTYPE, ""), (tarfile.CHRTYPE, ""), (tarfile.DIRTYPE, "")),
    ],
    ids=["link-inside", "hard-link-inside", "link-outside", "pipe", "device", "folder"],
)
def test_a_member_that_is_no_file_is_refused(
    kind: bytes, target: str, trusted: Callable[[bytes], Path], data_dir: Path, tmp_path: Path
) -> None:
    contents = small_members(NAME)
    del contents[BATCH]
    path = trusted(pack(contents, more=lambda tar: add_special(tar, BATCH, kind, target=target)))
    with pytest.raises(DataError, match=f"the member {BATCH} is a link, a folder or a device, not a file") as raised:
        load_dataset(NAME, data_dir)
    assert str(path) in str(raised.value)
    assert files_below(tmp_path) == [path]


def batch(**changes: Any) -> Members:
    return {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 9], **changes}


WRONG: list[Any] = [
    (BATCH, {"labels": [0, 9]}, "has no key 'data'"),
    (BATCH, {"data": np.zeros((2, 3072), np.uint8)}, "has no key 'labels'"),
    (BATCH, batch(data=np.zeros((2, 3071), np.uint8)), r"uint8 \(2, 3071\), not uint8 \(N, 3072\)"),
    (BATCH, batch(data=np.zeros((2, 32, 96), np.uint8)), r"uint8 \(2, 32, 96\)"),
    (BATCH, batch(data=np.zeros((), np.uint8)), r"uint8 \(\)"),
    (BATCH, batch(data=np.zeros((2, 3072))), r"float64 \(2, 3072\)"),
    (BATCH, batch(data="pixels"), "is a str, not an array"),
    (BATCH, batch(labels=[0]), "the labels of .* are no list of 2, one an image"),
    (BATCH, batch(labels=5), "the labels of .* are no list of 2"),
    (BATCH, batch(labels=[0, 10]), "the label 10 in .* is not in 0 to 9"),
    (BATCH, batch(labels=[-1, 0]), "the label -1 in"),
    (BATCH, batch(labels=[0, 1.5]), r"the label 1\.5 in"),
    (BATCH, batch(labels=[0, "1"]), "the label '1' in"),
    (BATCH, [1, 2], "holds a list, not a dict"),
    (BATCH, b"", "cannot be unpickled"),
    (BATCH, b"no pickle", "cannot be unpickled"),
    (BATCH, b"cno_such_module\nname\n.", "cannot be unpickled"),
    (LAYOUT.meta_member, {}, "has no key 'label_names'"),
    (LAYOUT.meta_member, {"label_names": ["cat"] * 9}, "are not 10 names"),
    (LAYOUT.meta_member, {"label_names": [1] * 10}, "are not 10 names"),
    *((name, None, f"there is no member {name}") for name in (BATCH, LAYOUT.test_member, LAYOUT.meta_member)),
]


@pytest.mark.parametrize(("member", "content", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_a_member_that_does_not_hold_the_data_is_named(
    member: str, content: Any, said: str, trusted: Callable[[bytes], Path]
) -> None:
    contents = small_members(NAME)
    if content is None:
        del contents[member]
    else:
        contents[member] = content
    path = trusted(pack(contents))
    with pytest.raises(DataError, match=said) as raised:
        load_dataset(NAME, path.parent)
    assert str(path) in str(raised.value) and member in str(raised.value)
    assert raised.value.exit_status == 4 and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        pack(small_members(NAME))[:200],
        pack(small_members(NAME))[:100] + b"\0" * 40 + pack(small_members(NAME))[140:],
    ],
    ids=["empty", "text", "cut", "zeros"],
)
def test_a_file_that_is_no_archive_is_refused_even_with_the_right_checksum(
    content: bytes, trusted: Callable[[bytes], Path]
) -> None:
    path = trusted(content)
    with pytest.raises(DataError) as raised:
        load_dataset(NAME, path.parent)
    message = str(raised.value)
    assert message.startswith(f"{path} does not hold what the official archive does: ") and "\n" not in message


def test_an_unreadable_archive_is_named(trusted: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = trusted(GOOD)
    before = Path.open

    def refuse(opened: Path, *given: Any, **options: Any) -> Any:  # root may read anything
        if opened == path:
            raise PermissionError(13, "Permission denied", str(opened))
        return before(opened, *given, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError) as raised:
        load_dataset(NAME, path.parent)
    said = "cannot be read (Permission denied); correct --data-dir or the permissions there"
    assert str(raised.value) == f"{path} {said}"
