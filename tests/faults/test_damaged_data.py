"""Archives that are damaged, or whose members are not what they should be: one clear error, and nothing written."""

from __future__ import annotations

import hashlib
import io
import pickle
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import run_all
from ablations.data.archives import ARCHIVES
from ablations.data.registry import load_dataset
from ablations.errors import DataError

NAME = "cifar10"
ARCHIVE = ARCHIVES[NAME]
BATCH = ARCHIVE.train_members[2]
Contents = dict[str, Any]


def sound() -> Contents:
    """What the members hold: two images a batch."""
    batch = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 9]}
    contents: Contents = {name: dict(batch) for name in (*ARCHIVE.train_members, ARCHIVE.test_member)}
    contents[ARCHIVE.meta_member] = {"label_names": [f"class {number}" for number in range(10)]}
    return contents


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def add_special(tar: tarfile.TarFile, name: str, kind: bytes, *, target: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    tar.addfile(info)


def pack(contents: Contents, *, hostile: Callable[[tarfile.TarFile], None] = lambda tar: None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for name, value in contents.items():
            add(tar, name, value if isinstance(value, bytes) else pickle.dumps(value, protocol=2))
        hostile(tar)
    return buffer.getvalue()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder inside another, which a member named ``../x`` would reach."""
    folder = tmp_path / "outer" / "data"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def trusted(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """Puts an archive in place and pins its checksum, so that it is read."""

    def put(content: bytes) -> Path:
        md5 = hashlib.md5(content).hexdigest()
        monkeypatch.setitem(ARCHIVES, NAME, ARCHIVE._replace(md5=md5, size_bytes=len(content)))
        path = data_dir / ARCHIVE.file_name
        path.write_bytes(content)
        return path

    return put


@pytest.fixture
def main(tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], tuple[int, str]]]:
    """Runs the suite; gives exit status and standard error."""
    handler = signal.getsignal(signal.SIGTERM)

    def call() -> tuple[int, str]:
        given = ["--suite", NAME, "--data-dir", str(data_dir), "--results", str(tmp_path / "results")]
        status = run_all.main([*given, "--device", "cpu"])
        return status, capsys.readouterr().err

    yield call
    signal.signal(signal.SIGTERM, handler)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda good: b"", id="empty"),
        pytest.param(lambda good: good[: len(good) // 2], id="truncated"),
        pytest.param(lambda good: good[:300] + bytes([good[300] ^ 1]) + good[301:], id="one-bit"),
    ],
)
def test_a_damaged_archive_ends_with_4_and_both_checksums_and_is_not_unpickled(
    damage: Callable[[bytes], bytes],
    trusted: Callable[[bytes], Path],
    main: Callable[[], tuple[int, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = pack(sound())
    path = trusted(good)
    bad = damage(good)
    path.write_bytes(bad)

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "loads", fail)
    monkeypatch.setattr(tarfile, "open", fail)
    status, err = main()
    assert status == 4
    assert err == (
        f"error: {path} is damaged: its MD5 is {hashlib.md5(bad).hexdigest()}, expected "
        f"{hashlib.md5(good).hexdigest()} ({len(bad):,} bytes of {len(good):,}). Nothing was read from it; delete it "
        "to download it again.\n"
    )
    assert files_below(tmp_path) == [path]


HOSTILE: list[Any] = [
    pytest.param(lambda tar: add(tar, "../escaped", b"x"), id="parent"),
    pytest.param(lambda tar: add(tar, f"{ARCHIVE.test_member}/../../../escaped", b"x"), id="parent-inside"),
    pytest.param(lambda tar: add(tar, "/tmp/escaped-from-an-archive", b"x"), id="absolute"),
    pytest.param(lambda tar: add_special(tar, "link", tarfile.SYMTYPE, target="/etc/passwd"), id="symlink"),
    pytest.param(lambda tar: add_special(tar, "hard", tarfile.LNKTYPE, target="/etc/passwd"), id="hard-link"),
    pytest.param(lambda tar: add_special(tar, "pipe", tarfile.FIFOTYPE), id="pipe"),
    pytest.param(lambda tar: add_special(tar, "device", tarfile.CHRTYPE), id="device"),
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_members_beside_the_data_write_nothing(
    hostile: Callable[[tarfile.TarFile], None], trusted: Callable[[bytes], Path], data_dir: Path, tmp_path: Path
) -> None:
    path = trusted(pack(sound(), hostile=hostile))
    assert len(load_dataset(NAME, data_dir).train) == 10
    assert files_below(tmp_path) == [path]
    assert not Path("/tmp/escaped-from-an-archive").exists()


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, ARCHIVE.train_members[0].rpartition("/")[2]),
        (tarfile.LNKTYPE, ARCHIVE.train_members[0]),
        *((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.FIFOTYPE, ""), (tarfile.CHRTYPE, ""), (tarfile.DIRTYPE, "")),
    ],
    ids=["link-inside", "hard-link-inside", "link-outside", "pipe", "device", "folder"],
)
def test_a_member_that_is_no_file_is_refused(
    kind: bytes, target: str, trusted: Callable[[bytes], Path], data_dir: Path, tmp_path: Path
) -> None:
    contents = sound()
    del contents[BATCH]
    path = trusted(pack(contents, hostile=lambda tar: add_special(tar, BATCH, kind, target=target)))
    with pytest.raises(DataError, match=f"the member {BATCH} is a link, a folder or a device, not a file") as raised:
        load_dataset(NAME, data_dir)
    assert str(path) in str(raised.value)
    assert files_below(tmp_path) == [path]


def batch(**changes: Any) -> Contents:
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
    (ARCHIVE.meta_member, {}, "has no key 'label_names'"),
    (ARCHIVE.meta_member, {"label_names": ["cat"] * 9}, "are not 10 names"),
    (ARCHIVE.meta_member, {"label_names": [1] * 10}, "are not 10 names"),
    *((name, None, f"there is no member {name}") for name in (BATCH, ARCHIVE.test_member, ARCHIVE.meta_member)),
]


@pytest.mark.parametrize(("member", "content", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_a_member_that_does_not_hold_the_data_is_named(
    member: str, content: Any, said: str, trusted: Callable[[bytes], Path], main: Callable[[], tuple[int, str]]
) -> None:
    contents = sound()
    if content is None:
        del contents[member]
    else:
        contents[member] = content
    path = trusted(pack(contents))
    with pytest.raises(DataError, match=said) as raised:
        load_dataset(NAME, path.parent)
    assert str(path) in str(raised.value) and member in str(raised.value)
    assert main() == (4, f"error: {raised.value}\n")


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", pack(sound())[:200], pack(sound())[:100] + b"\0" * 40 + pack(sound())[140:]],
    ids=["empty", "text", "cut", "zeros"],
)
def test_what_is_no_archive_is_an_error_even_with_its_checksum(
    content: bytes, trusted: Callable[[bytes], Path], main: Callable[[], tuple[int, str]]
) -> None:
    path = trusted(content)
    status, err = main()
    assert status == 4
    assert err.startswith(f"error: {path} does not hold what the official archive does: ") and err.count("\n") == 1


def test_an_archive_that_may_not_be_read_is_named(
    trusted: Callable[[bytes], Path], main: Callable[[], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trusted(pack(sound()))
    before = Path.open

    def refuse(opened: Path, *given: Any, **options: Any) -> Any:  # root may read anything
        if opened == path:
            raise PermissionError(13, "Permission denied", str(opened))
        return before(opened, *given, **options)

    monkeypatch.setattr(Path, "open", refuse)
    said = "cannot be read (Permission denied); correct --data-dir or the permissions there"
    assert main() == (4, f"error: {path} {said}\n")
