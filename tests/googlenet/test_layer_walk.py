"""The layer walk against the built network: shapes of every layer, parameters of every module, fvcore's activations."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from ablations.training import complexity
from googlenet import REFERENCES, VARIANTS, Architecture, GoogLeNet, build
from googlenet.architecture import BRANCHES, Auxiliary
from googlenet.counts import count_macs, count_params
from googlenet.layer_walk import WalkedLayer, walk
from googlenet.registry import ARCHITECTURES

OFTEN_ABSENT = [
    replace(VARIANTS["short4"], name=f"{kind}-{'-'.join(branches)}", branches=branches, reduction=kind == "reduced")
    for kind in ("reduced", "naive")
    for branches in (left for n in range(1, 4) for left in itertools.combinations(BRANCHES, n))
]
EVERYTHING = replace(
    REFERENCES["torchvision"],
    name="everything",
    module_dropout=0.1,
    extra_pools=True,
    head="flatten",
    aux=Auxiliary(after=("3a", "4a", "5b")),
)
POOLS_AND_DROPOUTS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Dropout, nn.Dropout2d)
ALL = [*ARCHITECTURES.values(), *OFTEN_ABSENT, EVERYTHING]


def on_meta(arch: Architecture) -> tuple[GoogLeNet, dict[str, tuple[int, ...]]]:
    """The network, and the shape (C, H, W) that each of its modules writes, by name; auxiliary heads run too."""
    with torch.device("meta"):
        model = build(arch, num_classes=10).eval()
    model.training = True  # of the network alone: batch norm is faster in evaluation
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: Tensor) -> None:
        shapes[re.sub(r"trunk\.\d+\.", "", name)] = (*output.shape[1:], 1, 1)[:3]

    for name, module in model.named_modules():
        if name and not isinstance(module, nn.ModuleList):
            module.register_forward_hook(lambda _module, _input, output, name=name: note(name, output))
    with torch.no_grad():
        model(torch.empty(2, arch.in_channels, arch.image_size, arch.image_size, device="meta"))
    return model, shapes


def name_in_network(row: WalkedLayer, arch: Architecture) -> str:
    """Of the module that writes the same; empty where it shares one with others."""
    layer = row.layer.partition(".")[2]
    if row.module in ("stem", "head"):
        return row.layer
    if row.module.startswith("aux"):
        after = arch.aux.after if arch.aux else ()
        return f"aux_heads.{after.index(row.module.removeprefix('aux'))}.{layer}"
    if row.module.startswith("pool"):
        return row.module
    if layer in ("dropout", "extra_pool"):
        return f"{layer}{row.module}"
    inner = {
        "concat": "",
        "1x1": "" if arch.reduction else ".branch1x1",
        "3x3": ".branch3x3",
        "5x5": ".branch5x5.0" if arch.branch5x5 == "3x3+3x3" else ".branch5x5",
        "5x5_second": ".branch5x5.1",
        "pool": ".branch_pool.0" if arch.reduction else ".branch_pool",
        "pool_proj": ".branch_pool.1",
    }.get(layer, "")
    return f"inception{row.module}{inner}" if inner or layer == "concat" else ""


@pytest.mark.parametrize("arch", ALL, ids=lambda arch: arch.name)
def test_layers_shapes_parameters_and_sums_are_those_of_the_built_network(arch: Architecture) -> None:
    rows = walk(arch, num_classes=10)
    assert len({row.layer for row in rows}) == len(rows)
    assert sum(row.params for row in rows) == count_params(arch, num_classes=10)
    assert sum(row.macs for row in rows) == count_macs(arch, num_classes=10)
    model, shapes = on_meta(arch)
    assert sum(parameter.numel() for parameter in model.parameters()) == count_params(arch, num_classes=10)
    # Each output of a convolution or linear layer sums over the weights of one filter.
    assert count_macs(arch, num_classes=10) == sum(
        math.prod(shapes[re.sub(r"trunk\.\d+\.", "", name)]) * cast(Tensor, module.weight)[0].numel()
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not name.startswith("aux_heads")
    )
    for row in rows:
        name = name_in_network(row, arch)
        if name:
            assert row.shape == shapes[name], row.layer
    for label in {spec.label for spec in arch.modules()}:
        entries = [
            row.shape[0]
            for row in rows
            if row.module == label and row.layer.endswith(("1x1", "_reduce")) and not name_in_network(row, arch)
        ]
        assert sum(entries) == shapes.get(f"inception{label}.entry", (0,))[0]
    for name, module in model.named_modules():
        found = re.fullmatch(r"(stem|head)|trunk\.\d+\.inception(\w+)|aux_heads\.(\d+)", name)
        if found:
            label = found[1] or found[2] or f"aux{arch.aux.after[int(found[3])] if arch.aux else ''}"
            own = sum(parameter.numel() for parameter in module.parameters())
            assert sum(row.params for row in rows if row.module == label) == own, label
    free = [row.layer for row in rows if re.search(r"pool\d?$|dropout", row.layer)]
    assert len(free) == sum(isinstance(module, POOLS_AND_DROPOUTS) for module in model.modules())


@pytest.mark.parametrize(
    "arch",
    [VARIANTS["short4"], replace(VARIANTS["naive"], stages=VARIANTS["short4"].stages), REFERENCES["plain-cifar"]],
    ids=lambda arch: arch.name,
)
def test_activations_are_those_that_fvcore_counts(arch: Architecture) -> None:
    narrow = replace(arch, width=0.125)
    measured = complexity.measure(build(narrow, num_classes=10))
    assert sum(row.activations for row in walk(narrow, num_classes=10)) == measured.activations


def test_auxiliary_heads_have_parameters_and_no_work() -> None:
    rows = walk(EVERYTHING, num_classes=10)
    heads = [row for row in rows if row.module.startswith("aux")]
    assert {row.module for row in heads} == {"aux3a", "aux4a", "aux5b"}
    assert sum(row.params for row in heads) > 0
    assert sum(row.macs + row.activations for row in heads) == 0


def test_macs_of_modules_are_those_of_the_paper() -> None:
    # The column "ops" of Table 1 in arXiv:1409.4842, in millions; its 4a (73) is cut, not rounded, and its 5a (54) does
    # not follow from the channels beside it.
    published = {"3a": 128, "3b": 304, "4b": 88, "4c": 100, "4d": 119, "4e": 170, "5b": 71, "head": 1}
    rows = walk(REFERENCES["inception-v1"], num_classes=1000)
    macs = {module: sum(row.macs for row in rows if row.module == module) for module in published}
    assert {module: round(count / 1e6) for module, count in macs.items()} == published


def test_the_first_module_of_the_paper_by_hand() -> None:
    # Table 1 of arXiv:1409.4842: 3a takes 192x28x28 and writes 64 + 128 + 32 + 32 channels.
    arch = replace(REFERENCES["plain-224"], conv_bias=False)
    side, rows = 28, [row for row in walk(arch, num_classes=1000) if row.module == "3a"]
    assert [(row.branch, row.layer.removeprefix("3a."), row.shape[0], row.params) for row in rows] == [
        ("1x1", "1x1", 64, 192 * 64),
        ("3x3", "3x3_reduce", 96, 192 * 96),
        ("3x3", "3x3", 128, 9 * 96 * 128),
        ("5x5", "5x5_reduce", 16, 192 * 16),
        ("5x5", "5x5", 32, 25 * 16 * 32),
        ("pool", "pool", 192, 0),
        ("pool", "pool_proj", 32, 192 * 32),
        ("", "concat", 256, 0),
    ]
    assert all(row.shape[1:] == (side, side) and row.macs == row.params * side**2 for row in rows)
    assert [row.activations for row in rows if row.params] == [
        channels * side**2 for channels in (64, 96, 128, 16, 32, 32)
    ]
