"""The architecture `torchvision` against torchvision's own GoogLeNet with the same weights."""

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models import GoogLeNet as TorchvisionGoogLeNet

from googlenet import GoogLeNet, build

NUM_CLASSES = 10
IMAGE_SIZE = 112  # a quarter of the work of 224, and an odd map in stage 4, where "ceil" rounds up
# In double precision both give the same to the last bits, which leaves no room for a small mistake.
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}
PRECISIONS = pytest.mark.parametrize("images", TOLERANCES, indirect=True, ids=["float32", "float64"])
LABELS = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]
SECTIONS = {"4b": 1, "4c": 1, "4d": 1, "4e": 2, "5a": 2, "5b": 2}  # the trunk is cut after 4a and 4d
STEM_AND_HEADS = {
    "stem.conv7x7": "conv1",
    "stem.conv1x1": "conv2",
    "stem.conv3x3": "conv3",
    "aux_heads.0.conv": "aux1.conv",
    "aux_heads.0.hidden": "aux1.fc1",
    "aux_heads.0.linear": "aux1.fc2",
    "aux_heads.1.conv": "aux2.conv",
    "aux_heads.1.hidden": "aux2.fc1",
    "aux_heads.1.linear": "aux2.fc2",
    "head.linear": "fc",
}


def layer_pairs() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Our layer, and torchvision's layers whose tensors it holds one after the other."""
    for ours, theirs in STEM_AND_HEADS.items():
        yield ours, (theirs,)
    for label in LABELS:
        ours, theirs = f"trunk.{SECTIONS.get(label, 0)}.inception{label}", f"inception{label}"
        yield f"{ours}.entry", (f"{theirs}.branch1", f"{theirs}.branch2.0", f"{theirs}.branch3.0")
        yield f"{ours}.branch3x3", (f"{theirs}.branch2.1",)
        yield f"{ours}.branch5x5", (f"{theirs}.branch3.1",)
        yield f"{ours}.branch_pool.1", (f"{theirs}.branch4.1",)


def translated(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under torchvision's names, under ours; every one is used."""
    result: dict[str, Tensor] = {}
    used: set[str] = set()
    for ours, theirs in layer_pairs():
        suffixes = [name.removeprefix(theirs[0]) for name in tensors if name.startswith(f"{theirs[0]}.")]
        for suffix in suffixes:
            names = [layer + suffix for layer in theirs]
            used.update(names)
            parts = [tensors[name] for name in names]
            result[ours + suffix] = torch.cat(parts) if parts[0].dim() else parts[0]  # counters of batches have no axis
    assert used == set(tensors)
    return result


def prepare(model: TorchvisionGoogLeNet, images: Tensor) -> None:
    """Dropout off, and every batch norm its own scale, shift and statistics.

    The statistics are measured, then scattered: with arbitrary ones the signal would fade from layer to layer until
    the logits were blind to the stem.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm.momentum = None  # average over the batches so far: here, the statistics of one
    switch_dropout_off(model)
    with torch.no_grad():
        model.train()(images)
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        norm.momentum = 0.1
        norm.running_mean.mul_(torch.empty_like(norm.running_mean).uniform_(0.8, 1.25))
        norm.running_var.mul_(torch.empty_like(norm.running_var).uniform_(0.8, 1.25))


def switch_dropout_off(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


@functools.cache
def made(dtype: torch.dtype) -> tuple[Tensor, TorchvisionGoogLeNet, GoogLeNet]:
    """Images, torchvision's network and ours with its weights, in that precision."""
    torch.manual_seed(0)
    images = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=dtype)
    theirs = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False, num_classes=NUM_CLASSES)
    theirs = theirs.to(dtype)
    prepare(theirs, images)
    with torch.device("meta"):
        ours = build("torchvision", num_classes=NUM_CLASSES)
    ours.load_state_dict(translated(theirs.state_dict()), assign=True)
    switch_dropout_off(ours)
    return images, theirs, ours


@pytest.fixture
def images(request: pytest.FixtureRequest) -> Tensor:
    return made(request.param)[0]


