"""Calibrations: a line of ``calibration.jsonl`` for every variant that a dry run timed on a machine."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.hardware.environment import Environment
from ablations.records.record import MAX_SECONDS
from ablations.suites.run_config import RunConfig
from googlenet.validation import check_count, check_range

FILE_NAME = "calibration.jsonl"  # in the folder of results
REMEDY = "remove the line"


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a run of `config` takes on a machine, from the few steps that a dry run timed there.

    `seconds` are those of a whole run: starting it, its training steps, and its evaluations. `timed_steps` is how many
    steps they are worked out from, `train_images` how many images the run trains on.

    Raises:
        ValueError: on construction, if a value is impossible.
    """

    config: RunConfig
    environment: Environment
    train_images: int
    timed_steps: int
    seconds: float
    peak_memory_bytes: int

    def __post_init__(self) -> None:
        check_count("train_images", self.train_images)
        check_count("timed_steps", self.timed_steps)
        check_range("seconds", self.seconds, low=0, high=MAX_SECONDS)
        check_count("peak_memory_bytes", self.peak_memory_bytes, low=0)
