"""JSON Lines files of one dataclass, appended to during a run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from ablations.errors import ConfigError
from ablations.storage import atomic
from ablations.storage.serialization import from_plain, parse_json, to_plain

logger = logging.getLogger(__name__)

T = TypeVar("T")


class JsonLines(Generic[T]):
    """A JSON Lines file at `path` with one instance of the dataclass `kind` per line.

    With `number`, a function of an entry, the entries must be numbered 1, 2, 3 and so on. `remedy` says what to do
    about a damaged line.
    """

    def __init__(
        self,
        path: Path,
        kind: type[T],
        *,
        number: Callable[[T], int] | None = None,
        remedy: str = "--fresh moves the run aside",
    ) -> None:
        self.path = path
        self._kind = kind
        self._number = number
        self._remedy = remedy
        self._torn: bytes | None = None  # the torn last line that was logged, to log it once

    def append(self, entry: T) -> None:
        """Append a line and flush it, so that it survives the end of this process.

        There is no fsync, which takes milliseconds: after a power failure the last epoch may have to be trained again.

        Raises:
            DiskFull: if the disk or a quota has no room for it; `read` drops a line that was written in part.
            ValueError: if the entry holds NaN or infinity.
        """
        line = _line(entry)
        try:
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(line)
        except OSError as error:
            atomic.raise_if_full(error, self.path, needed_bytes=len(line))
            raise

    def read(self) -> tuple[T, ...]:
        """Read all entries; none if there is no file.

        A torn last line, without a newline, is dropped and logged as a warning: its writer was killed.

        Raises:
            ConfigError: naming the line, if any other is damaged or has another number than its position.
        """
        return tuple(self._entries()) if self.path.is_file() else ()

    def rewrite(self, entries: Sequence[T]) -> None:
        """Replace the file atomically by these entries; with none and no file, create none.

        Raises:
            DiskFull: if the disk or a quota has no room for them; the file is unchanged.
        """
        if entries or self.path.is_file():
            atomic.write_text(self.path, "".join(_line(entry) for entry in entries))

    def _entries(self) -> Iterator[T]:
        *lines, torn = self.path.read_bytes().split(b"\n")
        if torn and torn != self._torn:
            self._torn = torn
            logger.warning(
                "%s ends in a torn line, of a write that was cut short: its %d bytes are dropped", self.path, len(torn)
            )
        for number, line in enumerate(lines, start=1):
            where = f"{self.path}, line {number}"
            try:
                data = parse_json(line)
            except ValueError as error:
                raise ConfigError(f"{where} is damaged ({error}); {self._remedy}") from error
            entry = from_plain(self._kind, data, where=where)
            if self._number is not None and self._number(entry) != number:
                raise ConfigError(
                    f"{where} says that it is number {self._number(entry)}: lines are lost, doubled or out of order; "
                    f"{self._remedy}"
                )
            yield entry


def _line(entry: object) -> str:
    return json.dumps(to_plain(entry), allow_nan=False) + "\n"
