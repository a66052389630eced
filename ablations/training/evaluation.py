"""One pass over evaluation batches: what the network says of every image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ablations.data.dataset import SealedTest, Split
from ablations.errors import Diverged
from ablations.hardware.device import clock, reset_peak_memory, untimed_kernels
from ablations.records.predictions import TOP_K, Predictions
from ablations.records.record import DiagnosedEpoch, Epoch, TestResult
from ablations.records.run_folder import RunFolder
from ablations.suites.recipe import Precision
from ablations.training.loader import Loader
from ablations.training.loss import autocast
from ablations.training.step import TrainStep
from googlenet.model import GoogLeNet


@untimed_kernels()
@torch.inference_mode()
def predict(
    model: GoogLeNet, batches: Iterable[tuple[Tensor, Tensor]], *, precision: Precision = "fp32"
) -> Predictions:
    """The model's most likely classes for every image."""
    model.eval()
    parts = []
    for images, labels in batches:
        with autocast(images.device, precision):
            logits = model(images).logits.float()
        top = logits.topk(min(TOP_K, logits.shape[1]), dim=1)
        probabilities = logits.softmax(dim=1)
        confidence = probabilities.amax(dim=1)
        true_probability = probabilities.gather(1, labels[:, None])[:, 0]
        parts.append((top.indices, top.values, confidence, true_probability, labels))
    return Predictions(*(torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)))


class BestEpoch(NamedTuple):
    """The network with the least validation error so far: its epoch, and its state on the CPU."""

    epoch: int
    validation_error: float
    model: dict[str, Any]


def better_epoch(chosen: BestEpoch | None, model: GoogLeNet, epoch: Epoch) -> BestEpoch | None:
    """The network to test as things stand: this epoch's if its validation error is less; None without validation."""
    error = epoch.validation_error
    if error is None or (chosen is not None and chosen.validation_error <= error):
        return chosen
    state = {name: tensor.to("cpu", copy=True) for name, tensor in model.state_dict().items()}
    return BestEpoch(epoch.epoch, error, state)


def validate(trainer: TrainStep, loader: Loader | None) -> tuple[float | None, float]:
    """The error on the validation images and the seconds that it took; None and 0 where none are held out."""
    if loader is None:
        return None, 0.0
    began = clock(trainer.device)
    wrong = predict(trainer.model, loader.eval_batches(), precision=trainer.recipe.precision).wrong.sum()
    seconds = clock(trainer.device) - began
    reset_peak_memory(trainer.device)  # the peak of training is what is reported
    return int(wrong) / len(loader), seconds


def diagnose(trainer: TrainStep, sealed: SealedTest, folder: RunFolder, *, epoch: int) -> None:
    """Note the test error after an epoch where no choice can see it."""
    predictions = _predict(trainer, sealed.peek())
    reset_peak_memory(trainer.device)  # the peak of training is what is reported
    entry = DiagnosedEpoch(epoch=epoch, images=len(predictions.labels), top1_wrong=int(predictions.wrong.sum()))
    folder.diagnosed.append(entry)


def test_once(trainer: TrainStep, sealed: SealedTest, folder: RunFolder, *, epoch: int) -> tuple[TestResult, float]:
    """Count errors over every test image, and save the predictions that they come from.

    Predictions that are there come from this very network, tested before the process was killed: they are taken.
    Returns the counts and the seconds.

    Raises:
        Diverged: if an output of the network is not finite.
        SealBroken: if the test images were read before in this run.
    """
    began = clock(trainer.device)
    split = sealed.open()
    if folder.has_predictions:
        predictions = folder.read_predictions()
    else:
        predictions = _predict(trainer, split)
        if not np.isfinite(predictions.logits).all():
            # The last step can ruin the weights without a loss to show it.
            raise Diverged(f"the network's outputs are not finite after epoch {epoch} of {trainer.recipe.epochs}")
        folder.write_predictions(predictions)
    in_top5 = predictions.top5_wrong
    result = TestResult(
        epoch=epoch,
        images=len(predictions.labels),
        top1_wrong=int(predictions.wrong.sum()),
        top5_wrong=None if in_top5 is None else int(in_top5.sum()),
    )
    return result, clock(trainer.device) - began


def _predict(trainer: TrainStep, split: Split) -> Predictions:
    loader = Loader(split, recipe=trainer.recipe, device=trainer.device)
    return predict(trainer.model, loader.eval_batches(), precision=trainer.recipe.precision)
