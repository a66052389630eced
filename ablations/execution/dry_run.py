"""One batch of a run, forward and backward, without a result: to know that the run can start, and what a step takes."""

from __future__ import annotations

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
from ablations.training.setup import set_up


class FirstBatch(NamedTuple):
    """What a run's first batch showed: loss, seconds of the step, peak memory, and the steps that training has."""

    loss: float
    step_seconds: float
    peak_memory_bytes: int
    steps: int


def train_first_batch(config: RunConfig, *, dataset: Dataset, options: ExecutionOptions) -> FirstBatch:
    """Take the first step of a run as configured, predict on the same images, and keep nothing of it.

    The test images are not read. Reseeds torch's global generators.

    Raises:
        Diverged: if the loss is not finite.
        torch.OutOfMemoryError: if the device's memory is too small.
    """
    device = options.device
    release_cached_memory(device)
    setup = set_up(config, dataset, options=options)
    train_step, loader = setup.train_step, setup.train_loader
    reset_peak_memory(device)
    with exact_kernels(device, deterministic=options.deterministic):
        train_step.warm_up(batch_sizes=loader.batch_sizes[:1])
        train_step.model.train()
        images, labels = next(loader.train_batches(seed=config.seed, epoch=1))
        train_step.set_learning_rate(config.recipe.learning_rate_at(epoch=0, progress=0))
        began = clock(device)
        loss = float(train_step.step(images, labels).loss)
        seconds = clock(device) - began
        predict(train_step.model, [(images, labels)], precision=config.recipe.precision)
    if not math.isfinite(loss):
        raise Diverged("the loss of the first batch is not finite")
    return FirstBatch(loss, seconds, peak_memory_bytes(device), config.recipe.epochs * loader.steps)
