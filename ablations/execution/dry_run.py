"""The first steps of a run, without a result: to know that the run can start, and what it takes."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from ablations.data.dataset import Dataset
from ablations.errors import Diverged
from ablations.hardware.device import (
    clock,
    exact_kernels,
    peak_memory_bytes,
    release_cached_memory,
    reset_peak_memory,
)
from ablations.suites.run_config import RunConfig
from ablations.training.evaluation import predict
from ablations.training.options import ExecutionOptions
from ablations.training.setup import Setup, set_up

TIMED_STEPS = 20  # after the first, whose time has the start of libraries in it


class FirstSteps(NamedTuple):
    """What a run's first steps showed: the first one's loss, the mean seconds of the later ones, and peak memory.

    `steps` are those that the whole training has, and `run_seconds` what the whole run would take: to start, to train,
    and to validate and test.
    """

    loss: float
    step_seconds: float
    timed_steps: int
    peak_memory_bytes: int
    steps: int
    run_seconds: float
    train_images: int


def train_first_steps(
    config: RunConfig, *, dataset: Dataset, options: ExecutionOptions, most_seconds: float
) -> FirstSteps:
    """Take the first steps of a run as configured, predict on images of one of them, and keep nothing of it.

    After the first step it times 20 more, or as many as fit `most_seconds`, and one at least. The test images are not
    read. Reseeds torch's global generators.

    Raises:
        Diverged: if the loss is not finite.
        torch.OutOfMemoryError: if the device's memory is too small.
    """
    device = options.device
    release_cached_memory(device)
    began = clock(device)
    setup = set_up(config, dataset, options=options)
    train_step, loader = setup.train_step, setup.train_loader
    reset_peak_memory(device)
    with exact_kernels(device, deterministic=options.deterministic):
        train_step.warm_up(batch_sizes=loader.batch_sizes[:1])
        train_step.model.train()
        train_step.set_learning_rate(config.recipe.learning_rate_at(epoch=0, progress=0))
        batches = itertools.chain.from_iterable(
            loader.train_batches(seed=config.seed, epoch=epoch) for epoch in itertools.count(1)
        )
        images, labels = next(batches)
        warm = clock(device)
        loss = float(train_step.step(images, labels).loss)
        first = clock(device)
        timed_steps = max(1, min(TIMED_STEPS, int(most_seconds / (first - warm))))
        full = (batch for batch in batches if len(batch[1]) == len(labels))  # the smaller last ones are not warmed up
        for timed_images, timed_labels in itertools.islice(full, timed_steps):
            train_step.step(timed_images, timed_labels)
        trained = clock(device)
        predict(train_step.model, [(images, labels)], precision=config.recipe.precision)
        predicted = clock(device)
    if not math.isfinite(loss):
        raise Diverged("the loss of the first batch is not finite")
    step_seconds, steps = (trained - first) / timed_steps, config.recipe.epochs * loader.steps
    evaluating = _evaluated_images(setup, dataset) * (predicted - trained) / len(labels)
    return FirstSteps(
        loss=loss,
        step_seconds=step_seconds,
        timed_steps=timed_steps,
        peak_memory_bytes=peak_memory_bytes(device),
        steps=steps,
        run_seconds=first - began + steps * step_seconds + evaluating,
        train_images=len(loader),
    )


def _evaluated_images(setup: Setup, dataset: Dataset) -> int:
    """How many images the run predicts: those held out after every epoch, and the test images once."""
    held_out = len(setup.validation_loader) if setup.validation_loader else 0
    return len(dataset.test) + setup.config.recipe.epochs * held_out
