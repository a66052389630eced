"""The layer walk: every layer in the network's order with its output shape and what it costs (no torch)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from googlenet.architecture import FIRST_STAGE, Architecture, Auxiliary, ModuleSpec
from googlenet.counts import Layer, layers


class WalkedLayer(NamedTuple):
    """A layer, the shape (C, H, W) that it writes, and its costs for one image in evaluation.

    `module` is "stem", an Inception module such as "3a", its auxiliary head "aux3a", a pool between stages ("pool3",
    "pool4") or "head"; `branch` is the branch of an Inception module, and empty for its concatenation and elsewhere.
    A vector has the shape (C, 1, 1). Auxiliary heads have parameters, but neither MACs nor activations: only training
    runs them. Batch norm and activation functions belong to their convolution.
    """

    module: str
    branch: str
    layer: str
    shape: tuple[int, int, int]
    params: int
    macs: int
    activations: int


def walk(arch: Architecture, *, num_classes: int) -> tuple[WalkedLayer, ...]:
    """Every layer of the network, auxiliary heads after the module that they read.

    Parameters, MACs and activations sum to those of the network (see `counts`); pools, dropouts and concatenations
    have none.
    """
    return tuple(_walk(arch, num_classes=num_classes))


def _walk(arch: Architecture, *, num_classes: int) -> Iterator[WalkedLayer]:
    counted = {
        module: list(members)
        for module, members in itertools.groupby(
            layers(arch, num_classes=num_classes, training=True), key=lambda layer: layer.module
        )
    }
    yield from _stem(arch, counted["stem"])
    specs = arch.modules()
    channels = arch.channels(arch.stem_channels)
    for number, next_size in enumerate((*arch.stage_map_sizes()[1:], None), start=FIRST_STAGE):
        stage = [spec for spec in specs if spec.label.startswith(str(number))]
        for spec in stage:
            channels = spec.out_channels
            yield from _module(arch, spec, counted.get(spec.label, ()))
            if arch.aux is not None and spec.label in arch.aux.after:
                yield from _aux_head(arch.aux, spec, counted[f"aux{spec.label}"])
            if arch.module_dropout and spec is not specs[-1]:
                yield _free(f"{spec.label}.dropout", channels, spec.map_size)
            if arch.extra_pools and spec is not stage[-1]:
                yield _free(f"{spec.label}.extra_pool", channels, spec.map_size)
        if next_size is not None:
            yield _free(f"pool{number}", channels, next_size)
    yield from _head(arch, counted["head"])


def _counted(layer: Layer) -> WalkedLayer:
    shape = (layer.out_channels, layer.map_size, layer.map_size)
    return WalkedLayer(
        layer.module, layer.branch, layer.name, shape, layer.params, macs=layer.macs, activations=layer.activations
    )


def _free(name: str, channels: int, size: int, *, branch: str = "") -> WalkedLayer:
    """A layer without parameters, which writes `channels` maps of side `size`."""
    return WalkedLayer(name.partition(".")[0], branch, name, (channels, size, size), params=0, macs=0, activations=0)


def _stem(arch: Architecture, convolutions: Iterable[Layer]) -> Iterator[WalkedLayer]:
    pools = {"stem.conv7x7": "stem.pool1", "stem.conv3x3": "stem.pool2"}
    sizes = iter((*arch.stem_map_sizes()[1:2], arch.stage_map_sizes()[0]))
    for layer in convolutions:
        yield _counted(layer)
        if layer.name in pools:
            yield _free(pools[layer.name], layer.out_channels, next(sizes))


def _module(arch: Architecture, spec: ModuleSpec, convolutions: Iterable[Layer]) -> Iterator[WalkedLayer]:
    for branch in arch.branches:
        if branch == "pool":
            yield _free(f"{spec.label}.pool", spec.in_channels, spec.map_size, branch=branch)
        yield from (_counted(layer) for layer in convolutions if layer.branch == branch)
    yield _free(f"{spec.label}.concat", spec.out_channels, spec.map_size)


def _aux_head(aux: Auxiliary, spec: ModuleSpec, members: Iterable[Layer]) -> Iterator[WalkedLayer]:
    name, side = f"aux{spec.label}", aux.pooled_size(spec.map_size)
    conv, hidden, linear = (_counted(layer)._replace(macs=0, activations=0) for layer in members)
    yield _free(f"{name}.pool", spec.out_channels, side)
    yield conv
    yield _free(f"{name}.flatten", conv.shape[0] * side**2, 1)
    yield hidden
    if aux.dropout:
        yield _free(f"{name}.dropout", hidden.shape[0], 1)
    yield linear


def _head(arch: Architecture, members: Iterable[Layer]) -> Iterator[WalkedLayer]:
    for linear in members:
        yield _free("head.pool" if arch.head == "gap" else "head.flatten", linear.in_channels, 1)
        if arch.dropout:
            yield _free("head.dropout", linear.in_channels, 1)
        yield _counted(linear)
