"""One run to its record: done, failed in every way, interrupted, and resumed records' fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.errors import ConfigError, Terminated
from ablations.execution import job
from ablations.execution.job import finished, train_to_record, unfinished_record
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import EpochDone, Event, StepDone, TrainingStarted, ignore
from ablations.training.options import ExecutionOptions

OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 1 GiB."


@pytest.fixture
def folder(make_config: Callable[..., RunConfig], tmp_path: Path) -> RunFolder:
    """The folder of a run of two epochs on 100 images."""
    return RunFolder(tmp_path, make_config(epochs=2, limit_train=100))


@pytest.fixture
def to_record(tiny_digits: Dataset) -> Callable[..., RunRecord]:
    """Trains the run of a folder to its record."""

    def call(
        folder: RunFolder,
        *,
        on_event: Callable[[Event], None] = ignore,
        options: ExecutionOptions | None = None,
    ) -> RunRecord:
        return train_to_record(
            folder.config,
            dataset=tiny_digits,
            folder=folder,
            options=options or ExecutionOptions(),
            on_event=on_event,
        )

    return call


def checkpoints(folder: RunFolder) -> list[str]:
    return sorted(path.name.split("-")[0] for path in folder.checkpoints.iterdir())


@pytest.mark.parametrize("runs_per_device", [1, 2])
def test_a_run_is_trained_to_its_record(
    folder: RunFolder, to_record: Callable[..., RunRecord], runs_per_device: int
) -> None:
    events: list[Event] = []
    record = to_record(folder, on_event=events.append, options=ExecutionOptions(runs_per_device=runs_per_device))
    assert record == folder.read_result() == finished(folder)
    assert (record.status, record.train_images, record.environment.engine) == ("done", 100, "eager")
    assert record.times is not None and record.times.timing_valid == (runs_per_device == 1)
    # The weights are for use; the optimiser's state is of none after the last epoch.
    assert checkpoints(folder) == ["weights"] and checkpoint.load_weights(folder.checkpoints)
    kinds = [type(event) for event in events if not isinstance(event, StepDone)]
    assert kinds == [TrainingStarted, EpochDone, EpochDone]


def test_a_finished_run_has_no_epoch_states_even_if_killed_before_they_were_discarded(
    folder: RunFolder, to_record: Callable[..., RunRecord]
) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoint, "discard_states", killed)
        to_record(folder)
    assert len(checkpoints(folder)) > 1
    record = finished(folder)
    assert record is not None and record.status == "done"
    assert checkpoints(folder) == ["weights"]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (torch.OutOfMemoryError(OUT_OF_MEMORY), "oom", OUT_OF_MEMORY.splitlines()[0]),
        (MemoryError(), "oom", ""),
        (RuntimeError("CUDA error: out of memory\nSearch for it"), "oom", "CUDA error: out of memory"),
        (RuntimeError("the first line\nthe second"), "failed", "RuntimeError: the first line"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
        (AssertionError("\n"), "failed", "AssertionError"),
    ],
    ids=["oom", "oom-of-python", "oom-of-cuda", "failed", "without-message", "blank-message"],
)
def test_a_run_that_fails_has_a_record_with_its_status_and_the_first_line(
    folder: RunFolder, to_record: Callable[..., RunRecord], error: Exception, status: str, message: str
) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, StepDone) and len(folder.epochs.read()) == 1:
            raise error

    record = to_record(folder, on_event=fail)
    assert (record.status, record.message) == (status, message)
    assert [epoch.epoch for epoch in record.epochs] == [1]
    assert (record.train_images, record.test, record.costs, record.times) == (None, None, None, None)
    assert folder.read_result() == record and finished(folder) is None
    assert not folder.has_predictions


def test_a_run_that_diverges_has_a_record_that_names_the_epoch(
    make_config: Callable[..., RunConfig], to_record: Callable[..., RunRecord], tmp_path: Path
) -> None:
    config = make_config(optimizer="sgd", learning_rate=1e20, schedule="constant", epochs=1, limit_train=100)
    record = to_record(RunFolder(tmp_path, config))
    assert (record.status, record.epochs, record.test) == ("diverged", (), None)
    assert "epoch 1 of 1" in record.message


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Terminated])
def test_an_interrupt_is_recorded_and_passed_on_as_it_came(
    folder: RunFolder, to_record: Callable[..., RunRecord], monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    def interrupted(*given: Any, **named: Any) -> RunRecord:
        raise kind

    monkeypatch.setattr(job, "train", interrupted)
    with pytest.raises(KeyboardInterrupt) as raised:
        to_record(folder)
    assert raised.type is kind
    record = folder.read_result()
    assert record is not None and (record.status, record.message) == ("interrupted", "stopped by a signal")


def test_an_error_of_the_user_is_passed_on_without_a_record(
    folder: RunFolder, to_record: Callable[..., RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **named: Any) -> RunRecord:
        raise ConfigError("not so")

    monkeypatch.setattr(job, "train", refuse)
    with pytest.raises(ConfigError, match="not so"):
        to_record(folder)
    assert folder.read_result() is None


def test_an_unfinished_record_holds_the_epochs_and_the_environment(
    folder: RunFolder, to_record: Callable[..., RunRecord], stop_at: Callable[..., Callable[[Event], None]]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        to_record(folder, on_event=stop_at(StepDone, 4 + 1))  # the first of the second epoch
    options = ExecutionOptions(engine="compile")
    record = unfinished_record(folder, options=options, test_accesses=0, status="failed", message="gone")
    assert (record.run_id, record.config) == (folder.config.run_id, folder.config)
    assert (record.status, record.message) == ("failed", "gone")
    assert record.epochs == folder.epochs.read() and len(record.epochs) == 1
    assert (record.train_images, record.test, record.costs, record.times) == (None, None, None, None)
    assert record.environment == options.environment()
