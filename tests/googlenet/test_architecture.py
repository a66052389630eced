"""Architectures as data: what construction refuses and says, immutability, labels, channels and map sizes."""

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
import torch

from googlenet import VARIANTS, Architecture, Auxiliary, InceptionRow, build
from googlenet.architecture import Stem
from googlenet.references import REFERENCES
from googlenet.registry import ARCHITECTURES
from googlenet.variants import ROWS

REDUCED = VARIANTS["reduced"]
BN_AUX = REFERENCES["bn-aux-224"]

# Each case: what is changed in `reduced` and the words that the message must have: field, value, allowed or remedy.
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"stem": "cifr"}, ["stem", "'cifr'", "allowed: cifar, imagenet, imagenet-linear", "did you mean 'cifar'"]),
    ({"stem": "imagenet_linear"}, ["stem", "'imagenet_linear'", "did you mean 'imagenet-linear'"]),
    ({"stem": None}, ["stem", "None", "allowed: cifar"]),
    ({"branch5x5": "3x3-3x3"}, ["branch5x5", "'3x3-3x3'", "allowed: 5x5, 3x3, 3x3+3x3", "did you mean '3x3+3x3'"]),
    ({"branch5x5": "7x7"}, ["branch5x5", "'7x7'", "allowed: 5x5, 3x3, 3x3+3x3"]),
    ({"branches": ()}, ["branches is ()", "at least one of 1x1, 3x3, 5x5, pool"]),
    ({"branches": "5x5"}, ["branches is '5x5'", "at least one of 1x1, 3x3, 5x5, pool"]),
    ({"branches": ("1x1", "7x7")}, ["branch '7x7' is unknown", "allowed: 1x1, 3x3, 5x5, pool"]),
    ({"branches": ("pool", "1x1")}, ["branches is pool, 1x1", "each once, in the order 1x1, 3x3, 5x5, pool"]),
    ({"branches": ("1x1", "1x1")}, ["branches is 1x1, 1x1", "each once"]),
    ({"branches": ("1x1", "3x3"), "bn_eps_5x5": "channels"}, ["bn_eps_5x5", "branches 1x1, 3x3", "set it to 'same'"]),
    ({"extra_pools": 1}, ["extra_pools", "is 1", "true or false"]),
    ({"module_dropout": 1.0}, ["module_dropout", "1.0", "[0, 0.99]"]),
    ({"head": "flat"}, ["head", "'flat'", "allowed: gap, flatten", "did you mean 'flatten'"]),
    ({"pool": "pad"}, ["pool", "'pad'", "allowed: padded, ceil", "did you mean 'padded'"]),
    ({"init": "truncated"}, ["init", "'truncated'", "torch, truncated-normal", "did you mean 'truncated-normal'"]),
    ({"stages": REDUCED.stages[:2]}, ["stages", "2 entries", "three", "stages 3, 4 and 5"]),
    ({"stages": (*REDUCED.stages, ())}, ["stages", "4 entries", "three"]),
    ({"stages": ((), *REDUCED.stages[1:])}, ["stage 3", "no module", "add a row"]),
    ({"stages": ((ROWS["3a"],) * 27, (), ())}, ["26 modules", "use fewer"]),
    ({"image_size": 2}, ["image_size 2", "too small", "at least 3"]),
    ({"image_size": 16, "stem": "imagenet"}, ["image_size 16", "'imagenet' stem", "at least 17", "'cifar' stem"]),
    ({"image_size": 16, "stem": "imagenet-linear"}, ["image_size 16", "'imagenet-linear' stem", "at least 17"]),
    ({"image_size": 0}, ["image_size", "0", "whole number of at least 1"]),
    ({"image_size": 32.0}, ["image_size", "32.0", "whole number of at least 1"]),
    ({"image_size": True}, ["image_size", "True", "whole number of at least 1"]),
    ({"in_channels": 0}, ["in_channels", "0", "whole number of at least 1"]),
    ({"in_channels": -3}, ["in_channels", "-3", "whole number of at least 1"]),
    ({"in_channels": True}, ["in_channels", "True", "whole number of at least 1"]),
    ({"stem_channels": -192}, ["stem_channels", "-192", "whole number of at least 1"]),
    ({"stem_channels": "192"}, ["stem_channels", "'192'", "whole number of at least 1"]),
    ({"stem_channels": True}, ["stem_channels", "True", "whole number of at least 1"]),
    ({"width": 0}, ["width", "is 0", "(0, 16]"]),
    ({"width": -0.5}, ["width", "-0.5", "(0, 16]"]),
    ({"width": 17}, ["width", "17", "(0, 16]"]),
    ({"width": float("nan")}, ["width", "nan", "(0, 16]"]),
    ({"width": "1"}, ["width", "'1'", "(0, 16]"]),
    ({"width": True}, ["width", "True", "(0, 16]"]),
    # A public CIFAR version of the network has this eps by accident: BatchNorm2d(channels, 32).
    ({"bn_eps": 32}, ["bn_eps", "32", "(0, 0.1]"]),
    ({"bn_eps": 0.0}, ["bn_eps", "0.0", "(0, 0.1]"]),
    ({"dropout": 1.0}, ["dropout", "1.0", "[0, 0.99]"]),
    ({"dropout": -0.1}, ["dropout", "-0.1", "[0, 0.99]"]),
    ({"dropout": False}, ["dropout", "False", "[0, 0.99]"]),
    ({"reduction": 1}, ["reduction", "is 1", "true or false"]),
    ({"batch_norm": "yes"}, ["batch_norm", "'yes'", "true or false"]),
    ({"conv_bias": None}, ["conv_bias", "None", "true or false"]),
    # `reduced` has 16x16 maps in stage 4: every head fits, so these are about the order of the modules alone.
    ({"aux": Auxiliary(after=("4z",))}, ["'4z'", "in their order", "3a, 3b, 4a, 4b, 4c, 4d, 4e, 5a, 5b"]),
    ({"aux": Auxiliary(after=("4d", "4a"))}, ["'4d', '4a'", "in their order", "3a, 3b, 4a"]),
    ({"aux": Auxiliary(after=("4a", "4a"))}, ["'4a', '4a'", "each once", "3a, 3b, 4a"]),
]
# Names become folders of results, so nothing may leave the folder or need quoting.
BAD_NAMES = ["../x", "A b", "", ".", "-x", "a/b", "a\n", "é", "a" * 65, None, 3]


