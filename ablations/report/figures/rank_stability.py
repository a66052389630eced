"""Rank stability: how well rankings agree with the true order by seeds, and with the final one by epochs."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablations.analysis.rankings import MEASURES, STABLE_TAU, Rankings, first_stable_epoch
from ablations.report.figures.figure import COLOURS, HEIGHT, WIDTH, FigureKind
from ablations.report.svg import INK, Drawing, lay_out, own_style


def draw_rank_stability(rankings: Rankings) -> Drawing:
    """Kendall's tau that rankings by a number of seeds are expected to have with the true order, and at each epoch.

    The latter is the tau-b of the ranking after an epoch with that by the final test error. Dotted lines mark the
    suite's number of seeds, and the epoch from which on that ranking is stable.
    """
    measure = "".join(MEASURES[name] for name in rankings.by_epoch["measure"].unique())
    panels = [
        (rankings.by_seeds, "seeds", "number of seeds in the ranking", "with the true order (expected)"),
        (rankings.by_epoch, "epoch", f"epoch (ranking by {measure})", "with the final ranking"),
    ]
    drawn = [panel for panel in panels if panel[0]["tau"].notna().any()]
    tips = {}
    with own_style():
        figure = Figure(figsize=(WIDTH * max(len(drawn), 1), HEIGHT), layout="constrained")
        for index, (frame, column, label, of) in enumerate(drawn):
            axes = figure.add_subplot(1, len(drawn), index + 1)
            x, tau = (frame[name].to_numpy(dtype=float) for name in (column, "tau"))
            axes.plot(x, tau, color=COLOURS[0], linewidth=1)
            for place in range(len(x)):
                gid = f"rank_stability-{column}-{place}"
                axes.plot(x[place], tau[place], "o", color=COLOURS[0], markersize=4, gid=gid)
                tips[gid] = f"{column} {x[place]:g}: tau {tau[place]:.2f}"
            axes.set_ylim(min(0, np.nanmin(tau)) - 0.05, 1.05)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.set_xlabel(label)
            axes.set_ylabel(f"Kendall's tau\n{of}")
            if column == "epoch":
                settled = first_stable_epoch(frame)
                if settled is not None:
                    _mark(axes, settled, f"at least {STABLE_TAU:g} from epoch {settled}")
            elif len(rankings.ranks):
                n = int(rankings.ranks["n"].iloc[0])
                _mark(axes, n, f"this suite: {n}")
        lay_out(figure)
        return Drawing(figure, tips)


def _mark(axes: Axes, x: int, text: str) -> None:
    axes.axvline(x, color=INK, linestyle=":", linewidth=1, label=text)
    axes.legend(loc="lower right", frameon=False)


RANK_STABILITY = FigureKind(
    name="rank_stability",
    caption="Rank stability: rankings by numbers of seeds and at earlier epochs",
    legend="Rank stability by seeds is expected, from the spreads of variants and of seeds.",
    draw=lambda analysis: draw_rank_stability(analysis.rankings),
    has_data=lambda analysis: bool(
        analysis.rankings.by_seeds["tau"].notna().any() or analysis.rankings.by_epoch["tau"].notna().any()
    ),
)
