"""Progress of a running suite: bars on a terminal, plain lines in a log."""

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

REFRESHES_PER_SECOND = 10  # of a terminal; the numbers that it shows are computed no more often


@dataclass
class _RunProgress:
    """The progress of a run that is training."""

    config: RunConfig
    label: str
    task: TaskID
    epochs_done: int = 0
    train_images: int = 1
    epoch_began: float = 0.0
    epoch_images: int = 0
    steps: int = 0
    loss: float | None = None
    images_shown: int = 0
    shown_at: float = 0.0
    macs_done: float = 0.0

    def begin_epoch(self, *, epochs_done: int) -> None:
        self.epochs_done, self.epoch_images, self.steps, self.images_shown = epochs_done, 0, 0, 0
        self.epoch_began = time.perf_counter()

    def rate(self, now: float) -> float:
        """Images a second in this epoch."""
        return self.epoch_images / max(now - self.epoch_began, 1e-9)


class _LossyFile:
    """A text file that drops what cannot be written, as on a full disk or to a closed pipe."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # ValueError: the encoding lacks a character, or the file is closed
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Display:
    """Observer of a suite's events; use it as a context manager around the executor.

    Where the console is no terminal it prints a line an epoch, and one after every `log_every` steps (0: none).

    Inside, output that cannot be written is dropped: it must not stop the runs.
    """

    def __init__(self, *, console: Console, log_every: int = 0) -> None:
        self._console = console
        self._log_every = log_every
        self._file = console.file
        self._live = console.is_terminal
        self._macs: dict[str, int] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            refresh_per_second=REFRESHES_PER_SECOND,
            disable=not self._live,
        )
        self._suite_task = self._progress.add_task("suite", total=None, figures="", visible=False)
        self._running: dict[str, _RunProgress] = {}

    def __enter__(self) -> Display:
        self._console.file = cast("IO[str]", _LossyFile(self._file))
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self._running.values():
            self._progress.remove_task(run.task)
        try:
            self._progress.stop()
        finally:
            self._console.file = self._file

    @property
    def planned_runs(self) -> int:
        """How many runs the suite has."""
        return len(self._macs)

    @property
    def suite_fraction(self) -> float:
        """The share of the suite's multiply-adds that is done, in [0, 1]."""
        return self._progress.tasks[0].percentage / 100

    def refresh(self) -> None:
        """Draw now; otherwise a terminal is refreshed several times a second."""
        for run in self._running.values():
            self._show_steps(run)
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
        # The suite's bar counts multiply-adds, so that the estimate of the time left weighs runs by their cost.
        self._macs = {config.run_id: _count_macs(config) for config in event.runs}
        self._progress.update(self._suite_task, total=sum(self._macs.values()), visible=True)
        for path in event.archived:
            self._print(f"archived: {path}")

    def _start_run(self, event: RunStarted) -> None:
        run_id = event.config.run_id
        label = f"[{event.position}/{event.total}] {run_id}"
        place = f" on {event.place}" if event.place else ""
        if run_id in self._running:  # it started before, on a machine that failed
            before = self._running.pop(run_id)
            self._progress.remove_task(before.task)
            self._progress.update(self._suite_task, advance=-before.macs_done)
        self._progress.update(self._suite_task, description=f"suite, run {event.position} of {event.total}")
        task = self._progress.add_task(f"{run_id}{place}", total=None, figures="")
        self._running[run_id] = _RunProgress(event.config, label, task)
        if not self._live:
            self._print(f"{label}{place}")

    def _start_training(self, event: TrainingStarted) -> None:
        run = self._running[event.run_id]
        run.train_images = event.train_images
        done = event.finished_epochs * event.train_images
        total = run.config.recipe.epochs * event.train_images
        self._progress.reset(run.task, total=total, completed=done)
        self._advance_suite(run, done)
        if event.finished_epochs:
            self._print(f"{run.label}: goes on after epoch {event.finished_epochs}")
        run.begin_epoch(epochs_done=event.finished_epochs)

    def _step(self, event: StepDone) -> None:
        run = self._running[event.run_id]
        run.epoch_images += event.images
        run.loss = event.loss
        run.steps += 1
        if not self._live and self._log_every and run.steps % self._log_every == 0:
            loss = "" if run.loss is None else f", loss {run.loss:.4f}"
            epoch = f"epoch {run.epochs_done + 1}/{run.config.recipe.epochs}"
            self._print(f"{run.label}: {epoch}, step {run.steps}{loss}, {run.rate(time.perf_counter()):,.0f} images/s")
        if time.perf_counter() - run.shown_at >= 1 / REFRESHES_PER_SECOND:
            self._show_steps(run)

    def _show_steps(self, run: _RunProgress) -> None:
        if run.epoch_images == run.images_shown:
            return
        now = time.perf_counter()
        described = "" if run.loss is None else f"loss {run.loss:.3f}  "
        figures = f"epoch {run.epochs_done + 1}/{run.config.recipe.epochs}  {described}{run.rate(now):,.0f} images/s"
        images = run.epoch_images - run.images_shown
        self._progress.update(run.task, advance=images, figures=figures)
        self._advance_suite(run, images)
        run.images_shown, run.shown_at = run.epoch_images, now

    def _advance_suite(self, run: _RunProgress, images: int) -> None:
        share = images / (run.train_images * run.config.recipe.epochs)
        run.macs_done += share * self._macs[run.config.run_id]
        self._progress.update(self._suite_task, advance=share * self._macs[run.config.run_id])

    def _end_epoch(self, event: EpochDone) -> None:
        run, epoch = self._running[event.run_id], event.epoch
        self._show_steps(run)
        validation = ""
        if epoch.validation_error is not None:
            validation = f", validation error {100 * epoch.validation_error:.2f} %"
        if epoch.validation_top5_error is not None:
            validation += f", top-5 {100 * epoch.validation_top5_error:.2f} %"
        if epoch.validation_loss is not None:
            validation += f", loss {epoch.validation_loss:.4f}"
        if not self._live:
            self._print(
                f"{run.label}: epoch {epoch.epoch}/{run.config.recipe.epochs}, loss {epoch.train_loss:.4f}, "
                f"training error {100 * epoch.train_error:.2f} %{validation}, "
                f"{run.train_images / epoch.train_seconds:,.0f} images/s"
            )
        run.begin_epoch(epochs_done=epoch.epoch)

    def _end_run(self, event: RunEnded) -> None:
        run_id = event.record.run_id
        label = f"[{event.position}/{event.total}] {run_id}"
        if event.skipped:
            self._progress.update(self._suite_task, advance=self._macs[run_id])
            self._print(f"{label}: done before, {_outcome(event.record)}")
        else:
            self._progress.remove_task(self._running.pop(run_id).task)
            self._print(f"{label}: {_outcome(event.record)}")

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def _count_macs(config: RunConfig) -> int:
    return config.recipe.epochs * count_macs(config.architecture, num_classes=config.num_classes)


def _outcome(record: RunRecord) -> str:
    if record.test is None:
        return f"{record.status}: {record.message}"
    top5 = "" if record.test.top5_error is None else f", top-5 error {100 * record.test.top5_error:.2f} %"
    timed = record.times is not None and record.times.timing_valid
    seconds = f", trained in {record.times.train_seconds:,.1f} s" if record.times and timed else ""
    loss = "" if record.test.loss is None else f", loss {record.test.loss:.4f}"
    return f"top-1 error {100 * record.test.top1_error:.2f} %{top5}{loss}{seconds}"
