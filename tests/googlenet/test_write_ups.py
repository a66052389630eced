"""The five published networks, written out plainly: with the same weights the same loss, in double precision.

Layers, channels, losses and the eps of batch norm are those of the write-ups; every parameter has to be used once.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ablations.training.loss import training_loss
from googlenet import Architecture, build
from googlenet.registry import architecture

# Table 1 of arXiv:1409.4842: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.
TABLE_1 = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Weights:
    """The parameters of a network of the package, by layer; those that were read are noted."""

    def __init__(self, arch: Architecture) -> None:
        torch.manual_seed(0)
        self.model = build(arch, num_classes=10).double().train()
        self.named = {re.sub(r"trunk\.\d+\.", "", name): value for name, value in self.model.named_parameters()}
        self.read: set[str] = set()

    def __call__(self, name: str, part: slice = slice(None)) -> Tensor | None:
        self.read.add(name)
        return self.named[name][part] if name in self.named else None


def unit(
    w: Weights,
    name: str,
    x: Tensor,
    *,
    norm: float | None,
    stride: int = 1,
    relu: bool = True,
    part: slice = slice(None),
) -> Tensor:
    """Convolution with the padding that keeps the size, batch norm of eps `norm` if it has one, and ReLU."""
    kernel = w(f"{name}.conv.weight", part)
    assert kernel is not None
    x = F.conv2d(x, kernel, w(f"{name}.conv.bias", part), stride=stride, padding=kernel.shape[-1] // 2)
    if norm is not None:
        x = F.batch_norm(
            x, None, None, w(f"{name}.bn.weight", part), w(f"{name}.bn.bias", part), training=True, eps=norm
        )
    return x.relu() if relu else x


def inception(w: Weights, label: str, x: Tensor, *, norm: float | None, slip: bool = False) -> Tensor:
    """One module; the package computes the three 1x1 convolutions that read `x` at once, here they stand apart."""
    n1, r3, n3, r5, n5, _ = TABLE_1[label]
    name = f"inception{label}"
    direct = unit(w, f"{name}.entry", x, norm=norm, part=slice(0, n1))
    into3 = unit(w, f"{name}.entry", x, norm=norm, part=slice(n1, n1 + r3))
    into5 = unit(w, f"{name}.entry", x, norm=norm, part=slice(n1 + r3, n1 + r3 + r5))
    by3 = unit(w, f"{name}.branch3x3", into3, norm=norm)
    if f"{name}.branch5x5.0.conv.weight" in w.named:
        # As written, BatchNorm2d(n5, n5): the second argument is eps.
        inner = unit(w, f"{name}.branch5x5.0", into5, norm=float(n5) if slip else norm)
        by5 = unit(w, f"{name}.branch5x5.1", inner, norm=norm)
    else:
        by5 = unit(w, f"{name}.branch5x5", into5, norm=norm)
    pooled = unit(w, f"{name}.branch_pool.1", F.max_pool2d(x, 3, stride=1, padding=1), norm=norm)
    assert (by3.shape[1], by5.shape[1]) == (n3, n5)
    return torch.cat([direct, by3, by5, pooled], dim=1)


def pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=2, padding=1)


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    weight = w(f"{name}.weight")
    assert weight is not None
    return F.linear(x, weight, w(f"{name}.bias"))


def imagenet_stem(w: Weights, x: Tensor, *, norm: float | None, relu: bool = True) -> Tensor:
    x = pool(unit(w, "stem.conv7x7", x, norm=norm, stride=2, relu=relu))
    x = unit(w, "stem.conv1x1", x, norm=norm, relu=relu)
    return pool(unit(w, "stem.conv3x3", x, norm=norm, relu=relu))


def auxiliary(w: Weights, number: int, x: Tensor, *, norm: float) -> Tensor:
    """Average pool 5x5 by 3, 1x1 convolution to 128, 2048 to 1024, ReLU, classes; its dropout is off here."""
    x = unit(w, f"aux_heads.{number}.conv", F.avg_pool2d(x, 5, stride=3), norm=norm).flatten(1)
    assert x.shape[1] == 2048
    return linear(w, f"aux_heads.{number}.linear", linear(w, f"aux_heads.{number}.hidden", x).relu())


def with_two_heads(w: Weights, x: Tensor, labels: Tensor, *, norm: float, weight: float) -> Tensor:
    """The loss of the networks with auxiliary heads on 4a and 4d."""
    x = imagenet_stem(w, x, norm=norm)
    losses = []
    for label in TABLE_1:
        x = inception(w, label, pool(x) if label in ("4a", "5a") else x, norm=norm)
        if label in ("4a", "4d"):
            losses.append(weight * F.cross_entropy(auxiliary(w, len(losses), x, norm=norm), labels))
    return F.cross_entropy(linear(w, "head.linear", x.mean(dim=(2, 3))), labels) + sum(losses)


def cifar_2020(w: Weights, x: Tensor, *, slip: bool = False) -> Tensor:
    """Logits; with the slip, the first 3x3 of each "5x5" branch has another eps."""
    x = unit(w, "stem", x, norm=1e-5)
    for label in TABLE_1:
        x = inception(w, label, pool(x) if label in ("4a", "5a") else x, norm=1e-5, slip=slip)
    return linear(w, "head.linear", F.dropout(F.avg_pool2d(x, 8).flatten(1), 0.4))


def reduced(w: Weights, x: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(cifar_2020(w, x), labels)


def bn_aux(w: Weights, x: Tensor, labels: Tensor) -> Tensor:
    return with_two_heads(w, x, labels, norm=1e-5, weight=1.0)


def inception_v1(w: Weights, x: Tensor, labels: Tensor) -> Tensor:
    return with_two_heads(w, x, labels, norm=1e-3, weight=0.3)


def plain_cifar(w: Weights, x: Tensor, labels: Tensor) -> Tensor:
    """No batch norm, no activation in the stem, stages 3 and 4 only; the last map is 1x1x832."""
    x = imagenet_stem(w, x, norm=None, relu=False)
    for label in ("3a", "3b", "4a", "4b", "4c", "4d", "4e"):
        x = inception(w, label, pool(x) if label == "4a" else x, norm=None)
    return F.cross_entropy(linear(w, "head.linear", pool(x).flatten(1)), labels)


def plain_gray(w: Weights, x: Tensor, labels: Tensor) -> Tensor:
    """No batch norm, one input channel, 7x7 average pool, dropout 0.4."""
    x = imagenet_stem(w, x, norm=None)
    for label in TABLE_1:
        x = inception(w, label, pool(x) if label in ("4a", "5a") else x, norm=None)
    return F.cross_entropy(linear(w, "head.linear", F.dropout(F.avg_pool2d(x, 7).flatten(1), 0.4)), labels)


# The number of parameters at ten classes. inception-v1 has 13,385,816 with 1,000 classes, and three linear layers with
# 990 outputs fewer at ten.
WRITE_UPS = {
    "reduced": (reduced, 6_166_250),
    "bn-aux-224": (bn_aux, 9_960_638),
    "plain-cifar": (plain_cifar, 3_494_346),
    "inception-v1": (inception_v1, 13_385_816 - 990 * (3 * 1024 + 3)),
    "plain-gray": (plain_gray, 5_977_530),
}


def images_for(arch: Architecture) -> Tensor:
    return torch.rand(2, arch.in_channels, arch.image_size, arch.image_size, dtype=torch.float64)


@pytest.mark.parametrize("name", WRITE_UPS)
def test_the_first_batchs_loss_and_gradients_are_those_of_the_published_network(name: str) -> None:
    written_out, params = WRITE_UPS[name]
    arch = architecture(name)
    if arch.aux is not None:  # its dropout draws in another order than the package's
        arch = replace(arch, dropout=0.0, aux=replace(arch.aux, dropout=0.0))
    w = Weights(arch)
    images, labels = images_for(arch), torch.tensor([3, 9])
    torch.manual_seed(1)
    ours = training_loss(w.model, w.model(images), labels)
    torch.manual_seed(1)
    published = written_out(w, images, labels)
    assert sum(value.numel() for value in w.named.values()) == params
    assert set(w.named) <= w.read
    torch.testing.assert_close(ours, published, rtol=0, atol=1e-10)
    parameters = list(w.named.values())
    gradients = (torch.autograd.grad(loss, parameters) for loss in (ours, published))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)


def test_the_slip_in_batch_norms_eps_is_that_of_the_code_as_written() -> None:
    w = Weights(architecture("bn-eps-channels"))
    images = images_for(w.model.arch)
    with torch.no_grad():
        torch.manual_seed(1)
        ours = w.model(images).logits
        torch.manual_seed(1)
        published = cifar_2020(w, images, slip=True)
        torch.manual_seed(1)
        intended = cifar_2020(w, images)
    assert sum(value.numel() for value in w.named.values()) == 6_166_250, "it changes no count"
    torch.testing.assert_close(ours, published, rtol=0, atol=1e-12)
    assert (published - intended).abs().max() > 1e-3
