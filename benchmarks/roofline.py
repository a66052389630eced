"""The roofline of a training step: the least time that its FLOPs and bytes take at a device's peak rates."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from ablations.suites.recipe import Optimizer, Recipe
from googlenet import Architecture, build

FP32_BYTES, BF16_BYTES = 4, 2
STATE_TENSORS: dict[Optimizer, int] = {"adadelta": 2, "adam": 2, "sgd": 1}  # an optimiser's, each like the weights


class Kernel(NamedTuple):
    """A part of a training step: its FLOPs, and the bytes that it must read and write."""

    name: str
    flops: int
    bytes: int


def training_kernels(arch: Architecture, *, num_classes: int, recipe: Recipe, batch_size: int) -> list[Kernel]:
    """The parts of one training step, each with its least memory traffic.

    Every part reads its inputs and writes its outputs once. A convolution or linear layer has three, of equal FLOPs:
    forward, gradient of its input (which the first layer does not need), gradient of its weights. Batch norm,
    pooling and the update of the weights move bytes only. ReLU, concatenation, dropout and the loss cost nothing
    here, as they can be fused with their neighbours. A program that fuses more, or whose data stays in a cache
    from one part to the next, can be faster than their `shortest_seconds`.
    """
    with torch.device("meta"):
        model = build(arch, num_classes=num_classes).train()
        images = torch.empty(batch_size, arch.in_channels, arch.image_size, arch.image_size)
    element = BF16_BYTES if recipe.precision == "bf16" else FP32_BYTES
    kernels: list[Kernel] = []

    def record(name: str, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        through = (inputs[0].numel() + output.numel()) * element
        if isinstance(module, nn.Conv2d | nn.Linear):
            weights = module.weight.numel()
            flops = 2 * weights * output.numel() // module.weight.shape[0]
            kernels.append(Kernel(f"{name} forward", flops, through + weights * element))
            if inputs[0] is not images:
                kernels.append(Kernel(f"{name} input gradient", flops, through + weights * element))
            kernels.append(Kernel(f"{name} weight gradient", flops, through + weights * FP32_BYTES))
        elif isinstance(module, nn.BatchNorm2d):
            kernels.append(Kernel(f"{name} forward", 0, through))
            kernels.append(Kernel(f"{name} backward", 0, through + inputs[0].numel() * element))
        elif isinstance(module, nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
            kernels.extend((Kernel(f"{name} forward", 0, through), Kernel(f"{name} backward", 0, through)))

    layers = {name: module for name, module in model.named_modules() if not list(module.children())}
    for name, module in layers.items():
        module.register_forward_hook(functools.partial(record, name))
    model(images)
    params = sum(parameter.numel() for parameter in model.parameters())
    states = STATE_TENSORS[recipe.optimizer] if recipe.momentum or recipe.optimizer != "sgd" else 0
    # Weights, gradients and states are read, weights and states written.
    return [*kernels, Kernel("update", 0, (3 + 2 * states) * params * FP32_BYTES)]


def shortest_seconds(kernels: Iterable[Kernel], *, flops_per_second: float, bytes_per_second: float) -> float:
    """Seconds that these parts take one after the other, each bound by its FLOPs or by its bytes."""
    return sum(max(kernel.flops / flops_per_second, kernel.bytes / bytes_per_second) for kernel in kernels)
