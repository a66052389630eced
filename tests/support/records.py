"""Comparison of records and suites that were trained in different ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ablations.records.record import RunRecord, Times
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig

OutcomeOf = Callable[[RunFolder], dict[str, Any]]
NO_TIMES = Times(startup_seconds=0.0, compile_seconds=0.0, train_seconds=0.0, eval_seconds=0.0, timing_valid=False)


def without_times(record: RunRecord) -> RunRecord:
    """What must not depend on where and when a run trained; the process is another, so is its memory."""
    costs = record.costs and replace(record.costs, peak_memory_bytes=None)
    epochs = tuple(replace(epoch, train_seconds=0.0, eval_seconds=0.0) for epoch in record.epochs)
    environment = replace(record.environment, commit="")  # the checkout's may change between two suites
    return replace(record, costs=costs, epochs=epochs, times=record.times and NO_TIMES, environment=environment)


def assert_same_records(
    configs: Iterable[RunConfig], ours: SuiteFolder, theirs: SuiteFolder, *, outcome_of: OutcomeOf
) -> None:
    """Each suite has these runs, done, and no other, with the same records, weights and predictions bit for bit."""
    runs = {config.run_id: config for config in configs}
    assert runs and ours.run_ids() == theirs.run_ids() == sorted(runs)
    for config in runs.values():
        folders = ours.run(config), theirs.run(config)
        record, other = (folder.read_result() for folder in folders)
        assert record is not None and other is not None
        assert record.status == "done" and without_times(record) == without_times(other)
        torch.testing.assert_close(*(outcome_of(folder) for folder in folders), rtol=0, atol=0)


def records_of(suite_dir: Path) -> list[dict[str, Any]]:
    """The suite's records without what may differ from run to run: times, peak memory and where it ran."""
    found = []
    for path in sorted(suite_dir.glob("runs/*/result.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        record.pop("times")
        record.pop("environment")
        if record["costs"]:
            record["costs"].pop("peak_memory_bytes")
        for epoch in record["epochs"]:
            epoch.pop("train_seconds")
            epoch.pop("eval_seconds")
        found.append(record)
    return found
