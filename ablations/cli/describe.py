"""What --describe shows and writes: one network, module by module, with what each part of it costs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from ablations.analysis.modules import COUNTS, layer_costs
from ablations.cli.console import show_table
from ablations.errors import ConfigError
from ablations.experiment import DataSource
from ablations.report.document import Column, Table
from ablations.report.figures.treemap import draw_treemap
from ablations.report.formatting import count, percent, si
from ablations.report.svg import write_drawings
from ablations.storage import atomic
from googlenet.architecture import ANY_CHANNELS, Architecture
from googlenet.registry import architecture

DEFAULT_DATASET = "cifar10"
FOLDER = "describe"  # in the folder of results
LAYERS_FILE = "layers.csv"
TOTAL = "total"


def describe(
    variant: str, *, dataset: str | None, width: float | None, data: DataSource, results: Path, console: Console
) -> None:
    """Print the modules and branches of an architecture, and write its layers.csv and treemap to `results`.

    Without a dataset it is built for CIFAR-10 or, if it is for other images, for its own.

    Raises:
        ConfigError: if there is no such architecture, or it does not fit the data.
        DataMissing: if the data is no archive and not there.
    """
    try:
        arch, num_classes = _fitted(architecture(variant), dataset=dataset, width=width, data=data)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    data_name = dataset or DEFAULT_DATASET
    folder = results / FOLDER / "-".join((variant, data_name, *(() if width is None else (f"width-{width:g}",))))
    scale = "" if width is None else f" at width {width:g}"
    image = _shape(arch.in_channels, arch.image_size)
    title = f"{variant}{scale}: images of {image}, the {num_classes} classes of {data_name}"
    layers = layer_costs(arch, num_classes=num_classes)
    show_table(modules_table(layers), console=console, title=title)
    for line in _notes(layers):
        console.print(Text(line), soft_wrap=True)
    atomic.write_text(folder / LAYERS_FILE, layers.to_csv(index=False, lineterminator="\n"))
    write_drawings({"treemap": draw_treemap(layers, title=title)}, folder=folder)
    console.print(Text(f"every layer: {folder / LAYERS_FILE}; treemap.png and treemap.svg beside it"), soft_wrap=True)


def _fitted(
    arch: Architecture, *, dataset: str | None, width: float | None, data: DataSource
) -> tuple[Architecture, int]:
    """The architecture at the size of the data's images, or of its own where no dataset is asked for, and the classes.

    Raises:
        ValueError: if it is too deep for the images, or too wide.
        ConfigError: if it is for other images than those of the dataset that is asked for.
    """
    summary = data.summarise(dataset or DEFAULT_DATASET)
    side = arch.needs_image_size or summary.image_size
    channels = arch.needs_channels or summary.channels
    if dataset is not None and (side, channels) != (summary.image_size, summary.channels):
        raise ConfigError(
            f"{arch.name} is for images of {_shape(arch.needs_channels or ANY_CHANNELS, side)}, and those of {dataset} "
            f"are {_shape(summary.channels, summary.image_size)}; leave out --dataset to see it at its own size"
        )
    return arch.at_size(side, in_channels=channels, width=1.0 if width is None else width), summary.num_classes


def modules_table(layers: pd.DataFrame) -> Table:
    """A row for each module and, below it, each of its branches: output shape, counts and shares, and the total.

    `layers` is a frame of `analysis.modules.layer_costs`. Shares are fractions of the network, shown in percent.
    """
    rows = []
    for module, members in layers.groupby("module", sort=False):
        rows.append({"part": module, **_costs_of(members)})
        branches = members[members["branch"] != ""].groupby("branch", sort=False)
        rows += [{"part": f"{module} {branch}", **_costs_of(group)} for branch, group in branches]
    rows.append({"part": TOTAL, **_costs_of(layers)})
    frame = pd.DataFrame(rows)
    for name in COUNTS:
        frame[name] = frame[name].where(frame[name] > 0)
        frame[f"{name}_share"] = frame[name] / layers[name].sum()
    return Table(
        "modules",
        frame,
        columns=[
            Column("module", ("part",)),
            Column("output", ("output",)),
            Column("params", ("params",), format=count),
            Column("% of params", ("params_share",), format=_share),
            Column("MACs", ("macs",), format=si),
            Column("% of MACs", ("macs_share",), format=_share),
            Column("activations", ("activations",), format=si),
        ],
    )


def _costs_of(members: pd.DataFrame) -> dict[str, object]:
    """What these layers cost together, and the shape that the last of them writes."""
    last = members.iloc[-1]
    return {"output": _shape(last["channels"], last["height"], last["width"]), **members[list(COUNTS)].sum()}


def _notes(layers: pd.DataFrame) -> list[str]:
    params, macs, activations = (int(layers[name].sum()) for name in COUNTS)
    notes = [
        f"{params:,} parameters; for one image {macs:,} MACs, which are {2 * macs:,} FLOPs, and {activations:,} "
        "activations, the numbers that convolutions and linear layers write."
    ]
    if layers["module"].str.startswith("aux").any():
        notes.append("Auxiliary heads have parameters, but no MACs and activations: only training runs them.")
    return notes


def _shape(*sizes: int) -> str:
    """Channels, height and width as in "3x32x32"; without a width it is the height."""
    channels, height, width = (*sizes, sizes[-1])[:3]
    return f"{channels}x{height}x{width}"


def _share(fraction: float) -> str:
    return percent(fraction, digits=1)
