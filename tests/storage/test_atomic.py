"""Files that are there whole or not at all, also after an exception or a kill."""

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
        assert temporary.parent == path.parent  # another folder could be another file system, where no rename is whole
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


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_content_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_leaves_no_file_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), replacing(tmp_path / "report.md") as temporary:
        temporary.write_text("half")
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []


def test_content_is_on_disk_before_it_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_killed_process_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ablations.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary, temporary.open('w') as file:\n"
        "    file.write('half of the n')\n"
        "    file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    # What the killed process left is not in the way of the next one.
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


def test_two_writers_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ablations.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('theirs')\n"
        "    print(temporary.name)\n"
    )
    path = tmp_path / "report.md"
    with replacing(path) as temporary:
        temporary.write_text("ours")
        run = subprocess.run(
            [sys.executable, "-c", code, str(path)], cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert run.stdout.strip() != temporary.name
        assert path.read_text() == "theirs"
    assert path.read_text() == "ours"


def test_what_is_no_unicode_is_written_as_an_escape(tmp_path: Path) -> None:
    write_text(tmp_path / "report.md", os.fsdecode(b"a\xff"))
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == "a\\udcff"


def test_two_writers_of_one_file_never_share_a_temporary_one(tmp_path: Path) -> None:
    # Processes of two containers may have one number, as these two have.
    path = tmp_path / "report.md"
    with replacing(path) as ours, replacing(path) as theirs:
        ours.write_text("ours")
        theirs.write_text("theirs")
        assert ours.read_text() == "ours"
    assert path.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_error_is_the_one_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(OSError) as raised, replacing(tmp_path / "folder" / "report.md"):
        pass
    assert raised.value.errno in (errno.ENOTDIR, errno.EEXIST) and "folder" in str(raised.value.filename)
