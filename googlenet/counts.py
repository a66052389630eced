"""Closed forms of an architecture's parameters and MACs, from its data alone (no torch)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from googlenet.architecture import BRANCHES, STEM_NARROW, Architecture, Auxiliary, ModuleSpec


class Layer(NamedTuple):
    """A convolution, or a linear layer as the 1x1 convolution of a 1x1 map.

    `name` is that of its module and its own, as "3a.5x5_reduce". `map_size` is the side of the map that it writes.
    """

    name: str
    in_channels: int
    out_channels: int
    kernel: int
    map_size: int
    bias: bool
    batch_norm: bool

    @property
    def module(self) -> str:
        """The part of the network that it belongs to: "stem", "3a", "aux4a", "head"."""
        return self.name.partition(".")[0]

    @property
    def branch(self) -> str:
        """The branch of its Inception module; empty outside of these."""
        branch = self.name.partition(".")[2].partition("_")[0]
        return branch if branch in BRANCHES else ""

    @property
    def weights(self) -> int:
        """Entries of the weight tensor."""
        return self.in_channels * self.out_channels * self.kernel**2

    @property
    def params(self) -> int:
        """Weights, bias and the batch norm's scale and shift."""
        return self.weights + self.out_channels * (self.bias + 2 * self.batch_norm)

    @property
    def macs(self) -> int:
        """Multiply-adds for one image; one MAC is two FLOPs."""
        return self.weights * self.map_size**2

    @property
    def activations(self) -> int:
        """Entries that it writes for one image."""
        return self.out_channels * self.map_size**2


def _stem(arch: Architecture) -> Iterator[tuple[str, int, int, int, int]]:
    out_channels = arch.channels(arch.stem_channels)
    if arch.stem == "cifar":
        yield "stem.conv", arch.in_channels, out_channels, 3, arch.stem_map_sizes()[0]
        return
    narrow = arch.channels(STEM_NARROW)
    first, second, third = arch.stem_map_sizes()
    yield "stem.conv7x7", arch.in_channels, narrow, 7, first
    yield "stem.conv1x1", narrow, narrow, 1, second
    yield "stem.conv3x3", narrow, out_channels, 3, third


def _module(arch: Architecture, spec: ModuleSpec) -> Iterator[tuple[str, int, int, int, int]]:
    label, row, in_channels, _, map_size = spec
    into3x3 = row.ch3x3_reduce if arch.reduction else in_channels
    into5x5 = row.ch5x5_reduce if arch.reduction else in_channels
    if "1x1" in arch.branches:
        yield f"{label}.1x1", in_channels, row.ch1x1, 1, map_size
    if "3x3" in arch.branches:
        if arch.reduction:
            yield f"{label}.3x3_reduce", in_channels, into3x3, 1, map_size
        yield f"{label}.3x3", into3x3, row.ch3x3, 3, map_size
    if "5x5" in arch.branches:
        if arch.reduction:
            yield f"{label}.5x5_reduce", in_channels, into5x5, 1, map_size
        yield f"{label}.5x5", into5x5, row.ch5x5, 5 if arch.branch5x5 == "5x5" else 3, map_size
        if arch.branch5x5 == "3x3+3x3":
            yield f"{label}.5x5_second", row.ch5x5, row.ch5x5, 3, map_size
    if "pool" in arch.branches and arch.reduction:
        yield f"{label}.pool_proj", in_channels, row.pool_proj, 1, map_size


def _aux_head(arch: Architecture, aux: Auxiliary, spec: ModuleSpec, *, num_classes: int) -> Iterator[Layer]:
    name, side = f"aux{spec.label}", aux.pooled_size(spec.map_size)
    conv_channels, hidden = arch.channels(aux.conv_channels), arch.channels(aux.hidden)
    yield Layer(f"{name}.conv", spec.out_channels, conv_channels, 1, side, arch.conv_bias, arch.batch_norm)
    yield Layer(f"{name}.hidden", conv_channels * side**2, hidden, 1, 1, True, False)
    yield Layer(f"{name}.linear", hidden, num_classes, 1, 1, True, False)


def layers(arch: Architecture, *, num_classes: int, training: bool) -> Iterator[Layer]:
    """Every convolution and linear layer in the network's order; the auxiliary heads' only for `training`."""
    norm = (arch.conv_bias, arch.batch_norm)
    for shape in _stem(arch):
        yield Layer(*shape, *norm)
    for spec in arch.modules():
        for shape in _module(arch, spec):
            yield Layer(*shape, *norm)
        if training and arch.aux is not None and spec.label in arch.aux.after:
            yield from _aux_head(arch, arch.aux, spec, num_classes=num_classes)
    positions = arch.feature_map_size() ** 2 if arch.head == "flatten" else 1
    yield Layer("head.linear", arch.feature_channels() * positions, num_classes, 1, 1, True, False)


def count_params(arch: Architecture, *, num_classes: int) -> int:
    """Trainable parameters, auxiliary heads included."""
    return sum(layer.params for layer in layers(arch, num_classes=num_classes, training=True))


def count_macs(arch: Architecture, *, num_classes: int) -> int:
    """Multiply-adds of convolutions and linear layers for one image in evaluation, so without auxiliary heads."""
    return sum(layer.macs for layer in layers(arch, num_classes=num_classes, training=False))
