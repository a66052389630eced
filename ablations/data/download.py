"""TODO"""

from __future__ import annotations

import hashlib
import http.client
import logging
import socket
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

import filelock

from ablations.data.archives import Archive
from ablations.errors import DataError, DataMissing
from ablations.storage.atomic import replacing

logger = logging.getLogger(__name__)

WAITS_SECONDS = (1.0, 4.0)  # after the first and the second attempt to download; the third is the last
STALL_SECONDS = 60.0


def download_once(name: str, archive: Archive, data_dir: Path) -> None:
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
        raise DataMissing(missing_message(name, archive, data_dir, reason=reason)) from error


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
                found = md5_of(file)
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
        raise DataMissing(missing_message(name, archive, data_dir, reason=reason)) from error


@contextmanager
def _stalls_end() -> Iterator[None]:
    """Inside, a connection on which nothing comes any more ends in a TimeoutError; torchvision would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def missing_message(name: str, archive: Archive, data_dir: Path, *, reason: str) -> str:
    return (
        f"{name}: the archive {archive.file_name} is not in {data_dir} and {reason}. Put the file there by hand: "
        f"{archive.file_name}, {archive.size_bytes:,} bytes, MD5 {archive.md5}, from {archive.url}. "
        "Without it, --suite digits works at once."
    )


def md5_of(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "md5").hexdigest()
