"""Counts of parameters, MACs and activations, by independent counters, by hand and as published."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ablations.training import complexity
from googlenet import REFERENCES, VARIANTS, Architecture, GoogLeNet, build
from googlenet.counts import count_macs, count_params
from googlenet.registry import ARCHITECTURES

SMALL = {name: replace(arch, width=0.25, image_size=8) for name, arch in VARIANTS.items()}
WITH_HEADS = replace(REFERENCES["bn-aux-224"], name="with-heads", stem="cifar", image_size=32, width=0.125)


# Each kind of convolution, pool, branch and head is in one of these.
EVERY_KIND_OF_LAYER = (
    "reduced",
    "naive",
    "torchvision",
    "plain-cifar",
    "no-batch-norm",
    "branch-5x5",
    "without-1x1",
    "without-pool",
    "extra-pools",
    "module-dropout",
)


def on_meta(arch: Architecture, *, num_classes: int) -> GoogLeNet:
    """The network in evaluation on the meta device, which has shapes and no memory."""
    with torch.device("meta"):
        return build(arch, num_classes=num_classes).eval()


def count_by_hooks(model: GoogLeNet) -> tuple[int, int]:
    """MACs and activations of one image, from the shapes that each layer gives."""
    macs, activations = 0, 0

    def hook(module: nn.Module, _inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal macs, activations
        weight = module.weight
        assert isinstance(weight, Tensor)
        activations += output.numel()
        macs += output.numel() * weight[0].numel()  # the weights that one output sums over

    handles = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        model(torch.empty(1, model.arch.in_channels, model.arch.image_size, model.arch.image_size, device="meta"))
    for handle in handles:
        handle.remove()
    return macs, activations


def parameters_of(model: GoogLeNet) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", EVERY_KIND_OF_LAYER)
def test_fvcore_and_the_built_network_agree(name: str) -> None:
    # Plans show the closed form, and records fvcore's counts. fvcore runs the network that it counts, so it gets fewer
    # channels, by a width that rounds them.
    narrow = replace(ARCHITECTURES[name], width=0.15)
    shapes = on_meta(narrow, num_classes=10)
    by_hooks = count_by_hooks(shapes)
    measured = complexity.measure(shapes.to_empty(device="cpu"))
    assert measured.params == count_params(narrow, num_classes=10) == parameters_of(shapes)
    assert (measured.macs, measured.activations) == by_hooks
    assert measured.macs == count_macs(narrow, num_classes=10)
    assert measured.flops == 2 * measured.macs


def test_auxiliary_heads_count_as_parameters_and_not_as_work() -> None:
    without = replace(WITH_HEADS, aux=None)
    ours, theirs = (complexity.measure(build(arch, num_classes=10)) for arch in (WITH_HEADS, without))
    assert (ours.macs, ours.activations) == (theirs.macs, theirs.activations)
    assert ours.params > theirs.params


def test_short4_by_hand() -> None:
    measured = complexity.measure(build(replace(VARIANTS["short4"], image_size=8), num_classes=10))
    # Outputs of its layers on maps of 8x8 and, two pools later, 2x2: stem; module 3a as 1x1 with both reductions,
    # 3x3, 5x5 as two 3x3, pool projection; module 5b likewise; the classes.
    stage3 = 192 + (256 + 96 + 16) + 128 + 2 * 96 + 32
    stage5 = (384 + 192 + 48) + 384 + 2 * 128 + 128
    assert measured.activations == 64 * stage3 + 4 * stage5 + 10
    # The same layers' inputs: 3 colours, 192 stem channels, 512 channels after module 3a, 1024 after 5b.
    macs3 = 27 * 192 + 192 * (256 + 96 + 16) + 9 * 96 * 128 + 9 * (16 * 96 + 96 * 96) + 192 * 32
    macs5 = 512 * (384 + 192 + 48) + 9 * 192 * 384 + 9 * (48 * 128 + 128 * 128) + 512 * 128
    assert measured.macs == 64 * macs3 + 4 * macs5 + 1024 * 10


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_the_model_as_it_was(training: bool) -> None:
    model = build(SMALL["short4"], num_classes=10).train(training)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) for module in model.modules()]
    complexity.measure(model)
    assert [module.training for module in model.modules()] == modes
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    torch.testing.assert_close(dict(model.state_dict()), state, rtol=0, atol=0)  # batch norm's statistics included
    assert all(parameter.grad is None for parameter in model.parameters())


def test_measuring_draws_no_random_number() -> None:
    model = build(SMALL["short4"], num_classes=10)
    before = torch.get_rng_state()
    complexity.measure(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_measuring_prints_nothing(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    complexity.measure(build(SMALL["naive"], num_classes=10))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_channels_last_memory_gives_the_same_counts() -> None:
    model = build(SMALL["short4"], num_classes=10)
    plain = complexity.measure(model)
    assert complexity.measure(model.to(memory_format=torch.channels_last)) == plain  # pyright: ignore[reportCallIssue]
