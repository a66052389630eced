"""Interaction plot: top-1 error by the levels of two factors, a panel for each pair of factors."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablations.report import formatting
from ablations.report.figures.figure import COLOURS, HEIGHT, LINE_STYLES, WIDTH, FigureKind
from ablations.report.svg import Drawing, lay_out, own_style

PANELS_IN_A_ROW, LINES_IN_A_ROW = 2, 3
APART = 0.06  # between the points of two lines at the same level, in levels
LINE_LENGTH = 14  # of a level's name, in characters


def draw_factorial(means: pd.DataFrame) -> Drawing:
    """Mean top-1 error over the levels of one factor, a line for each level of the other, with 95 % intervals."""
    panels = list(means.groupby(["factor", "other_factor"], sort=False)) if len(means) else []
    columns = min(len(panels), PANELS_IN_A_ROW)
    tips: dict[str, str] = {}
    with own_style():
        rows = -(-len(panels) // PANELS_IN_A_ROW)
        figure = Figure(figsize=(WIDTH * max(columns, 1), HEIGHT * max(rows, 1)), layout="constrained")
        for number, (_, panel) in enumerate(panels):
            axes = figure.add_subplot(rows, columns, number + 1, sharey=next(iter(figure.axes), None))
            tips |= _draw_panel(axes, panel, number=number)
        lay_out(figure)
        return Drawing(figure, tips)


def _draw_panel(axes: Axes, panel: pd.DataFrame, *, number: int) -> dict[str, str]:
    """Draw one pair of factors; return the tooltips of its points."""
    factor, other_factor = panel["factor"].iloc[0], panel["other_factor"].iloc[0]
    lines = list(panel.groupby("other_level", sort=False))
    tips = {}
    for index, (other_level, line) in enumerate(lines):
        x = np.arange(len(line)) + APART * (index - (len(lines) - 1) / 2)
        mean, low, high = (100 * line[f"error_{name}"].to_numpy(dtype=float) for name in ("mean", "low", "high"))
        colour, style = COLOURS[index % len(COLOURS)], LINE_STYLES[index % len(LINE_STYLES)]
        axes.errorbar(x, mean, yerr=(mean - low, high - mean), fmt="none", ecolor=colour, elinewidth=1, capsize=3)
        axes.plot(x, mean, style, color=colour, label=_broken(str(other_level)))
        for place, (_, row) in enumerate(line.iterrows()):
            gid = f"factorial-{number}-{index}-{place}"
            axes.plot(x[place], mean[place], "o", color=colour, gid=gid)
            tips[gid] = _tip(row)
    levels = [_broken(level) for level in panel["level"].unique()]
    axes.set_xticks(range(len(levels)), levels)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set_xlabel(factor)
    axes.set_ylabel("top-1 error (%)")
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    axes.legend(title=other_factor, ncols=min(len(lines), LINES_IN_A_ROW), frameon=False, **above)
    return tips


def _broken(level: str) -> str:
    return textwrap.fill(level, LINE_LENGTH)


def _tip(row: pd.Series) -> str:
    return (
        f"{row['factor']} {row['level']}, {row['other_factor']} {row['other_level']}: top-1 error "
        f"{formatting.percent(row['error_mean'])} % {formatting.interval_of(row['error_low'], row['error_high'])}, "
        f"n = {row['n']}"
    )


FACTORIAL = FigureKind(
    name="factorial",
    caption="Top-1 error by the levels of two factors; lines that are not parallel suggest an interaction",
    legend="Errors by levels of two factors are averaged over the other factors, with 95 % t intervals over seeds.",
    draw=lambda analysis: draw_factorial(analysis.factorial.means),
    has_data=lambda analysis: len(analysis.factorial.means) > 0,
)
