"""The folder of one run: configuration, epochs, predictions and, once it has ended, its record."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from ablations.errors import ConfigError
from ablations.records import predictions
from ablations.records.predictions import Predictions
from ablations.records.record import MISSING, SCHEMA, UNFINISHED, DiagnosedEpoch, Epoch, RunRecord
from ablations.storage import atomic
from ablations.storage.changes import MISSING as NO_VALUE
from ablations.storage.changes import Change, changes
from ablations.storage.jsonl import JsonLines
from ablations.storage.serialization import from_plain, parse_json, to_plain
from ablations.suites.run_config import RunConfig

SHOWN_CHANGES = 3  # in a message
CONFIG_FILE, RESULT_FILE = "config.json", "result.json"
_STATUS = re.compile(rb'\n  "status": "([a-z]+)",\n')  # as `write_result` indents it
# What a finished run keeps; states of epochs and damaged files are left.
KEPT = (
    CONFIG_FILE,
    "metrics.jsonl",
    "selection_bias.jsonl",
    predictions.FILE_NAME,
    RESULT_FILE,
    "checkpoint/kept-epoch-*.pt",
    "checkpoint/weights-*.pt",
)


class RunFolder:
    """The folder of one run. ``result.json`` is written last: it is the commit mark."""

    def __init__(self, runs: Path, config: RunConfig) -> None:
        self.path = runs / config.run_id
        self.config = config
        self.checkpoints = self.path / "checkpoint"
        self.epochs = JsonLines(self.path / "metrics.jsonl", Epoch, number=attrgetter("epoch"))
        self.diagnosed = JsonLines(self.path / "selection_bias.jsonl", DiagnosedEpoch)
        self._predictions = self.path / predictions.FILE_NAME

    def claim(self) -> None:
        """Write ``config.json``, which says whose folder this is.

        Raises:
            ConfigError: if the folder belongs to another configuration already.
        """
        path, own = self.path / CONFIG_FILE, to_plain(self.config)
        there = _read_json(path) if path.is_file() else own
        if isinstance(there, dict) and _completed(there) != own:
            raise ConfigError(
                f"{self.path} belongs to another configuration: {_listed(changes(there, own))}. --fresh moves "
                "it aside and starts afresh"
            )
        atomic.write_text(path, _json(self.config))

    def rewind(self, *, epochs: int, finished: bool) -> None:
        """Keep the metrics of the first `epochs` epochs, and predictions only if training is `finished` with them."""
        self.epochs.rewrite(self.epochs.read()[:epochs])
        self.diagnosed.rewrite([entry for entry in self.diagnosed.read() if entry.epoch <= epochs])
        if not finished:
            self._predictions.unlink(missing_ok=True)

    @property
    def has_predictions(self) -> bool:
        """Whether the run has been tested."""
        return self._predictions.is_file()

    def write_predictions(self, found: Predictions) -> None:
        """Write ``predictions.npz``.

        Raises:
            DiskFull: if the disk or a quota has no room for it.
        """
        predictions.write(self._predictions, found, num_classes=self.config.num_classes)

    def read_predictions(self, *, fields: Collection[str] = Predictions._fields) -> Predictions:
        """The arrays of ``predictions.npz``, or those of `fields` alone.

        Raises:
            ConfigError: if the file is missing or damaged.
        """
        return predictions.read(self._predictions, fields=fields)

    def write_result(self, record: RunRecord) -> None:
        """Write ``result.json``, which makes the run's outcome final."""
        atomic.write_text(self.path / RESULT_FILE, _json(record))

    def read_result(self) -> RunRecord | None:
        """The run's record; None if it has not ended."""
        path = self.path / RESULT_FILE
        return read_record(path, expected=self.config) if path.is_file() else None

    def read_status(self) -> str:
        """The status of the run's record, or UNFINISHED or MISSING without one.

        It does not read the rest of the record, which takes twenty times as long.
        """
        try:
            found = _STATUS.search((self.path / RESULT_FILE).read_bytes())
        except FileNotFoundError:
            return UNFINISHED if self.epochs.read() else MISSING
        if found:
            return found[1].decode()
        record = self.read_result()  # one that is damaged is named, another layout is read
        return record.status if record else MISSING

    def kept_files(self) -> list[str]:
        """What a finished run keeps of its files, by their paths in the folder, sorted."""
        found = (path for pattern in KEPT for path in self.path.glob(pattern) if path.is_file())
        return sorted(path.relative_to(self.path).as_posix() for path in found)


def holds_run(path: Path) -> bool:
    """Whether a folder is that of a run, which has begun or ended, and not one that a file server left."""
    return (path / CONFIG_FILE).is_file() or (path / RESULT_FILE).is_file()


def read_record(path: Path, *, expected: RunConfig | None = None) -> RunRecord:
    """Read a ``result.json``; its configuration becomes `expected` itself where it is equal, which is the quicker way.

    Raises:
        ConfigError: if the file is no record, one of another schema, or that of another run than `expected`.
    """
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"{path} is not valid JSON ({error}); --fresh moves the run aside and trains it anew"
        ) from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise ConfigError(
            f"{path} has schema {found!r}; this version reads schema {SCHEMA}. --fresh moves the run aside and trains "
            "it anew; the version that wrote it can still read it"
        )
    if expected is not None and data.get("config") == to_plain(expected):
        data["config"] = expected
    record = from_plain(RunRecord, data, where=str(path))
    if expected is not None:
        _check_run(record, expected, path=path)
    return record


def _check_run(record: RunRecord, expected: RunConfig, *, path: Path) -> None:
    found = changes({"run_id": record.run_id}, {"run_id": expected.run_id})
    if record.config is not expected:
        found += changes(record.config, expected)
    if found:
        raise ConfigError(
            f"{path} belongs to another run: {_listed(found)}. --fresh moves it aside and trains the run anew"
        )


def _listed(found: Sequence[Change]) -> str:
    """The first few changes; those from missing values come last."""
    more = f"; {len(found) - SHOWN_CHANGES} more" if len(found) > SHOWN_CHANGES else ""
    ordered = sorted(found, key=lambda change: change.then is NO_VALUE)
    return "; ".join(map(str, ordered[:SHOWN_CHANGES])) + more or "it has more keys"


def _read_json(path: Path) -> Any:
    """The file's content; None where it is damaged, which costs nothing here."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _completed(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with the defaults of settings that the version which wrote it did not have."""
    try:
        return to_plain(from_plain(RunConfig, config, where="configuration"))
    except ConfigError:
        return config


def _json(value: object) -> str:
    return json.dumps(to_plain(value), indent=2, allow_nan=False) + "\n"
