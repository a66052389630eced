"""What is known of a run: errors of counts, and what a record must have."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from ablations.records import record as records
from ablations.records.record import SCHEMA, Epoch, RunRecord
from ablations.suites.run_config import RunConfig
from benchmarks.synthetic_records import ENVIRONMENT


def test_errors_are_fractions_of_counts() -> None:
    result = records.TestResult(epoch=1, images=3, top1_wrong=1, top5_wrong=0)
    assert (result.top1_error, result.top5_error) == (1 / 3, 0.0)
    # The write-up's rounding, of 10,000 test images.
    assert records.TestResult(epoch=1, images=10_000, top1_wrong=1234, top5_wrong=56).top5_error == 0.0056


def test_top5_error_may_be_missing() -> None:
    result = records.TestResult(epoch=1, images=8, top1_wrong=8, top5_wrong=None)
    assert result.top1_error == 1.0
    assert result.top5_error is None


@pytest.mark.parametrize(("top1", "top5"), [(-1, 0), (9, 0), (3, 4), (3, -1)])
def test_counts_that_cannot_be_are_refused(top1: int, top5: int) -> None:
    with pytest.raises(ValueError, match="wrong is"):
        records.TestResult(epoch=1, images=8, top1_wrong=top1, top5_wrong=top5)


def test_a_finished_run_has_been_tested(make_config: Callable[..., RunConfig]) -> None:
    config = make_config()
    with pytest.raises(ValueError, match="'done', but train_images is missing"):
        RunRecord(
            schema=SCHEMA,
            run_id=config.run_id,
            config=config,
            status="done",
            message="",
            epochs=(),
            train_images=None,
            test=None,
            test_accesses=0,
            costs=None,
            times=None,
            environment=ENVIRONMENT,
        )


def made_epoch(**changes: float) -> Epoch:
    sound: dict[str, Any] = {"train_loss": 2.0, "train_error": 0.5, "validation_error": None}
    return Epoch(**{"epoch": 1, **sound, "train_seconds": 1.0, "eval_seconds": 0.0, **changes})


@pytest.mark.parametrize("changes", [{"train_loss": 3e38}, {"train_error": 1}, {"validation_error": 0}])
def test_an_epoch_at_the_bounds_is_taken(changes: dict[str, float]) -> None:
    assert made_epoch(**changes)


@pytest.mark.parametrize("name", ["train_loss", "train_error", "validation_error", "train_seconds", "eval_seconds"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, -1e308, 10**400])
def test_an_epochs_measure_beyond_its_bounds_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} is "):
        made_epoch(**{name: value})
