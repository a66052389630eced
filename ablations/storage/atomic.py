"""Files that are either there whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ablations.errors import DiskFull

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def replacing(path: Path, *, needed_bytes: int = 0) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it is flushed to disk and takes the place of `path`.

    A process killed at any moment leaves the old file or the new one, never a part of one. `needed_bytes` is the least
    size of the new file, if it is known, which the error then names.

    Raises:
        DiskFull: if the disk or a quota has no room for the file; the old one is unchanged.
    """
    # Processes of two machines, or containers, may have one number.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except Exception as error:
        written = temporary.stat().st_size if temporary.is_file() else 0
        _remove(temporary)  # before the free bytes are counted
        raise_if_full(error, path, needed_bytes=max(written, needed_bytes))
        raise
    finally:
        _remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Replace the file's content, whole or not at all; what is not Unicode, as in odd paths, is written as escapes.

    Raises:
        DiskFull: if the disk or a quota has no room for it.
    """
    content = text.encode("utf-8", errors="backslashreplace")
    with replacing(path, needed_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def _remove(temporary: Path) -> None:
    with suppress(OSError):  # where it cannot be there either; the error that is being raised says more
        temporary.unlink(missing_ok=True)


def raise_if_full(error: Exception, path: Path, *, needed_bytes: int) -> None:
    """Raise DiskFull if that is why `path` could not be written.

    The cause may lie behind another error: torch reports what went wrong in a write as a RuntimeError.
    """
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError) and behind.errno in FULL:
            raise DiskFull(
                f"{path} cannot be written ({os.strerror(behind.errno)}): it needs at least {needed_bytes:,} bytes and "
                f"{_free_bytes(path):,} are free. What it held before is unchanged; free some space and start again"
            ) from error
        behind = behind.__cause__ or behind.__context__


def _free_bytes(path: Path) -> int:
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    return shutil.disk_usage(folder).free
