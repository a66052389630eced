"""Design: the difference that each number of seeds detects, and the margin within which it shows equivalence."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablations.report.figures.figure import COLOURS, GREY, HEIGHT, LINE_STYLES, WIDTH
from ablations.report.svg import INK, Drawing, lay_out, own_style

LINES = {"difference": "difference that is detected", "margin": "margin shown equivalent"}


def draw_design(table: pd.DataFrame, *, margin: float, seeds: int) -> Drawing:
    """Both columns of a table of `analysis.design.design_table` in points against the number of seeds.

    The suite's own margin of equivalence, a fraction, is a horizontal line, and `seeds`, those that fit the budget, a
    vertical one.
    """
    shown = table.sort_values("seeds")
    tips = {}
    with own_style():
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        for number, (column, label) in enumerate(LINES.items()):
            points = 100 * shown[column].to_numpy(dtype=float)
            axes.plot(shown["seeds"], points, LINE_STYLES[number], color=COLOURS[number], linewidth=1, label=label)
            for count, value in zip(shown["seeds"], points, strict=True):
                gid = f"design-{column}-{count}"
                axes.plot(count, value, "o", color=COLOURS[number], markersize=4, gid=gid)
                tips[gid] = f"{count} seeds: {label}, {value:.2f} points"
        axes.axhline(
            100 * margin, color=GREY, linestyle=":", linewidth=1, label=f"the suite's margin: {100 * margin:g}"
        )
        axes.axvline(seeds, color=INK, linestyle=":", linewidth=1, label=f"within the budget: {seeds}")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("seeds of each variant")
        axes.set_ylabel("points of top-1 error,\nin 80 % of cases")
        axes.legend(loc="upper right", frameon=False)
        lay_out(figure)
        return Drawing(figure, tips)
