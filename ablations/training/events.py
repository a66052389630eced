"""The events that a running suite sends to its observers.

The events of one run come in order; those of runs that train side by side interleave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ablations.records.record import Epoch, RunRecord
from ablations.suites.run_config import RunConfig


@dataclass(frozen=True, kw_only=True)
class SuiteStarted:
    """A suite's folder is prepared: its planned runs, and the earlier runs that were archived to start afresh."""

    runs: tuple[RunConfig, ...]
    archived: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A run that is not done yet starts: `position` of `total`, from 1.

    `place` names the machine and GPU, if not this machine. A run whose machine fails starts once more elsewhere.
    """

    config: RunConfig
    position: int
    total: int
    place: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingStarted:
    """A run's set-up is over; training goes on after `finished_epochs`, on `train_images` an epoch."""

    run_id: str
    finished_epochs: int
    train_images: int


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """A step trained on `images` more. `loss` is the epoch's mean so far, where reading it costs no device sync."""

    run_id: str
    images: int
    loss: float | None


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """An epoch was recorded."""

    run_id: str
    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class RunEnded:
    """A run ended with this record; `skipped` if it was already done."""

    record: RunRecord
    position: int
    total: int
    skipped: bool


Event = SuiteStarted | RunStarted | TrainingStarted | StepDone | EpochDone | RunEnded


def to_all(*observers: Callable[[Event], None]) -> Callable[[Event], None]:
    """An observer that passes each event to several others, in their order."""

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    return tell


def ignore(event: Event) -> None:
    """The observer that does nothing."""
