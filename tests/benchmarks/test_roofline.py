"""FLOPs and bytes of a training step against torch's counter and counts by hand, and their roofline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ablations.suites.recipe import FAST, PUBLISHED, Recipe
from ablations.training.optimizer import make_optimizer
from benchmarks.roofline import Kernel, shortest_seconds, training_kernels
from googlenet import REFERENCES, VARIANTS, Architecture, InceptionRow, build

# The other variants have the same modules, in other numbers.
SMALL = {name: replace(VARIANTS[name], width=0.25, image_size=8) for name in ("naive", "short4")}
WITH_HEADS = replace(REFERENCES["bn-aux-224"], name="with-heads", stem="cifar", image_size=32, width=0.125)
# Two heads, strides, pools that round up; and neither batch norm nor a global pool, but a 5x5 convolution.
OTHER_LAYERS = (
    replace(REFERENCES["torchvision"], width=0.125, image_size=64),
    replace(REFERENCES["plain-cifar"], width=0.125),
)
ONE_MODULE = Architecture(
    name="one-module",
    stages=((InceptionRow(ch1x1=2, ch3x3_reduce=3, ch3x3=4, ch5x5_reduce=1, ch5x5=5, pool_proj=6),), (), ()),
    stem_channels=8,
    branch5x5="5x5",
    image_size=8,
)
FP32, BF16 = (PUBLISHED.at_precision(precision) for precision in ("fp32", "bf16"))


@pytest.mark.parametrize("arch", [*SMALL.values(), WITH_HEADS, *OTHER_LAYERS], ids=lambda arch: arch.name)
def test_a_training_steps_flops_are_those_that_torch_counts_in_one(arch: Architecture) -> None:
    model = build(arch, num_classes=10).train()
    images = torch.zeros(4, arch.in_channels, arch.image_size, arch.image_size)
    # Counts what autograd really computes, so no gradient of the images.
    with FlopCounterMode(display=False) as counter:
        output = model(images)
        torch.stack([output.logits, *output.aux]).sum().backward()
    assert len(output.aux) == (len(arch.aux.after) if arch.aux else 0)
    kernels = training_kernels(arch, num_classes=10, recipe=FP32, batch_size=4)
    assert sum(kernel.flops for kernel in kernels) == counter.get_total_flops()


@pytest.mark.parametrize("arch", [SMALL["naive"], WITH_HEADS], ids=lambda arch: arch.name)
def test_only_convolutions_and_linear_layers_have_flops(arch: Architecture) -> None:
    model = build(arch, num_classes=10)
    counted = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    expected = {f"{name} {part}" for name in counted for part in ("forward", "input gradient", "weight gradient")}
    kernels = training_kernels(arch, num_classes=10, recipe=FP32, batch_size=2)
    assert {kernel.name for kernel in kernels if kernel.flops} == expected - {"stem.conv input gradient"}
    assert len({kernel.name for kernel in kernels}) == len(kernels)


@pytest.mark.parametrize(("recipe", "element"), [(FP32, 4), (BF16, 2)], ids=["fp32", "bf16"])
def test_a_training_steps_bytes_by_hand(recipe: Recipe, element: int) -> None:
    kernels = training_kernels(ONE_MODULE, num_classes=10, recipe=recipe, batch_size=2)
    # Two maps of 8x8; 4x4 and 2x2 after the pools before stages 4 and 5. The module's output has 2 + 4 + 5 + 6 = 17
    # channels; its entry computes 2 + 3 + 1 = 6 at once.
    large, middle, small = 2 * 8 * 8, 2 * 4 * 4, 2 * 2 * 2
    # Entries read, entries written, weights.
    stem = (3 * large, 8 * large, 3 * 8 * 9)
    others = [
        (8 * large, 6 * large, 8 * 6),  # entry
        (3 * large, 4 * large, 3 * 4 * 9),  # 3x3
        (1 * large, 5 * large, 1 * 5 * 25),  # 5x5
        (8 * large, 6 * large, 8 * 6),  # pool projection
        (17 * 2, 10 * 2, 17 * 10),  # classes
    ]
    expected = 0
    for read, written, weights in (stem, *others):
        expected += (read + written + weights) * element  # forward: weights in the step's precision
        expected += (read + written) * element + weights * 4  # their gradient: always in single
    for read, written, weights in others:  # the stem's input needs no gradient
        expected += (read + written + weights) * element
    # Batch norm reads and writes its map; backward reads it and a gradient and writes a gradient.
    expected += 5 * (8 + 6 + 4 + 5 + 6) * large * element
    # Pools: read and written, and the other way round. In the module, before stages 4 and 5, and of the head.
    expected += 2 * (8 * (large + large) + 17 * (large + middle) + 17 * (middle + small) + 17 * (small + 2)) * element
    # Weight, gradient and two averages in; weight and averages out. Each convolution's output channel has a bias, a
    # scale and a shift, each class a bias.
    params = (8 * 27 + 48 + 108 + 125 + 48) + 3 * (8 + 6 + 4 + 5 + 6) + (170 + 10)
    expected += 7 * params * 4
    assert sum(kernel.bytes for kernel in kernels) == expected


@pytest.mark.parametrize(
    "changes",
    [{"optimizer": "adadelta"}, {"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "sgd"}],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_an_updates_traffic_is_the_weights_the_gradients_and_the_optimisers_state(changes: dict[str, Any]) -> None:
    recipe = replace(FP32, **changes)
    model = build(SMALL["short4"], num_classes=10)
    optimizer = make_optimizer(model, recipe)
    output = model(torch.zeros(2, 3, 8, 8))
    output.logits.sum().backward()
    optimizer.step()
    entries = 0
    for parameter in model.parameters():
        values = [value for value in optimizer.state[parameter].values() if value is not None]
        state = [value for value in values if value.shape == parameter.shape]
        # Weight and state in and out, gradient in.
        entries += 2 * parameter.numel() + 2 * sum(value.numel() for value in state) + parameter.numel()
    kernels = training_kernels(SMALL["short4"], num_classes=10, recipe=recipe, batch_size=2)
    assert [kernel.bytes for kernel in kernels if kernel.name == "update"] == [4 * entries]


def test_twice_the_batch_is_twice_the_work_on_the_same_weights() -> None:
    model = build(WITH_HEADS, num_classes=10)
    weights = {name.removesuffix(".weight"): value.numel() for name, value in model.named_parameters()}
    one, two = (training_kernels(WITH_HEADS, num_classes=10, recipe=FP32, batch_size=size) for size in (2, 4))
    assert [kernel.name for kernel in one] == [kernel.name for kernel in two]
    for single, double in zip(one, two, strict=True):
        assert double.flops == 2 * single.flops
        # Of one batch's bytes, those that two batches share.
        shared = 2 * single.bytes - double.bytes
        if single.name == "update":
            assert shared == single.bytes
        else:
            assert shared == (4 * weights[single.name.split(" ")[0]] if single.flops else 0)


def test_less_precision_moves_fewer_bytes_in_the_same_flops() -> None:
    exact, short = (
        training_kernels(WITH_HEADS, num_classes=10, recipe=recipe, batch_size=2) for recipe in (FP32, BF16)
    )
    for whole, half in zip(exact, short, strict=True):
        assert half.flops == whole.flops
        assert whole.bytes / 2 <= half.bytes <= whole.bytes
    assert exact[-1] == short[-1]  # the update stays in single


def test_counting_a_training_step_needs_no_memory_for_it() -> None:
    # A million images of 224x224 would take 600 GB.
    kernels = training_kernels(
        REFERENCES["inception-v1"], num_classes=1000, recipe=replace(FAST, precision="bf16"), batch_size=10**6
    )
    (first,) = (kernel for kernel in kernels if kernel.name == "stem.conv7x7.conv forward")
    assert first.flops == 2 * 10**6 * 112 * 112 * 64 * 3 * 7 * 7


def test_the_roofline_takes_each_part_at_its_slower_need() -> None:
    kernels = [Kernel("computes", flops=1000, bytes=10), Kernel("moves", flops=10, bytes=1000), Kernel("pool", 0, 50)]
    # 1000 / 100 = 10 s over 10 / 50; 1000 / 50 = 20 s over 10 / 100; 50 / 50 = 1 s.
    assert shortest_seconds(kernels, flops_per_second=100, bytes_per_second=50) == pytest.approx(31)
    assert shortest_seconds(kernels, flops_per_second=200, bytes_per_second=50) == pytest.approx(26)
    assert shortest_seconds(kernels, flops_per_second=100, bytes_per_second=100) == pytest.approx(20.5)
    assert shortest_seconds([], flops_per_second=1, bytes_per_second=1) == 0
