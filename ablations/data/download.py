"""Download the files of an official archive with pooch: retries, checksums, and progress bars on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ablations.data.archives import ArchiveFile
from ablations.errors import DataMissing
from ablations.storage.atomic import raise_if_full

logger = logging.getLogger(__name__)

RETRIES = 2
TIMEOUT_SECONDS = 60.0  # to connect, and between two packets


def download_files(name: str, files: Sequence[ArchiveFile], folder: Path) -> None:
    """Download the files of the dataset `name` into `folder`, which is created if it is missing.

    pooch writes to a temporary file and renames it once its MD5 is right, so a broken download leaves no file, and
    processes that download at the same time do not disturb each other.

    Raises:
        DataMissing: if the last attempt at a file fails, or it has another MD5; earlier files are kept.
        DiskFull: if the disk or a quota has no room for a file.
    """
    import pooch  # takes 0.2 s, and is needed once per archive

    log = pooch.get_logger()  # writes to standard error by default
    log.handlers, log.parent = [], logger
    log.setLevel(logging.INFO)
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=2**16, timeout=TIMEOUT_SECONDS)
    for number, file in enumerate(files):
        try:
            pooch.create(
                path=folder.absolute(),
                base_url="",
                registry={file.name: f"md5:{file.md5}"},
                urls={file.name: file.url},
                retry_if_failed=RETRIES,
            ).fetch(file.name, downloader=downloader)  # pyright: ignore[reportArgumentType]: pooch's own class
        except (OSError, ValueError) as error:  # network and disk errors; another MD5
            raise_if_full(error, folder / file.name, needed_bytes=file.size_bytes)
            reason = f"the download from {file.url} failed ({error})"
            raise DataMissing(missing_message(name, files[number:], folder, reason=reason)) from error


def missing_message(name: str, files: Sequence[ArchiveFile], folder: Path, *, reason: str) -> str:
    """Say why the files are missing and how to get them by hand."""
    names = ", ".join(file.name for file in files)
    listed = "; ".join(f"{file.name}, {file.size_bytes:,} bytes, MD5 {file.md5}, from {file.url}" for file in files)
    verb, objects, them = ("is", "file", "it") if len(files) == 1 else ("are", "files", "them")
    return (
        f"{name}: {names} {verb} not in {folder} ({reason}). Put the {objects} there by hand: {listed}. "
        f"Without {them}, --suite digits works at once."
    )