def refusal(make: Callable[[], object]) -> str:
    """The message of the ValueError that `make` must raise."""
    with pytest.raises(ValueError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=lambda case: str(case)[:60])
def test_a_bad_value_is_refused_with_value_choices_and_remedy(changes: dict[str, Any], words: list[str]) -> None:
    message = refusal(lambda: replace(REDUCED, **changes))
    assert [word for word in words if word not in message] == [], message
    assert message.startswith("reduced: "), "the message must say which architecture is meant"


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_unfit_for_a_folder_is_refused(name: Any) -> None:
    message = refusal(lambda: replace(REDUCED, name=name))
    assert repr(name) in message
    assert "a-z, 0-9" in message


@pytest.mark.parametrize("name", ["a", "9", "short_2-x", "a" * 64])
def test_a_plain_name_is_accepted(name: str) -> None:
    assert replace(REDUCED, name=name).name == name


@pytest.mark.parametrize("field", [field.name for field in fields(InceptionRow)])
@pytest.mark.parametrize("value", [0, -64, True, 64.0, "64", None])
def test_row_channels_must_be_positive_integers(field: str, value: Any) -> None:
    message = refusal(lambda: replace(ROWS["3a"], **{field: value}))
    assert field in message
    assert repr(value) in message
    assert "whole number of at least 1" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"after": ()}, ["after", "empty", "'4a'", "none"]),
        ({"weight": 0}, ["weight", "is 0", "(0, 10]"]),
        ({"weight": -0.3}, ["weight", "-0.3", "(0, 10]"]),
        ({"weight": True}, ["weight", "True", "(0, 10]"]),
        ({"dropout": 1.0}, ["dropout", "1.0", "[0, 0.99]"]),
        ({"pool": "5x5"}, ["pool", "'5x5'", "allowed: 5x5/3, adaptive-4x4", "did you mean '5x5/3'"]),
        ({"conv_channels": -128}, ["conv_channels", "-128", "whole number of at least 1"]),
        ({"hidden": True}, ["hidden", "True", "whole number of at least 1"]),
    ],
    ids=str,
)
def test_a_bad_auxiliary_value_is_refused(changes: dict[str, Any], words: list[str]) -> None:
    message = refusal(lambda: replace(Auxiliary(), **changes))
    assert [word for word in ["auxiliary", *words] if word not in message] == [], message


@pytest.mark.parametrize("pool", ["5x5/3", "adaptive-4x4"])
def test_auxiliary_heads_on_too_small_a_map_are_refused(pool: Any) -> None:
    # The ImageNet stem leaves stage 4 a 2x2 map of a 32x32 image (32 -> 16 -> 8 -> 4 -> 2).
    message = refusal(lambda: replace(BN_AUX, image_size=32, aux=Auxiliary(pool=pool)))
    for word in ("4a", "2x2", "too small", repr(pool), "larger image_size", "'cifar' stem", "no auxiliary heads"):
        assert word in message


@pytest.mark.parametrize(("pool", "smallest_map"), [("5x5/3", 5), ("adaptive-4x4", 4)])
def test_auxiliary_heads_need_a_map_that_their_pool_covers(pool: Any, smallest_map: int) -> None:
    aux = Auxiliary(after=("3a",), pool=pool)  # with the 'cifar' stem, stage 3 sees the image's own size
    with torch.device("meta"):
        model = build(replace(REDUCED, image_size=smallest_map, aux=aux), num_classes=10)
        assert model(torch.empty(2, 3, smallest_map, smallest_map)).aux[0].shape == (2, 10)
    assert "too small" in refusal(lambda: replace(REDUCED, image_size=smallest_map - 1, aux=aux))


