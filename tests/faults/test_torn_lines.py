"""A run whose metrics end in a torn line, as after a kill, resumes to the same result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event
from ablations.training.options import ExecutionOptions
from ablations.training.train import train


def test_a_run_with_a_torn_last_line_resumes_to_the_same_result(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: Callable[[type[Event], int], Callable[[Event], None]],
    outcome_of: Callable[[RunFolder], dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = make_config(limit_train=64)
    undisturbed, torn = RunFolder(tmp_path / "undisturbed", config), RunFolder(tmp_path / "torn", config)
    options = ExecutionOptions()
    train(config, dataset=tiny_digits, folder=undisturbed, options=options)
    with pytest.raises(KeyboardInterrupt):
        train(config, dataset=tiny_digits, folder=torn, options=options, on_event=stop_at(EpochDone, 2))
    with (torn.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"epoch": 3, "train_lo')
    finished: list[int] = []
    train(
        config,
        dataset=tiny_digits,
        folder=torn,
        options=options,
        on_event=lambda event: finished.append(event.epoch.epoch) if isinstance(event, EpochDone) else None,
    )
    assert finished == [3]
    assert "torn line" in caplog.text
    torch.testing.assert_close(outcome_of(torn), outcome_of(undisturbed), rtol=0, atol=0)
