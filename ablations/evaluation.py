"""One pass over evaluation batches: what the network says of every image."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from googlenet.model import GoogLeNet

from . import devices
from .config import Precision
from .engine import autocast
from .predictions import TOP_K, Predictions


@devices.untimed_kernels()
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
