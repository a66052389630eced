"""One epoch of training: every image once, under the recipe's learning-rate schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from ablations.errors import Diverged
from ablations.hardware.device import clock
from ablations.seeding import derive_seed
from ablations.suites.recipe import Recipe
from ablations.training.inputs.loader import Loader
from ablations.training.step import TrainStep, batches_counted_apart


class EpochResult(NamedTuple):
    """Mean loss and error over an epoch's images, and the seconds that it took."""

    loss: float
    error: float
    seconds: float


def train_epoch(
    train_step: TrainStep,
    loader: Loader,
    *,
    seed: int,
    epoch: int,
    log_every: int = 0,
    on_step: Callable[[int, float | None], None],
) -> EpochResult:
    """Train on every image of the loader once; `epoch` counts from 1. Reseeds torch's global generators.

    After each step `on_step` gets its number of images and the epoch's mean loss so far: on a CPU always and on a GPU,
    where reading it costs a device sync, after every `log_every` steps (0: never).

    Raises:
        Diverged: if the loss of a step is not finite; on a GPU at the epoch's end, as reading it costs a device sync.
    """
    recipe, device = train_step.recipe, train_step.device
    train_step.model.train()
    torch.manual_seed(derive_seed(seed, purpose="dropout", epoch=epoch))
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    wrong = torch.zeros((), dtype=torch.int64, device=device)
    began, seen = clock(device), 0
    with batches_counted_apart(train_step.model, batches=loader.steps):
        for number, (images, labels) in enumerate(loader.train_batches(seed=seed, epoch=epoch)):
            progress = (epoch - 1 + number / loader.steps) / recipe.epochs
            train_step.set_learning_rate(recipe.learning_rate_at(epoch=epoch - 1, progress=progress))
            try:
                result = train_step.step(images, labels)
            except Diverged as error:
                raise Diverged(_diverged(recipe, epoch, where=f"step {number + 1} of ")) from error
            loss_sum += result.loss * len(labels)
            wrong += result.wrong
            seen += len(labels)
            readable = device.type == "cpu" or (log_every and (number + 1) % log_every == 0)
            on_step(len(labels), float(loss_sum) / seen if readable else None)
    seconds = clock(device) - began
    if not torch.isfinite(loss_sum):
        raise Diverged(_diverged(recipe, epoch))
    return EpochResult(float(loss_sum) / seen, int(wrong) / seen, seconds)


def _diverged(recipe: Recipe, epoch: int, *, where: str = "") -> str:
    said = f"the training loss stopped being finite in {where}epoch {epoch} of {recipe.epochs}"
    return f"{said}; --precision fp32 may help" if epoch == 1 and recipe.precision == "bf16" else said
