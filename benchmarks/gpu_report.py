"""Every speed and accuracy figure that needs a GPU, held against its bar: `python -m benchmarks.gpu_report`.

Takes under nine minutes on an H200. With `--data-dir DIR`, a folder of CIFAR-10 images as `--suite folder` reads them,
errors are measured too; without it random images are trained on and those figures stay unmeasured. The table is
saved after each part, so that a stop keeps what was measured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console

from ablations.cli.console import make_console, show_table
from ablations.data.registry import load_dataset
from ablations.errors import ConfigError
from ablations.hardware.device import describe_environment, resolve_device
from ablations.report.document import Table
from benchmarks import command
from benchmarks.gpu_figures import PARTS, Figure, Scale
from benchmarks.random_data import random_dataset

TRAIN_IMAGES, TEST_IMAGES = 50_000, 10_000  # CIFAR-10's


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Measure on this machine's GPU what the project promises of GPUs."""

    data_dir: Path | None = None
    """A folder of CIFAR-10 images with train/<class>/ and test/<class>/, for the figures about errors."""
    parts: tuple[str, ...] = ()
    """Measure these parts only; by default all: agreement, throughput, overhead, published, suite, gap, fast."""
    output: Path = Path("results/benchmarks/gpu_report.csv")
    """The table as CSV."""


def main(arguments: Arguments) -> None:
    """Measure part by part; print one table at the end."""
    console = make_console()
    if not torch.cuda.is_available():
        raise ConfigError(f"this report needs a GPU, and torch {torch.__version__} finds none")
    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown:
        raise ConfigError(f"--parts {unknown[0]} is unknown; allowed: {', '.join(PARTS)}")
    scale = Scale(
        device=resolve_device("cuda"),
        dataset=load_dataset("folder", arguments.data_dir)
        if arguments.data_dir
        else random_dataset(train_images=TRAIN_IMAGES, test_images=TEST_IMAGES),
        real_data=arguments.data_dir is not None,
    )
    report(scale, parts=arguments.parts or tuple(PARTS), output=arguments.output, console=console)


def report(scale: Scale, *, parts: tuple[str, ...], output: Path, console: Console) -> pd.DataFrame:
    """Measure the parts, save after each, and print the table; returns it."""
    environment = describe_environment(scale.device, engine="")
    figures: list[Figure] = []
    table = pd.DataFrame()
    for part in parts:
        began = time.perf_counter()
        figures += PARTS[part](scale)
        console.print(f"{part}: {time.perf_counter() - began:,.0f} s", soft_wrap=True)
        table = pd.DataFrame(figures).assign(
            device=environment.device, versions="; ".join(environment.versions), commit=environment.commit
        )
        command.save(table, output)
    rows = [
        {"figure": figure.figure, "bar": figure.bar, "measured": figure.measured, "met": _verdict(figure.met)}
        for figure in figures
    ]
    show_table(
        Table.of("benchmark", pd.DataFrame(rows)),
        console=console,
        title=f"{environment.device}, commit {environment.commit}",
    )
    command.save(table, output, console=console)
    return table


def _verdict(met: bool | None) -> str:
    return "-" if met is None else "yes" if met else "NO"


if __name__ == "__main__":
    command.run(main, Arguments, name="gpu_report")
