"""The weights that a run begins with: alike wherever variants of one seed have the same layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ablations.suites.run_config import RunConfig
from ablations.training import train
from googlenet import AXES

CPU = torch.device("cpu")


def test_runs_of_one_seed_begin_alike_wherever_their_layers_have_one_shape(
    make_config: Callable[..., RunConfig],
) -> None:
    reduced = make_config(variant="reduced").architecture
    others = {
        "short": make_config(variant="short").architecture,
        "no-bias": replace(reduced, conv_bias=False),
        "3x3": replace(reduced, branch5x5="3x3"),
        "truncated": replace(reduced, init="truncated-normal"),
    }
    base, *rest = (
        train.make_model(arch, num_classes=10, seed=3, device=CPU).state_dict() for arch in (reduced, *others.values())
    )
    shared = {}
    for name, state in zip(others, rest, strict=True):
        same = [key for key in state if key in base and state[key].shape == base[key].shape and "conv.weight" in key]
        shared[name] = [torch.equal(state[key], base[key]) for key in same]
    assert shared["short"] and all(shared["short"]) and "stem.conv.weight" in base
    assert len(shared["no-bias"]) == 1 + 9 * 5 and all(shared["no-bias"])  # stem, and five in a module
    assert all(shared["3x3"])
    assert not any(shared["truncated"])


def test_other_seeds_and_other_layers_begin_differently(make_config: Callable[..., RunConfig]) -> None:
    arch = make_config(variant="reduced").architecture
    one, other = (train.make_model(arch, num_classes=10, seed=seed, device=CPU).state_dict() for seed in (1, 2))
    weights = [name for name in one if name.endswith("conv.weight")]
    assert not any(torch.equal(one[name], other[name]) for name in weights)
    shapes: dict[torch.Size, list[str]] = {}
    for name in weights:
        shapes.setdefault(one[name].shape, []).append(name)
    alike = [names for names in shapes.values() if len(names) > 1]
    assert alike
    for first, second, *_ in alike:
        assert not torch.equal(one[first], one[second])


def test_auxiliary_heads_leave_the_trunk_as_it_begins(make_config: Callable[..., RunConfig]) -> None:
    plain = make_config(variant="reduced", width=0.125).architecture
    with_heads = replace(AXES["auxiliary"][0], width=0.125)
    base, headed = (
        train.make_model(arch, num_classes=10, seed=1, device=CPU).state_dict()
        for arch in (replace(plain, image_size=32), with_heads)
    )

    def by_place(state: dict[str, Any]) -> dict[str, Any]:
        return {name.split(".", 2)[2] if name.startswith("trunk.") else name: value for name, value in state.items()}

    ours, theirs = by_place(base), by_place(headed)
    assert set(ours) < set(theirs)
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)
