"""Training speed of each engine and variant against the reference loop, measured in one process, in turns.

`python -m benchmarks.throughput --help` lists the options. Random images of the right size are trained on, by the
published recipe unless another is named; the reference loop always trains by the published one, in fp32, with the
same batch size. Speeds are images per second from the dataset to the updated weights, medians over the rounds.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd
import torch

from ablations.cli.console import make_console, show_table
from ablations.hardware import probe
from ablations.hardware.device import describe_environment, resolve_device
from ablations.report.document import Table
from ablations.suites.recipe import RECIPES
from ablations.training.step import Engine
from benchmarks import command, peaks
from benchmarks.random_data import NUM_CLASSES
from benchmarks.roofline import shortest_seconds, training_kernels
from benchmarks.timed_loops import (
    LoaderSpeeds,
    LoopKind,
    TimedLoop,
    Workload,
    epoch_peak_memory,
    interleave,
    loader_speeds,
    median_ratio,
)
from googlenet.counts import count_macs

CIFAR_IMAGES = 50_000
TRAINING_FLOPS = 6  # for each MAC of a forward pass: two FLOPs, three times (forward, two gradients)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Compare our training speed with the reference loop's and with the hardware's peak rates."""

    variants: tuple[str, ...] = ("reduced",)
    """Variants to train."""
    engines: tuple[Engine, ...] = ()
    """Engines to compare; by default eager, and graph on a GPU."""
    recipe: Literal["published", "fast"] = "published"
    """Our recipe; the reference loop's is the published one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Our precision; auto is bf16 on a GPU that has it, else fp32. The reference loop's is fp32."""
    batch_size: int = 64
    """Images per step, for all loops."""
    image_size: int = 32
    """Side of an image in pixels."""
    width: float = 1.0
    """Width multiplier of the variants."""
    steps: int | None = None
    """Steps of a timed epoch; by default 4 on a CPU and 200 on a GPU."""
    rounds: int = 5
    """Timed epochs of each loop, taken in turns."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    reference: bool = True
    """Train the reference loop too."""
    memory: bool = True
    """Measure peak memory too, of each loop in a process of its own."""
    output: Path = Path("results/benchmarks/throughput.csv")
    """The table as CSV."""


def main(arguments: Arguments) -> pd.DataFrame:
    """Measure, print and save; returns the table that was saved."""
    device = resolve_device(arguments.device)
    table = pd.concat(
        [measure(workload, arguments, device) for workload in _workloads(arguments, device)], ignore_index=True
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


def _workloads(arguments: Arguments, device: torch.device) -> list[Workload]:
    steps = arguments.steps or (200 if device.type == "cuda" else 4)
    recipe = RECIPES[arguments.recipe].at_precision(probe.native_precision(device.type))
    if arguments.precision != "auto":
        recipe = replace(recipe, precision=arguments.precision)
    return [
        Workload(
            variant=variant,
            image_size=arguments.image_size,
            width=arguments.width,
            recipe=replace(recipe, batch_size=arguments.batch_size),
            images=steps * arguments.batch_size,
            device=device.type,
        )
        for variant in arguments.variants
    ]


def measure(workload: Workload, arguments: Arguments, device: torch.device) -> pd.DataFrame:
    """One row per loop on the workload; `mfu` and `roofline_share` are relative to the measured peaks."""
    engines = arguments.engines or (("eager", "graph") if device.type == "cuda" else ("eager",))
    environment = describe_environment(device, engine="")  # first, as files may change while it measures
    kinds: tuple[LoopKind, ...] = (*(("reference",) if arguments.reference else ()), *engines)
    split = workload.split()
    limits = peaks.measure(device, workload.recipe.precision)
    speeds = interleave([TimedLoop(kind, workload, split) for kind in kinds], rounds=arguments.rounds)
    # Again, as another process may have slowed the first.
    limits = limits.highest(peaks.measure(device, workload.recipe.precision))
    bounds = _bounds(workload, limits)
    rows = []
    for kind, found in zip(kinds, speeds, strict=True):
        speed = statistics.median(found)
        precision = "fp32" if kind == "reference" else workload.recipe.precision
        at_peak = precision == workload.recipe.precision  # the peaks are those of our precision
        row = {
            "variant": workload.variant,
            "loop": kind,
            "precision": precision,
            "batch_size": workload.recipe.batch_size,
            "image_size": workload.image_size,
            "width": workload.width,
            "rounds": len(found),
            "images_per_second": speed,
            "images_per_second_min": min(found),
            "images_per_second_max": max(found),
            "times_reference": median_ratio(found, speeds[0]) if arguments.reference else None,
            "seconds_per_epoch_of_50000": CIFAR_IMAGES / speed,
            "mfu": speed / bounds.peak_images_per_second if at_peak else None,
            "roofline_share": speed / bounds.roofline_images_per_second if at_peak else None,
            "peak_memory_bytes": epoch_peak_memory(kind, workload) if arguments.memory else None,
        }
        rows.append(row)
    return pd.DataFrame(rows).assign(
        peak_flops_per_second=limits.flops_per_second,
        peak_bytes_per_second=limits.bytes_per_second,
        step_flops=bounds.step_flops,
        step_bytes=bounds.step_bytes,
        device=environment.device,
        threads=environment.threads,
        versions="; ".join(environment.versions),
        commit=environment.commit,
    )


class _Bounds(NamedTuple):
    """A training step's FLOPs and bytes, and the images per second that the peaks allow."""

    step_flops: int
    step_bytes: int
    peak_images_per_second: float  # at 100 % MFU
    roofline_images_per_second: float


def _bounds(workload: Workload, limits: peaks.Peaks) -> _Bounds:
    batch_size = workload.recipe.batch_size
    kernels = training_kernels(
        workload.architecture, num_classes=NUM_CLASSES, recipe=workload.recipe, batch_size=batch_size
    )
    flops_per_image = TRAINING_FLOPS * count_macs(workload.architecture, num_classes=NUM_CLASSES)
    return _Bounds(
        step_flops=sum(kernel.flops for kernel in kernels),
        step_bytes=sum(kernel.bytes for kernel in kernels),
        peak_images_per_second=limits.flops_per_second / flops_per_image,
        roofline_images_per_second=batch_size / shortest_seconds(kernels, **limits._asdict()),
    )


def describe(speeds: LoaderSpeeds) -> str:
    """The loaders' speeds in one line."""
    return (
        f"loading alone, published recipe: {speeds.loader:,.0f} images/s, DataLoader with PIL transforms "
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
