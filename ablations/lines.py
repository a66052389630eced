"""A file of one JSON object a line, appended to while a run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from . import files
from .errors import ConfigError
from .schema import from_plain, to_plain

T = TypeVar("T")


class Lines(Generic[T]):
    """The dataclass `kind`, one instance a line, in the file at `path`."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        self.path = path
        self._kind = kind

    def append(self, entry: T) -> None:
        """Append a line and hand it to the system."""
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_line(entry))

    def read(self) -> tuple[T, ...]:
        """The entries that were written whole; none if there is no file.

        Raises:
            ConfigError: if a line is damaged.
        """
        return tuple(self._entries()) if self.path.is_file() else ()

    def rewrite(self, entries: Sequence[T]) -> None:
        """Keep exactly these entries; without any, no file is made."""
        if entries or self.path.is_file():
            files.write_text(self.path, "".join(_line(entry) for entry in entries))

    def _entries(self) -> Iterator[T]:
        # The last: empty, or a line that a killed process left torn.
        for number, line in enumerate(self.path.read_bytes().split(b"\n")[:-1], start=1):
            where = f"{self.path}, line {number}"
            try:
                data = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{where} is damaged ({error}); --fresh moves the run aside") from error
            yield from_plain(self._kind, data, where=where)


def _line(entry: object) -> str:
    return json.dumps(to_plain(entry), allow_nan=False) + "\n"
