"""Rank stability: how well rankings by fewer seeds and at earlier epochs agree with the final one."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablations.analysis.rankings import MEASURES, STABLE_TAU, Rankings, first_stable_epoch
from ablations.report.figures.figure import COLOURS, HEIGHT, WIDTH, FigureKind
from ablations.report.svg import INK, Drawing, lay_out, own_style


def draw_rank_stability(rankings: Rankings) -> Drawing:
    """Kendall's tau-b of the rankings by fewer seeds, and at earlier epochs, with the suite's ranking.

    The shading holds 95 % of the subsets of seeds, or of the bootstrap resamples.
    """
    measure = "".join(MEASURES[name] for name in rankings.by_epoch["measure"].unique())
    panels = [
        (rankings.by_seeds, "seeds", "number of seeds in the ranking"),
        (rankings.by_epoch, "epoch", f"epoch (ranking by {measure})"),
    ]
    drawn = [(frame, column, label) for frame, column, label in panels if frame["tau"].notna().any()]
    tips = {}
    with own_style():
        figure = Figure(figsize=(WIDTH * max(len(drawn), 1), HEIGHT), layout="constrained")
        for index, (frame, column, label) in enumerate(drawn):
            axes = figure.add_subplot(1, len(drawn), index + 1)
            x, tau, low, high = (frame[name].to_numpy(dtype=float) for name in (column, "tau", "tau_low", "tau_high"))
            axes.plot(x, tau, color=COLOURS[0], linewidth=1)
            axes.fill_between(x, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
            for place in range(len(x)):
                gid = f"rank_stability-{column}-{place}"
                axes.plot(x[place], tau[place], "o", color=COLOURS[0], markersize=4, gid=gid)
                bounds = "" if np.isnan(low[place]) else f" [{low[place]:.2f}, {high[place]:.2f}]"
                tips[gid] = f"{column} {x[place]:g}: tau {tau[place]:.2f}{bounds}"
            axes.set_ylim(min(0, np.nanmin(np.append(tau, low))) - 0.05, 1.05)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.set_xlabel(label)
            axes.set_ylabel("Kendall's tau-b\nwith the final ranking")
            settled = first_stable_epoch(frame) if column == "epoch" else None
            if settled is not None:
                text = f"at least {STABLE_TAU:g} from epoch {settled}"
                axes.axvline(settled, color=INK, linestyle=":", linewidth=1, label=text)
                axes.legend(loc="lower right", frameon=False)
        lay_out(figure)
        return Drawing(figure, tips)


RANK_STABILITY = FigureKind(
    name="rank_stability",
    caption="Rank stability: rankings by fewer seeds and at earlier epochs",
    legend="Shading in rank stability holds 95 % of subsets of seeds, or of bootstrap resamples.",
    draw=lambda analysis: draw_rank_stability(analysis.rankings),
    has_data=lambda analysis: bool(
        analysis.rankings.by_seeds["tau"].notna().any() or analysis.rankings.by_epoch["tau"].notna().any()
    ),
)
