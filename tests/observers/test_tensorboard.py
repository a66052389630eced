"""Live curves: what TensorBoard's own reader finds of a suite's events."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations.errors import ConfigError
from ablations.observers.tensorboard import TensorBoard
from ablations.records.record import RunRecord
from ablations.training.events import EpochDone, Event, RunEnded, RunStarted, StepDone, TrainingStarted
from tests.support.synthetic_suites import failed, make_plan, make_record

PLAN = make_plan("digits", seeds=1, variants=("short3", "short4"), epochs=5)
FIRST, SECOND = (config.run_id for config in PLAN.runs)
# Made epochs: loss 2.0 and training error 0.8, over the epoch's number; each of the five takes 10 s.
GOOD, OTHER = (make_record(config, wrong=1234, seconds=50) for config in PLAN.runs)
Curves = dict[str, list[tuple[int, Any]]]


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def accumulator(monkeypatch: pytest.MonkeyPatch) -> Any:
    """TensorBoard's reader of a folder of event files; the test is skipped where it is not installed."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    # It goes by the names of files, in which one process counts without leading zeros within a second.
    writers = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    monkeypatch.setattr(writers, "_global_uid", writers.AtomicCounter(0))

    def read(folder: Path) -> Any:
        events = module.EventAccumulator(str(folder))
        events.Reload()
        return events

    return read


