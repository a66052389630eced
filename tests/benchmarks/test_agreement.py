"""The difference between the losses of our loop and of the reference loop, and the changes that it must detect."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from ablations.suites.recipe import Recipe
from ablations.training.inputs import transforms
from ablations.training.inputs.loader import Loader
from ablations.training.step import TrainStep
from benchmarks import agreement
from tests.support.small_workloads import RECIPE, TINY, table_cells

CPU = torch.device("cpu")
FOUR_STEPS = replace(TINY, images=3 * 16 + 5)


def test_eager_is_the_reference_loop_in_double_precision() -> None:
    losses = agreement.engine_losses(FOUR_STEPS, "eager", dtype=torch.float64)
    expected = agreement.reference_losses(FOUR_STEPS, dtype=torch.float64)
    assert agreement.largest_difference(losses, expected) <= 1e-10
    assert len(set(losses)) == 4
    assert all(1 < loss < 5 for loss in losses)  # about log 10


def without_flips(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(transforms, "flip", lambda images, flipped: images)


def a_thousandth_faster(patched: pytest.MonkeyPatch) -> None:
    def make(model: Any, recipe: Recipe, **named: Any) -> TrainStep:
        return TrainStep(model, replace(recipe, learning_rate=1.001 * recipe.learning_rate), **named)

    patched.setattr(agreement, "TrainStep", make)


def in_another_order(patched: pytest.MonkeyPatch) -> None:
    batches = Loader.train_batches
    patched.setattr(Loader, "train_batches", lambda loader, seed, epoch: batches(loader, seed=seed + 1, epoch=epoch))


@pytest.mark.parametrize("change", [without_flips, a_thousandth_faster, in_another_order])
def test_a_loop_that_differs_does_not_agree(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    change(monkeypatch)
    assert agreement.eager_to_reference(FOUR_STEPS, dtype=torch.float64) > 1e-5


@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
def test_torchvisions_batches_are_the_loaders_bit_for_bit(flip: float) -> None:
    recipe, split = replace(RECIPE, flip=flip, mean=0.4, std=0.3), FOUR_STEPS.split()
    ours = list(Loader(split, recipe=recipe, device=CPU).train_batches(seed=agreement.SEED, epoch=1))
    theirs = list(agreement.torchvision_batches(split, recipe))
    assert [len(labels) for _, labels in theirs] == [16, 16, 16, 5]
    for (images, labels), (expected, expected_labels) in zip(ours, theirs, strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(labels, expected_labels)


def test_the_largest_difference_is_relative() -> None:
    assert agreement.largest_difference([1.0, 2.2, 40.0], [1.0, 2.0, 50.0]) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="cannot be compared"):
        agreement.largest_difference([1.0], [1.0, 2.0])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_that_are_not_finite_agree_with_nothing(bad: float) -> None:
    for ours, theirs in (([1.0, bad, 3.0], [1.0, 2.0, 3.0]), ([1.0, 2.0], [1.0, bad]), ([bad], [bad])):
        assert not agreement.largest_difference(ours, theirs) <= 1e30


def test_agreement_prints_a_row_per_pair_with_tight_bounds_at_a_small_rate(capsys: pytest.CaptureFixture[str]) -> None:
    agreement.main(
        agreement.Arguments(variant="short4", steps=20, batch_size=8, image_size=8, width=0.125, device="cpu")
    )
    rows = table_cells(capsys.readouterr().out)
    assert [name for name, _ in rows] == [
        "eager / reference loop, fp64, rate 0.001",
        "eager / reference loop, fp32, rate 0.001",
        "eager / reference loop, fp32",
    ]
    assert float(rows[0][1]) <= 1e-10
    assert float(rows[1][1]) <= 1e-4
