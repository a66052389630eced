"""Predict, validate and test: one pass over images without augmentation, and the errors counted in it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ablations.data.dataset import SealedTest, Split
from ablations.errors import Diverged
from ablations.hardware.device import clock, reset_peak_memory, untimed_kernels
from ablations.records.predictions import TOP_K, Predictions
from ablations.records.record import DiagnosedEpoch, Epoch, TestResult
from ablations.records.run_folder import RunFolder
from ablations.suites.recipe import Precision
from ablations.training.inputs.loader import Loader
from ablations.training.inputs.transforms import draw_test_flips
from ablations.training.loss import autocast
from ablations.training.step import TrainStep
from googlenet.model import GoogLeNet


@untimed_kernels()
@torch.inference_mode()
def predict(
    model: GoogLeNet, batches: Iterable[tuple[Tensor, Tensor]], *, precision: Precision = "fp32"
) -> Predictions:
    """The most likely classes and the loss of every image, by the model in evaluation mode, which it is left in.

    `batches` are images (B, C, H, W) and labels (B,) on the model's device.
    """
    model.eval()
    parts = []
    for images, labels in batches:
        with autocast(images.device, precision):
            logits = model(images).logits.float()
        top = logits.topk(min(TOP_K, logits.shape[1]), dim=1)
        confidence = logits.softmax(dim=1).amax(dim=1)
        loss = functional.cross_entropy(logits, labels, reduction="none")
        parts.append((top.indices, top.values, confidence, labels, loss))
    return Predictions(*(torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)))


class BestEpoch(NamedTuple):
    """The epoch with the least validation error so far, and the network's state after it, on the CPU."""

    epoch: int
    validation_error: float
    model: dict[str, Any]


def better_epoch(best: BestEpoch | None, model: GoogLeNet, epoch: Epoch) -> BestEpoch | None:
    """The best epoch so far: this one if its validation error is less than that of `best`; None without validation."""
    error = epoch.validation_error
    if error is None or (best is not None and best.validation_error <= error):
        return best
    state = {name: tensor.to("cpu", copy=True) for name, tensor in model.state_dict().items()}
    return BestEpoch(epoch.epoch, error, state)


class Validated(NamedTuple):
    """Errors and mean loss on the validation images and the seconds that they took; None and 0 where none are held out.

    The top-5 error is also None with fewer than five classes.
    """

    error: float | None = None
    top5_error: float | None = None
    loss: float | None = None
    seconds: float = 0.0


def validate(train_step: TrainStep, loader: Loader | None) -> Validated:
    """Count the errors on the validation images, if there are any."""
    if loader is None:
        return Validated()
    began = clock(train_step.device)
    found = predict(train_step.model, loader.eval_batches(), precision=train_step.recipe.precision)
    seconds = clock(train_step.device) - began
    reset_peak_memory(train_step.device)  # the peak of training is what is reported
    in_top5 = found.top5_wrong
    return Validated(
        error=int(found.wrong.sum()) / len(loader),
        top5_error=None if in_top5 is None else int(in_top5.sum()) / len(loader),
        loss=_mean_loss(found),
        seconds=seconds,
    )


def _mean_loss(found: Predictions) -> float | None:
    """The mean loss over images, in double precision; None if it is not known or not finite."""
    mean = float(found.loss.mean(dtype=np.float64)) if len(found.loss) else math.nan
    return mean if math.isfinite(mean) else None


def diagnose(train_step: TrainStep, sealed: SealedTest, folder: RunFolder, *, epoch: int) -> None:
    """Write the test error after an epoch into the run's diagnostic file, which no choice reads."""
    predictions = _predict(train_step, sealed.peek(), folder)
    reset_peak_memory(train_step.device)  # the peak of training is what is reported
    entry = DiagnosedEpoch(epoch=epoch, images=len(predictions.labels), top1_wrong=int(predictions.wrong.sum()))
    folder.diagnosed.append(entry)


def test_once(train_step: TrainStep, sealed: SealedTest, folder: RunFolder, *, epoch: int) -> tuple[TestResult, float]:
    """Count the errors over all test images, and save the predictions that they come from.

    Predictions that the folder already holds come from this same network, tested before the process was killed, and
    are used again. Returns the counts and the seconds that this took.

    Raises:
        Diverged: if an output of the network is not finite.
        SealBroken: if the test images were read before in this run.
    """
    began = clock(train_step.device)
    split = sealed.open()
    if folder.has_predictions:
        predictions = folder.read_predictions()
    else:
        predictions = _predict(train_step, split, folder)
        if not np.isfinite(predictions.logits).all():
            # The last step can ruin the weights without a loss to show it.
            raise Diverged(f"the network's outputs are not finite after epoch {epoch} of {train_step.recipe.epochs}")
        folder.write_predictions(predictions)
    in_top5 = predictions.top5_wrong
    result = TestResult(
        epoch=epoch,
        images=len(predictions.labels),
        top1_wrong=int(predictions.wrong.sum()),
        top5_wrong=None if in_top5 is None else int(in_top5.sum()),
        loss=_mean_loss(predictions),
    )
    return result, clock(train_step.device) - began


def _predict(train_step: TrainStep, test: Split, folder: RunFolder) -> Predictions:
    """The predictions for test images, which with the recipe's `flip_test` are flipped as the run's seed says."""
    recipe = train_step.recipe
    loader = Loader(test, recipe=recipe, device=train_step.device)
    flipped = draw_test_flips(recipe, count=len(test), seed=folder.config.seed) if recipe.flip_test else None
    return predict(train_step.model, loader.eval_batches(flipped=flipped), precision=recipe.precision)
