"""Learning curves: training loss and training error by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablations.report.figures.figure import COLOURS, FULL_WIDTH, HEIGHT, LINE_STYLES, FigureKind
from ablations.report.figures.labels import legend_beside
from ablations.report.svg import Drawing, lay_out, own_style

MARKERS = (".", "x", "^")
ROOM_FOR_PANELS = 6.4  # inches beside the legend


def draw_learning_curves(epochs: pd.DataFrame) -> Drawing:
    """Training loss and training error by epoch, one line per variant: mean over seeds, with their range shaded."""
    tips = {}
    with own_style():
        figure = Figure(figsize=(FULL_WIDTH, HEIGHT), layout="constrained")
        for place, (column, label, unit, scale) in enumerate(
            (("train_loss", "training loss", "nats", 1), ("train_error", "training error", "%", 100)), start=1
        ):
            axes = figure.add_subplot(1, 2, place)
            groups = list(epochs.groupby("variant", sort=False)) if len(epochs) else []
            for index, ((variant, group), (colour, style, mark)) in enumerate(zip(groups, _looks(), strict=False)):
                by_epoch = scale * group.pivot(index="epoch", columns="seed", values=column)
                x, mean = by_epoch.index.to_numpy(), by_epoch.mean(axis=1)
                gid = f"learning_curves-{column}-{index}"
                axes.plot(x, mean, style, color=colour, marker=mark, label=str(variant), gid=gid)
                axes.fill_between(x, by_epoch.min(axis=1), by_epoch.max(axis=1), color=colour, alpha=0.15, linewidth=0)
                tips[gid] = (
                    f"{variant}: {label} {mean.iloc[0]:.3g} {unit} after epoch {x[0]}, {mean.iloc[-1]:.3g} {unit} after"
                    f" epoch {x[-1]}, n = {by_epoch.shape[1]}"
                )
            axes.set_xlabel("epoch")
            axes.set_ylabel(f"{label} ({unit})")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.set_yscale("log" if column == "train_loss" and len(epochs) else "linear")
        if len(epochs):
            lines = figure.axes[0].get_lines()
            legend_beside(figure, lines, [str(line.get_label()) for line in lines], room=ROOM_FOR_PANELS)
        lay_out(figure)
        return Drawing(figure, tips)


def _looks() -> Iterator[tuple[str, str, str]]:
    """Colour, line style and marker of each line, no two alike among the first 60."""
    looks = zip(cycle(COLOURS), cycle(LINE_STYLES), strict=False)
    for place, (colour, style) in enumerate(looks):
        yield colour, style, MARKERS[place // (len(COLOURS) * len(LINE_STYLES)) % len(MARKERS)]


LEARNING_CURVES = FigureKind(
    name="learning_curves",
    caption="Learning curves",
    legend="Shading in learning curves is the range over seeds.",
    draw=lambda analysis: draw_learning_curves(analysis.results.epochs),
    has_data=lambda analysis: len(analysis.results.epochs) > 0,
)
