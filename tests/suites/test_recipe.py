"""Recipes against the published one and torch's schedulers."""

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.suites.recipe import DIGITS, FAST, PUBLISHED, RECIPES, WARMUP, Precision
from ablations.training.optimizer import make_optimizer
from googlenet import VARIANTS, build

ROOT = Path(__file__).resolve().parents[2]
ONE_CYCLE = dataclasses.replace(DIGITS, learning_rate=0.5)


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.zeros(1))


def test_the_published_recipe() -> None:
    # As the write-up of the 2020 CIFAR ablation gives it.
    assert (PUBLISHED.epochs, PUBLISHED.batch_size) == (14, 64)
    assert (PUBLISHED.optimizer, PUBLISHED.learning_rate) == ("adadelta", 1.0)
    assert (PUBLISHED.schedule, PUBLISHED.step_gamma) == ("step", 0.7)
    assert (PUBLISHED.flip, PUBLISHED.mean, PUBLISHED.std) == (0.5, 0.5, 0.5)
    assert (PUBLISHED.momentum, PUBLISHED.weight_decay, PUBLISHED.validation_fraction) == (0, 0, 0)
    assert (PUBLISHED.label_smoothing, PUBLISHED.crop_padding, PUBLISHED.cutout) == (0, 0, 0)


def test_the_fast_recipe_keeps_to_what_is_known_of_such_images() -> None:
    # Nesterov momentum, weight decay and the rate of 0.1 for batches of 128: wide residual networks, arXiv:1605.07146;
    # the rate grows with the batch: arXiv:1706.02677.
    assert (FAST.optimizer, FAST.momentum, FAST.weight_decay) == ("sgd", 0.9, 5e-4)
    assert FAST.learning_rate == pytest.approx(0.1 * FAST.batch_size / 128)
    # Padding by 4 and flips: arXiv:1512.03385, section 4.2; CIFAR-100's cutout: arXiv:1708.04552; smoothing:
    # arXiv:1512.00567, section 7.
    assert (FAST.crop_padding, FAST.flip, FAST.cutout, FAST.label_smoothing) == (4, 0.5, 8, 0.1)
    assert (FAST.validation_fraction, FAST.mean, FAST.std) == (0, PUBLISHED.mean, PUBLISHED.std)


def test_recipes_have_their_names_and_leave_the_precision_to_the_device() -> None:
    assert all(recipe.name == name for name, recipe in RECIPES.items())
    open_ones = [name for name, recipe in RECIPES.items() if recipe.precision == "auto"]
    assert open_ones == ["published", "fast", "digits"]


@pytest.mark.parametrize("native", ["fp32", "bf16"])
def test_only_a_recipe_that_leaves_its_precision_open_takes_the_devices(native: Precision) -> None:
    assert FAST.at_precision(native) == dataclasses.replace(FAST, precision=native)
    for own in (FAST.at_precision("fp32"), FAST.at_precision("bf16")):
        assert own.at_precision(native) == own


