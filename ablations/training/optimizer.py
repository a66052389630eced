"""The optimiser of a recipe, and how to withhold an update whose loss is not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from ablations.suites.recipe import Recipe
from googlenet.model import GoogLeNet


def make_optimizer(model: GoogLeNet, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters, with torch's defaults where the recipe says nothing.

    On a GPU its learning rate is a tensor and its state lies on the device, so that a captured step follows both; it
    updates all parameters in a few kernels.
    """
    parameters = list(model.parameters())
    device, decay = parameters[0].device, recipe.weight_decay
    on_gpu = device.type == "cuda"
    precise = torch.promote_types(parameters[0].dtype, torch.float32)
    rate = torch.tensor(recipe.learning_rate, dtype=precise, device=device) if on_gpu else recipe.learning_rate
    if recipe.optimizer == "adadelta":  # the only one of them without a fused kernel
        return torch.optim.Adadelta(
            parameters, lr=rate, weight_decay=decay, foreach=True if on_gpu else None, capturable=on_gpu
        )
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True, capturable=on_gpu)
    return torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True
    )


@torch.no_grad()
def withhold_update(optimizer: torch.optim.Optimizer, *, unless: Tensor) -> None:
    """Where `unless`, a boolean scalar on the device, is false, make the next update leave the weights as they are.

    Works without a sync, so in a captured step too. The gradients, in single precision or better, become zeros then,
    and so do the learning rates, which have to be tensors: momentum and weight decay would move the weights even
    without a gradient.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    # NaN times zero is NaN, but its bits, read as an integer, times zero are zero; times one, no gradient changes.
    integer = {4: torch.int32, 8: torch.int64}[gradients[0].itemsize]
    bits = [gradient.view(integer) for gradient in gradients]
    torch._foreach_mul_(bits, unless.to(integer))  # pyright: ignore[reportPrivateImportUsage]
    for group in optimizer.param_groups:
        group["lr"].mul_(unless)
