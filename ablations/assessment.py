"""What a run does with images that it does not train on: validate, choose an epoch by that, and test once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from googlenet import GoogLeNet

from . import devices
from .engine import Trainer
from .errors import Diverged
from .evaluation import predict
from .loader import Loader
from .predictions import Predictions
from .record import DiagnosedEpoch, Epoch, TestResult
from .run_folder import RunFolder
from .splits import SealedTest, Split


class Chosen(NamedTuple):
    """The network with the least validation error so far: its epoch, and its state on the CPU."""

    epoch: int
    validation_error: float
    model: dict[str, Any]


def better(chosen: Chosen | None, model: GoogLeNet, epoch: Epoch) -> Chosen | None:
    """The network to test as things stand: this epoch's if its validation error is less; None without validation."""
    error = epoch.validation_error
    if error is None or (chosen is not None and chosen.validation_error <= error):
        return chosen
    state = {name: tensor.to("cpu", copy=True) for name, tensor in model.state_dict().items()}
    return Chosen(epoch.epoch, error, state)


def validate(trainer: Trainer, loader: Loader | None) -> tuple[float | None, float]:
    """The error on the validation images and the seconds that it took; None and 0 where none are held out."""
    if loader is None:
        return None, 0.0
    began = devices.clock(trainer.device)
    wrong = predict(trainer.model, loader.eval_batches(), precision=trainer.recipe.precision).wrong.sum()
    seconds = devices.clock(trainer.device) - began
    devices.reset_peak_memory(trainer.device)  # the peak of training is what is reported
    return int(wrong) / len(loader), seconds


def diagnose(trainer: Trainer, sealed: SealedTest, folder: RunFolder, *, epoch: int) -> None:
    """Note the test error after an epoch where no choice can see it."""
    predictions = _predict(trainer, sealed.peek())
    devices.reset_peak_memory(trainer.device)  # the peak of training is what is reported
    entry = DiagnosedEpoch(epoch=epoch, images=len(predictions.labels), top1_wrong=int(predictions.wrong.sum()))
    folder.diagnosed.append(entry)


def test(trainer: Trainer, sealed: SealedTest, folder: RunFolder, *, epoch: int) -> tuple[TestResult, float]:
    """Count errors over every test image, and save the predictions that they come from.

    Predictions that are there come from this very network, tested before the process was killed: they are taken.
    Returns the counts and the seconds.

    Raises:
        Diverged: if an output of the network is not finite.
        SealBroken: if the test images were read before in this run.
    """
    began = devices.clock(trainer.device)
    split = sealed.open()
    if folder.has_predictions:
        predictions = folder.read_predictions()
    else:
        predictions = _predict(trainer, split)
        if not np.isfinite(predictions.logits).all():
            # The last step can ruin the weights without a loss to show it.
            raise Diverged(f"the network's outputs are not finite after epoch {epoch} of {trainer.recipe.epochs}")
        folder.write_predictions(predictions)
    in_top5 = predictions.wrong_in_top5
    result = TestResult(
        epoch=epoch,
        images=len(predictions.labels),
        top1_wrong=int(predictions.wrong.sum()),
        top5_wrong=None if in_top5 is None else int(in_top5.sum()),
    )
    return result, devices.clock(trainer.device) - began


def _predict(trainer: Trainer, split: Split) -> Predictions:
    loader = Loader(split, recipe=trainer.recipe, device=trainer.device)
    return predict(trainer.model, loader.eval_batches(), precision=trainer.recipe.precision)
