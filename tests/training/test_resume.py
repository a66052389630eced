"""Runs that were stopped, also on another device, and go on to the result of one that never was."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.hardware.device import resolve_device
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import EpochDone, Event, StepDone, TrainingStarted
from ablations.training.options import ExecutionOptions
from ablations.training.train import train
from tests.support.training import CUDA, RECIPES, STEPS, OutcomeOf, Run, StopAt, assert_same, needs_gpu


def stop(config: RunConfig, dataset: Dataset, runs: Path, on_event: Callable[[Event], None]) -> None:
    """Train until `on_event` stops it, and then draw random numbers, as another program would."""
    with pytest.raises(KeyboardInterrupt):
        train(config, dataset=dataset, folder=RunFolder(runs, config), on_event=on_event, options=ExecutionOptions())
    torch.manual_seed(999)


def go_on(config: RunConfig, dataset: Dataset, runs: Path) -> tuple[RunRecord, list[Event]]:
    events: list[Event] = []
    folder = RunFolder(runs, config)
    return train(config, dataset=dataset, folder=folder, on_event=events.append, options=ExecutionOptions()), events


def losses_of(record: RunRecord) -> list[float]:
    return [epoch.train_loss for epoch in record.epochs]


@pytest.mark.parametrize(
    ("kind", "number", "kept"),
    [
        (StepDone, 2, 0),
        (StepDone, 3 * STEPS, 2),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_result(
    undisturbed: Run,
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: StopAt,
    outcome_of: OutcomeOf,
    kind: type[Event],
    number: int,
    kept: int,
) -> None:
    config = undisturbed.config
    stop(config, tiny_digits, tmp_path, stop_at(kind, number))
    record, events = go_on(config, tiny_digits, tmp_path)
    assert events[0] == TrainingStarted(run_id=undisturbed.config.run_id, finished_epochs=kept, train_images=120)
    assert len([event for event in events if isinstance(event, StepDone)]) == (3 - kept) * STEPS
    assert_same(outcome_of(RunFolder(tmp_path, config)), outcome_of(undisturbed.folder))
    assert record.test == undisturbed.record.test
    assert record.costs is not None and record.times is not None
    assert record.epochs == RunFolder(tmp_path, config).epochs.read()
    assert record.times.timing_valid == (kept == 0)
    assert record.costs.peak_memory_bytes is not None


def test_a_run_may_be_stopped_after_every_epoch(
    undisturbed: Run, tiny_digits: Dataset, tmp_path: Path, stop_at: StopAt, outcome_of: OutcomeOf
) -> None:
    config = undisturbed.config
    for _ in range(3):
        stop(config, tiny_digits, tmp_path, stop_at(EpochDone, 1))
    record, events = go_on(config, tiny_digits, tmp_path)
    assert events == [TrainingStarted(run_id=config.run_id, finished_epochs=3, train_images=120)]
    assert_same(outcome_of(RunFolder(tmp_path, config)), outcome_of(undisturbed.folder))
    assert record.costs is not None and record.costs.peak_memory_bytes is None, "none of its training was measured"


def test_a_run_stopped_while_it_tests_goes_on_to_the_same_result(
    undisturbed: Run, tiny_digits: Dataset, tmp_path: Path, outcome_of: OutcomeOf
) -> None:
    def press_ctrl_c(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    config = undisturbed.config
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(RunFolder, "write_predictions", press_ctrl_c)
        go_on(config, tiny_digits, tmp_path)
    _, events = go_on(config, tiny_digits, tmp_path)
    assert events == [TrainingStarted(run_id=undisturbed.config.run_id, finished_epochs=3, train_images=120)]
    assert_same(outcome_of(RunFolder(tmp_path, config)), outcome_of(undisturbed.folder))


def test_a_run_killed_between_its_record_and_its_checkpoint_trains_that_epoch_again(
    undisturbed: Run, tiny_digits: Dataset, tmp_path: Path, outcome_of: OutcomeOf
) -> None:
    save = checkpoint.save

    def killed_at_two(folder: Path, state: dict[str, Any], *, epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt
        save(folder, state, epoch=epoch)

    config = undisturbed.config
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoint, "save", killed_at_two)
        go_on(config, tiny_digits, tmp_path)
    assert len(RunFolder(tmp_path, config).epochs.read()) == 2
    _, events = go_on(config, tiny_digits, tmp_path)
    assert events[0] == TrainingStarted(run_id=undisturbed.config.run_id, finished_epochs=1, train_images=120)
    assert_same(outcome_of(RunFolder(tmp_path, config)), outcome_of(undisturbed.folder))


def test_a_stopped_run_still_tests_the_best_epoch_before_the_stop(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: StopAt,
    validation_errors: list[float],
    outcome_of: OutcomeOf,
) -> None:
    config = make_config(validation_fraction=0.2)
    validation_errors += [0.3, 0.4, 0.5]
    expected, _ = go_on(config, tiny_digits, tmp_path / "undisturbed")
    validation_errors += [0.3, 0.4]
    stop(config, tiny_digits, tmp_path / "stopped", stop_at(EpochDone, 2))
    validation_errors += [0.5]
    record, _ = go_on(config, tiny_digits, tmp_path / "stopped")
    assert record.test == expected.test and record.test is not None and record.test.epoch == 1
    ours, theirs = (outcome_of(RunFolder(tmp_path / name, config)) for name in ("stopped", "undisturbed"))
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", ["adadelta", "adam", "sgd-momentum"])
def test_a_run_goes_on_from_a_gpus_checkpoint_on_a_cpu(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: StopAt,
    outcome_of: OutcomeOf,
    name: str,
) -> None:
    # A run's id does not name the device, so that it may move; on a GPU an optimiser has other options, which its
    # state carries along.
    recipe = RECIPES[name]
    config = make_config(
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        schedule="one-cycle",
        epochs=2,
    )
    undisturbed, moved = (RunFolder(tmp_path / name, config) for name in ("undisturbed", "moved"))
    train(config, dataset=tiny_digits, folder=undisturbed, options=ExecutionOptions())
    with pytest.raises(KeyboardInterrupt):
        train(config, dataset=tiny_digits, folder=moved, on_event=stop_at(EpochDone, 1), options=ExecutionOptions())
    found = checkpoint.load_newest(moved.checkpoints, at_most=99)
    assert found is not None
    epoch, state = found
    (group,) = state["optimizer"]["param_groups"]
    group["lr"] = torch.tensor(group["lr"])
    group |= {"capturable": True} if recipe.optimizer != "sgd" else {}
    group |= {"foreach": True} if recipe.optimizer == "adadelta" else {}
    checkpoint.save(moved.checkpoints, state, epoch=epoch)

    train(config, dataset=tiny_digits, folder=moved, options=ExecutionOptions())
    torch.testing.assert_close(outcome_of(moved), outcome_of(undisturbed), rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@needs_gpu
def test_a_run_resumes_on_a_gpu(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, stop_at: StopAt
) -> None:
    config, cuda = make_config(), resolve_device("cuda")
    with pytest.raises(KeyboardInterrupt):
        train(
            config,
            dataset=tiny_digits,
            folder=RunFolder(tmp_path, config),
            on_event=stop_at(EpochDone, 1),
            options=ExecutionOptions(device=cuda),
        )
    record = train(
        config, dataset=tiny_digits, folder=RunFolder(tmp_path, config), options=ExecutionOptions(device=cuda)
    )
    assert record.status == "done"
    assert [epoch.epoch for epoch in record.epochs] == [1, 2, 3]


@pytest.mark.gpu
@needs_gpu
def test_a_run_of_graphs_learns_and_resumes(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: StopAt,
    outcome_of: OutcomeOf,
) -> None:
    config = make_config(optimizer="sgd", learning_rate=0.02, momentum=0.9, validation_fraction=0.2)
    folders = [RunFolder(tmp_path / name, config) for name in ("undisturbed", "resumed")]
    run = functools.partial(train, config, dataset=tiny_digits, options=ExecutionOptions(device=CUDA, engine="graph"))
    record = run(folder=folders[0])
    assert (record.status, record.environment.engine) == ("done", "graph")
    assert record.test is not None and record.test.images == 60
    assert record.times is not None and record.times.compile_seconds > 0
    assert record.epochs[-1].train_loss < record.epochs[0].train_loss
    with pytest.raises(KeyboardInterrupt):
        run(folder=folders[1], on_event=stop_at(EpochDone, 1))
    events: list[Event] = []
    resumed = run(folder=folders[1], on_event=events.append)
    assert events[0] == TrainingStarted(run_id=config.run_id, finished_epochs=1, train_images=120)
    assert resumed.test is not None
    expected, found = (outcome_of(folder) for folder in folders)
    torch.testing.assert_close(found["weights"], expected["weights"], rtol=1e-3, atol=1e-3)
    assert losses_of(resumed) == pytest.approx(losses_of(record), rel=1e-3)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", ["adadelta", "adam", "sgd-momentum"])
def test_a_cpus_run_goes_on_as_graphs_with_its_schedule(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, stop_at: StopAt, name: str
) -> None:
    recipe = RECIPES[name]
    config = make_config(
        optimizer=recipe.optimizer, learning_rate=recipe.learning_rate, momentum=recipe.momentum, schedule="one-cycle"
    )
    folders = [RunFolder(tmp_path / name, config) for name in ("eager", "graph")]
    records = []
    for folder, engine in zip(folders, ("eager", "graph"), strict=True):
        with pytest.raises(KeyboardInterrupt):
            train(
                config, dataset=tiny_digits, folder=folder, on_event=stop_at(EpochDone, 1), options=ExecutionOptions()
            )
        records.append(
            train(config, dataset=tiny_digits, folder=folder, options=ExecutionOptions(device=CUDA, engine=engine))
        )
    assert losses_of(records[1]) == pytest.approx(losses_of(records[0]), rel=1e-2)


def test_a_run_that_lost_its_epochs_starts_afresh_and_may_be_stopped_again(
    undisturbed: Run, tiny_digits: Dataset, tmp_path: Path, stop_at: StopAt, outcome_of: OutcomeOf
) -> None:
    config = undisturbed.config
    stop(config, tiny_digits, tmp_path, stop_at(EpochDone, 3))
    (RunFolder(tmp_path, config).path / "metrics.jsonl").unlink()
    stop(config, tiny_digits, tmp_path, stop_at(EpochDone, 1))
    assert [epoch.epoch for epoch in RunFolder(tmp_path, config).epochs.read()] == [1]
    _, events = go_on(config, tiny_digits, tmp_path)
    assert events[0] == TrainingStarted(run_id=config.run_id, finished_epochs=1, train_images=120)
    assert_same(outcome_of(RunFolder(tmp_path, config)), outcome_of(undisturbed.folder))
