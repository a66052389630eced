"""The built networks: shapes, gradients, initialisation, random draws."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from googlenet import REFERENCES, VARIANTS, Architecture, Auxiliary, GoogLeNet, Output, build
from googlenet.architecture import Stem
from googlenet.registry import ARCHITECTURES

REDUCED = VARIANTS["reduced"]
SMALL = {name: replace(arch, width=0.25, image_size=8) for name, arch in VARIANTS.items()}
# Heads need a map of 5x5, so this one keeps its image size.
SMALL_WITH_HEADS = replace(REDUCED, name="with-heads", width=0.25, aux=Auxiliary())
TRUNCATED = [name for name, arch in ARCHITECTURES.items() if arch.init == "truncated-normal"]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random_images(arch: Architecture, *, count: int = 2) -> Tensor:
    return torch.randn(count, arch.in_channels, arch.image_size, arch.image_size)


def record_maps(model: nn.Module, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    """Outputs by module name, filled while the model runs."""
    maps: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if wanted(name):
            module.register_forward_hook(
                lambda _module, _inputs, output, name=name: maps.__setitem__(name, output.clone())
            )
    return maps


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_forward_gives_one_type_in_training_and_evaluation(name: str) -> None:
    arch = replace(ARCHITECTURES[name], width=0.125)
    model = build(arch, num_classes=7)
    images = random_images(arch)
    with torch.no_grad():
        trained, evaluated = model.train()(images), model.eval()(images[:1])
    assert type(trained) is type(evaluated) is Output
    assert trained.logits.shape == (2, 7)
    assert evaluated.logits.shape == (1, 7)
    assert [logits.shape for logits in trained.aux] == [(2, 7)] * (len(arch.aux.after) if arch.aux else 0)
    assert evaluated.aux == ()
    assert all(logits.isfinite().all() for logits in (trained.logits, *trained.aux, evaluated.logits))


# That the maps of every architecture are as said, test_layer_walk shows.
@pytest.mark.parametrize("image_size", [31, 33, 50, 225])
@pytest.mark.parametrize("pool", ["padded", "ceil"])
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_map_sizes_round_as_the_pools_do(stem: Stem, pool: Any, image_size: int) -> None:
    assert_maps_are_as_said(replace(REDUCED, stem=stem, pool=pool, image_size=image_size, head="flatten"))


def assert_maps_are_as_said(arch: Architecture) -> None:
    with torch.device("meta"):
        model = build(arch, num_classes=10).eval()
        maps = record_maps(model, lambda name: "inception" in name.split(".")[-1])
        convolutions = record_maps(model.stem, lambda name: name.split(".")[-1] == "conv")
        model(random_images(arch, count=1))
    found = [(name.split(".inception")[1], *maps[name].shape[1:]) for name in maps]
    said = [(spec.label, spec.out_channels, spec.map_size, spec.map_size) for spec in arch.modules()]
    assert found == said
    assert tuple(output.shape[-1] for output in convolutions.values()) == arch.stem_map_sizes()


def composed(model: GoogLeNet, images: Tensor) -> Tensor:
    """Logits in evaluation: the network's units and modules, put together as Table 1 of arXiv:1409.4842 says."""

    def pool(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, stride=2, padding=1)

    units = dict(model.stem.named_children())
    x = images
    if model.arch.stem == "cifar":
        x = model.stem(x)
    else:
        x = pool(units["conv7x7"](x))
        x = pool(units["conv3x3"](units["conv1x1"](x)))
    named = [(name.split(".")[-1], module) for name, module in model.named_modules()]
    modules = {name.removeprefix("inception"): module for name, module in named if name.startswith("inception")}
    for stage in "345":
        labels = sorted(label for label in modules if label.startswith(stage))
        for label in labels:
            x = modules[label](x)
            if model.arch.extra_pools and label != labels[-1]:
                x = F.max_pool2d(x, 3, stride=1, padding=1)
        x = x if stage == "5" else pool(x)
    x = x.flatten(1) if model.arch.head == "flatten" else x.mean(dim=(2, 3))
    linear = cast(nn.Linear, model.head.linear)
    return F.linear(x, linear.weight, linear.bias)


