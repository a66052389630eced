"""One optimisation step, and one pass over evaluation batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from googlenet.model import GoogLeNet, Output

from .config import Recipe

TOP_K = 5


class StepResult(NamedTuple):
    """Scalars that stay on the device: the batch's mean loss and how many images it got wrong."""

    loss: Tensor
    wrong: Tensor


class Predictions(NamedTuple):
    """For N images: the K most likely classes (N, K) and their logits, the true class's probability and label (N,)."""

    classes: Tensor
    logits: Tensor
    true_probability: Tensor
    labels: Tensor

    @property
    def wrong(self) -> int:
        """Images whose most likely class is not the label."""
        return int((self.classes[:, 0] != self.labels).sum())

    @property
    def wrong_in_top5(self) -> int | None:
        """Images whose label is not among the five most likely classes; None with fewer than five classes."""
        if self.classes.shape[1] < TOP_K:
            return None
        return int((self.classes != self.labels[:, None]).all(dim=1).sum())


def make_optimizer(model: GoogLeNet, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters, with torch's defaults where the recipe says nothing."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adadelta":
        return torch.optim.Adadelta(model.parameters(), lr=rate, weight_decay=decay)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    momentum = recipe.momentum
    return torch.optim.SGD(model.parameters(), lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def train_step(model: GoogLeNet, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> StepResult:
    """Forward, loss, backward and update on images (B, 3, H, W) and labels (B,)."""
    optimizer.zero_grad(set_to_none=True)
    output = model(images)
    loss = training_loss(model, output, labels)
    loss.backward()
    optimizer.step()
    return StepResult(loss.detach(), (output.logits.detach().argmax(dim=1) != labels).sum())


def training_loss(model: GoogLeNet, output: Output, labels: Tensor) -> Tensor:
    """Cross-entropy, plus each auxiliary head's times the architecture's weight for it."""
    loss = functional.cross_entropy(output.logits, labels)
    for logits in output.aux:
        assert model.arch.aux is not None
        loss = loss + model.arch.aux.weight * functional.cross_entropy(logits, labels)
    return loss


@torch.inference_mode()
def predict(model: GoogLeNet, batches: Iterable[tuple[Tensor, Tensor]]) -> Predictions:
    """The model's most likely classes for every image, on the CPU."""
    model.eval()
    parts = []
    for images, labels in batches:
        logits = model(images).logits
        top = logits.topk(min(TOP_K, logits.shape[1]), dim=1)
        true_probability = logits.softmax(dim=1).gather(1, labels[:, None])[:, 0]
        parts.append((top.indices, top.values, true_probability, labels))
    return Predictions(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))
