"""The folder of one run: its configuration, epochs, predictions and, once it has ended, its record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from ablations.errors import ConfigError
from ablations.records import predictions
from ablations.records.predictions import Predictions
from ablations.records.record import SCHEMA, DiagnosedEpoch, Epoch, RunRecord
from ablations.storage import atomic
from ablations.storage.jsonl import JsonLines
from ablations.storage.serialization import from_plain, parse_json, to_plain
from ablations.suites.run_config import RunConfig
from googlenet.validation import shown

SHOWN_CHANGES = 3  # in a message


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
        """Write ``config.json``; what is in the folder then belongs to this configuration.

        Raises:
            ConfigError: if the folder belongs to another configuration already.
        """
        path, own = self.path / "config.json", to_plain(self.config)
        there = _read_json(path) if path.is_file() else own
        if isinstance(there, dict) and there != own:
            raise ConfigError(
                f"{self.path} belongs to another configuration: {_differences(there, own)}. --fresh moves it aside "
                "and starts afresh"
            )
        atomic.write_text(path, _json(self.config))

    def rewind(self, *, epochs: int, finished: bool) -> None:
        """Keep what the first `epochs` epochs left; predictions only if with these the training is `finished`."""
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

    def read_predictions(self) -> Predictions:
        """Everything in ``predictions.npz``.

        Raises:
            ConfigError: if the file is missing or damaged.
        """
        return predictions.read(self._predictions)

    def write_result(self, record: RunRecord) -> None:
        """Write ``result.json``, which makes the run's outcome final."""
        atomic.write_text(self.path / "result.json", _json(record))

    def read_result(self) -> RunRecord | None:
        """The run's record; None if it has not ended."""
        path = self.path / "result.json"
        return read_record(path, expected=self.config) if path.is_file() else None


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
    found: dict[str, Any] = {"run_id": record.run_id}
    own: dict[str, Any] = {"run_id": expected.run_id}
    if record.config is not expected and record.config != expected:
        found, own = found | to_plain(record.config), own | to_plain(expected)
    if found != own:
        raise ConfigError(
            f"{path} belongs to another run: {_differences(found, own)}. --fresh moves it aside and trains the run anew"
        )


def _differences(there: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """The first few values that differ, those of tables by their key; values that are missing come last."""
    changes = []
    for name, value in sorted(own.items(), key=lambda item: item[0] not in there):
        then = there.get(name)
        if isinstance(value, dict) and isinstance(then, dict):
            pairs = [(f"{name}.{key}", then.get(key), part) for key, part in value.items()]
        else:
            pairs = [(name, then, value)]
        changes += [f"{key} was {shown(old)} and is {shown(new)}" for key, old, new in pairs if old != new]
    more = f"; {len(changes) - SHOWN_CHANGES} more" if len(changes) > SHOWN_CHANGES else ""
    return "; ".join(changes[:SHOWN_CHANGES]) + more or "it has more keys"


def _read_json(path: Path) -> Any:
    """The file's content; None where it is damaged, which costs nothing here."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _json(value: object) -> str:
    return json.dumps(to_plain(value), indent=2, allow_nan=False) + "\n"