@pytest.mark.parametrize("name", [name for name, arch in ARCHITECTURES.items() if arch.pool == "padded"])
def test_evaluation_is_stem_modules_pools_and_head(name: str) -> None:
    # Only torchvision's own has other pools, and it is compared with torchvision.
    model = build(replace(ARCHITECTURES[name], width=0.25, image_size=32, aux=None), num_classes=10).eval()
    images = random_images(model.arch)
    with torch.no_grad():
        logits, expected = model(images).logits, composed(model, images)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_layers_have_the_bias_and_norm_of_the_architecture(name: str) -> None:
    arch = ARCHITECTURES[name]
    with torch.device("meta"):
        modules = list(build(arch, num_classes=10).modules())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    assert {module.bias is not None for module in convolutions} == {arch.conv_bias}
    assert len(norms) == (len(convolutions) if arch.batch_norm else 0)
    # The first 3x3 of a "5x5" branch may have its number of channels as eps, which Table 1 gives.
    of_channels = {32.0, 96.0, 48.0, 64.0, 128.0} if arch.bn_eps_5x5 == "channels" else set()
    assert {module.eps for module in norms} == ({arch.bn_eps} | of_channels if arch.batch_norm else set())


def test_a_name_builds_the_same_network_as_its_architecture() -> None:
    by_name = build("short2", num_classes=100)
    by_data = build(VARIANTS["short2"], num_classes=100)
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in (by_name, by_data)]
    assert shapes[0] == shapes[1]
    assert by_name.arch == by_data.arch == VARIANTS["short2"]
    assert by_name.num_classes == by_data.num_classes == 100


@pytest.mark.parametrize("arch", [*SMALL.values(), SMALL_WITH_HEADS], ids=lambda arch: arch.name)
def test_every_parameter_gets_a_finite_gradient(arch: Architecture) -> None:
    model = build(arch, num_classes=10).train()
    out = model(random_images(arch, count=4))
    targets = torch.tensor([0, 3, 6, 9])
    torch.stack([F.cross_entropy(logits, targets) for logits in (out.logits, *out.aux)]).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # The gradient of a bias before batch norm is zero; that of a weight is not.
        assert parameter.grad.any() or parameter.dim() == 1, name


@pytest.mark.parametrize("name", ["torchvision", "inception-v1", "normal-init"])
def test_a_normal_initialisation_is_drawn_as_torchvisions(name: str) -> None:
    arch = replace(ARCHITECTURES[name], width=0.125)
    torch.manual_seed(5)
    model = build(arch, num_classes=10)
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    # torchvision's call, with bounds that are no multiples of std, right after torch's own initialisation.
    torch.manual_seed(5)
    build(replace(arch, init="torch"), num_classes=10)
    for layer in layers:
        expected = nn.init.trunc_normal_(torch.empty_like(layer.weight), mean=0.0, std=0.01, a=-2, b=2)
        assert torch.equal(layer.weight, expected)


@pytest.mark.parametrize("name", TRUNCATED)
def test_truncated_normal_weights_are_cut_at_two_standard_deviations(name: str) -> None:
    model = build(name, num_classes=10)
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert max(weight.abs().max().item() for weight in weights) <= 0.02 + 1e-8
    # A standard normal cut at +-2 has variance 1 - 4 pdf(2) / (2 cdf(2) - 1).
    variance = 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
    assert 0.01 * math.sqrt(variance) == pytest.approx(0.0088, abs=5e-5)
    values = torch.cat([weight.flatten() for weight in weights])
    assert values.std().item() == pytest.approx(0.01 * math.sqrt(variance), rel=0.01)
    for weight in weights:
        if weight.numel() > 5000:
            assert weight.std().item() == pytest.approx(0.01 * math.sqrt(variance), rel=0.05)
            assert abs(weight.mean().item()) < 1e-3


def test_truncated_normal_is_known_to_the_registry_and_not_the_default() -> None:
    assert "truncated-normal-init" in TRUNCATED and "reduced" not in TRUNCATED
    model = build(SMALL["reduced"], num_classes=10)
    assert any((m.weight.abs() > 0.02).any() for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear))


