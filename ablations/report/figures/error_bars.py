"""Top-1 and top-5 error of each variant as horizontal bars, which leave room for names of any length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ablations.report.figures.figure import COLOURS, WIDTH, FigureKind, error_tip, errors_in_percent
from ablations.report.figures.labels import names_beside
from ablations.report.svg import INK, PAPER, Drawing, lay_out, own_style


def draw_error_bars(summary: pd.DataFrame) -> Drawing:
    """Mean top-1 and top-5 error of each variant as bars from the top down, with 95 % intervals."""
    shown = summary.dropna(subset=["top1_error_mean"])
    kinds = ("top1", "top5") if shown["top5_error_mean"].notna().any() else ("top1",)
    thickness = 0.8 / len(kinds)
    tips = {}
    with own_style():
        figure = Figure(figsize=(WIDTH, 1.2 + 0.25 * len(kinds) * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        for index, kind in enumerate(kinds):
            mean, low, high = errors_in_percent(shown, kind)
            places = np.arange(len(shown)) + (index - (len(kinds) - 1) / 2) * thickness
            look: dict[str, Any] = {"color": COLOURS[index], "hatch": ("", "//")[index], "edgecolor": PAPER}
            bars = axes.barh(places, mean, thickness, **look, label=f"{kind[:3]}-{kind[3:]} error")
            axes.errorbar(mean, places, xerr=(mean - low, high - mean), fmt="none", ecolor=INK, elinewidth=1, capsize=3)
            for place, (bar, (_, row)) in enumerate(zip(bars, shown.iterrows(), strict=True)):
                bar.set_gid(f"error_bars-{kind}-{place}")
                tips[f"error_bars-{kind}-{place}"] = error_tip(row, kind)
            for y, end, value in zip(places, np.fmax(mean, high), mean, strict=True):
                if not np.isnan(value):
                    beside: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
                    axes.annotate(f"{value:.1f}", (end, y), (5, 0), **beside)
        names_beside(axes, [f"{v}, n = {n}" for v, n in zip(shown["variant"], shown["n"], strict=True)])
        axes.set_ylim(max(len(shown), 1) - 0.5, -0.5)
        axes.set_xlabel("error (%)")
        axes.grid(visible=False, axis="y")
        figure.legend(loc="outside upper right", ncols=len(kinds), frameon=False)
        lay_out(figure)
        return Drawing(figure, tips)


ERROR_BARS = FigureKind(
    name="error_bars",
    caption="Error of each variant",
    legend="Error bars are 95 % t intervals of the mean over seeds; one seed has none.",
    draw=lambda analysis: draw_error_bars(analysis.results.summary),
    has_data=lambda analysis: bool(analysis.results.summary["top1_error_mean"].notna().any()),
)
