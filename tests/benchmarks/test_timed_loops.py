"""The loops that are compared: turns, images, epochs, and memory in a process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ablations.training.step import TrainStep
from benchmarks import reference_loop, timed_loops
from benchmarks.timed_loops import TimedLoop
from googlenet import VARIANTS
from tests.support.small_workloads import RECIPE, TINY

CPU = torch.device("cpu")


class Scripted(TimedLoop):
    """A loop of given speeds that logs its turns."""

    def __init__(self, name: str, speeds: Sequence[float], log: list[str]) -> None:
        self.name, self.log = name, log
        self.speeds = iter(speeds)

    def train_epoch(self) -> float:
        self.log.append(self.name)
        return next(self.speeds)


def test_loops_take_turns_and_their_first_epoch_does_not_count() -> None:
    log: list[str] = []
    scripts = {"a": [99, 1, 2, 3], "b": [99, 4, 5, 6], "c": [99, 7, 8, 9]}
    speeds = timed_loops.interleave([Scripted(name, found, log) for name, found in scripts.items()], rounds=3)
    assert speeds == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    # Each round in the opposite order, so that a machine that slows down within a round favours no loop.
    assert "".join(log) == "abc" + "abc" + "cba" + "abc"


def test_the_median_ratio_is_that_of_rounds() -> None:
    # 2, 3 and 1 times; the ratio of the medians would be 4 / 3.
    assert timed_loops.median_ratio([2, 9, 4], [1, 3, 4]) == 2
    with pytest.raises(ValueError, match="argument 2 is longer"):
        timed_loops.median_ratio([1], [1, 2])


@pytest.mark.parametrize("kind", ["reference", "eager"])
def test_a_loops_speed_is_all_of_its_images_over_its_seconds(
    monkeypatch: pytest.MonkeyPatch, kind: timed_loops.LoopKind
) -> None:
    seen: list[int] = []
    for trainer in (TrainStep, reference_loop.ReferenceTrainer):
        step = trainer.step

        def counted(owner: Any, images: Tensor, labels: Tensor, *, step: Callable[..., Any] = step) -> Any:
            seen.append(len(images))
            return step(owner, images, labels)

        monkeypatch.setattr(trainer, "step", counted)
    loop = TimedLoop(kind, replace(TINY, images=37), replace(TINY, images=37).split())
    began = time.perf_counter()
    speed = loop.train_epoch()
    seconds = time.perf_counter() - began
    assert seen == [16, 16, 5]
    assert 37 / seconds <= speed < 20 * 37 / seconds


def test_a_loop_trains_for_more_epochs_than_its_recipe_has(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[int] = []
    monkeypatch.setattr(timed_loops, "train_epoch", lambda *_, epoch, **__: epochs.append(epoch))
    loop = TimedLoop("eager", replace(TINY, recipe=replace(RECIPE, epochs=2)), TINY.split())
    for _ in range(5):
        loop.train_epoch()
    assert epochs == [1, 2, 1, 2, 1]  # the schedule is defined for these only


def test_a_workloads_images_are_random_and_always_the_same() -> None:
    split, again = TINY.split(), TINY.split()
    assert split.images.shape == (32, 8, 8, 3)
    assert np.array_equal(split.images, again.images) and np.array_equal(split.labels, again.labels)
    assert len({image.tobytes() for image in split.images}) == 32
    assert set(split.labels.tolist()) <= set(range(10))
    assert TINY.architecture == replace(VARIANTS["short4"], image_size=8, width=0.125)


@pytest.mark.process
def test_loaders_are_timed_on_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # one worker process
    speeds = timed_loops.loader_speeds(CPU, images=128, image_size=8, rounds=1)
    assert speeds.loader > 0 and speeds.reference > 0
    assert speeds.ratio == pytest.approx(speeds.loader / speeds.reference)  # of the only round
    assert speeds.workers in (0, 1)


@pytest.mark.process
def test_peak_memory_is_that_of_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_loops, "MEMORY_PROCESSES", 1)
    # At least torch itself, and not as much as a machine has.
    assert 100e6 < timed_loops.epoch_peak_memory("eager", TINY) < 8e9
