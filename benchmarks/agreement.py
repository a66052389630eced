"""Whether our engines compute the losses of the reference loop, step by step.

`python -m benchmarks.agreement --help` lists the options. All loops start from the same weights and train on the same
images in the same order; the reference loop makes them with torchvision's transforms of PIL images, with the flips that
our loader drew.

Training amplifies rounding: in single precision and at the published learning rate, the reference loop on one CPU
thread differs from itself on two by 1e-3 after three steps and by 1e-2 after ten. Tight bounds hold at a small learning
rate, and the tightest in double precision.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as transforms_functional

from ablations.cli.console import make_console, show_table
from ablations.data.dataset import Split
from ablations.hardware.device import exact_kernels, resolve_device
from ablations.report.document import Table
from ablations.seeding import derive_seed
from ablations.suites.recipe import PUBLISHED, Precision, Recipe
from ablations.training.inputs import transforms
from ablations.training.inputs.loader import Loader
from ablations.training.step import Engine, TrainStep
from benchmarks import command
from benchmarks.random_data import NUM_CLASSES
from benchmarks.reference_loop import ReferenceTrainer
from benchmarks.timed_loops import Workload
from googlenet import build

SEED = 1
SMALL_RATE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Compare the losses of the same steps between engines and with the reference loop."""

    variant: str = "reduced"
    """Variant to train."""
    steps: int = 20
    """Steps to compare."""
    batch_size: int = 64
    """Images per step."""
    image_size: int = 32
    """Side of an image in pixels."""
    width: float = 1.0
    """Width multiplier."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""


def main(arguments: Arguments) -> None:
    """Measure and print the largest relative difference of a loss for each pair."""
    device = resolve_device(arguments.device)
    workload = Workload(
        variant=arguments.variant,
        image_size=arguments.image_size,
        width=arguments.width,
        recipe=replace(PUBLISHED, batch_size=arguments.batch_size).at_precision("fp32"),
        images=arguments.batch_size * arguments.steps,
        device=device.type,
    )
    comparisons = {
        f"eager / reference loop, fp64, rate {SMALL_RATE:g}": functools.partial(
            eager_to_reference, at_small_rate(workload), dtype=torch.float64
        ),
        f"eager / reference loop, fp32, rate {SMALL_RATE:g}": lambda: eager_to_reference(at_small_rate(workload)),
        "eager / reference loop, fp32": lambda: eager_to_reference(workload),
    }
    if device.type == "cuda":
        for precision in ("fp32", "bf16"):
            name = f"graph / eager, {precision}, rate {SMALL_RATE:g}"
            comparisons[name] = functools.partial(graph_to_eager, at_small_rate(workload), precision)
    console = make_console()
    rows = []
    for name, compare in comparisons.items():
        with console.status(name):
            rows.append({"pair": name, "largest difference": f"{compare():.2e}"})
    title = f"relative differences of losses: {arguments.variant}, {arguments.steps} steps, {device.type}"
    show_table(Table.of("benchmark", pd.DataFrame(rows)), console=console, title=title)


def at_small_rate(workload: Workload) -> Workload:
    """The workload at a learning rate that hardly amplifies rounding."""
    return replace(workload, recipe=replace(workload.recipe, learning_rate=SMALL_RATE))


def eager_to_reference(workload: Workload, *, dtype: torch.dtype = torch.float32) -> float:
    """The largest relative difference between losses of the eager engine and of the reference loop."""
    return largest_difference(engine_losses(workload, "eager", dtype=dtype), reference_losses(workload, dtype=dtype))


def graph_to_eager(workload: Workload, precision: Precision) -> float:
    """The largest relative difference between losses of the graph and the eager engine in one precision."""
    same = replace(workload, recipe=replace(workload.recipe, precision=precision))
    return largest_difference(engine_losses(same, "graph"), engine_losses(same, "eager"))


def largest_difference(losses: list[float], expected: list[float]) -> float:
    """The largest relative difference of two equally long lists; NaN if a loss is not finite."""
    ours, theirs = np.asarray(losses), np.asarray(expected)
    if ours.shape != theirs.shape:
        raise ValueError(f"{len(losses)} losses cannot be compared with {len(expected)}")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return math.nan
    return float(np.max(np.abs(ours - theirs) / np.abs(theirs)))


def engine_losses(workload: Workload, engine: Engine, *, dtype: torch.dtype = torch.float32) -> list[float]:
    """The loss of each step of one epoch of our loop."""
    device = torch.device(workload.device)
    torch.manual_seed(SEED)
    model = build(workload.architecture, num_classes=NUM_CLASSES).to(dtype).train()
    model = model.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    train_step = TrainStep(model, workload.recipe, engine=engine)
    loader = Loader(workload.split(), recipe=workload.recipe, device=device)
    with exact_kernels(device, deterministic=True):
        train_step.warm_up(batch_sizes=loader.batch_sizes)
        torch.manual_seed(SEED)  # of dropout
        batches = loader.train_batches(seed=SEED, epoch=1)
        return [float(train_step.step(images.to(dtype), labels).loss) for images, labels in batches]


def reference_losses(workload: Workload, *, dtype: torch.dtype = torch.float32) -> list[float]:
    """The loss of each step of the reference loop, without TF32, on the images that our loader would make."""
    device = torch.device(workload.device)
    torch.manual_seed(SEED)
    trainer = ReferenceTrainer(
        workload.architecture,
        num_classes=NUM_CLASSES,
        device=device,
        learning_rate=workload.recipe.learning_rate,
        dtype=dtype,
    )
    torch.manual_seed(SEED)
    batches = torchvision_batches(workload.split(), workload.recipe)
    with exact_kernels(device, deterministic=True):
        return [trainer.step(images.to(dtype), labels) for images, labels in batches]


def torchvision_batches(split: Split, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """The first epoch's batches, made image by image with torchvision in our loader's order and with its flips."""
    count, size = len(split), (split.images.shape[1], split.images.shape[2])
    order = torch.randperm(
        count, generator=torch.Generator().manual_seed(derive_seed(SEED, purpose="order", epoch=1))
    ).tolist()
    flipped = transforms.draw(recipe, count=count, image_size=size, seed=SEED, epoch=1).flipped.tolist()
    for first in range(0, count, recipe.batch_size):
        positions = range(first, min(first + recipe.batch_size, count))
        images = [_torchvision_image(split, order[position], flipped[position], recipe) for position in positions]
        yield torch.stack(images), torch.tensor([int(split.labels[order[position]]) for position in positions])


def _torchvision_image(split: Split, index: int, flip: bool, recipe: Recipe) -> Tensor:
    image = transforms_functional.to_tensor(Image.fromarray(split.images[index]))
    image = transforms_functional.hflip(image) if flip else image
    return transforms_functional.normalize(image, [recipe.mean] * 3, [recipe.std] * 3)


if __name__ == "__main__":
    command.run(main, Arguments, name="agreement")
