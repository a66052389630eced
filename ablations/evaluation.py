"""One pass over evaluation batches, and the counts of errors that come of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from googlenet.model import GoogLeNet

from .config import Precision
from .engine import autocast
from .record import TOP_K


class Predictions(NamedTuple):
    """For N images: the K most likely classes (N, K) and their logits; the probabilities of the most likely and of the
    true class, and the latter's number, the label (N,)."""

    classes: Tensor
    logits: Tensor
    confidence: Tensor
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


@torch.inference_mode()
def predict(
    model: GoogLeNet, batches: Iterable[tuple[Tensor, Tensor]], *, precision: Precision = "fp32"
) -> Predictions:
    """The model's most likely classes for every image, on the CPU."""
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
    return Predictions(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))
