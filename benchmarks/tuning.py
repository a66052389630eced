"""Validation error of the fast recipe for several settings, by which its values are chosen.

`python -m benchmarks.tuning --help` lists the options. Part of the training images is held out for it; the test images
are never read. Learning rates are those of batch size 512 and scale with the batch size.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch

from ablations.cli.console import make_console, show_table
from ablations.data.dataset import Dataset
from ablations.data.registry import load_dataset
from ablations.data.subsets import hold_out, limit
from ablations.errors import ConfigError
from ablations.hardware import probe
from ablations.hardware.device import describe_environment, exact_kernels, resolve_device
from ablations.suites.recipe import FAST, Recipe
from ablations.training.evaluation import predict
from ablations.training.loader import Loader
from ablations.training.step import TrainStep, resolve_engine
from ablations.training.train import make_model, train_epoch
from benchmarks import command
from googlenet.registry import architecture


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Train with each combination of the settings and show the error on held-out training images."""

    dataset: Literal["folder", "cifar10", "cifar100"] = "folder"
    """Data, as the suite of that name reads it."""
    data_dir: Path = Path("data")
    """Where the data are."""
    variant: str = "reduced"
    """Architecture to train."""
    width: float = 1.0
    """Width multiplier, for a machine without a GPU."""
    rates: tuple[float, ...] = (FAST.learning_rate / 2, FAST.learning_rate, FAST.learning_rate * 2)
    """Learning rates at batch size 512."""
    decays: tuple[float, ...] = (FAST.weight_decay,)
    """Weight decays."""
    batch_size: int = FAST.batch_size
    """Images a step."""
    epochs: int = FAST.epochs
    """Epochs of each training."""
    limit_train: int | None = None
    """Train and validate on a stratified subset of N training images."""
    validation_fraction: float = 0.1
    """Part of the training images to hold out."""
    seeds: int = 1
    """Train with the seeds 1 to N."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    output: Path = Path("results/benchmarks/tuning.csv")
    """The table as CSV."""


def main(arguments: Arguments) -> pd.DataFrame:
    """Measure, save after each training, and print; returns the table that was saved."""
    device = resolve_device(arguments.device)
    data = load_dataset(arguments.dataset, arguments.data_dir)
    environment = describe_environment(device, engine=resolve_engine("auto", device))
    console, rows = make_console(), []
    table = pd.DataFrame()
    for recipe in _recipes(arguments, device):
        for seed in range(1, arguments.seeds + 1):
            with console.status(f"learning rate {recipe.learning_rate:g}, weight decay {recipe.weight_decay:g}"):
                row = _train(recipe, data, arguments, device=device, seed=seed)
            rows.append(row | {"device": environment.device, "commit": environment.commit})
            table = pd.DataFrame(rows)
            command.save(table, arguments.output)
    shown = table[["learning_rate", "weight_decay", "seed", "train_loss", "validation_error"]]
    lines = [{str(name): f"{value:g}" for name, value in row.items()} for _, row in shown.iterrows()]
    show_table(lines, console=console, title=f"{arguments.variant}, batch {arguments.batch_size}")
    command.save(table, arguments.output, console=console)
    return table


def _recipes(arguments: Arguments, device: torch.device) -> Iterator[Recipe]:
    base = FAST.at_precision(probe.native_precision(device.type))
    for rate, decay in itertools.product(arguments.rates, arguments.decays):
        yield replace(
            base,
            learning_rate=rate * arguments.batch_size / FAST.batch_size,
            weight_decay=decay,
            batch_size=arguments.batch_size,
            epochs=arguments.epochs,
            validation_fraction=arguments.validation_fraction,
        )


def _train(recipe: Recipe, data: Dataset, arguments: Arguments, *, device: torch.device, seed: int) -> dict[str, Any]:
    """One training, and the held-out images' error after it."""
    train_split, held_out = hold_out(
        limit(data.train, arguments.limit_train), fraction=recipe.validation_fraction, seed=seed
    )
    if held_out is None:
        raise ConfigError("--validation-fraction is 0; hold something out to tune on")
    arch = architecture(arguments.variant).at_size(data.image_size, width=arguments.width)
    model = make_model(arch, num_classes=data.num_classes, seed=seed, device=device)
    trainer = TrainStep(model, recipe, engine=resolve_engine("auto", device))
    loader = Loader(train_split, recipe=recipe, device=device)
    with exact_kernels(device):
        trainer.warm_up(batch_sizes=loader.batch_sizes)
        epochs = [
            train_epoch(trainer, loader, seed=seed, epoch=number, on_step=lambda images, loss: None)
            for number in range(1, recipe.epochs + 1)
        ]
        batches = Loader(held_out, recipe=recipe, device=device).eval_batches()
        wrong = predict(model, batches, precision=recipe.precision).wrong.sum()
    return {
        "variant": arguments.variant,
        "width": arguments.width,
        "batch_size": recipe.batch_size,
        "epochs": recipe.epochs,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "precision": recipe.precision,
        "seed": seed,
        "train_images": len(train_split),
        "validation_images": len(held_out),
        "train_loss": epochs[-1].loss,
        "validation_error": wrong / len(held_out),
        "train_seconds": sum(epoch.seconds for epoch in epochs),
    }


if __name__ == "__main__":
    command.run(main, Arguments, name="tuning")