def test_an_auxiliary_head_after_a_missing_module_is_refused() -> None:
    message = refusal(lambda: replace(VARIANTS["short2"], aux=Auxiliary()))
    assert "3a, 3b, 4a, 5a, 5b" in message


@pytest.mark.parametrize("pool", ["padded", "ceil"])
@pytest.mark.parametrize("stem", ["cifar", "imagenet", "imagenet-linear"])
def test_the_smallest_size_of_the_message_builds_and_one_less_does_not(stem: Stem, pool: Any) -> None:
    message = refusal(lambda: replace(REDUCED, stem=stem, pool=pool, image_size=1))
    found = re.search(r"at least (\d+)", message)
    assert found
    smallest = int(found[1])
    model = build(replace(REDUCED, stem=stem, pool=pool, image_size=smallest, width=0.1), num_classes=10)
    assert model(torch.randn(2, 3, smallest, smallest)).logits.shape == (2, 10)
    assert f"at least {smallest}" in refusal(lambda: replace(REDUCED, stem=stem, pool=pool, image_size=smallest - 1))


@pytest.mark.parametrize(("stem", "smallest"), [("cifar", 3), ("imagenet", 17)])
def test_the_smallest_size_is_the_hand_computed_one(stem: Stem, smallest: int) -> None:
    # Every pool halves, rounding up, and must see at least 2x2. 3 -> 2 -> 1, and 17 -> 9 -> 5 -> 3 -> 2 -> 1.
    assert replace(REDUCED, stem=stem, image_size=smallest).feature_map_size() == 1
    refusal(lambda: replace(REDUCED, stem=stem, image_size=smallest - 1))


@pytest.mark.parametrize("thing", [REDUCED, Auxiliary(), ROWS["3a"]], ids=lambda thing: type(thing).__name__)
def test_assignment_raises(thing: Any) -> None:
    for field in fields(thing):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, field.name, getattr(thing, field.name))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equal_architectures_are_one_key(name: str) -> None:
    arch = ARCHITECTURES[name]
    assert {arch: 1}[replace(arch)] == 1
    assert arch != replace(arch, name="other")


def test_fields_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        InceptionRow(64, 96, 128, 16, 32, 32)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        Architecture("x", REDUCED.stages)  # pyright: ignore[reportCallIssue]


def test_labels_count_the_modules_of_each_stage() -> None:
    labels = [spec.label for spec in VARIANTS["long"].modules()]
    assert labels == ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "4f", "5a", "5b", "5c", "5d"]
    assert [spec.label for spec in VARIANTS["short4"].modules()] == ["3a", "5a"]


@pytest.mark.parametrize("name", VARIANTS)
def test_stages_of_the_cifar_variants_see_32_16_and_8(name: str) -> None:
    expected = {"3": 32, "4": 16, "5": 8}  # the 2020 CIFAR ablation has no pool in the stem and one between stages
    for spec in VARIANTS[name].modules():
        assert spec.map_size == expected[spec.label[0]]
    assert VARIANTS[name].feature_map_size() == 8


def test_the_pools_beside_an_empty_stage_remain() -> None:
    short4 = VARIANTS["short4"]
    assert [(spec.label, spec.map_size) for spec in short4.modules()] == [("3a", 32), ("5a", 8)]
    sizes: list[int] = []
    with torch.device("meta"):
        model = build(short4, num_classes=10)
        for name, module in model.named_modules():
            if name.endswith(("pool3", "pool4")):
                module.register_forward_hook(lambda _module, _inputs, output: sizes.append(output.shape[-1]))
        model(torch.empty(2, 3, 32, 32))
    assert sizes == [16, 8]


def test_a_last_stage_may_be_empty() -> None:
    # plain-cifar: at 32x32 the map after the fourth pool is 1x1x832.
    plain_cifar = REFERENCES["plain-cifar"]
    assert (plain_cifar.feature_map_size(), plain_cifar.feature_channels()) == (1, 832)


def test_width_scales_every_channel_and_keeps_at_least_one() -> None:
    half = replace(REDUCED, width=0.5).modules()
    assert [spec.out_channels for spec in half] == [128, 240, 256, 256, 256, 264, 416, 416, 512]  # Table 1, halved
    assert half[0].in_channels == 96
    thin = replace(REDUCED, width=0.001).modules()
    assert {getattr(spec.row, field.name) for spec in thin for field in fields(InceptionRow)} == {1}
    assert thin[-1].out_channels == 4


def test_an_architecture_takes_the_datas_size_and_colours_and_a_multiple_of_its_width() -> None:
    gray = replace(REFERENCES["plain-gray"], width=0.5)
    assert gray.at_size(64, width=0.25) == replace(gray, image_size=64, in_channels=3, width=0.125)
    assert REDUCED.at_size(32) == REDUCED
    with pytest.raises(ValueError, match="too small"):
        BN_AUX.at_size(8)
