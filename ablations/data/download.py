"""Download an official archive with pooch: retries, checksum, and a progress bar on a terminal."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from ablations.data.archives import Archive
from ablations.errors import DataMissing
from ablations.storage.atomic import raise_if_full

logger = logging.getLogger(__name__)

RETRIES = 2
TIMEOUT_SECONDS = 60.0  # to connect, and between two packets


def download_archive(name: str, archive: Archive, data_dir: Path) -> None:
    """Download the archive into `data_dir`, which is created if it is missing.

    pooch writes to a temporary file and renames it once its MD5 is right, so a broken download leaves no archive, and
    processes that download at the same time do not disturb each other.

    Raises:
        DataMissing: if the last attempt fails, or its file has another MD5.
        DiskFull: if the disk or a quota has no room for the archive.
    """
    import pooch  # takes 0.2 s, and is needed once per archive

    log = pooch.get_logger()  # writes to standard error by default
    log.handlers, log.parent = [], logger
    log.setLevel(logging.INFO)
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=2**16, timeout=TIMEOUT_SECONDS)
    try:
        pooch.create(
            path=data_dir.absolute(),
            base_url="",
            registry={archive.file_name: f"md5:{archive.md5}"},
            urls={archive.file_name: archive.url},
            retry_if_failed=RETRIES,
        ).fetch(archive.file_name, downloader=downloader)  # pyright: ignore[reportArgumentType]: pooch's own class
    except (OSError, ValueError) as error:  # network and disk errors; another MD5
        raise_if_full(error, data_dir / archive.file_name, needed_bytes=archive.size_bytes)
        reason = f"the download from {archive.url} failed ({error})"
        raise DataMissing(missing_message(name, archive, data_dir, reason=reason)) from error


def missing_message(name: str, archive: Archive, data_dir: Path, *, reason: str) -> str:
    """Say why the archive is missing and how to get it by hand."""
    return (
        f"{name}: the archive {archive.file_name} is not in {data_dir} and {reason}. Put the file there by hand: "
        f"{archive.file_name}, {archive.size_bytes:,} bytes, MD5 {archive.md5}, from {archive.url}. "
        "Without it, --suite digits works at once."
    )