def curves(events: Any) -> Curves:
    """Steps and values by name, purged ones left out."""
    return {
        name: [(point.step, pytest.approx(point.value)) for point in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def text(events: Any) -> str:
    (event,) = events.Tensors("run/text_summary")
    return event.tensor_proto.string_val[0].decode()


def show(board: TensorBoard, events: Iterable[Event]) -> None:
    for event in events:
        board.on_event(event)


def begin(run_id: str, *, finished_epochs: int = 0, train_images: int = 1000) -> TrainingStarted:
    return TrainingStarted(run_id=run_id, finished_epochs=finished_epochs, train_images=train_images)


def end(record: RunRecord) -> RunEnded:
    return RunEnded(record=record, position=1, total=2, skipped=False)


def test_a_runs_curves_are_its_events(tmp_path: Path, accumulator: Any) -> None:
    epochs = [
        replace(epoch, validation_error=0.3 / epoch.epoch, validation_loss=3.0 / epoch.epoch) for epoch in GOOD.epochs
    ]
    with TensorBoard(tmp_path) as board:
        show(board, [RunStarted(config=PLAN.runs[0], position=1, total=2), begin(FIRST)])
        show(board, (EpochDone(run_id=FIRST, epoch=epoch) for epoch in epochs))
        show(board, [end(GOOD)])
    steps = [1000, 2000, 3000, 4000, 5000]
    assert curves(accumulator(tmp_path / FIRST)) == {
        "epoch/train_loss": list(zip(steps, [2, 1, 2 / 3, 0.5, 0.4], strict=True)),
        "epoch/train_error": list(zip(steps, [0.8, 0.4, 0.8 / 3, 0.2, 0.16], strict=True)),
        "epoch/validation_error": list(zip(steps, [0.3, 0.15, 0.1, 0.075, 0.06], strict=True)),
        "epoch/validation_loss": list(zip(steps, [3.0, 1.5, 1.0, 0.75, 0.6], strict=True)),
        "epoch/images_per_second": [(step, 100) for step in steps],
        "test/top1_error": [(5000, 0.1234)],
        "test/top5_error": [(5000, 0.0411)],
    }


def test_what_a_run_does_not_have_is_not_drawn(tmp_path: Path, accumulator: Any) -> None:
    assert GOOD.test is not None
    record = replace(GOOD, test=replace(GOOD.test, top5_wrong=None))
    with TensorBoard(tmp_path) as board:
        show(board, [begin(FIRST), StepDone(run_id=FIRST, images=64, loss=None)])
        show(board, [EpochDone(run_id=FIRST, epoch=GOOD.epochs[0]), end(record)])
    assert set(curves(accumulator(tmp_path / FIRST))) == {
        "epoch/train_loss",
        "epoch/train_error",
        "epoch/images_per_second",
        "test/top1_error",
    }


def test_a_run_is_described_by_variant_and_recipe(tmp_path: Path, accumulator: Any) -> None:
    with TensorBoard(tmp_path) as board:
        show(board, [begin(FIRST), end(GOOD)])
    told = text(accumulator(tmp_path / FIRST))
    for line in ("| variant | short3 |", "| seed | 1 |", "| status | done |", "| recipe: name | digits |"):
        assert line in told.splitlines()
    assert "| recipe: learning_rate | 0.005 |" in told


def test_a_failed_run_says_why_and_has_no_test_error(tmp_path: Path, accumulator: Any) -> None:
    with TensorBoard(tmp_path) as board:
        show(board, [begin(FIRST), EpochDone(run_id=FIRST, epoch=GOOD.epochs[0])])
        show(board, [end(failed(GOOD, status="oom", message="CUDA out of memory"))])
    events = accumulator(tmp_path / FIRST)
    assert "| status | oom |\n| message | CUDA out of memory |" in text(events)
    assert not any(name.startswith("test/") for name in curves(events))


def test_the_running_loss_is_drawn_once_a_second_by_images_seen(tmp_path: Path, accumulator: Any) -> None:
    clock = Clock()
    with TensorBoard(tmp_path, clock=clock) as board:
        show(board, [begin(FIRST)])
        for step in range(1, 11):
            show(board, [StepDone(run_id=FIRST, images=100, loss=1 / step)])
            clock.now += 0.5
        show(board, [EpochDone(run_id=FIRST, epoch=GOOD.epochs[0])])
        show(board, [StepDone(run_id=FIRST, images=100, loss=0.05), StepDone(run_id=FIRST, images=100, loss=0.04)])
    found = curves(accumulator(tmp_path / FIRST))["step/train_loss"]
    assert found == [(100, 1), (300, 1 / 3), (500, 1 / 5), (700, 1 / 7), (900, 1 / 9), (1100, 0.05)]


def test_runs_side_by_side_have_curves_of_their_own(tmp_path: Path, accumulator: Any) -> None:
    with TensorBoard(tmp_path, clock=Clock()) as board:
        show(board, [begin(FIRST), begin(SECOND, train_images=500)])
        show(board, [StepDone(run_id=SECOND, images=50, loss=0.7), StepDone(run_id=FIRST, images=64, loss=1.5)])
        for first, second in zip(GOOD.epochs, OTHER.epochs, strict=True):
            show(board, [EpochDone(run_id=SECOND, epoch=second), EpochDone(run_id=FIRST, epoch=first)])
        show(board, [end(GOOD), end(OTHER)])
    found = {run_id: curves(accumulator(tmp_path / run_id)) for run_id in (FIRST, SECOND)}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(found)
    assert (found[FIRST]["step/train_loss"], found[SECOND]["step/train_loss"]) == ([(64, 1.5)], [(50, 0.7)])
    assert [step for step, _ in found[FIRST]["epoch/train_loss"]] == [1000, 2000, 3000, 4000, 5000]
    assert [step for step, _ in found[SECOND]["epoch/train_loss"]] == [500, 1000, 1500, 2000, 2500]
    assert found[SECOND]["epoch/images_per_second"][0] == (500, 50)


def test_a_run_that_goes_on_continues_its_curves(tmp_path: Path, accumulator: Any) -> None:
    clock = Clock()
    with TensorBoard(tmp_path, clock=clock) as board:  # stopped after three epochs and a half, of which two are kept
        show(board, [begin(FIRST)])
        show(board, (EpochDone(run_id=FIRST, epoch=epoch) for epoch in GOOD.epochs[:3]))
        show(board, [StepDone(run_id=FIRST, images=500, loss=9.0)])
    again = [replace(epoch, train_loss=7.0) for epoch in GOOD.epochs[2:]]
    with TensorBoard(tmp_path, clock=clock) as board:
        show(board, [begin(FIRST, finished_epochs=2), StepDone(run_id=FIRST, images=100, loss=8.0)])
        show(board, (EpochDone(run_id=FIRST, epoch=epoch) for epoch in again))
        show(board, [end(GOOD)])
    found = curves(accumulator(tmp_path / FIRST))
    assert found["epoch/train_loss"] == [(1000, 2), (2000, 1), (3000, 7), (4000, 7), (5000, 7)]
    assert found["step/train_loss"] == [(2100, 8)], "the loss of the half epoch is gone"


def test_a_run_that_starts_afresh_leaves_nothing_of_the_earlier_one(tmp_path: Path, accumulator: Any) -> None:
    for loss in (9.0, 1.0):
        with TensorBoard(tmp_path) as board:
            epoch = replace(GOOD.epochs[0], train_loss=loss)
            show(board, [begin(FIRST), EpochDone(run_id=FIRST, epoch=epoch), end(GOOD)])
    found = curves(accumulator(tmp_path / FIRST))
    assert (found["epoch/train_loss"], len(found["test/top1_error"])) == ([(1000, 1)], 1)


def test_runs_without_training_leave_no_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with TensorBoard(tmp_path / "curves") as board:
        show(board, [RunEnded(record=GOOD, position=1, total=2, skipped=True)])
        show(board, [RunStarted(config=PLAN.runs[1], position=2, total=2)])
        show(board, [end(failed(OTHER, status="failed", message="out of memory in set-up"))])
    assert list((tmp_path / "curves").iterdir()) == []


def test_a_runs_end_closes_its_writer_and_leaving_closes_the_others(tmp_path: Path, accumulator: Any) -> None:
    before = set(threading.enumerate())  # a writer has a thread
    with TensorBoard(tmp_path) as board:
        show(board, [begin(FIRST), begin(SECOND)])
        both = set(threading.enumerate()) - before
        show(board, [end(GOOD)])
        left = set(threading.enumerate()) - before
        assert curves(accumulator(tmp_path / FIRST))["test/top1_error"] == [(0, 0.1234)]
    assert (len(both), len(left), set(threading.enumerate()) - before) == (2, 1, set())


def test_a_suite_that_is_stopped_keeps_what_was_drawn(tmp_path: Path, accumulator: Any) -> None:
    with pytest.raises(KeyboardInterrupt), TensorBoard(tmp_path) as board:
        show(board, [begin(FIRST), EpochDone(run_id=FIRST, epoch=GOOD.epochs[0])])
        raise KeyboardInterrupt
    assert curves(accumulator(tmp_path / FIRST))["epoch/train_loss"] == [(1000, 2)]


def test_without_tensorboard_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'googlenet-ablations\[tensorboard\]'"):
        TensorBoard(tmp_path / "curves")
    assert not (tmp_path / "curves").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="file.* cannot be made"):
        TensorBoard(tmp_path / "file")
