"""The training loss, against formulas written out in NumPy and scikit-learn's log loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss

from ablations.training.loss import training_loss
from googlenet import Architecture
from tests.support.training import BN_AUX, SHORT4, random_batch, seeded_model


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_auxiliary_heads_add_their_weighted_cross_entropy(weight: float) -> None:
    assert BN_AUX.aux is not None
    model = seeded_model(replace(BN_AUX, aux=replace(BN_AUX.aux, weight=weight)))
    images, labels = random_batch(4, image_size=32)
    output = model(images)
    assert len(output.aux) == 2
    losses = [
        log_loss(labels.numpy(), softmax(logits.detach().numpy()), labels=range(10))
        for logits in (output.logits, *output.aux)
    ]
    loss = training_loss(model, output, labels)
    assert float(loss.detach()) == pytest.approx(losses[0] + weight * (losses[1] + losses[2]), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("arch", [SHORT4, BN_AUX], ids=["one-head", "auxiliary-heads"])
def test_smoothed_labels_give_every_class_a_share(arch: Architecture, smoothing: float) -> None:
    # arXiv:1512.00567, section 7: of each label, that share is spread evenly over the classes.
    model = seeded_model(arch)
    images, labels = random_batch(4, image_size=arch.image_size)
    output = model(images)
    targets = (1 - smoothing) * np.eye(10)[labels.numpy()] + smoothing / 10
    losses = [
        -(targets * np.log(softmax(logits.detach().numpy()))).sum(axis=1).mean()
        for logits in (output.logits, *output.aux)
    ]
    expected = losses[0] + (arch.aux.weight * sum(losses[1:]) if arch.aux else 0)
    loss = training_loss(model, output, labels, label_smoothing=smoothing)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
