"""Training speed of each engine and variant against the reference loop, interleaved in one process.

`python -m benchmarks.throughput --help` lists the options. Random images of the right size are trained on, by the
published recipe unless another is named; the reference loop always trains by the published one, in fp32, with the
same batch size. Speeds are images a second from the dataset to the updated weights, medians over the rounds.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
import torch

from ablations.cli.console import make_console, show_table
from ablations.hardware import probe
from ablations.hardware.device import describe_environment, resolve_device
from ablations.report.document import Table
from ablations.suites.recipe import RECIPES
from ablations.training.step import Engine
from benchmarks import command, peaks
from benchmarks.contestants import (
    Contest,
    Contestant,
    Kind,
    LoaderSpeeds,
    interleave,
    loader_speeds,
    median_ratio,
    peak_memory_bytes,
)
from benchmarks.random_data import NUM_CLASSES
from benchmarks.roofline import shortest_seconds, training_kernels
from googlenet.counts import count_macs

CIFAR_IMAGES = 50_000
TRAINING_FLOPS = 6  # for each MAC of a forward pass: two FLOPs, three times (forward, two gradients)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Compare the product's training speed with a plain loop's and with the hardware's limits."""

    variants: tuple[str, ...] = ("reduced",)
    """Variants to train."""
    engines: tuple[Engine, ...] = ()
    """Engines to compare; by default eager, and graph on a GPU."""
    recipe: Literal["published", "fast"] = "published"
    """The product's recipe; the reference's is the published one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """The product's precision; auto is bf16 on a GPU that has it, else fp32. The reference's is fp32."""
    batch_size: int = 64
    """Images a step, for all."""
    image_size: int = 32
    """Side of an image in pixels."""
    width: float = 1.0
    """Width multiplier of the variants."""
    steps: int | None = None
    """Steps that are timed at a time; by default 4 on a CPU and 200 on a GPU."""
    rounds: int = 5
    """How often the contestants take turns."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    reference: bool = True
    """Train the reference loop too."""
    memory: bool = True
    """Measure peak memory too, of each contestant in a process of its own."""
    output: Path = Path("results/benchmarks/throughput.csv")
    """The table as CSV."""


def main(arguments: Arguments) -> pd.DataFrame:
    """Measure, print and save; returns the table that was saved."""
    device = resolve_device(arguments.device)
    table = pd.concat(
        [measure(contest, arguments, device) for contest in _contests(arguments, device)], ignore_index=True
    )
    console = make_console()
    show_table(
        Table.of("benchmark", pd.DataFrame(_text(table))),
        console=console,
        title=f"training speed, {table['device'][0]}",
    )
    console.print(describe(loader_speeds(device)), soft_wrap=True)
    command.save(table, arguments.output, console=console)
    return table


def _contests(arguments: Arguments, device: torch.device) -> list[Contest]:
    steps = arguments.steps or (200 if device.type == "cuda" else 4)
    recipe = RECIPES[arguments.recipe].at_precision(probe.native_precision(device.type))
    if arguments.precision != "auto":
        recipe = replace(recipe, precision=arguments.precision)
    return [
        Contest(
            variant=variant,
            image_size=arguments.image_size,
            width=arguments.width,
            recipe=replace(recipe, batch_size=arguments.batch_size),
            images=steps * arguments.batch_size,
            device=device.type,
        )
        for variant in arguments.variants
    ]


def measure(contest: Contest, arguments: Arguments, device: torch.device) -> pd.DataFrame:
    """One row for each contestant on one variant; `mfu` and `roofline_share` are of the measured peaks."""
    engines = arguments.engines or (("eager", "graph") if device.type == "cuda" else ("eager",))
    environment = describe_environment(device, engine="")  # first, as files may change while it measures
    kinds: tuple[Kind, ...] = (*(("reference",) if arguments.reference else ()), *engines)
    split = contest.split()
    limits = peaks.measure(device, contest.recipe.precision)
    speeds = interleave([Contestant(kind, contest, split) for kind in kinds], rounds=arguments.rounds)
    # Again, as another process may have slowed the first.
    limits = limits.highest(peaks.measure(device, contest.recipe.precision))
    kernels = training_kernels(
        contest.architecture, num_classes=NUM_CLASSES, recipe=contest.recipe, batch_size=contest.recipe.batch_size
    )
    roofline = contest.recipe.batch_size / shortest_seconds(kernels, **limits._asdict())
    macs = count_macs(contest.architecture, num_classes=NUM_CLASSES)
    rows = []
    for kind, found in zip(kinds, speeds, strict=True):
        speed = statistics.median(found)
        precision = "fp32" if kind == "reference" else contest.recipe.precision
        at_peak = precision == contest.recipe.precision  # the limits are those of the product's precision
        rows.append(
            {
                "variant": contest.variant,
                "loop": kind,
                "precision": precision,
                "batch_size": contest.recipe.batch_size,
                "image_size": contest.image_size,
                "width": contest.width,
                "rounds": len(found),
                "images_per_second": speed,
                "images_per_second_min": min(found),
                "images_per_second_max": max(found),
                "times_reference": median_ratio(found, speeds[0]) if arguments.reference else None,
                "seconds_per_epoch_of_50000": CIFAR_IMAGES / speed,
                "mfu": TRAINING_FLOPS * macs * speed / limits.flops_per_second if at_peak else None,
                "roofline_share": speed / roofline if at_peak else None,
                "peak_memory_bytes": peak_memory_bytes(kind, contest) if arguments.memory else None,
                "peak_flops_per_second": limits.flops_per_second,
                "peak_bytes_per_second": limits.bytes_per_second,
                "step_flops": sum(kernel.flops for kernel in kernels),
                "step_bytes": sum(kernel.bytes for kernel in kernels),
                "device": environment.device,
                "threads": environment.threads,
                "versions": "; ".join(environment.versions),
                "commit": environment.commit,
            }
        )
    return pd.DataFrame(rows)


def describe(speeds: LoaderSpeeds) -> str:
    """The loaders' speeds in a line."""
    return (
        f"loading alone, published recipe: {speeds.product:,.0f} images/s, DataLoader with PIL transforms "
        f"{speeds.reference:,.0f} images/s ({speeds.workers} workers), {speeds.ratio:.1f} times"
    )


def _text(table: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {
            "variant": str(row["variant"]),
            "loop": str(row["loop"]),
            "precision": str(row["precision"]),
            "batch": str(row["batch_size"]),
            "images/s (min-max)": f"{row['images_per_second']:,.1f} ({row['images_per_second_min']:,.1f}-"
            f"{row['images_per_second_max']:,.1f})",
            "n": str(row["rounds"]),
            "x reference": "-" if pd.isna(row["times_reference"]) else f"{row['times_reference']:.2f}",
            "s / 50,000": f"{row['seconds_per_epoch_of_50000']:,.1f}",
            "MFU %": "-" if pd.isna(row["mfu"]) else f"{100 * row['mfu']:.1f}",
            "roofline %": "-" if pd.isna(row["roofline_share"]) else f"{100 * row['roofline_share']:.1f}",
            "memory MB": "-" if pd.isna(row["peak_memory_bytes"]) else f"{row['peak_memory_bytes'] / 1e6:,.0f}",
        }
        for _, row in table.iterrows()
    ]


if __name__ == "__main__":
    command.run(main, Arguments, name="throughput")