@pytest.mark.parametrize("num_classes", [0, -1, True, 10.0, "10"])
def test_a_bad_number_of_classes_is_refused(num_classes: Any) -> None:
    with pytest.raises(ValueError, match=f"num_classes is {num_classes!r}; it must be a whole number of at least 1"):
        build("short2", num_classes=num_classes)


@pytest.mark.parametrize("arch", [None, 3, GoogLeNet, {"name": "short2"}], ids=repr)
def test_what_is_no_architecture_is_refused(arch: Any) -> None:
    with pytest.raises(
        TypeError, match="^arch is .*; it must be an Architecture, or the name of one such as 'reduced'"
    ):
        build(arch, num_classes=10)


@pytest.mark.parametrize(("stem", "negative"), [("imagenet-linear", True), ("imagenet", False)])
def test_the_stem_of_plain_224_has_no_activation(stem: Stem, negative: bool) -> None:
    arch = replace(REFERENCES["plain-224"], stem=stem, image_size=64)
    model = build(arch, num_classes=10).eval()
    maps = record_maps(model, lambda name: name.startswith("stem.conv") and name.count(".") == 1)
    inner = record_maps(model, lambda name: name.endswith(".inception3a"))
    with torch.no_grad():
        model(random_images(arch))
    assert list(maps) == ["stem.conv7x7", "stem.conv1x1", "stem.conv3x3"]
    assert [bool((output < 0).any()) for output in maps.values()] == [negative] * 3
    assert not any((output < 0).any() for output in inner.values()), "the modules keep their activations"


@pytest.mark.parametrize(
    ("dropout", "aux", "draws"),
    [
        (0.0, None, False),
        (0.4, None, True),
        (0.0, Auxiliary(dropout=0.0), False),
        (0.0, Auxiliary(dropout=0.7), True),
    ],
)
def test_training_draws_random_numbers_only_for_dropout(dropout: float, aux: Auxiliary | None, draws: bool) -> None:
    # A hidden draw would shift every later random number, and with it the rest of a run.
    model = build(replace(SMALL_WITH_HEADS, dropout=dropout, aux=aux), num_classes=10)
    images = random_images(model.arch)
    before = torch.get_rng_state()
    model.train()(images)
    assert torch.equal(torch.get_rng_state(), before) != draws
    before = torch.get_rng_state()
    model.eval()(images)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["torch", "truncated-normal", "normal"])
def test_the_seed_determines_the_weights(name: Any) -> None:
    arch = replace(SMALL_WITH_HEADS, init=name)

    def weights(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return build(arch, num_classes=10).state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_the_seed_determines_a_training_step() -> None:
    def trained_outputs() -> Output:
        torch.manual_seed(3)
        model = build(SMALL_WITH_HEADS, num_classes=10).train()
        return model(random_images(model.arch))

    first, again = trained_outputs(), trained_outputs()
    for one, two in zip((first.logits, *first.aux), (again.logits, *again.aux), strict=True):
        assert torch.equal(one, two)


def test_evaluation_treats_each_image_alone() -> None:
    model = build(SMALL["reduced"], num_classes=10).eval()
    images = random_images(model.arch, count=3)
    with torch.no_grad():
        together = model(images).logits
        alone = torch.cat([model(image[None]).logits for image in images])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("name", ["plain-cifar", "plain-gray"])
def test_networks_without_batch_norm_take_one_image_without_a_batch(name: str) -> None:
    arch = replace(REFERENCES[name], image_size=32)
    model = build(arch, num_classes=10).eval()
    (image,) = random_images(arch, count=1)
    with torch.no_grad():
        logits = model(image).logits
        expected = model(image[None]).logits[0]
    assert logits.shape == (10,)
    torch.testing.assert_close(logits, expected)


def test_the_flatten_head_keeps_positions_apart() -> None:
    # Averaging over positions would make the mirrored map give the same logits.
    models = {head: build(replace(SMALL["reduced"], head=head), num_classes=10).eval() for head in ("gap", "flatten")}
    for head, model in models.items():
        features = torch.randn(1, cast(GoogLeNet, model).arch.feature_channels(), 2, 2)
        same = torch.allclose(model.head(features), model.head(features.flip(-1)), atol=1e-6)
        assert same == (head == "gap")
