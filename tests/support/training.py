"""Small networks, steps and runs for the tests of training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from ablations.data.dataset import Split
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.suites.recipe import DIGITS, PUBLISHED, Recipe
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import Event
from ablations.training.inputs.loader import Loader
from ablations.training.step import Engine, TrainStep
from googlenet import REFERENCES, VARIANTS, Architecture, GoogLeNet, build

CPU = torch.device("cpu")
CUDA = torch.device("cuda")  # only named here: it takes no GPU
BATCH = 32
BN_AUX = replace(REFERENCES["bn-aux-224"], stem="cifar", image_size=32, width=0.125)
SHORT4 = replace(VARIANTS["short4"], width=0.125, image_size=8)
SGD = replace(
    DIGITS,
    optimizer="sgd",
    learning_rate=0.02,
    momentum=0.9,
    weight_decay=5e-4,
    batch_size=BATCH,
    epochs=4,
    precision="fp32",
)
RECIPES = {
    "adadelta": replace(PUBLISHED, flip=0.0, batch_size=BATCH, epochs=4, precision="fp32"),
    "adam": replace(DIGITS, batch_size=BATCH, epochs=4, precision="fp32"),
    "sgd": replace(SGD, momentum=0.0),
    "sgd-momentum": SGD,
}
each_optimiser = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
StopAt = Callable[[type[Event], int], Callable[[Event], None]]
OutcomeOf = Callable[[RunFolder], dict[str, Any]]

STEPS = 4  # of an epoch of the run "undisturbed"
EPOCH_STEPS = 5  # of the tiny digits: four full batches and one of 22


def seeded_model(arch: Architecture = SHORT4, *, device: torch.device = CPU) -> GoogLeNet:
    torch.manual_seed(3)
    model = build(arch, num_classes=10).train()
    return model.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def make_step(
    recipe: Recipe, *, arch: Architecture = SHORT4, engine: Engine = "eager", device: torch.device = CPU
) -> TrainStep:
    return TrainStep(seeded_model(arch, device=device), recipe, engine=engine)


def random_batches(count: int, *, batch: int = 16, image_size: int = 8) -> list[tuple[Tensor, Tensor]]:
    """Images (batch, 3, image_size, image_size) in channels-last memory, and labels of ten classes."""
    rng = torch.Generator().manual_seed(5)
    batches = []
    for _ in range(count):
        images = torch.randn(batch, 3, image_size, image_size, generator=rng)
        labels = torch.randint(10, (batch,), generator=rng)
        batches.append((images.contiguous(memory_format=torch.channels_last), labels))
    return batches


def random_batch(count: int = 16, *, image_size: int = 8) -> tuple[Tensor, Tensor]:
    return random_batches(1, batch=count, image_size=image_size)[0]


def take_steps(train_step: TrainStep, split: Split, *, epochs: int, first: int = 1) -> list[float]:
    """The losses of the steps of some epochs, in a plain loop with the recipe's learning rates and dropout."""
    loader, losses = Loader(split, recipe=train_step.recipe, device=train_step.device), []
    train_step.model.train()
    for epoch in range(first, first + epochs):
        torch.manual_seed(epoch)
        for step, (images, labels) in enumerate(loader.train_batches(seed=1, epoch=epoch)):
            progress = (epoch - 1 + step / loader.steps) / train_step.recipe.epochs
            train_step.set_learning_rate(train_step.recipe.learning_rate_at(epoch=epoch - 1, progress=progress))
            losses.append(float(train_step.step(images, labels).loss))
    return losses


def state_of(train_step: TrainStep) -> dict[str, Any]:
    """A copy of all that a checkpoint would hold."""
    return copy.deepcopy({"model": dict(train_step.model.state_dict()), "optimizer": train_step.optimizer.state_dict()})


def assert_same(ours: object, theirs: object) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def parameters_of(train_step: TrainStep) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in train_step.model.parameters()]


def with_tensor_rate(train_step: TrainStep) -> Tensor:
    """Give a CPU's optimiser its learning rate as a GPU's has it, and return it."""
    (group,) = train_step.optimizer.param_groups
    group["lr"] = torch.tensor(group["lr"])
    return group["lr"]


def as_batch(split: Split) -> tuple[Tensor, Tensor]:
    """The whole split as one normalised batch, by hand."""
    pixels = torch.tensor(split.images).permute(0, 3, 1, 2).float()
    return (pixels / 255 - 0.5) / 0.5, torch.tensor(split.labels)


def rebuilt(config: RunConfig, folder: RunFolder) -> GoogLeNet:
    """The network of a run's saved weights, in evaluation mode."""
    model = build(config.architecture, num_classes=config.num_classes)
    model.load_state_dict(checkpoint.load_weights(folder.checkpoints))
    return model.eval()


class Run(NamedTuple):
    """A finished run, with the events that its observer got."""

    config: RunConfig
    folder: RunFolder
    record: RunRecord
    events: list[Event]


def output_dtypes(model: GoogLeNet, kind: type[nn.Module]) -> set[torch.dtype]:
    """Filled by each forward pass with the types that modules of that kind give."""
    seen: set[torch.dtype] = set()

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        seen.add(output.dtype)

    for module in model.modules():
        if isinstance(module, kind):
            module.register_forward_hook(note)
    return seen
