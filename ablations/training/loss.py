"""The training loss, and the precision of the forward pass that it comes from."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ablations.suites.recipe import Precision
from googlenet.model import GoogLeNet, Output


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context in which a network's forward pass runs in that precision: "fp32" or, by autocast, "bf16"."""
    # Each weight is used once a pass, so a cache of its copies would only hold memory.
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


def training_loss(model: GoogLeNet, output: Output, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of a batch with labels (B,), plus each auxiliary head's times the architecture's weight.

    Computed in single precision or better. Sources: auxiliary heads arXiv:1409.4842, section 5; label smoothing
    arXiv:1512.00567, section 7.
    """

    def cross_entropy(logits: Tensor) -> Tensor:
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return functional.cross_entropy(precise, labels, label_smoothing=label_smoothing)

    loss = cross_entropy(output.logits)
    for logits in output.aux:
        assert model.arch.aux is not None
        loss = loss + model.arch.aux.weight * cross_entropy(logits)
    return loss
