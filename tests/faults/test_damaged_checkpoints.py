"""A run whose newest checkpoint is damaged goes on from the one before it, to the same result."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.execution.serial import run_serially
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event, TrainingStarted
from ablations.training.options import ExecutionOptions

LOGGER = "ablations.training.checkpoint"


def test_a_run_whose_newest_state_is_damaged_ends_like_one_that_was_never_stopped(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    stop_at: Callable[[type[Event], int], Callable[[Event], None]],
    outcome_of: Callable[[RunFolder], dict[str, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = make_config(epochs=4)

    def run(suite_dir: Path, on_event: Callable[[Event], None]) -> None:
        run_serially(
            [config], dataset=tiny_digits, suite=SuiteFolder(suite_dir), on_event=on_event, options=ExecutionOptions()
        )

    def outcome(suite_dir: Path) -> dict[str, Any]:
        return outcome_of(SuiteFolder(suite_dir).run(config))

    run(tmp_path / "undisturbed", lambda event: None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop_at(EpochDone, 3))
    (newest,) = SuiteFolder(tmp_path / "stopped").run(config).checkpoints.glob("epoch-000003-*.pt")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0x10
    newest.write_bytes(content)
    started: list[int] = []

    def note_start(event: Event) -> None:
        if isinstance(event, TrainingStarted):
            started.append(event.finished_epochs)

    run(tmp_path / "stopped", note_start)
    assert started == [2]
    assert [record.name for record in caplog.records if record.levelno == logging.WARNING] == [LOGGER]
    torch.testing.assert_close(outcome(tmp_path / "stopped"), outcome(tmp_path / "undisturbed"), rtol=0, atol=0)
