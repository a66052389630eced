"""Atomic writes: the old file or the new one is there, also after an exception or a kill."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ablations.errors import DiskFull
from ablations.storage.atomic import replacing, write_text

ROOT = Path(__file__).resolve().parents[2]


def test_a_new_file_appears_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "report.md"
    with replacing(path) as temporary:
        assert temporary.parent == path.parent  # a rename across file systems is not atomic
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_an_old_file_is_whole_until_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", [True, False], ids=["old-file", "no-file"])
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        ValueError("stop"),
        RuntimeError("torch"),
        KeyboardInterrupt(),
        SystemExit(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_is_passed_on_and_leaves_the_folder_as_it_was(
    tmp_path: Path, error: BaseException, old: bool
) -> None:
    path = tmp_path / "report.md"
    if old:
        path.write_text("old")
    with pytest.raises(type(error)) as raised, replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert raised.value is error
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"] * old


def test_content_is_synced_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    synced: list[tuple[bytes, str]] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((os.pread(descriptor, 100, 0), path.read_text()))

    monkeypatch.setattr(os, "fsync", record)
    write_text(path, "new")
    assert synced == [(b"new", "old")]


@pytest.mark.process
def test_a_killed_process_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ablations.storage.atomic import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary, temporary.open('w') as file:\n"
        "    file.write('half of the n')\n"
        "    file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    # Its temporary file does not disturb the next writer.
    write_text(path, "new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("step", [(Path, "replace"), (os, "fsync")], ids=lambda step: step[1])
def test_a_failing_disk_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[object, str]
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "report.md"
    path.write_text("old")
    monkeypatch.setattr(*step, fail)
    with pytest.raises(DiskFull, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "first\nsecond\n", "± 0.1 %\n"])
def test_text_is_written_as_utf8_with_plain_newlines(tmp_path: Path, text: str) -> None:
    write_text(tmp_path / "report.md", text)
    assert (tmp_path / "report.md").read_bytes() == text.encode("utf-8")


def test_invalid_unicode_is_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "report.md", os.fsdecode(b"a\xff"))
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == "a\\udcff"


def test_two_writers_of_one_file_use_different_temporary_files(tmp_path: Path) -> None:
    # With the same process id, as processes of two containers may have.
    path = tmp_path / "report.md"
    with replacing(path) as ours, replacing(path) as theirs:
        ours.write_text("ours")
        theirs.write_text("theirs")
        assert ours.read_text() == "ours"
    assert path.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_folder_is_not_hidden_by_the_cleanup(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(OSError) as raised, replacing(tmp_path / "folder" / "report.md"):
        pass
    assert raised.value.errno in (errno.ENOTDIR, errno.EEXIST) and "folder" in str(raised.value.filename)
