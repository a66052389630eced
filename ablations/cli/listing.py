"""What --list prints: suites and architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from rich.console import Console

from ablations.cli.console import show_table
from ablations.report.document import Column, Table
from ablations.report.formatting import count, plural, si
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
            f"suite {suite.name}: {plural(len(suite.architectures), 'variant')}, recipe {suite.recipe.name} "
            f"({plural(suite.recipe.epochs, 'epoch')}), axis: {suite.axis}"
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


def image_of(arch: Architecture) -> str:
    """The shape of an image that the architecture reads, as in "3x32x32"."""
    return f"{arch.in_channels}x{arch.image_size}x{arch.image_size}"


def listing_table(rows: list[dict[str, object]]) -> Table:
    """A table of these rows: parameters with thousands separators, MACs to four digits."""
    frame = pd.DataFrame(rows)
    formats: dict[str, Callable[[Any], str]] = {"params": count, "MACs": si}
    columns = [Column(name, (name,), format=formats.get(name, str)) for name in map(str, frame)]
    return Table("listing", frame, columns=columns)
