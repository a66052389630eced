"""What a running suite tells its observer."""

from __future__ import annotations

from dataclasses import dataclass

from .config import RunConfig
from .record import Epoch, RunRecord


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A run that is not done yet is up: `position` of `total`, from 1."""

    config: RunConfig
    position: int
    total: int


@dataclass(frozen=True, kw_only=True)
class TrainingStarted:
    """Set-up is over; training goes on after `finished_epochs`, on `train_images` an epoch."""

    finished_epochs: int
    train_images: int


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """`images` more were trained on. `loss` is the epoch's mean so far, where reading it costs no device sync."""

    images: int
    loss: float | None


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """An epoch was recorded."""

    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class RunEnded:
    """A run ended with this record; `skipped` if it had been done before."""

    record: RunRecord
    position: int
    total: int
    skipped: bool


Event = RunStarted | TrainingStarted | StepDone | EpochDone | RunEnded


def ignore(event: Event) -> None:
    """The observer that does nothing."""
