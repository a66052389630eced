"""The building blocks: convolution unit, Inception modules, auxiliary head."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from googlenet.architecture import Architecture, Auxiliary, ModuleSpec

CHANNEL_DIM = -3  # from the right, so that blocks without batch norm take (C, H, W) as well as (N, C, H, W)


class ConvUnit(nn.Sequential):
    """Convolution, then batch norm (where the architecture has it), then ReLU (unless `activation` is off).

    `bn_eps` is the batch norm's where it is not the architecture's.

    Takes (N, in_channels, H, W) and gives (N, out_channels, H', W') with "same" padding for stride 1.
    """

    def __init__(
        self,
        arch: Architecture,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int,
        stride: int = 1,
        activation: bool = True,
        bn_eps: float | None = None,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv"] = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=arch.conv_bias
        )
        if arch.batch_norm:
            layers["bn"] = nn.BatchNorm2d(out_channels, eps=arch.bn_eps if bn_eps is None else bn_eps)
        if activation:
            layers["relu"] = nn.ReLU(inplace=True)
        super().__init__(layers)


def _branch5x5(arch: Architecture, in_channels: int, out_channels: int) -> nn.Module:
    if arch.branch5x5 == "3x3+3x3":
        eps = float(out_channels) if arch.bn_eps_5x5 == "channels" else None
        return nn.Sequential(
            ConvUnit(arch, in_channels, out_channels, kernel=3, bn_eps=eps),
            ConvUnit(arch, out_channels, out_channels, kernel=3),
        )
    return ConvUnit(arch, in_channels, out_channels, kernel=5 if arch.branch5x5 == "5x5" else 3)


class ReducedInception(nn.Module):
    """Inception module with 1x1 reductions: (N, in, H, W) to (N, 1x1 + 3x3 + 5x5 + pool, H, W).

    The 1x1 branch and the two reductions read the same input, so one convolution computes all three and its output
    is split: the same function and parameters in fewer kernels. Source: arXiv:1409.4842, figure 2b.
    """

    def __init__(self, arch: Architecture, spec: ModuleSpec) -> None:
        super().__init__()
        row, in_channels = spec.row, spec.in_channels
        self.splits = (row.ch1x1, row.ch3x3_reduce, row.ch5x5_reduce)
        self.entry = ConvUnit(arch, in_channels, sum(self.splits), kernel=1)
        self.branch3x3 = ConvUnit(arch, row.ch3x3_reduce, row.ch3x3, kernel=3)
        self.branch5x5 = _branch5x5(arch, row.ch5x5_reduce, row.ch5x5)
        self.branch_pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), ConvUnit(arch, in_channels, row.pool_proj, kernel=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        direct, into3x3, into5x5 = self.entry(x).split(self.splits, dim=CHANNEL_DIM)
        branches = (direct, self.branch3x3(into3x3), self.branch5x5(into5x5), self.branch_pool(x))
        return torch.cat(branches, dim=CHANNEL_DIM)


class NaiveInception(nn.Module):
    """Inception module without reductions: (N, in, H, W) to (N, 1x1 + 3x3 + 5x5 + in, H, W).

    The pool branch passes its input's channels through. Source: arXiv:1409.4842, figure 2a.
    """

    def __init__(self, arch: Architecture, spec: ModuleSpec) -> None:
        super().__init__()
        row, in_channels = spec.row, spec.in_channels
        self.branch1x1 = ConvUnit(arch, in_channels, row.ch1x1, kernel=1)
        self.branch3x3 = ConvUnit(arch, in_channels, row.ch3x3, kernel=3)
        self.branch5x5 = _branch5x5(arch, in_channels, row.ch5x5)
        self.branch_pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch1x1(x), self.branch3x3(x), self.branch5x5(x), self.branch_pool(x))
        return torch.cat(branches, dim=CHANNEL_DIM)


def inception(arch: Architecture, spec: ModuleSpec) -> nn.Module:
    """The Inception module of that specification, with or without reductions as `arch` has it."""
    return ReducedInception(arch, spec) if arch.reduction else NaiveInception(arch, spec)


class AuxiliaryHead(nn.Sequential):
    """Auxiliary classifier on an inner map: (N, C, H, W) to logits (N, num_classes)."""

    def __init__(self, arch: Architecture, aux: Auxiliary, spec: ModuleSpec, *, num_classes: int) -> None:
        conv_channels, hidden = arch.channels(aux.conv_channels), arch.channels(aux.hidden)
        side = aux.pooled_size(spec.map_size)
        pool = nn.AvgPool2d(5, stride=3) if aux.pool == "5x5/3" else nn.AdaptiveAvgPool2d(side)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            pool=pool,
            conv=ConvUnit(arch, spec.out_channels, conv_channels, kernel=1),
            flatten=nn.Flatten(CHANNEL_DIM),
            hidden=nn.Linear(conv_channels * side**2, hidden),
            relu=nn.ReLU(inplace=True),
            dropout=nn.Dropout(aux.dropout),
            linear=nn.Linear(hidden, num_classes),
        )
        super().__init__(layers)
