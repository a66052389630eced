"""Rankings: each variant's rank by top-1 error, with its interval."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablations.analysis.rankings import Rankings
from ablations.report.figures.figure import WIDTH, FigureKind, draw_point
from ablations.report.figures.labels import names_beside
from ablations.report.formatting import draw_share
from ablations.report.svg import Drawing, lay_out, own_style


def draw_rankings(rankings: Rankings) -> Drawing:
    """Each variant's rank by mean top-1 error, 1 for the lowest, with its 95 % interval."""
    shown = rankings.ranks.sort_values("rank", kind="stable")
    tips = {}
    with own_style():
        figure = Figure(figsize=(WIDTH, max(2.0, 0.9 + 0.27 * len(shown))), layout="constrained")
        axes = figure.add_subplot()
        for place, (_, row) in enumerate(shown.iterrows()):
            gid = f"rankings-{place}"
            low, rank, high = row["rank_low"], row["rank"], row["rank_high"]
            draw_point(axes, (rank, place), x_range=(low, high), filled=True, gid=gid)
            tips[gid] = f"{row['variant']}: rank {rank:g}, n = {row['n']}" + (
                "" if pd.isna(low) else f", 95 % interval [{low:g}, {high:g}]"
            )
            if not pd.isna(row["best_probability"]):
                tips[gid] += f", best in {draw_share(row['best_probability'])} of draws"
        names_beside(axes, shown["variant"].astype(str).tolist())
        axes.invert_yaxis()
        axes.set_xlim(0.5, max(len(shown), 1) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("rank by mean top-1 error (1 = lowest)")
        lay_out(figure)
        return Drawing(figure, tips)


RANKINGS = FigureKind(
    name="rankings",
    caption="Rankings of the variants",
    legend="Lines in rankings are 95 % intervals of the true rank.",
    draw=lambda analysis: draw_rankings(analysis.rankings),
    has_data=lambda analysis: bool(analysis.rankings.ranks["rank_low"].notna().any()),
)
