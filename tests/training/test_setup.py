"""What a run trains on: all images, or a limited number, without those that are held out to validate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ablations.data.dataset import Dataset
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event, StepDone, TrainingStarted
from ablations.training.options import ExecutionOptions
from ablations.training.step import StepResult, TrainStep
from ablations.training.train import train
from tests.support.training import Run, as_batch, rebuilt


def test_training_never_sees_the_images_that_validate(
    undisturbed: Run, tiny_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[Counter[bytes]] = []
    step = TrainStep.step

    def noting(train_step: TrainStep, images: Tensor, labels: Tensor) -> StepResult:
        trained_on[-1].update(image.contiguous().numpy().tobytes() for image in images)
        return step(train_step, images, labels)

    def on_event(event: Event) -> None:
        if isinstance(event, TrainingStarted | EpochDone):
            trained_on.append(Counter())

    monkeypatch.setattr(TrainStep, "step", noting)
    unchanged = replace(undisturbed.config.recipe, flip=0.0, crop_padding=0, cutout=0)
    config = replace(undisturbed.config, recipe=unchanged)
    folder = RunFolder(tmp_path, config)
    record = train(config, dataset=tiny_digits, folder=folder, on_event=on_event, options=ExecutionOptions())
    images, labels = as_batch(tiny_digits.train)
    everything = {image.contiguous().numpy().tobytes(): position for position, image in enumerate(images)}
    assert len(everything) == 150
    for epoch in trained_on[:3]:
        assert epoch == trained_on[0]
        assert set(epoch) <= set(everything) and set(epoch.values()) == {1} and len(epoch) == 120
    held_out = [position for image, position in everything.items() if image not in trained_on[0]]
    # Stratified: the digits held out are as frequent as in the whole, up to rounding.
    wanted = np.bincount(labels.numpy(), minlength=10) / 5
    assert (abs(np.bincount(labels[held_out].numpy(), minlength=10) - wanted) < 1).all()
    with torch.no_grad():
        wrong = (rebuilt(config, folder)(images[held_out]).logits.argmax(1) != labels[held_out]).sum()
    # The weights that are kept are those of the epoch with the least validation error.
    errors = [epoch.validation_error for epoch in record.epochs]
    assert None not in errors
    assert min(error for error in errors if error is not None) == int(wrong) / 30


def test_without_validation_every_image_trains_and_there_is_no_validation_error(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    config = make_config(epochs=1)
    record = train(config, dataset=tiny_digits, folder=RunFolder(tmp_path, config), options=ExecutionOptions())
    assert record.train_images == 150
    assert [(epoch.validation_error, epoch.eval_seconds) for epoch in record.epochs] == [(None, 0.0)]


def test_a_limit_trains_on_that_many_images(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    config = make_config(epochs=1, limit_train=70)
    events: list[Event] = []
    folder = RunFolder(tmp_path, config)
    record = train(config, dataset=tiny_digits, folder=folder, on_event=events.append, options=ExecutionOptions())
    assert record.train_images == 70
    assert sum(event.images for event in events if isinstance(event, StepDone)) == 70
    assert record.test is not None and record.test.images == 60