@pytest.fixture
def theirs(images: Tensor) -> TorchvisionGoogLeNet:
    return copy.deepcopy(made(images.dtype)[1])


@pytest.fixture
def ours(images: Tensor) -> GoogLeNet:
    return copy.deepcopy(made(images.dtype)[2])


def assert_outputs_agree(actual: Tensor, expected: Tensor) -> None:
    # Images must matter far more than the tolerance, or agreement would mean little.
    assert (expected[0] - expected[1]).abs().max() > 1e-2
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCES[expected.dtype])


def captured(module: nn.Module, run: Callable[[], object]) -> Tensor:
    """What `module` gives while `run` runs."""
    maps: list[Tensor] = []
    # A copy: what follows may work in place.
    handle = module.register_forward_hook(lambda _module, _inputs, output: maps.append(output.clone()))
    run()
    handle.remove()
    (only,) = maps
    return only


@PRECISIONS
def test_logits_agree_in_evaluation(ours: GoogLeNet, theirs: TorchvisionGoogLeNet, images: Tensor) -> None:
    with torch.no_grad():
        out = ours.eval()(images)
        expected = theirs.eval()(images)
    assert out.aux == ()
    assert_outputs_agree(out.logits, expected)


@PRECISIONS
def test_auxiliary_heads_agree_in_evaluation(ours: GoogLeNet, theirs: TorchvisionGoogLeNet, images: Tensor) -> None:
    # torchvision's forward leaves its heads out in evaluation, so they are fed the maps that each network makes.
    ours.eval()
    theirs.eval()
    pairs = [(theirs.inception4a, theirs.aux1), (theirs.inception4d, theirs.aux2)]
    with torch.no_grad():
        for section, head, (their_module, their_head) in zip(ours.trunk, ours.aux_heads, pairs, strict=False):
            our_map = captured(section, lambda: ours(images))
            their_map = captured(their_module, lambda: theirs(images))
            largest = their_map.abs().max().item()  # about ten, where the logits are about one
            torch.testing.assert_close(our_map, their_map, rtol=0, atol=TOLERANCES[images.dtype] * largest)
            assert_outputs_agree(head(our_map), cast(nn.Module, their_head)(their_map))


@PRECISIONS
def test_outputs_and_running_statistics_agree_in_training(
    ours: GoogLeNet, theirs: TorchvisionGoogLeNet, images: Tensor
) -> None:
    with torch.no_grad():
        out = ours.train()(images)
        logits, aux2, aux1 = theirs.train()(images)  # torchvision names the head nearest the input last
    assert_outputs_agree(out.logits, logits)
    assert len(out.aux) == 2
    assert_outputs_agree(out.aux[0], aux1)
    assert_outputs_agree(out.aux[1], aux2)
    buffers = translated(theirs.state_dict())
    for name, buffer in ours.named_buffers():
        tolerance = TOLERANCES[images.dtype]
        torch.testing.assert_close(buffer, buffers[name], rtol=10 * tolerance, atol=tolerance)


# In single precision, rounding flips a few choices of max-pools and ReLUs, which moves gradients by up to a percent.
@pytest.mark.parametrize("images", [torch.float64], indirect=True, ids=["float64"])
def test_gradients_agree(ours: GoogLeNet, theirs: TorchvisionGoogLeNet, images: Tensor) -> None:
    targets = torch.tensor([3, 7])
    # Three different weights, so that no two outputs can be confused.
    out = ours.train()(images)
    logits, aux2, aux1 = theirs.train()(images)
    for outputs in ((out.logits, *out.aux), (logits, aux1, aux2)):
        losses = [F.cross_entropy(output, targets) for output in outputs]
        (losses[0] + 0.3 * losses[1] + 0.7 * losses[2]).backward()

    expected = translated({name: cast(Tensor, p.grad) for name, p in theirs.named_parameters()})
    actual = {name: cast(Tensor, parameter.grad) for name, parameter in ours.named_parameters()}
    assert set(actual) == set(expected)
    errors = {name: ((actual[name] - grad).norm() / grad.norm()).item() for name, grad in expected.items()}
    assert {name: error for name, error in errors.items() if not error < 1e-10} == {}
