"""Atomic writes: a file is replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ablations.errors import DiskFull

FULL = (errno.ENOSPC, errno.EDQUOT)  # no space on the disk, or in the quota


@contextmanager
def replacing(path: Path, *, needed_bytes: int = 0) -> Iterator[Path]:
    """Replace `path` atomically: yield a temporary path in its folder; on success fsync it and rename it to `path`.

    A process killed at any moment leaves the old file or the new one, never a part. Missing folders are created.
    `needed_bytes`, the size of the new file as far as it is known, is for the error message.

    Raises:
        DiskFull: if the disk or a quota has no room for the file; the old one is unchanged.
    """
    # The process id alone is not unique: machines and containers may share the folder.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except Exception as error:
        written = temporary.stat().st_size if temporary.is_file() else 0
        _remove(temporary)  # before the free space is measured
        raise_if_full(error, path, needed_bytes=max(written, needed_bytes))
        raise
    finally:
        _remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, as UTF-8; invalid Unicode, as in undecodable paths, is escaped.

    Raises:
        DiskFull: if the disk or a quota has no room for it.
    """
    content = text.encode("utf-8", errors="backslashreplace")
    with replacing(path, needed_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def _remove(temporary: Path) -> None:
    with suppress(OSError):  # do not hide the first error
        temporary.unlink(missing_ok=True)


def raise_if_full(error: Exception, path: Path, *, needed_bytes: int) -> None:
    """Raise DiskFull if `error`, or an error that caused it, is a full disk or quota; otherwise return.

    torch.save, for one, raises a RuntimeError from the OSError.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            raise DiskFull(
                f"{path} cannot be written ({os.strerror(cause.errno)}): it needs at least {needed_bytes:,} bytes and "
                f"{_free_bytes(path):,} are free. What it held before is unchanged; free some space and start again"
            ) from error
        cause = cause.__cause__ or cause.__context__


def _free_bytes(path: Path) -> int:
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    return shutil.disk_usage(folder).free
