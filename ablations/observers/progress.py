"""TODO"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from ablations.records.record import RunRecord
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event, RunEnded, RunStarted, StepDone, SuiteStarted, TrainingStarted
from googlenet.counts import count_macs

DRAWINGS_PER_SECOND = 10  # of a terminal; more often nothing is worked out for it


@dataclass
class _Shown:
    """What is known of a run that is going on."""

    config: RunConfig
    place: str
    task: TaskID
    epochs_done: int = 0
    train_images: int = 1
    epoch_began: float = 0.0
    epoch_images: int = 0
    loss: float | None = None
    images_drawn: int = 0
    drawn_at: float = 0.0

    def begin_epoch(self, *, epochs_done: int) -> None:
        self.epochs_done, self.epoch_images, self.images_drawn = epochs_done, 0, 0
        self.epoch_began = time.perf_counter()


class _Forgiving:
    """A text file that drops what cannot be written: on a full disk, to a pipe that was closed."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # the latter for a character that the encoding lacks, or a closed file
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Display:
    """Observer of a suite's events; use it as a context manager around the runner.

    What cannot be shown is left out inside, for the runs go on without anybody who watches.
    """

    def __init__(self, *, console: Console) -> None:
        self._console = console
        self._file = console.file
        self._live = console.is_terminal
        self._work: dict[str, int] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            refresh_per_second=DRAWINGS_PER_SECOND,
            disable=not self._live,
        )
        self._suite_task = self._progress.add_task("suite", total=None, figures="", visible=False)
        self._shown: dict[str, _Shown] = {}

    def __enter__(self) -> Display:
        self._console.file = cast("IO[str]", _Forgiving(self._file))
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for shown in self._shown.values():
            self._progress.remove_task(shown.task)
        try:
            self._progress.stop()
        finally:
            self._console.file = self._file

    @property
    def planned_runs(self) -> int:
        """How many runs the suite has."""
        return len(self._work)

    @property
    def suite_fraction(self) -> float:
        """How much of the suite's multiply-adds are done, in [0, 1]."""
        return self._progress.tasks[0].percentage / 100

    def refresh(self) -> None:
        """Draw now; otherwise a terminal is drawn several times a second."""
        for shown in self._shown.values():
            self._draw_steps(shown)
        self._progress.refresh()

    def on_event(self, event: Event) -> None:
        """Show one event."""
        match event:
            case SuiteStarted():
                self._start_suite(event)
            case RunStarted():
                self._start_run(event)
            case TrainingStarted():
                self._start_training(event)
            case StepDone():
                self._step(event)
            case EpochDone():
                self._end_epoch(event)
            case RunEnded():
                self._end_run(event)

    def _start_suite(self, event: SuiteStarted) -> None:
        # The suite's bar counts multiply-adds, so that its time left weighs a run by its cost.
        self._work = {config.run_id: _work(config) for config in event.runs}
        self._progress.update(self._suite_task, total=sum(self._work.values()), visible=True)
        for path in event.archived:
            self._print(f"archived: {path}")

    def _start_run(self, event: RunStarted) -> None:
        run_id = event.config.run_id
        place = f"[{event.position}/{event.total}] {run_id}"
        self._progress.update(self._suite_task, description=f"suite, run {event.position} of {event.total}")
        task = self._progress.add_task(run_id, total=None, figures="")
        self._shown[run_id] = _Shown(event.config, place, task)
        if not self._live:
            self._print(place)

    def _start_training(self, event: TrainingStarted) -> None:
        shown = self._shown[event.run_id]
        shown.train_images = event.train_images
        done = event.finished_epochs * event.train_images
        total = shown.config.recipe.epochs * event.train_images
        self._progress.reset(shown.task, total=total, completed=done)
        self._advance_suite(shown, done)
        if event.finished_epochs:
            self._print(f"{shown.place}: goes on after epoch {event.finished_epochs}")
        shown.begin_epoch(epochs_done=event.finished_epochs)

    def _step(self, event: StepDone) -> None:
        shown = self._shown[event.run_id]
        shown.epoch_images += event.images
        shown.loss = event.loss
        if time.perf_counter() - shown.drawn_at >= 1 / DRAWINGS_PER_SECOND:
            self._draw_steps(shown)

    def _draw_steps(self, shown: _Shown) -> None:
        if shown.epoch_images == shown.images_drawn:
            return
        now = time.perf_counter()
        rate = shown.epoch_images / max(now - shown.epoch_began, 1e-9)
        described = "" if shown.loss is None else f"loss {shown.loss:.3f}  "
        figures = f"epoch {shown.epochs_done + 1}/{shown.config.recipe.epochs}  {described}{rate:,.0f} images/s"
        images = shown.epoch_images - shown.images_drawn
        self._progress.update(shown.task, advance=images, figures=figures)
        self._advance_suite(shown, images)
        shown.images_drawn, shown.drawn_at = shown.epoch_images, now

    def _advance_suite(self, shown: _Shown, images: int) -> None:
        share = images / (shown.train_images * shown.config.recipe.epochs)
        self._progress.update(self._suite_task, advance=share * self._work[shown.config.run_id])

    def _end_epoch(self, event: EpochDone) -> None:
        shown, epoch = self._shown[event.run_id], event.epoch
        self._draw_steps(shown)
        validation = (
            "" if epoch.validation_error is None else f", validation error {100 * epoch.validation_error:.2f} %"
        )
        if not self._live:
            self._print(
                f"{shown.place}: epoch {epoch.epoch}/{shown.config.recipe.epochs}, loss {epoch.train_loss:.4f}, "
                f"training error {100 * epoch.train_error:.2f} %{validation}, "
                f"{shown.train_images / epoch.train_seconds:,.0f} images/s"
            )
        shown.begin_epoch(epochs_done=epoch.epoch)

    def _end_run(self, event: RunEnded) -> None:
        run_id = event.record.run_id
        place = f"[{event.position}/{event.total}] {run_id}"
        if event.skipped:
            self._progress.update(self._suite_task, advance=self._work[run_id])
            self._print(f"{place}: done before, {_outcome(event.record)}")
        else:
            self._progress.remove_task(self._shown.pop(run_id).task)
            self._print(f"{place}: {_outcome(event.record)}")

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def _work(config: RunConfig) -> int:
    return config.recipe.epochs * count_macs(config.architecture, num_classes=config.num_classes)


def _outcome(record: RunRecord) -> str:
    if record.test is None:
        return f"{record.status}: {record.message}"
    top5 = "" if record.test.top5_error is None else f", top-5 error {100 * record.test.top5_error:.2f} %"
    timed = record.times is not None and record.times.timing_valid
    seconds = f", trained in {record.times.train_seconds:,.1f} s" if record.times and timed else ""
    return f"top-1 error {100 * record.test.top1_error:.2f} %{top5}{seconds}"
