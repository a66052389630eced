"""Top-1 error against a cost, with the Pareto front."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import Cost
from ablations.analysis.pareto import ParetoFronts
from ablations.report.figures.figure import COLOURS, HEIGHT, WIDTH, FigureKind, draw_point, error_tip, errors_in_percent
from ablations.report.figures.labels import label
from ablations.report.formatting import draw_share
from ablations.report.svg import Drawing, own_style

LOG_FROM = 3.0  # how far apart costs are, as a factor, for a log axis to have ticks to read


def draw_error_against_cost(summary: pd.DataFrame, cost: Cost, *, fronts: ParetoFronts) -> Drawing:
    """Mean top-1 error against a cost, with 95 % intervals, labels and the Pareto front; a log axis for a wide range.

    Without a front for this cost no point is filled and no line drawn. Where names have no room, points have numbers,
    in the order of their cost, and a key.
    """
    shown = summary.dropna(subset=["top1_error_mean", cost.column]).sort_values(cost.column)
    costs = cost.scale * shown[cost.column].to_numpy(dtype=float)
    errors, low, high = errors_in_percent(shown, "top1")
    found = fronts.of(cost).reindex(shown["variant"])
    front, shares = found["on_front"].eq(True).to_numpy(), found["front_probability"].to_numpy(dtype=float)
    tips = {}
    with own_style():
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        if front.any():
            axes.plot(costs[front], errors[front], color=COLOURS[1], linewidth=1, zorder=1, label="front")
        for place, (_, row) in enumerate(shown.iterrows()):
            gid = f"{cost.file_name}-{place}"
            draw_point(
                axes, (costs[place], errors[place]), y_range=(low[place], high[place]), filled=front[place], gid=gid
            )
            share = shares[place]
            tips[gid] = f"{error_tip(row, 'top1')}, {cost.describe(row[cost.column])}" + (
                "" if np.isnan(share) else f", on the front in {draw_share(share)} of draws"
            )
        if len(shown) and costs.max() >= LOG_FROM * costs.min() > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.margins(x=0.12, y=0.15)
        axes.set_xlabel(cost.axis)
        axes.set_ylabel("top-1 error (%)")
        if front.sum() > 1:
            axes.legend(loc="best", frameon=False)
        label(axes, [str(name) for name in shown["variant"]], np.column_stack([costs, errors, low, high]), front=front)
        return Drawing(figure, tips)


def error_against_cost_figure(cost: Cost) -> FigureKind:
    """The figure of top-1 error against this cost."""

    def has_data(analysis: Analysis) -> bool:
        summary = analysis.results.summary
        known = summary["top1_error_mean"].notna() & summary[cost.column].notna()
        # Points of different recipes in one plot would compare what the suite declares not to compare.
        return bool(known.any()) and not analysis.results.different_recipes

    return FigureKind(
        name=cost.file_name,
        caption=f"Top-1 error against {cost.title}",
        legend=(
            "Error against cost: filled points are on the Pareto front, where no other variant is at least as good in "
            "both and better in one. Without a filled point there is no front."
        ),
        draw=lambda analysis: draw_error_against_cost(analysis.results.summary, cost, fronts=analysis.pareto),
        has_data=has_data,
    )
