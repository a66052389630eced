"""The files of an official archive on this machine: downloaded if missing, opened once their checksums are right."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path

from ablations.data.archives import ARCHIVES, ArchiveFile
from ablations.data.download import download_files, missing_message
from ablations.errors import DataError, DataMissing


@contextmanager
def open_archive(name: str, data_dir: Path, *, download: bool) -> Iterator[list[BufferedReader]]:
    """Open the files of an official archive, in the order of its table, after their MD5s are verified.

    Raises:
        DataMissing: if one is not there and `download` is False or fails.
        DataError: if one cannot be read or has another MD5.
        DiskFull: if there is no room for the download.
    """
    archive = ARCHIVES[name]
    folder = data_dir / archive.folder
    try:
        missing = [file for file in archive.files if not (folder / file.name).is_file()]
        if missing and not download:
            raise DataMissing(missing_message(name, missing, folder, reason="not downloaded yet"))
        if missing:
            download_files(name, missing, folder)
        with ExitStack() as stack:
            opened = [stack.enter_context((folder / file.name).open("rb")) for file in archive.files]
            for reader, file in zip(opened, archive.files, strict=True):
                _verify(reader, file)
            yield opened
    except OSError as error:
        why = error.strerror or error
        path = folder if error.filename is None else error.filename
        raise DataError(f"{path} cannot be read ({why}); correct --data-dir or the permissions there") from error


def _verify(reader: BufferedReader, file: ArchiveFile) -> None:
    found = hashlib.file_digest(reader, "md5").hexdigest()
    if found != file.md5:
        raise DataError(
            f"{reader.name} is damaged: its MD5 is {found}, expected {file.md5} ({reader.tell():,} bytes of "
            f"{file.size_bytes:,}). Nothing was read from it; delete it to download it again."
        )
    reader.seek(0)


@contextmanager
def decoding(file: BufferedReader) -> Iterator[None]:
    """Convert the errors of decoding a file's content to a DataError that names the file."""
    try:
        yield
    except (ValueError, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{file.name} does not hold what the official archive does: {error}; delete it to download it again"
        ) from error
