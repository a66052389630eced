"""The building blocks against published counts and against torch.nn.functional."""

import copy
import itertools
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from googlenet import REFERENCES, VARIANTS, Architecture, InceptionRow, build, initialise
from googlenet.architecture import BRANCHES, Branch, Branch5x5, Init, ModuleSpec
from googlenet.blocks import AuxiliaryHead, ConvUnit, ParallelBranches, ReducedInception, inception
from googlenet.registry import ARCHITECTURES

REDUCED = VARIANTS["reduced"]
PLAIN = REFERENCES["plain-224"]
# The module example of plain-224's write-up: naive with (64, 128, 32) and reduced 3a, both on 192 channels.
NAIVE_ROW = InceptionRow(ch1x1=64, ch3x3_reduce=1, ch3x3=128, ch5x5_reduce=1, ch5x5=32, pool_proj=1)
EXAMPLES = [
    pytest.param(replace(PLAIN, reduction=False), ModuleSpec("3a", NAIVE_ROW, 192, 416, 28), 416, 387_296, id="naive"),
    pytest.param(PLAIN, PLAIN.modules()[0], 256, 163_696, id="reduced"),
]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def randomise_norms(module: nn.Module) -> None:
    """Give every batch norm its own scale, shift and statistics: the initial ones are all alike."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            norm.running_mean.normal_(std=0.3)
            norm.running_var.uniform_(0.5, 1.5)


@pytest.mark.parametrize(("arch", "spec", "channels", "params"), EXAMPLES)
def test_the_module_example_of_plain_224(arch: Architecture, spec: ModuleSpec, channels: int, params: int) -> None:
    module = inception(arch, spec)
    assert isinstance(module, ReducedInception if arch.reduction else ParallelBranches)
    assert sum(parameter.numel() for parameter in module.parameters()) == params
    assert module(torch.randn(2, 192, 9, 9)).shape == (2, channels, 9, 9)
    assert spec.out_channels == channels


@pytest.mark.parametrize(("arch", "spec", "channels", "params"), EXAMPLES)
def test_modules_take_one_image_without_a_batch(
    arch: Architecture, spec: ModuleSpec, channels: int, params: int
) -> None:
    module = inception(arch, spec)
    images = torch.randn(2, 192, 9, 9)
    batch = module(images)
    for image, expected in zip(images, batch, strict=True):
        single = module(image)
        assert single.shape == (channels, 9, 9)
        torch.testing.assert_close(single, expected)
        assert torch.equal(single, module(image[None])[0])


def test_the_naive_module_passes_its_pooled_input_through() -> None:
    arch = replace(PLAIN, reduction=False)
    images = torch.randn(2, 192, 9, 9)
    out = inception(arch, ModuleSpec("3a", NAIVE_ROW, 192, 416, 28))(images)
    assert torch.equal(out[:, -192:], F.max_pool2d(images, 3, stride=1, padding=1))


@pytest.mark.parametrize("conv_bias", [True, False])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_fused_entry_is_three_convolutions(training: bool, conv_bias: bool) -> None:
    arch = replace(REDUCED, conv_bias=conv_bias)
    spec = arch.modules()[0]
    module = ReducedInception(arch, spec)
    randomise_norms(module)
    module.train(training)
    before = copy.deepcopy(module)  # training moves the running statistics
    images = torch.randn(3, spec.in_channels, 8, 8)
    out = module(images)

    conv, norm = cast(nn.Conv2d, before.entry.conv), cast(nn.BatchNorm2d, before.entry.bn)
    assert norm.running_mean is not None and norm.running_var is not None
    outputs: list[Tensor] = []
    means: list[Tensor] = []
    variances: list[Tensor] = []
    start = 0
    for channels in (spec.row.ch1x1, spec.row.ch3x3_reduce, spec.row.ch5x5_reduce):
        part = slice(start, start + channels)
        mean, variance = norm.running_mean[part].clone(), norm.running_var[part].clone()
        x = F.conv2d(images, conv.weight[part], conv.bias[part] if conv.bias is not None else None)
        x = F.batch_norm(x, mean, variance, norm.weight[part], norm.bias[part], training=training, eps=1e-5)
        outputs.append(F.relu(x))
        means.append(mean)
        variances.append(variance)
        start += channels
    assert start == conv.out_channels

    direct, into3x3, into5x5 = outputs
    branches = [direct, before.branch3x3(into3x3), before.branch5x5(into5x5), before.branch_pool(images)]
    torch.testing.assert_close(out, torch.cat(branches, dim=1), rtol=1e-5, atol=1e-5)
    after = cast(nn.BatchNorm2d, module.entry.bn)
    torch.testing.assert_close(after.running_mean, torch.cat(means), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(after.running_var, torch.cat(variances), rtol=1e-5, atol=1e-6)
    assert torch.equal(cast(Tensor, after.running_mean), norm.running_mean) != training


@pytest.mark.parametrize("reduction", [True, False])
@pytest.mark.parametrize(("branch5x5", "positions"), [("5x5", 25), ("3x3", 9), ("3x3+3x3", 25)])
def test_the_5x5_branch_sees_the_positions_of_its_kind(branch5x5: Branch5x5, positions: int, reduction: bool) -> None:
    arch = replace(REDUCED, branch5x5=branch5x5, reduction=reduction, batch_norm=False)
    module = inception(arch, arch.modules()[0])
    for parameter in module.parameters():
        nn.init.ones_(parameter)  # so that no ReLU hides a position
    branch = module.get_submodule("branch5x5")
    channels = arch.modules()[0].row.ch5x5_reduce if reduction else 192
    images = torch.ones(1, channels, 9, 9, requires_grad=True)
    branch(images)[0, 0, 4, 4].backward()
    assert images.grad is not None
    seen = images.grad[0, 0] != 0
    assert seen.sum() == positions
    margin = 2 if positions == 25 else 3
    assert seen[margin:-margin, margin:-margin].all()


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("activation", [True, False])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (7, 2)])
def test_a_unit_is_convolution_norm_and_relu(kernel: int, stride: int, activation: bool, batch_norm: bool) -> None:
    # inception-v1's eps is not torch's default, so that forgetting it shows.
    arch = replace(REFERENCES["inception-v1"], batch_norm=batch_norm, conv_bias=not batch_norm)
    unit = ConvUnit(arch, 5, 7, kernel=kernel, stride=stride, activation=activation).eval()
    randomise_norms(unit)
    if batch_norm:
        cast(Tensor, cast(nn.BatchNorm2d, unit.bn).running_var).mul_(1e-3)  # small, so that eps weighs
    images = torch.randn(2, 5, 8, 8)
    conv = cast(nn.Conv2d, unit.conv)
    expected = F.conv2d(images, conv.weight, conv.bias, stride=stride, padding=(kernel - 1) // 2)
    if batch_norm:
        norm = cast(nn.BatchNorm2d, unit.bn)
        expected = F.batch_norm(expected, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-3)
    expected = F.relu(expected) if activation else expected
    torch.testing.assert_close(unit(images), expected, rtol=1e-5, atol=1e-4)
    assert (unit(images) < 0).any() != activation


@pytest.mark.parametrize("label", ["4a", "4d"])
@pytest.mark.parametrize("name", ["bn-aux-224", "inception-v1", "torchvision"])
def test_the_auxiliary_head_is_that_of_the_paper(name: str, label: str) -> None:
    # arXiv:1409.4842, section 5: 14x14 -> 4x4, a 1x1 convolution with 128 filters, so 2048 -> 1024 -> classes.
    arch = REFERENCES[name]
    assert arch.aux is not None
    spec = next(spec for spec in arch.modules() if spec.label == label)
    assert (spec.map_size, spec.out_channels) == (14, {"4a": 512, "4d": 528}[label])
    head = AuxiliaryHead(arch, arch.aux, spec, num_classes=10).eval()
    randomise_norms(head)
    maps = torch.randn(2, spec.out_channels, 14, 14)
    adaptive = name == "torchvision"
    x = F.adaptive_avg_pool2d(maps, 4) if adaptive else F.avg_pool2d(maps, 5, stride=3)
    assert x.shape[2:] == (4, 4)
    x = cast(nn.Module, head.conv)(x)
    assert x.shape == (2, 128, 4, 4)
    hidden, linear = cast(nn.Linear, head.hidden), cast(nn.Linear, head.linear)
    assert hidden.weight.shape == (1024, 2048)
    activations = F.relu(F.linear(x.reshape(2, 2048), hidden.weight, hidden.bias))
    assert (activations == 0).any() and (activations > 0).any()
    expected = F.linear(activations, linear.weight, linear.bias)
    torch.testing.assert_close(head(maps), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "dropout"), [("bn-aux-224", 0.5), ("inception-v1", 0.7), ("torchvision", 0.7)])
def test_the_auxiliary_head_drops_the_published_share_of_its_hidden_activations(name: str, dropout: float) -> None:
    arch = REFERENCES[name]
    assert arch.aux is not None
    head = AuxiliaryHead(arch, arch.aux, next(p for p in arch.modules() if p.label == "4a"), num_classes=10)
    hidden: list[Tensor] = []
    cast(nn.Module, head.linear).register_forward_hook(lambda _module, inputs, _output: hidden.append(inputs[0]))
    nn.init.ones_(cast(nn.Linear, head.hidden).bias)  # every hidden unit is active, so zeros are dropped ones
    nn.init.zeros_(cast(nn.Linear, head.hidden).weight)
    maps = torch.randn(8, 512, 14, 14)
    head.train()(maps)
    head.eval()(maps)
    # 8192 units: the standard error of the share is at most 0.0055.
    assert (hidden[0] == 0).float().mean().item() == pytest.approx(dropout, abs=0.03)
    assert (hidden[1] == 1).all()


def sources(seed: int) -> Callable[[str], int]:
    """A seed for each layer, from its name alone."""
    return lambda layer: zlib.crc32(f"{seed}:{layer}".encode())


@pytest.mark.parametrize("init", ["torch", "normal"])
@pytest.mark.parametrize("reduction", [True, False], ids=["reduced", "naive"])
@pytest.mark.parametrize("branches", [left for n in range(1, 5) for left in itertools.combinations(BRANCHES, n)])
def test_branches_that_are_left_give_what_they_give_in_the_whole_module(
    branches: tuple[Branch, ...], reduction: bool, init: Init
) -> None:
    # Initialised with the same seed, in one module, so that all of them read the same input.
    whole_arch = replace(REDUCED, stages=(REDUCED.stages[0][:1], (), ()), width=0.25, reduction=reduction, init=init)
    arch = replace(whole_arch, branches=branches)
    modules = []
    for each in (whole_arch, arch):
        model = build(each, num_classes=10).eval()
        initialise(model, seed_at=sources(1))
        modules.append(model.get_submodule("trunk.0.inception3a"))
    spec, whole_spec = arch.modules()[0], whole_arch.modules()[0]
    images = torch.randn(2, spec.in_channels, 6, 6)
    with torch.no_grad():
        expected, out = (module(images) for module in modules)
    row = whole_spec.row
    widths = (row.ch1x1, row.ch3x3, row.ch5x5, row.pool_proj if reduction else spec.in_channels)
    of_branch = dict(zip(BRANCHES, expected.split(widths, dim=1), strict=True))
    assert out.shape[1] == spec.out_channels
    torch.testing.assert_close(out, torch.cat([of_branch[branch] for branch in branches], dim=1))


@pytest.mark.parametrize("extra", ["extra_pools", "module_dropout"])
def test_extras_stand_between_the_modules(extra: str) -> None:
    model = build(ARCHITECTURES[extra.replace("_", "-")], num_classes=10)
    names = [name for section in model.trunk for name, _ in section.named_children()]
    between = {
        "extra_pools": ["3a", "4a", "4b", "4c", "4d", "5a"],  # a pool stands between two stages already
        "module_dropout": ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a"],
    }[extra]
    kind = {"extra_pools": "extra_pool", "module_dropout": "dropout"}[extra]
    assert [name.removeprefix(kind) for name in names if name.startswith(kind)] == between
    for label in between:
        assert names.index(f"{kind}{label}") == names.index(f"inception{label}") + 1


@pytest.mark.parametrize("name", ["branch3x3", "branch5x5", "branch_pool", "entry"])
def test_a_submodule_that_is_replaced_is_used(name: str) -> None:
    # As wrappers for several devices and adapters do.
    module = inception(REDUCED, REDUCED.modules()[0]).eval()
    images = torch.randn(1, 192, 6, 6)
    before = module(images)
    setattr(module, name, nn.Sequential(module.get_submodule(name), nn.Hardtanh(-0.1, 0.1)))
    assert not torch.equal(module(images), before)
