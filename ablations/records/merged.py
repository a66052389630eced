"""Where a run that was trained in another results folder came from: its file ``merged.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ablations.errors import ConfigError
from ablations.storage import atomic
from ablations.storage.serialization import from_plain, parse_json, to_plain

FILE_NAME = "merged.json"  # in a run's folder


@dataclass(frozen=True, kw_only=True)
class FileChecksum:
    """A file by its path in the run's folder, and its SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The suite's folders that a run was merged from, the first one first, and the checksums of what was copied."""

    sources: tuple[str, ...]
    files: tuple[FileChecksum, ...]


def write(run_path: Path, merged: Merged) -> None:
    """Write a run's ``merged.json``."""
    atomic.write_text(run_path / FILE_NAME, json.dumps(to_plain(merged), indent=1) + "\n")


def read(run_path: Path) -> Merged | None:
    """Where a run came from; None if it was trained here.

    Raises:
        ConfigError: if its ``merged.json`` is damaged.
    """
    path = run_path / FILE_NAME
    if not path.is_file():
        return None
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"{path} is not valid JSON ({error}); remove it, and the report no longer says where the run came from"
        ) from error
    return from_plain(Merged, data, where=str(path))
