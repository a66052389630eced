"""Top-1 and top-5 error of each variant as bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ablations.report.figures.figure import COLOURS, FigureKind, error_tip, errors_in_percent
from ablations.report.svg import Drawing, lay_out, own_style


def draw_error_bars(summary: pd.DataFrame) -> Drawing:
    """Mean top-1 and top-5 error of each variant as bars, with 95 % intervals."""
    shown = summary.dropna(subset=["top1_error_mean"])
    kinds = ("top1", "top5") if shown["top5_error_mean"].notna().any() else ("top1",)
    width = 0.8 / len(kinds)
    tips = {}
    with own_style():
        figure = Figure(figsize=(max(6.4, 1.1 * len(shown)), 4.2), layout="constrained")
        axes = figure.add_subplot()
        for index, kind in enumerate(kinds):
            mean, low, high = errors_in_percent(shown, kind)
            places = np.arange(len(shown)) + (index - (len(kinds) - 1) / 2) * width
            look: dict[str, Any] = {"color": COLOURS[index], "hatch": ("", "//")[index], "edgecolor": "white"}
            bars = axes.bar(places, mean, width, **look, label=f"{kind[:3]}-{kind[3:]} error")
            axes.errorbar(places, mean, yerr=(mean - low, high - mean), fmt="none", ecolor="black", capsize=3)
            for place, (bar, (_, row)) in enumerate(zip(bars, shown.iterrows(), strict=True)):
                bar.set_gid(f"error_bars-{kind}-{place}")
                tips[f"error_bars-{kind}-{place}"] = error_tip(row, kind)
            for x, top, value in zip(places, np.fmax(mean, high), mean, strict=True):
                if not np.isnan(value):
                    axes.annotate(f"{value:.1f}", (x, top), (0, 4), textcoords="offset points", ha="center", fontsize=8)
        axes.set_xticks(range(len(shown)), [f"{v}\nn = {n}" for v, n in zip(shown["variant"], shown["n"], strict=True)])
        axes.set_ylabel("error (%)")
        axes.margins(y=0.12)
        axes.grid(visible=False, axis="x")
        axes.legend(frameon=False)
        lay_out(figure)
        return Drawing(figure, tips)


ERROR_BARS = FigureKind(
    name="error_bars",
    caption="Error of each variant",
    legend="Error bars are 95 % t intervals of the mean over seeds; one seed has none.",
    draw=lambda analysis: draw_error_bars(analysis.results.summary),
    has_data=lambda analysis: bool(analysis.results.summary["top1_error_mean"].notna().any()),
)
