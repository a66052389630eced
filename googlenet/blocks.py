"""The building blocks: convolution unit, Inception modules, auxiliary head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from googlenet.architecture import Architecture, Auxiliary, Branch, ModuleSpec

CHANNEL_DIM = -3  # from the right, so that blocks without batch norm take (C, H, W) as well as (N, C, H, W)


class EntryConv(nn.Conv2d):
    """The 1x1 convolutions of several branches as one: (N, in_channels, H, W) to (N, channels of its branches, H, W).

    `channels` are those of all branches that could be there. Weights drawn for the `whole` of them and handed to `take`
    do not depend on which of the branches there are.
    """

    def __init__(self, arch: Architecture, in_channels: int, channels: Mapping[Branch, int]) -> None:
        owners = [branch for branch, count in channels.items() for _ in range(count)]
        self.all_channels = len(owners)
        self.own_channels = [channel for channel, branch in enumerate(owners) if branch in arch.branches]
        super().__init__(in_channels, len(self.own_channels), 1, bias=arch.conv_bias)

    def whole(self) -> nn.Conv2d:
        """A convolution with the channels of all branches."""
        has_bias = self.bias is not None
        return nn.Conv2d(self.in_channels, self.all_channels, 1, bias=has_bias, device=self.weight.device)

    @torch.no_grad()
    def take(self, whole: nn.Conv2d) -> None:
        """Take over the weights and biases of its own branches."""
        self.weight.copy_(whole.weight[self.own_channels])
        if self.bias is not None and whole.bias is not None:
            self.bias.copy_(whole.bias[self.own_channels])


class ConvUnit(nn.Sequential):
    """Convolution, then batch norm (where the architecture has it), then ReLU (unless `activation` is off).

    `bn_eps` is the batch norm's where it is not the architecture's, `conv` a convolution to use instead of a new one.

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
        conv: nn.Conv2d | None = None,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv"] = conv or nn.Conv2d(
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
    is split: the same function and parameters in fewer kernels. Branches that the architecture lacks are left out; of
    1x1, 3x3 and 5x5 it has at least one. Source: arXiv:1409.4842, figure 2b.
    """

    def __init__(self, arch: Architecture, spec: ModuleSpec) -> None:
        super().__init__()
        row, in_channels = spec.row, spec.in_channels
        channels: dict[Branch, int] = {"1x1": row.ch1x1, "3x3": row.ch3x3_reduce, "5x5": row.ch5x5_reduce}
        self.splits = [count for branch, count in channels.items() if branch in arch.branches]
        conv = EntryConv(arch, in_channels, channels)
        self.entry = ConvUnit(arch, in_channels, sum(self.splits), kernel=1, conv=conv)
        if "1x1" in arch.branches:
            self.branch1x1 = nn.Identity()
        if "3x3" in arch.branches:
            self.branch3x3 = ConvUnit(arch, row.ch3x3_reduce, row.ch3x3, kernel=3)
        if "5x5" in arch.branches:
            self.branch5x5 = _branch5x5(arch, row.ch5x5_reduce, row.ch5x5)
        self.after_entry = [f"branch{branch}" for branch in channels if branch in arch.branches]
        self.beside_entry: list[str] = []
        if "pool" in arch.branches:
            self.branch_pool = _projected_pool(arch, spec)
            self.beside_entry = ["branch_pool"]

    def forward(self, x: Tensor) -> Tensor:
        parts = self.entry(x).split(self.splits, dim=CHANNEL_DIM)
        maps = [getattr(self, name)(part) for name, part in zip(self.after_entry, parts, strict=True)]
        return torch.cat(maps + [getattr(self, name)(x) for name in self.beside_entry], dim=CHANNEL_DIM)


class ParallelBranches(nn.Module):
    """Inception module whose branches all read the input: (N, in, H, W) to (N, sum of the branches' channels, H, W).

    `branches` are registered under their names.
    """

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], dim=CHANNEL_DIM)


def _naive_inception(arch: Architecture, spec: ModuleSpec) -> ParallelBranches:
    """The module without reductions; its pool branch passes its input's channels through.

    Source: arXiv:1409.4842, figure 2a.
    """
    row, in_channels = spec.row, spec.in_channels
    branches: dict[str, nn.Module] = {}
    if "1x1" in arch.branches:
        branches["branch1x1"] = ConvUnit(arch, in_channels, row.ch1x1, kernel=1)
    if "3x3" in arch.branches:
        branches["branch3x3"] = ConvUnit(arch, in_channels, row.ch3x3, kernel=3)
    if "5x5" in arch.branches:
        branches["branch5x5"] = _branch5x5(arch, in_channels, row.ch5x5)
    if "pool" in arch.branches:
        branches["branch_pool"] = nn.MaxPool2d(3, stride=1, padding=1)
    return ParallelBranches(branches)


def _projected_pool(arch: Architecture, spec: ModuleSpec) -> nn.Sequential:
    return nn.Sequential(
        nn.MaxPool2d(3, stride=1, padding=1), ConvUnit(arch, spec.in_channels, spec.row.pool_proj, kernel=1)
    )


def inception(arch: Architecture, spec: ModuleSpec) -> nn.Module:
    """The Inception module of that specification, with the branches that `arch` has, with or without reductions."""
    if not arch.reduction:
        return _naive_inception(arch, spec)
    if arch.branches == ("pool",):
        return ParallelBranches({"branch_pool": _projected_pool(arch, spec)})
    return ReducedInception(arch, spec)


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
