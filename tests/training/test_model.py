"""The network of a run: its first weights, alike wherever variants of one seed share a layer, and its trained ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training.model import load_trained, make_model
from ablations.training.options import ExecutionOptions
from ablations.training.train import train
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
        make_model(arch, num_classes=10, seed=3, device=CPU).state_dict() for arch in (reduced, *others.values())
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
    one, other = (make_model(arch, num_classes=10, seed=seed, device=CPU).state_dict() for seed in (1, 2))
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
        make_model(arch, num_classes=10, seed=1, device=CPU).state_dict()
        for arch in (replace(plain, image_size=32), with_heads)
    )

    def by_layer(state: dict[str, Any]) -> dict[str, Any]:
        return {name.split(".", 2)[2] if name.startswith("trunk.") else name: value for name, value in state.items()}

    ours, theirs = by_layer(base), by_layer(headed)
    assert set(ours) < set(theirs)
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)


def test_the_trained_network_is_read_from_its_runs_folder(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    config = make_config(epochs=1)
    folder = RunFolder(tmp_path, config)
    with pytest.raises(FileNotFoundError, match="has not finished"):
        load_trained(folder.path)
    train(config, dataset=tiny_digits, folder=folder, options=ExecutionOptions())
    model = load_trained(folder.path)
    assert not model.training and model.arch == config.architecture
    # Normalised by hand, as README says.
    images = torch.from_numpy(tiny_digits.test.images).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        logits = model((images - config.recipe.mean) / config.recipe.std).logits
    expected = folder.read_predictions()
    assert logits.argmax(dim=1).tolist() == expected.classes[:, 0].tolist()
