"""Bytes that a run takes on the disk, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ablations.records.predictions import TOP_K
from ablations.suites.run_config import RunConfig
from googlenet.counts import count_params, layers

KEPT_STATES = 2  # the newest, and the one before it should the newest be damaged
_FLOAT, _COUNTER = 4, 8  # bytes of a number in single precision, and of a batch norm's counter of batches
_STATES_OF_A_PARAMETER = {"adadelta": 2, "adam": 2, "sgd": 1}  # that the optimizer keeps; plain SGD keeps none


class DiskUse(NamedTuple):
    """Bytes that a run takes at most while it trains, and that it keeps once it is done.

    While it trains it keeps its newest states, with one more for as long as that is written. Of a run that is done it
    keeps the weights after the last epoch and after the recipe's `keep_epochs`, and the predictions.
    """

    training: int
    done: int


def disk_use(config: RunConfig, *, test_images: int) -> DiskUse:
    """The bytes of a run, but for its metrics and the files' own structure, a few hundred bytes a tensor."""
    recipe = config.recipe
    weights = _weights_bytes(config)
    states = 0 if recipe.optimizer == "sgd" and not recipe.momentum else _STATES_OF_A_PARAMETER[recipe.optimizer]
    params = count_params(config.architecture, num_classes=config.num_classes)
    state = weights * (2 if recipe.validation_fraction else 1) + states * params * _FLOAT
    kept = len(recipe.keep_epochs) * weights
    predictions = _predictions_bytes(config.num_classes, test_images=test_images)
    return DiskUse(training=(KEPT_STATES + 1) * state + kept, done=weights + kept + predictions)


def _weights_bytes(config: RunConfig) -> int:
    """Parameters, and of each batch norm the mean and variance of every channel and a counter."""
    counted = list(layers(config.architecture, num_classes=config.num_classes, training=True))
    norms = [layer.out_channels for layer in counted if layer.batch_norm]
    return _FLOAT * (sum(layer.params for layer in counted) + 2 * sum(norms)) + _COUNTER * len(norms)


def _predictions_bytes(num_classes: int, *, test_images: int) -> int:
    """The arrays of `predictions.Predictions`: classes, logits, confidence, label and loss of every image."""
    label, top = np.min_scalar_type(num_classes - 1).itemsize, min(TOP_K, num_classes)
    return test_images * (top * (label + _FLOAT) + _FLOAT + label + _FLOAT)
