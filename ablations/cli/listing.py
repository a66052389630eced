"""What --list and --plan print: suites, architectures, and the planned runs of a suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from rich.console import Console

from ablations.cli.console import show_table
from ablations.experiment import DryRun
from ablations.records.record import MISSING, UNFINISHED
from ablations.records.suite_folder import SuiteFolder
from ablations.report.document import Column, Table
from ablations.report.formatting import count, si
from ablations.suites.builtin import SUITES
from ablations.suites.plan import Plan
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
                "image": _image(arch),
                "params": count_params(arch, num_classes=classes),
                "MACs": count_macs(arch, num_classes=classes),
            }
            for name, arch in members.items()
        ]
        show_table(_table(rows), console=console, title=kind)


def show_plan(plan: Plan, *, folder: SuiteFolder, console: Console) -> None:
    """Print what a run of each variant costs, and how far each planned run is."""
    known = bool(plan.data.fingerprint)
    variants = [
        {
            "variant": name,
            "recipe": config.recipe.name,
            "batch": config.recipe.batch_size,
            "image": _image(config.architecture),
            "params": count_params(config.architecture, num_classes=config.num_classes),
            "MACs": count_macs(config.architecture, num_classes=config.num_classes),
        }
        for name, config in {config.architecture.name: config for config in plan.runs}.items()
    ]
    runs = []
    for config in plan.runs:
        run = folder.run(config)
        record = run.read_result() if known else None
        epochs = run.epochs.read() if known else ()
        runs.append(
            {
                "run": config.run_id if known else f"{config.dataset}-{config.architecture.name}-s{config.seed}",
                "epochs": f"{len(epochs)}/{config.recipe.epochs}",
                "status": record.status if record else _unrecorded(plan, epochs=len(epochs)),
            }
        )
    show_table(_table(variants), console=console, title=f"plan of suite {plan.suite}, in {folder.path}")
    show_table(_table(runs), console=console, title=f"{len(runs)} run{'' if len(runs) == 1 else 's'}")
    if not known:
        console.print("The data is not there yet, so the runs have no full names and their status is not known.")


def describe_dry_run(suite: str) -> str:
    """The heading of a dry run's lines."""
    return f"Dry run of suite {suite}: one batch of each variant. These are no results, and nothing was recorded."


def describe_first_batch(variant: DryRun) -> str:
    """What a variant's first batch showed, as one line."""
    config, outcome = variant.config, variant.outcome
    arch, recipe = config.architecture, config.recipe
    said = (
        f"{arch.name}: recipe {recipe.name}, {recipe.precision}, batch {recipe.batch_size} of {_image(arch)}, "
        f"{count_params(arch, num_classes=config.num_classes):,} parameters, "
        f"{count_macs(arch, num_classes=config.num_classes):,} MACs an image: "
    )
    if isinstance(outcome, Exception):
        return f"{said}FAILED: {type(outcome).__name__}: {next(iter(str(outcome).splitlines()), '')}"
    hours = outcome.step_seconds * outcome.steps / 3600
    return (
        f"{said}loss {outcome.loss:.4f}, {outcome.step_seconds:.3f} s, peak memory "
        f"{outcome.peak_memory_bytes / 1e6:,.0f} MB; {outcome.steps:,} steps a run would take about {hours:,.2f} h"
    )


def _image(arch: Architecture) -> str:
    return f"{arch.in_channels}x{arch.image_size}x{arch.image_size}"


def _table(rows: list[dict[str, object]]) -> Table:
    """A table of these rows: parameters with thousands separators, MACs to four digits."""
    frame = pd.DataFrame(rows)
    formats: dict[str, Callable[[Any], str]] = {"params": count, "MACs": si}
    columns = [Column(name, (name,), format=formats.get(name, str)) for name in map(str, frame)]
    return Table("listing", frame, columns=columns)


def _unrecorded(plan: Plan, *, epochs: int) -> str:
    """The status of a run without a record; without the data it is not known."""
    if not plan.data.fingerprint:
        return "not known"
    return UNFINISHED if epochs else MISSING
