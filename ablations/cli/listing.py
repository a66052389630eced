"""What --list and --dry-run print: suites, architectures, and the first steps of a suite's variants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from rich.console import Console

from ablations.cli.console import show_table
from ablations.experiment import DryRun
from ablations.report.document import Column, Table
from ablations.report.formatting import count, si
from ablations.suites.builtin import SUITES
from googlenet.architecture import Architecture
from googlenet.axes import AXES
from googlenet.counts import count_macs, count_params
from googlenet.references import REFERENCE_CLASSES, REFERENCES
from googlenet.variants import RECONSTRUCTED, VARIANTS


def show_architectures(console: Console) -> None:
    """Print the suites, and every architecture's parameters and MACs at its published size."""
    for suite in SUITES.values():
        console.print(
            f"suite {suite.name}: {len(suite.architectures)} variants, recipe {suite.recipe.name} "
            f"({suite.recipe.epochs} epochs), axis: {suite.axis}"
        )
    kinds = {"variants": VARIANTS, "references": REFERENCES}
    kinds |= {f"axis {axis}": {arch.name: arch for arch in members} for axis, members in AXES.items()}
    for kind, members in kinds.items():
        rows = [
            {
                "architecture": name + (" (reconstruction)" if name in RECONSTRUCTED else ""),
                "classes": (classes := REFERENCE_CLASSES.get(name, 100)),
                "image": image_of(arch),
                "params": count_params(arch, num_classes=classes),
                "MACs": count_macs(arch, num_classes=classes),
            }
            for name, arch in members.items()
        ]
        show_table(listing_table(rows), console=console, title=kind)


def describe_dry_run(suite: str) -> str:
    """The heading of a dry run's lines."""
    return f"Dry run of suite {suite}: a few steps of each variant, to time them. These are no results."


def describe_first_steps(variant: DryRun) -> str:
    """What a variant's first steps showed, as one line."""
    config, outcome = variant.config, variant.outcome
    arch, recipe = config.architecture, config.recipe
    said = (
        f"{arch.name}: recipe {recipe.name}, {recipe.precision}, batch {recipe.batch_size} of {image_of(arch)}, "
        f"{count_params(arch, num_classes=config.num_classes):,} parameters, "
        f"{count_macs(arch, num_classes=config.num_classes):,} MACs an image: "
    )
    if isinstance(outcome, Exception):
        return f"{said}FAILED: {type(outcome).__name__}: {next(iter(str(outcome).splitlines()), '')}"
    timed = f"{outcome.timed_steps} step{'' if outcome.timed_steps == 1 else 's'}"
    return (
        f"{said}loss {outcome.loss:.4f}, {outcome.step_seconds:.3f} s a step (mean of {timed}), peak memory "
        f"{outcome.peak_memory_bytes / 1e6:,.0f} MB; {outcome.steps:,} steps a run, which would take about "
        f"{outcome.run_seconds / 3600:,.2f} h"
    )


def image_of(arch: Architecture) -> str:
    """The shape of an image that the architecture reads, as in "3x32x32"."""
    return f"{arch.in_channels}x{arch.image_size}x{arch.image_size}"


def listing_table(rows: list[dict[str, object]]) -> Table:
    """A table of these rows: parameters with thousands separators, MACs to four digits."""
    frame = pd.DataFrame(rows)
    formats: dict[str, Callable[[Any], str]] = {"params": count, "MACs": si}
    columns = [Column(name, (name,), format=formats.get(name, str)) for name in map(str, frame)]
    return Table("listing", frame, columns=columns)
