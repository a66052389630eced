"""The overhead of recording, checkpoints and the progress display, as shares of an epoch's training time.

`python -m benchmarks.overhead --help` lists the options. A run trains on random images, and each call that is overhead
is timed by itself: on a noisy machine epochs differ by more than the overhead.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import pandas as pd
from rich.console import Console

from ablations import ExecutionOptions
from ablations.cli.console import make_console, show_table
from ablations.hardware import probe
from ablations.observers.progress import REFRESHES_PER_SECOND, Display
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.report.document import Table
from ablations.storage.jsonl import JsonLines
from ablations.suites.recipe import PUBLISHED
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import Event, RunStarted, StepDone, SuiteStarted
from ablations.training.train import train
from benchmarks import command
from benchmarks.random_data import random_dataset
from googlenet import VARIANTS

TEST_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Measure the overhead of recording, checkpoints and the progress display in training."""

    variant: str = "reduced"
    """Variant to train."""
    images: int = 1024
    """Training images in an epoch that is timed."""
    epoch_images: int = 5000
    """Images of the epoch that the costs are shares of."""
    epochs: int = 3
    """Epochs."""
    image_size: int = 32
    """Side of an image in pixels."""
    width: float = 1.0
    """Width multiplier."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    output: Path = Path("results/benchmarks/overhead.csv")
    """The table as CSV."""


def main(arguments: Arguments) -> pd.DataFrame:
    """Measure, print and save; returns the table that was saved."""
    table = measure(arguments)
    rows = [
        {
            "cost": str(row["cost"]),
            "ms an epoch": f"{1000 * row['seconds']:,.2f}",
            "% of an epoch": f"{100 * row['share']:.3f}",
        }
        for _, row in table.iterrows()
    ]
    title = f"overhead, {arguments.variant}, epochs of {arguments.epoch_images:,} images, {table['device'][0]}"
    console = make_console()
    show_table(Table.of("benchmark", pd.DataFrame(rows)), console=console, title=title)
    command.save(table, arguments.output, console=console)
    return table


class Stopwatch:
    """Records the seconds of every call of the functions that it wraps."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with the seconds of each call recorded under `name`."""

        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds.setdefault(name, []).append(time.perf_counter() - began)

        return call

    def median(self, name: str) -> float:
        """Seconds of the median call."""
        return statistics.median(self.seconds[name])


def measure(arguments: Arguments) -> pd.DataFrame:
    """Train on random images; return a row per cost and one for their sum."""
    options = ExecutionOptions.resolve(device=arguments.device)
    dataset = random_dataset(train_images=arguments.images, test_images=TEST_IMAGES, image_size=arguments.image_size)
    recipe = replace(PUBLISHED, epochs=arguments.epochs)
    config = RunConfig(
        architecture=VARIANTS[arguments.variant].at_size(arguments.image_size, width=arguments.width),
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        num_classes=dataset.num_classes,
        recipe=recipe.at_precision(probe.native_precision(options.device.type)),
        seed=1,
    )
    stopwatch = Stopwatch()
    # Renders as on a terminal, into memory.
    display = Display(console=Console(file=io.StringIO(), force_terminal=True, width=120))
    on_step = stopwatch.timed("step events", display.on_event)

    def on_event(event: Event) -> None:
        (on_step if isinstance(event, StepDone) else display.on_event)(event)

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(checkpoint, "save", stopwatch.timed("checkpoint", checkpoint.save)),
        mock.patch.object(JsonLines, "append", stopwatch.timed("metrics line", JsonLines.append)),
        display,
    ):
        on_event(SuiteStarted(runs=(config,)))
        on_event(RunStarted(config=config, position=1, total=1))
        record = train(
            config,
            dataset=dataset,
            folder=RunFolder(Path(folder), config),
            on_event=on_event,
            options=options,
        )
        for _ in range(20):
            stopwatch.timed("drawing", display.refresh)()
    return _shares(stopwatch, record, arguments)


def _shares(stopwatch: Stopwatch, record: RunRecord, arguments: Arguments) -> pd.DataFrame:
    speed = statistics.median(arguments.images / epoch.train_seconds for epoch in record.epochs)
    epoch_seconds = arguments.epoch_images / speed
    steps = arguments.epoch_images / record.config.recipe.batch_size
    costs = {
        "progress: events of steps": steps * statistics.mean(stopwatch.seconds["step events"]),
        "progress: drawing": epoch_seconds * REFRESHES_PER_SECOND * stopwatch.median("drawing"),
        "recording: line of metrics": stopwatch.median("metrics line"),
        "checkpointing": stopwatch.median("checkpoint"),
    }
    costs["all"] = sum(costs.values())
    rows = [
        {
            "cost": name,
            "seconds": seconds,
            "share": seconds / epoch_seconds,
            "epoch_seconds": epoch_seconds,
            "variant": arguments.variant,
            "epoch_images": arguments.epoch_images,
            "device": record.environment.device,
            "engine": record.environment.engine,
            "versions": "; ".join(record.environment.versions),
            "commit": record.environment.commit,
        }
        for name, seconds in costs.items()
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    command.run(main, Arguments, name="overhead")
