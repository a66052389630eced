"""Downloads from a real server that breaks off, stalls or sends something else, and of two processes at once."""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablations.data import download
from ablations.data.archives import ARCHIVES
from ablations.data.cifar import time
from ablations.data.download import WAITS_SECONDS
from ablations.data.registry import load_dataset
from ablations.errors import DataError, DataMissing

ROOT = Path(__file__).resolve().parents[2]
NAME = "cifar100"
ARCHIVE = ARCHIVES[NAME]
WAITS_SECONDS = WAITS_SECONDS


def small_archive() -> bytes:
    batch = {"data": np.random.default_rng(0).integers(0, 256, (20, 3072), np.uint8), "fine_labels": list(range(20))}
    members: dict[str, Any] = {name: batch for name in (*ARCHIVE.train_members, ARCHIVE.test_member)}
    members[ARCHIVE.meta_member] = {"fine_label_names": [f"class {number}" for number in range(100)]}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, value in members.items():
            content = pickle.dumps(value, protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


CONTENT = small_archive()


class Server(ThreadingHTTPServer):
    """Counts downloads, and answers each as `answers` says, the last answer again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[str] = ["all"]
        self.downloads = 0
        self.begun = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{ARCHIVE.file_name}"


class Handler(BaseHTTPRequestHandler):
    """Sends the archive, or what the server's next answer says instead."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        if self.headers["Method"] == "HEAD":  # torchvision's look for redirections, before each download
            self.send_response(200)
            self.end_headers()
            return
        self.connection.settimeout(60)  # the client's default timeout is this process's
        self.server.downloads += 1
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(503 if answer == "error" else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"all": CONTENT, "half": CONTENT[: len(CONTENT) // 2], "other": b"x" * len(CONTENT)}.get(answer, b"")
        self.wfile.write(body[:100])
        self.wfile.flush()
        self.server.begun.set()
        self.server.may_go_on.wait(timeout=60)
        self.wfile.write(body[100:])
        if answer == "stall":
            self.connection.recv(1)  # until the other side has had enough

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the archive, from which it is downloaded without waiting between attempts."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    changed = ARCHIVE._replace(url=server.url, md5=hashlib.md5(CONTENT).hexdigest(), size_bytes=len(CONTENT))
    monkeypatch.setitem(ARCHIVES, NAME, changed)
    monkeypatch.setattr(download, "WAITS_SECONDS", (0.0, 0.0))
    yield server
    server.may_go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_tried_again_after_each_kind_of_failure(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = ["half", "error", "all"]
    assert len(load_dataset(NAME, tmp_path).train) == 20
    assert server.downloads == 3
    assert names(tmp_path) == [ARCHIVE.file_name]
    assert (tmp_path / ARCHIVE.file_name).read_bytes() == CONTENT
    assert [(record.name, record.levelno) for record in caplog.records] == [("ablations.archives", logging.WARNING)] * 2
    assert caplog.messages == [
        f"download of {server.url}, attempt 1 of 3, failed: what came has another MD5; trying again in 0 s",
        f"download of {server.url}, attempt 2 of 3, failed: HTTP Error 503: Service Unavailable; trying again in 0 s",
    ]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            "half",
            DataError,
            f"sent something else .* its MD5 is .* \\({len(CONTENT) // 2:,} bytes of {len(CONTENT):,}\\)",
        ),
        ("other", DataError, "sent something else than .* Nothing was kept; try again, or put the file into"),
        ("error", DataMissing, "503: Service Unavailable.* Put the file there by hand"),
        ("stall", DataMissing, "timed out.* Put the file there by hand"),
    ],
)
def test_the_third_failure_is_the_last_and_leaves_nothing(
    answer: str,
    error: type[DataError],
    said: str,
    server: Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 0.2 if answer == "stall" else 60.0)
    server.answers = [answer]
    with pytest.raises(error, match=said) as raised:
        load_dataset(NAME, tmp_path)
    assert type(raised.value) is error and raised.value.exit_status == 4
    assert server.downloads == 3
    assert names(tmp_path) == []
    assert [message.rpartition("; ")[2] for message in caplog.messages] == ["trying again in 0 s"] * 2 + ["giving up"]


def test_the_waits_between_attempts_grow(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS_SECONDS", WAITS_SECONDS)
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    server.answers = ["error"]
    with pytest.raises(DataMissing):
        load_dataset(NAME, tmp_path)
    assert len(waited) == 2
    assert 0 < waited[0] < waited[1] <= 10


def test_while_it_downloads_no_file_looks_complete(server: Server, tmp_path: Path) -> None:
    server.may_go_on.clear()
    loading = threading.Thread(target=lambda: load_dataset(NAME, tmp_path))
    loading.start()
    assert server.begun.wait(timeout=60)
    assert not (tmp_path / ARCHIVE.file_name).exists()
    server.may_go_on.set()
    loading.join(timeout=60)
    assert names(tmp_path) == [ARCHIVE.file_name]


# With the standard library's download in the place of torchvision's, which takes seconds to import.
LOADER = """
import logging, sys, types, urllib.request
from pathlib import Path
from ablations import archives, datasets

def download_url(url, root, filename):
    urllib.request.urlretrieve(url, Path(root, filename))

for module in ("torchvision", "torchvision.datasets", "torchvision.datasets.utils"):
    sys.modules[module] = types.ModuleType(module)
sys.modules["torchvision.datasets.utils"].download_url = download_url

logging.basicConfig(stream=sys.stdout, format="%(message)s")
url, md5, size, name, folder = sys.argv[1:]
archives.ARCHIVES[name] = archives.ARCHIVES[name]._replace(url=url, md5=md5, size_bytes=int(size))
print("fingerprint", datasets.load(name, Path(folder)).fingerprint, flush=True)
"""


@pytest.fixture
def start_loading(server: Server, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts processes that load the archive from the same empty folder."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        arguments = [server.url, hashlib.md5(CONTENT).hexdigest(), str(len(CONTENT)), NAME, str(tmp_path)]
        command = [sys.executable, "-u", "-c", LOADER, *arguments]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def line_that_begins(process: subprocess.Popen[str], *beginnings: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginnings):
            return line
    raise AssertionError(f"the process ended without a line that begins with {beginnings}")


def test_of_two_processes_one_downloads_and_the_other_waits_for_it(
    server: Server, start_loading: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    server.may_go_on.clear()
    first = start_loading()
    assert server.begun.wait(timeout=60)
    second = start_loading()
    assert line_that_begins(second, "another") == (
        f"another process is downloading {tmp_path / ARCHIVE.file_name}; waiting for it\n"
    )
    server.may_go_on.set()
    assert line_that_begins(first, "fingerprint") == line_that_begins(second, "fingerprint")
    assert server.downloads == 1
    assert names(tmp_path) == [ARCHIVE.file_name]


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
def test_the_one_that_waits_takes_over_from_one_that_is_killed(
    server: Server, start_loading: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    server.may_go_on.clear()
    first = start_loading()
    assert server.begun.wait(timeout=60)
    second = start_loading()
    line_that_begins(second, "another")
    first.kill()
    first.wait()
    server.may_go_on.set()
    assert line_that_begins(second, "fingerprint")
    assert server.downloads == 2
    assert names(tmp_path) == [ARCHIVE.file_name], "what the killed one had got is gone"
