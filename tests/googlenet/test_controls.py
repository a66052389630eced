"""Controls: a variant's twin has the baseline's capacity, by counts of the built networks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from googlenet import AXES, VARIANTS, Architecture, build
from googlenet.controls import CAPACITIES, Capacity, equals_capacity, match, original_of
from googlenet.counts import count_macs, count_params
from googlenet.registry import ARCHITECTURES

REDUCED = VARIANTS["reduced"]
CONTROLLED = [arch for axis in ("branches", "modules", "components", "depth") for arch in AXES[axis]]
COUNTS = {"params": count_params, "macs": count_macs}


def built_count(arch: Architecture, *, by: Capacity) -> float:
    """Parameters or MACs of the built network as torch counts them."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = build(arch, num_classes=10).eval()
        model(torch.empty(1, arch.in_channels, arch.image_size, arch.image_size))
    if by == "params":
        return sum(parameter.numel() for parameter in model.parameters())
    return counter.get_total_flops() / 2


def match_reduced(arch: Architecture, by: Capacity) -> Architecture:
    return match(arch, REDUCED, by=by, num_classes=10)


@pytest.mark.parametrize("by", CAPACITIES)
@pytest.mark.parametrize("arch", CONTROLLED, ids=lambda arch: arch.name)
def test_a_twin_has_the_capacity_of_the_baseline_within_one_percent(arch: Architecture, by: Capacity) -> None:
    # The closed forms are held against built networks below and, for every architecture, in test_counts.
    own, counted, wanted = (COUNTS[by](each, num_classes=10) for each in (arch, match_reduced(arch, by), REDUCED))
    assert abs(counted / wanted - 1) <= 0.01
    assert replace(match_reduced(arch, by), width=1.0, name=arch.name) == arch
    assert equals_capacity(arch, REDUCED, by=by, num_classes=10) == (abs(own / wanted - 1) <= 0.01)


@pytest.mark.parametrize("by", CAPACITIES)
@pytest.mark.parametrize("name", ["without-5x5", "no-reduction", "short2"])
def test_the_built_twin_has_the_capacity_of_the_built_baseline(name: str, by: Capacity) -> None:
    twin = match_reduced(ARCHITECTURES[name], by)
    assert built_count(twin, by=by) == COUNTS[by](twin, num_classes=10)
    assert abs(built_count(twin, by=by) / built_count(REDUCED, by=by) - 1) <= 0.01


def test_no_neighbouring_width_comes_nearer() -> None:
    twin = match(ARCHITECTURES["without-5x5"], REDUCED, by="params", num_classes=10)
    wanted = count_params(REDUCED, num_classes=10)
    widths = [twin.width + step * 1e-4 for step in range(-100, 101)]
    distances = [abs(count_params(replace(twin, width=width), num_classes=10) - wanted) for width in widths]
    assert distances[100] == min(distances) < max(distances)


def test_a_control_that_no_width_reaches_is_refused_with_the_two_nearest() -> None:
    target = replace(REDUCED, name="target", width=0.011)
    with pytest.raises(ValueError) as raised:
        match(ARCHITECTURES["without-3x3"], target, by="macs", num_classes=10)
    assert re.search(r"no width has within 1% of target's [\d,]+ macs; nearest are .* and .*", str(raised.value))
    assert "leave without-3x3 out, or match by params" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("without-5x5@params", "without-5x5"),
        ("naive@macs", "naive"),
        ("naive", None),
        ("@params", None),
        ("naive@seconds", None),
    ],
)
def test_the_variant_of_a_twin_is_in_its_name(name: str, original: str | None) -> None:
    assert original_of(name) == original


def test_an_unknown_capacity_is_refused() -> None:
    with pytest.raises(ValueError, match="control 'flops' is unknown; allowed: params, macs"):
        match(REDUCED, REDUCED, by="flops", num_classes=10)  # pyright: ignore[reportArgumentType]
