"""Costs of modules: sums by hand, and of whole suites at the size that is trained."""

from __future__ import annotations

import pytest

from ablations.analysis.modules import layer_costs, module_costs
from googlenet import REFERENCES
from tests.support.synthetic_suites import make_plan


def test_layers_have_their_output_shape_and_costs() -> None:
    layers = layer_costs(REFERENCES["plain-cifar"], num_classes=10).set_index("layer")
    # Without batch norm: 7x7 weights of three colours and a bias for each of 64 channels, on 16x16 pixels.
    stem = ["stem", "", 64, 16, 16, 64 * (3 * 49 + 1), 64 * 3 * 49 * 16**2, 64 * 16**2]
    assert list(layers.loc["stem.conv7x7"]) == stem
    assert list(layers.loc["head.linear", ["channels", "height", "width"]]) == [10, 1, 1]


def test_modules_of_short4_by_hand() -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short4"))
    modules = module_costs(plan)
    assert list(dict.fromkeys(modules["variant"])) == ["reduced", "short4"]
    short4 = modules[modules["variant"] == "short4"].set_index("module")
    assert list(short4.index) == ["stem", "3a", "5a", "head"]
    # Convolutions of 3a and 5a (weights, then bias, scale and shift of each output); classes of 1,024 features.
    outputs3, outputs5 = 256 + 96 + 128 + 16 + 96 + 96 + 32, 384 + 192 + 384 + 48 + 128 + 128 + 128
    weights3 = 192 * (256 + 96 + 16 + 32) + 9 * (96 * 128 + 16 * 96 + 96 * 96)
    weights5 = 512 * (384 + 192 + 48 + 128) + 9 * (192 * 384 + 48 * 128 + 128 * 128)
    assert list(short4["params"]) == [192 * 30, weights3 + 3 * outputs3, weights5 + 3 * outputs5, 10_250]
    assert list(short4["macs"]) == [192 * 27 * 32**2, weights3 * 32**2, weights5 * 8**2, 10_240]
    assert list(short4["activations"]) == [192 * 32**2, outputs3 * 32**2, outputs5 * 8**2, 10]
    assert list(short4["params_share"]) == pytest.approx(short4["params"] / 1_557_834)


def test_costs_are_those_of_the_networks_that_are_trained() -> None:
    # The demo trains at 8x8 and an eighth of the width, so far fewer than the 6,166,250 parameters of `reduced`.
    sums = module_costs(make_plan("digits", seeds=1)).groupby("variant", sort=False).sum(numeric_only=True)
    assert sums["params"]["reduced"] < 6_166_250 / 50
    for count in ("params", "macs", "activations"):
        assert list(sums[f"{count}_share"]) == pytest.approx([1.0] * len(sums))