def test_the_published_schedule_is_torchs_step_lr() -> None:
    optimizer = torch.optim.Adadelta([parameter()], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    for epoch in range(14):
        for progress in (0.0, 0.4, 0.999):  # within an epoch nothing changes
            found = PUBLISHED.learning_rate_at(epoch=epoch, progress=progress)
            assert found == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_the_published_optimizer_is_torchs_adadelta() -> None:
    with torch.device("meta"):
        model = build(VARIANTS["reduced"], num_classes=10)
    optimizer = make_optimizer(model, PUBLISHED)
    assert type(optimizer) is torch.optim.Adadelta
    assert optimizer.defaults == torch.optim.Adadelta([parameter()], lr=1.0).defaults
    # The values that the write-up relied on; torch could change its defaults.
    assert (optimizer.defaults["rho"], optimizer.defaults["eps"]) == (0.9, 1e-6)
    assert len(optimizer.param_groups) == 1
    assert len(optimizer.param_groups[0]["params"]) == len(list(model.parameters()))


def test_one_cycle_is_torchs_one_cycle_lr() -> None:
    # Torch's last step is the one at 0 and its rise ends a step early, so progress is counted as torch counts it.
    steps = 1_000
    top = 300 - 1
    optimizer = torch.optim.SGD([parameter()], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=0.5,
        total_steps=steps,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=False,
        div_factor=1e12,
        final_div_factor=1e12,
    )
    for step in range(steps - 1):
        progress = 0.3 * step / top if step < top else 0.3 + 0.7 * (step - top) / (steps - 1 - top)
        expected = scheduler.get_last_lr()[0]
        assert ONE_CYCLE.learning_rate_at(epoch=0, progress=progress) == pytest.approx(expected, rel=1e-6, abs=1e-9)
        optimizer.step()
        scheduler.step()


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing() -> None:
    rates = [ONE_CYCLE.learning_rate_at(epoch=0, progress=i / 1_000) for i in range(1_001)]
    peak = round(WARMUP * 1_000)
    assert rates[0] == 0
    assert rates[peak] == max(rates) == 0.5
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert all(earlier < later for earlier, later in itertools.pairwise(rates[: peak + 1]))
    assert all(earlier > later for earlier, later in itertools.pairwise(rates[peak:]))
    # Half of the peak lies halfway up and halfway down.
    assert rates[peak // 2] == pytest.approx(0.25)
    assert rates[(peak + 1_000) // 2] == pytest.approx(0.25)


def test_one_cycle_does_not_depend_on_the_epoch() -> None:
    rates = {ONE_CYCLE.learning_rate_at(epoch=epoch, progress=0.6) for epoch in range(5)}
    assert len(rates) == 1


def test_a_constant_schedule_is_constant() -> None:
    recipe = dataclasses.replace(PUBLISHED, schedule="constant")
    assert {recipe.learning_rate_at(epoch=e, progress=p) for e in range(14) for p in (0.0, 0.5, 0.99)} == {1.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a b"}, "recipe name 'a b' is not usable; use 1-64 of a-z, 0-9, '_' and '-'"),
        ({"epochs": 0}, "epochs is 0; it must be a whole number of at least 1"),
        ({"epochs": 1.5}, "epochs is 1.5; it must be a whole number of at least 1"),
        ({"epochs": True}, "epochs is True; it must be a whole number of at least 1"),
        ({"batch_size": 1}, "batch_size is 1; it must be a whole number of at least 2"),
        ({"optimizer": "adamw"}, "optimizer 'adamw' is unknown; allowed: adadelta, adam, sgd; did you mean 'adam'?"),
        ({"schedule": "cosine"}, "schedule 'cosine' is unknown; allowed: constant, step, one-cycle"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be a number in (0, 1e+30]"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it must be a number in (0, 1e+30]"),
        ({"learning_rate": float("inf")}, "learning_rate is inf; it must be a number in (0, 1e+30]"),
        ({"momentum": 1.0}, "momentum is 1.0; it must be a number in [0, 0.9999]"),
        ({"momentum": 0.9}, "momentum is 0.9, which only 'sgd' uses; set it to 0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; it must be a number in [0, 1]"),
        ({"step_gamma": 0.0}, "step_gamma is 0.0; it must be a number in (0, 1]"),
        ({"label_smoothing": -0.1}, "label_smoothing is -0.1; it must be a number in [0, 0.9]"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0; it must be a number in [0, 0.9]"),
        ({"flip": 1.1}, "flip is 1.1; it must be a number in [0, 1]"),
        ({"crop_padding": -1}, "crop_padding is -1; it must be a whole number of at least 0"),
        ({"crop_padding": 0.5}, "crop_padding is 0.5; it must be a whole number of at least 0"),
        ({"cutout": -8}, "cutout is -8; it must be a whole number of at least 0"),
        ({"cutout": True}, "cutout is True; it must be a whole number of at least 0"),
        ({"precision": "fp16"}, "precision 'fp16' is unknown; allowed: auto, fp32, bf16"),
        ({"mean": -0.1}, "mean is -0.1; it must be a number in [0, 1]"),
        ({"std": 0.0}, "std is 0.0; it must be a number in (0, 1]"),
        ({"validation_fraction": 0.6}, "validation_fraction is 0.6; it must be a number in [0, 0.5]"),
    ],
)
def test_a_recipe_refuses_by_value_and_by_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(PUBLISHED, **changes)


def test_momentum_goes_with_sgd() -> None:
    assert dataclasses.replace(PUBLISHED, optimizer="sgd", momentum=0.9).momentum == 0.9
