"""The closed forms against built networks, torch's own FLOP counter and published figures."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from googlenet import VARIANTS, Architecture, build
from googlenet.architecture import BRANCHES, Branch, Branch5x5
from googlenet.counts import Layer, count_macs, count_params, layers
from googlenet.references import REFERENCE_CLASSES, REFERENCES
from googlenet.registry import ARCHITECTURES

SMALL = [replace(arch, width=0.5, image_size=8) for arch in VARIANTS.values()]
WITH_HEADS = [name for name, arch in ARCHITECTURES.items() if arch.aux is not None]

# (architecture, MACs, unit): as published, so rounded. The 2020 CIFAR ablation at 10 classes (100 would not show);
# the references at the image size and number of classes of their write-ups.
PUBLISHED_MACS = [
    ("reduced", "1.522", 1e9),
    ("naive", "11.16", 1e9),
    ("long", "1.95", 1e9),
    ("short", "1.27", 1e9),
    ("short2", "0.86", 1e9),
    ("short3", "0.48", 1e9),
    ("bn-aux-224", "1.497", 1e9),
    ("plain-224", "1.583", 1e9),
    ("plain-cifar", "29.8", 1e6),
    ("inception-v1", "1.583", 1e9),
    ("plain-gray", "1.503", 1e9),
    ("torchvision", "1.498", 1e9),
]


def counted_macs(arch: Architecture, *, training: bool) -> float:
    """Half of the FLOPs that torch counts for one image; on the meta device, which computes shapes only."""
    batch = 2  # batch norm refuses to train on a single value per channel
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = build(arch, num_classes=10).train(training)
        model(torch.empty(batch, arch.in_channels, arch.image_size, arch.image_size))
    return counter.get_total_flops() / 2 / batch


@pytest.mark.parametrize("name", WITH_HEADS)
def test_auxiliary_heads_cost_macs_in_training_only(name: str) -> None:
    arch = ARCHITECTURES[name]
    in_training = sum(layer.macs for layer in layers(arch, num_classes=10, training=True))
    assert in_training == counted_macs(arch, training=True)
    assert count_macs(arch, num_classes=10) == count_macs(replace(arch, aux=None), num_classes=10) < in_training


@pytest.mark.parametrize("branch5x5", ["5x5", "3x3", "3x3+3x3"])
@pytest.mark.parametrize("reduction", [True, False], ids=["reduced", "naive"])
@pytest.mark.parametrize("branches", [left for n in range(1, 5) for left in itertools.combinations(BRANCHES, n)])
def test_counts_of_any_branches_are_those_of_the_built_network(
    branches: tuple[Branch, ...], reduction: bool, branch5x5: Branch5x5
) -> None:
    stages = (VARIANTS["reduced"].stages[0], (), ())
    arch = replace(VARIANTS["reduced"], stages=stages, branches=branches, reduction=reduction, branch5x5=branch5x5)
    with torch.device("meta"):
        model = build(arch, num_classes=10)
    assert count_params(arch, num_classes=10) == sum(parameter.numel() for parameter in model.parameters())
    assert count_macs(arch, num_classes=10) == counted_macs(arch, training=False)


@pytest.mark.parametrize(("name", "published", "unit"), PUBLISHED_MACS)
def test_macs_are_the_published_ones(name: str, published: str, unit: float) -> None:
    macs = count_macs(ARCHITECTURES[name], num_classes=REFERENCE_CLASSES.get(name, 10))
    decimals = len(published.partition(".")[2])
    assert f"{macs / unit:.{decimals}f}" == published


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_layer_names_are_unique(name: str) -> None:
    names = [layer.name for layer in layers(ARCHITECTURES[name], num_classes=10, training=True)]
    assert len(names) == len(set(names))


def test_a_3x3_convolution_directly_and_through_a_reduction() -> None:
    # The worked example of inception-v1's write-up: 192 -> 128 channels, directly and through a 1x1 to 96.
    direct = Layer("direct", 192, 128, 3, 28, False, False)
    assert direct.weights == direct.params == 221_184
    found = {layer.name: layer for layer in layers(REFERENCES["inception-v1"], num_classes=1000, training=False)}
    assert found["3a.3x3_reduce"].weights + found["3a.3x3"].weights == 129_024


def test_a_5x5_convolution_directly_and_through_a_reduction() -> None:
    # The worked example of the 2020 CIFAR ablation: 192 -> 32 channels on 28x28, directly and through a 1x1 to 16.
    direct = Layer("direct", 192, 32, 5, 28, True, True)
    assert f"{direct.macs / 1e6:.0f}" == "120"
    found = {layer.name: layer for layer in layers(REFERENCES["inception-v1"], num_classes=1000, training=False)}
    reduction, convolution = found["3a.5x5_reduce"].macs, found["3a.5x5"].macs
    assert (f"{reduction / 1e6:.1f}", f"{convolution / 1e6:.1f}") == ("2.4", "10.0")
    assert f"{(reduction + convolution) / 1e6:.1f}" == "12.4"


@pytest.mark.parametrize(("bias", "batch_norm", "params"), [(False, False, 32), (True, False, 36), (True, True, 44)])
def test_parameters_of_a_layer_by_hand(bias: bool, batch_norm: bool, params: int) -> None:
    # 8 x 4 weights of a 1x1 convolution, 4 biases, 4 scales and 4 shifts; bias and norm cost no multiply-adds.
    layer = Layer("by hand", 8, 4, 1, 5, bias, batch_norm)
    assert (layer.params, layer.macs) == (params, 32 * 25)
