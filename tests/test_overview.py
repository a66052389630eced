"""What the head of a report says of its recipe, its runs and what differs between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ablations import overview
from ablations.config import DIGITS, FAST, PUBLISHED, Precision


def test_recipes_are_described_with_what_was_changed() -> None:
    assert overview.describe_recipe(PUBLISHED).startswith("`published`, 14 epochs")
    assert "`published` with epochs, flip changed, 3 epochs" in overview.describe_recipe(
        replace(PUBLISHED, epochs=3, flip=0.0)
    )
    assert "one-cycle schedule" in overview.describe_recipe(DIGITS)
    assert overview.describe_recipe(FAST.at_precision("fp32")) == (
        "`fast`, 12 epochs, batch 512, sgd, learning rate 0.4, one-cycle schedule, Nesterov momentum 0.9, "
        "weight decay 0.0005, label smoothing 0.1, random crop after padding by 4, flip 0.5, cutout of side 8, fp32, "
        "normalised by mean 0.5 and std 0.5, last epoch reported"
    )
    assert "`fast` with crop\\_padding, cutout changed" in overview.describe_recipe(
        replace(FAST, crop_padding=2, cutout=0)
    )
    held_out = replace(PUBLISHED, name="own", validation_fraction=0.1)
    assert overview.describe_recipe(held_out).endswith(
        "10 % of the training images held out for validation, the epoch with the least error reported"
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_devices_precision_is_said_and_is_no_change_of_the_recipe(precision: Precision) -> None:
    for recipe in (PUBLISHED, FAST, DIGITS):
        described = overview.describe_recipe(recipe.at_precision(precision))
        assert f", {precision}, " in described and "changed" not in described
    changed = replace(PUBLISHED, flip=0.25, precision=precision)
    assert "`published` with flip changed" in overview.describe_recipe(changed)
