"""Curves of a running suite for TensorBoard, an optional extra."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ablations.errors import ConfigError
from ablations.records.record import RunRecord
from ablations.training.events import EpochDone, Event, RunEnded, RunStarted, StepDone, SuiteStarted, TrainingStarted

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

STEP_INTERVAL_SECONDS = 1.0  # between two points of a run's training loss
FLUSH_SECONDS = 5  # after which a point is on the disk


@dataclass
class _Curves:
    """The curves of a run that is training."""

    writer: SummaryWriter
    train_images: int
    images: int
    step_written: float = float("-inf")


class TensorBoard:
    """Observer of a suite's events that writes each run's curves to ``folder/<run_id>``; use it as a context manager.

    The steps of all curves are training images seen. A resumed run continues its curves; points that an earlier
    process wrote after the last recorded epoch are purged.

    `clock` gives seconds.

    Raises:
        ConfigError: on construction, if TensorBoard is not installed or the folder cannot be made.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.perf_counter) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                f"live curves need TensorBoard ({error}); run: pip install 'googlenet-ablations[tensorboard]'"
            ) from error
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be made ({error}); choose another folder for live curves") from error
        self._new_writer = SummaryWriter
        self._folder = folder
        self._clock = clock
        self._curves: dict[str, _Curves] = {}

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run_id in list(self._curves):
            self._close(run_id)

    def on_event(self, event: Event) -> None:
        """Write what one event adds to the curves."""
        match event:
            case SuiteStarted() | RunStarted():
                pass  # it has no curves before it trains
            case TrainingStarted():
                self._start(event)
            case StepDone():
                self._step(event)
            case EpochDone():
                self._end_epoch(event)
            case RunEnded():
                self._end_run(event.record)

    def _start(self, event: TrainingStarted) -> None:
        self._close(event.run_id)
        images = event.finished_epochs * event.train_images
        writer = self._new_writer(str(self._folder / event.run_id), purge_step=images + 1, flush_secs=FLUSH_SECONDS)
        self._curves[event.run_id] = _Curves(writer, event.train_images, images)

    def _step(self, event: StepDone) -> None:
        curves = self._curves[event.run_id]
        curves.images += event.images
        now = self._clock()
        if event.loss is not None and now - curves.step_written >= STEP_INTERVAL_SECONDS:
            curves.writer.add_scalar("step/train_loss", event.loss, curves.images)
            curves.step_written = now

    def _end_epoch(self, event: EpochDone) -> None:
        curves, epoch = self._curves[event.run_id], event.epoch
        curves.images = epoch.epoch * curves.train_images
        figures = {
            "train_loss": epoch.train_loss,
            "train_error": epoch.train_error,
            "validation_error": epoch.validation_error,
            "validation_top5_error": epoch.validation_top5_error,
            "validation_loss": epoch.validation_loss,
            "images_per_second": curves.train_images / epoch.train_seconds,
        }
        for name, value in figures.items():
            if value is not None:
                curves.writer.add_scalar(f"epoch/{name}", value, curves.images)

    def _end_run(self, record: RunRecord) -> None:
        """A run that was skipped, or failed before it trained, has no curves."""
        if record.run_id not in self._curves:
            return
        curves = self._curves[record.run_id]
        curves.writer.add_text("run", _description(record), curves.images)
        if record.test is not None:
            test = record.test
            figures = {"top1_error": test.top1_error, "top5_error": test.top5_error, "loss": test.loss}
            for name, value in figures.items():
                if value is not None:
                    curves.writer.add_scalar(f"test/{name}", value, curves.images)
        self._close(record.run_id)

    def _close(self, run_id: str) -> None:
        curves = self._curves.pop(run_id, None)
        if curves is not None:
            curves.writer.close()


def _description(record: RunRecord) -> str:
    """The run's variant, seed, outcome and recipe as a Markdown table."""
    config = record.config
    rows = {"variant": config.architecture.name, "seed": config.seed, "status": record.status}
    rows |= {"message": record.message} if record.message else {}
    rows |= {f"recipe: {name}": value for name, value in asdict(config.recipe).items()}
    return "\n".join(("| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())))
