"""Downloads from a local server that breaks off, stalls or sends something else, and two downloads at once."""

from __future__ import annotations

import gc
import hashlib
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from ablations.data import download
from ablations.data.archives import ARCHIVES
from ablations.data.registry import load_dataset
from ablations.errors import DataError, DataMissing, DiskFull
from tests.support.archives import pack, pin, pin_cifar, small_members

# pooch leaves the connection of a failed attempt to the garbage collector, which runs at the end of each test.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

NAME = "cifar100"
FILE_NAME = ARCHIVES[NAME].files[0].name
CONTENT = pack(small_members(NAME, images=20))
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers the downloads in turn as `answers` says, repeating the last answer, and counts them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[str] = ["all"]
        self.downloads = 0
        self.started = threading.Semaphore(0)  # released when a download has sent its first bytes
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{FILE_NAME}"


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self.connection.settimeout(60)
        self.server.downloads += 1
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(503 if answer == "error" else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"all": CONTENT, "half": CONTENT[: len(CONTENT) // 2], "other": b"x" * len(CONTENT)}.get(answer, b"")
        self.wfile.write(body[:100])
        self.wfile.flush()
        self.server.started.release()
        self.server.may_go_on.wait(timeout=60)
        self.wfile.write(body[100:])
        if answer == "stall":
            self.connection.recv(1)  # until the client closes the connection

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the archive; pooch does not wait between attempts."""
    gc.freeze()  # so that collecting below looks at this test's objects only
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    pin_cifar(monkeypatch, NAME, CONTENT, url=server.url)
    monkeypatch.setattr(pooch.core.time, "sleep", lambda seconds: None)  # pyright: ignore[reportAttributeAccessIssue]
    yield server
    server.may_go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()
    gc.collect()
    gc.unfreeze()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_says_how_to_get_the_file(error: DataMissing, folder: Path, *, url: str, md5: str, size: str) -> None:
    assert error.exit_status == 4
    message = str(error)
    assert "\n" not in message
    for part in (f"{FILE_NAME} is not in {folder}", "by hand", f"{size} bytes", md5, url, "--suite digits"):
        assert part in message


def test_a_download_is_retried_and_ends_with_the_archive_alone(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = ["half", "error", "all"]
    folder = tmp_path / "new" / "data"
    first = load_dataset(NAME, folder)
    assert server.downloads == 3
    assert names(folder) == [FILE_NAME]
    assert (folder / FILE_NAME).read_bytes() == CONTENT
    assert [message.partition(" ")[0] for message in caplog.messages] == ["Downloading", "Failed", "Failed"]
    assert server.url in caplog.messages[0] and "2 more times" in caplog.messages[1]
    assert capsys.readouterr().err == "", "without a terminal there is no progress bar"

    assert load_dataset(NAME, folder).fingerprint == first.fingerprint
    assert server.downloads == 3, "the file is used"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("half", "IncompleteRead"),
        ("other", f"expected md5:{MD5} but got {hashlib.md5(b'x' * len(CONTENT)).hexdigest()}"),
        ("error", "503 Server Error"),
        ("stall", "Read timed out"),
    ],
    ids=["half", "other", "error", "stall"],  # a generated archive's MD5 differs between test workers
)
def test_after_the_third_failure_the_error_says_what_to_do_and_no_file_is_left(
    answer: str, reason: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.1 if answer == "stall" else 60.0)
    server.answers = [answer]
    with pytest.raises(DataMissing) as raised:
        load_dataset(NAME, tmp_path)
    assert f"the download from {server.url} failed (" in str(raised.value) and reason in str(raised.value)
    assert_says_how_to_get_the_file(raised.value, tmp_path, url=server.url, md5=MD5, size=f"{len(CONTENT):,}")
    assert server.downloads == 3
    assert names(tmp_path) == []


def test_without_a_server_the_error_says_what_to_do(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://127.0.0.1:1/x"  # a reserved port on which nothing listens
    pin_cifar(monkeypatch, NAME, CONTENT, url=url)
    with pytest.raises(DataMissing, match="Connection refused") as raised:
        load_dataset(NAME, tmp_path)
    assert_says_how_to_get_the_file(raised.value, tmp_path, url=url, md5=MD5, size=f"{len(CONTENT):,}")


def test_of_several_files_those_that_came_are_kept_and_the_others_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ARCHIVES["mnist"].files
    pin(monkeypatch, "mnist", {file.name: CONTENT for file in files}, url=server.url)
    server.answers = ["all", "all", "error"]
    with pytest.raises(DataMissing, match="503 Server Error") as raised:
        load_dataset("mnist", tmp_path)
    folder = tmp_path / "mnist"
    assert str(raised.value).startswith(f"mnist: {files[2].name}, {files[3].name} are not in {folder} (the download")
    assert names(folder) == sorted(file.name for file in files[:2])
    assert server.downloads == 2 + 3
    server.answers = ["all"]
    with pytest.raises(DataError, match="does not hold what the official archive does"):  # it is CIFAR's
        load_dataset("mnist", tmp_path)
    assert names(folder) == sorted(file.name for file in files)
    assert server.downloads == 5 + 2, "those that are there are used"


def test_a_missing_archive_is_not_downloaded_unasked(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataMissing) as raised:
        load_dataset(NAME, tmp_path, download=False)
    assert_says_how_to_get_the_file(raised.value, tmp_path, url=server.url, md5=MD5, size=f"{len(CONTENT):,}")
    assert server.downloads == 0
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_created_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataMissing, match="Not a directory"):
        load_dataset(NAME, tmp_path / "file" / "data")


def test_two_downloads_at_once_use_files_of_their_own(server: Server, tmp_path: Path) -> None:
    """pooch renames a temporary file once its checksum is right, so the archive is never there in part."""
    server.may_go_on.clear()
    with ThreadPoolExecutor() as pool:
        loading = [pool.submit(load_dataset, NAME, tmp_path) for _ in range(2)]
        for _ in loading:
            assert server.started.acquire(timeout=60)
        assert not (tmp_path / FILE_NAME).exists()
        server.may_go_on.set()
        first, second = (future.result(timeout=60) for future in loading)
    assert first.fingerprint == second.fingerprint
    assert server.downloads == 2
    assert names(tmp_path) == [FILE_NAME]
    assert (tmp_path / FILE_NAME).read_bytes() == CONTENT


def test_a_disk_without_room_is_named_with_both_sizes(server: Server, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(DiskFull, match=rf"{FILE_NAME} cannot be written .* at least {len(CONTENT):,} bytes and 0 are"):
        load_dataset(NAME, small_disk)
    assert server.downloads == 1, "another attempt would not help"
    assert names(small_disk) == ["filler"]


def test_on_a_terminal_there_is_a_progress_bar(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    load_dataset(NAME, tmp_path)
    assert "100%" in capsys.readouterr().err
