"""Stop on Ctrl-C and SIGTERM after the current training step, and on a second signal at once."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from ablations.errors import Terminated
from ablations.training.events import EpochDone, Event, RunEnded, RunStarted, StepDone, TrainingStarted

# A longer step is not waited for: a machine that is being shut down kills processes that do not end in time.
PATIENCE_SECONDS = 20.0


class Stopper:
    """Observer that turns the first signal into KeyboardInterrupt, or Terminated, at the end of a training step.

    Outside of training, on a second signal and after 20 seconds it is raised at once. Use it as a context manager in
    the main thread; afterwards the signals do what they did before.
    """

    def __init__(self) -> None:
        self._training = False
        self._epochs: dict[str, int] = {}
        self._pending: KeyboardInterrupt | None = None
        self._raised: KeyboardInterrupt | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopper:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, KeyboardInterrupt) and isinstance(self._raised, Terminated):
            raise self._raised from error  # Ray replaces what a handler raises by a KeyboardInterrupt of its own

    def on_event(self, event: Event) -> None:
        """Stop here if a signal came during the step, or the end of the epoch, that is now over."""
        match event:
            case RunStarted(config=config):
                self._epochs[config.run_id] = config.recipe.epochs
            case TrainingStarted() | StepDone():
                self._training = True
            case EpochDone(run_id=run_id, epoch=epoch):
                self._training = epoch.epoch < self._epochs[run_id]
            case RunEnded():
                self._training = False
        if self._pending is not None:
            raise self._pending

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._pending is not None:
            raise self._pending
        stop = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        if not self._training:
            self._raised = stop
            raise stop
        self._pending = stop
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
