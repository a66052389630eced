"""Figures of a suite's results, with text on hovering; the same functions serve the report and the notebook."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from ablations.analysis.costs import COSTS, Cost
from ablations.analysis.intervals import Interval
from ablations.analysis.pareto import ParetoFronts
from ablations.analysis.rankings import MEASURES, STABLE_TAU, Rankings, first_stable_epoch
from ablations.analysis.results import Results
from ablations.report import formatting
from ablations.report.svg import STYLE, Drawing, label, lay_out

CAPTIONS = {
    **{cost.file_name: f"Top-1 error against {cost.title}" for cost in COSTS},
    "error_bars": "Errors of each variant",
    "learning_curves": "Learning curves",
    "ranks": "Ranks of the variants",
    "rank_stability": "Rank stability: the order by fewer seeds and at earlier epochs",
}
LEGENDS = {  # by a figure that they are of
    COSTS[0].file_name: (
        "A point of error against a cost is filled if it is on the front: no other variant is as good in both and "
        "better in one. Without a filled point there is no front."
    ),
    "error_bars": "Bars of errors are 95 % t intervals of the mean over seeds, which one seed does not have.",
    "ranks": "Bars of ranks hold 95 % of the bootstrap's resamples.",
    "learning_curves": "Shading in learning curves spans the seeds.",
    "rank_stability": "Shading in rank stability holds 95 % of the subsets of seeds, and of the resamples.",
}

# Okabe & Ito's colours, told apart with any kind of colour vision; line styles tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")
LOG_FROM = 3.0  # how far apart costs are, as a factor, for a log axis to have ticks to read


def error_against(summary: pd.DataFrame, cost: Cost, *, fronts: ParetoFronts) -> Drawing:
    """Mean top-1 error against a cost, with 95 % intervals, labels and the front; a log axis for costs far apart.

    Without a front of this cost nothing is joined, and no point filled.
    """
    shown = summary.dropna(subset=["top1_error_mean", cost.column]).sort_values(cost.column)
    costs = cost.scale * shown[cost.column].to_numpy(dtype=float)
    errors, low, high = _percent(shown, "top1")
    found = fronts.of(cost).reindex(shown["variant"])
    front, shares = found["on_front"].eq(True).to_numpy(), found["front_probability"].to_numpy(dtype=float)
    tips = {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        if front.any():
            axes.plot(costs[front], errors[front], color=COLOURS[1], linewidth=1, zorder=1, label="front")
        for place, (_, row) in enumerate(shown.iterrows()):
            gid = f"{cost.file_name}-{place}"
            _point(axes, (costs[place], errors[place]), y_range=(low[place], high[place]), filled=front[place], gid=gid)
            share = shares[place]
            tips[gid] = f"{_error_tip(row, 'top1')}, {cost.describe(row[cost.column])}" + (
                "" if np.isnan(share) else f", on the front in {100 * share:.0f} % of resamples"
            )
        if len(shown) and costs.max() >= LOG_FROM * costs.min() > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.margins(x=0.12, y=0.15)
        axes.set_xlabel(cost.axis)
        axes.set_ylabel("top-1 error (%)")
        if front.any():
            axes.legend(loc="best", frameon=False)
        lay_out(figure)
        label(axes, [str(name) for name in shown["variant"]], np.column_stack([costs, errors, low, high]), front=front)
        return Drawing(figure, tips)


def learning_curves(epochs: pd.DataFrame) -> Drawing:
    """Training loss and training error by epoch, a line a variant: the mean over seeds, with their range shaded."""
    tips = {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 3.6), layout="constrained")
        for place, (column, label, unit, scale) in enumerate(
            (("train_loss", "training loss", "nats", 1), ("train_error", "training error", "%", 100)), start=1
        ):
            axes = figure.add_subplot(1, 2, place)
            looks = zip(cycle(COLOURS), cycle(LINE_STYLES), strict=False)
            groups = list(epochs.groupby("variant", sort=False)) if len(epochs) else []
            for index, ((variant, group), (colour, style)) in enumerate(zip(groups, looks, strict=False)):
                by_epoch = scale * group.pivot(index="epoch", columns="seed", values=column)
                x, mean = by_epoch.index.to_numpy(), by_epoch.mean(axis=1)
                gid = f"learning_curves-{column}-{index}"
                axes.plot(x, mean, style, color=colour, marker=".", label=str(variant), gid=gid)
                axes.fill_between(x, by_epoch.min(axis=1), by_epoch.max(axis=1), color=colour, alpha=0.15, linewidth=0)
                tips[gid] = (
                    f"{variant}: {label} {mean.iloc[0]:.3g} {unit} after epoch {x[0]}, {mean.iloc[-1]:.3g} {unit} after"
                    f" epoch {x[-1]}, n = {by_epoch.shape[1]}"
                )
            axes.set_xlabel("epoch")
            axes.set_ylabel(f"{label} ({unit})")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_yscale("log" if column == "train_loss" and len(epochs) else "linear")
        if len(epochs):
            figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
        lay_out(figure)
        return Drawing(figure, tips)


def error_bars(summary: pd.DataFrame) -> Drawing:
    """Mean top-1 and top-5 error of each variant as bars, with 95 % intervals."""
    shown = summary.dropna(subset=["top1_error_mean"])
    kinds = ("top1", "top5") if shown["top5_error_mean"].notna().any() else ("top1",)
    width = 0.8 / len(kinds)
    tips = {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(6.4, 1.1 * len(shown)), 4.2), layout="constrained")
        axes = figure.add_subplot()
        for index, kind in enumerate(kinds):
            mean, low, high = _percent(shown, kind)
            places = np.arange(len(shown)) + (index - (len(kinds) - 1) / 2) * width
            look: dict[str, Any] = {"color": COLOURS[index], "hatch": ("", "//")[index], "edgecolor": "white"}
            bars = axes.bar(places, mean, width, **look, label=f"{kind[:3]}-{kind[3:]} error")
            axes.errorbar(places, mean, yerr=(mean - low, high - mean), fmt="none", ecolor="black", capsize=3)
            for place, (bar, (_, row)) in enumerate(zip(bars, shown.iterrows(), strict=True)):
                bar.set_gid(f"error_bars-{kind}-{place}")
                tips[f"error_bars-{kind}-{place}"] = _error_tip(row, kind)
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


def ranks(rankings: Rankings) -> Drawing:
    """Each variant's rank by mean top-1 error, 1 being the least, with the bootstrap's 95 % interval."""
    shown = rankings.ranks.sort_values("rank", kind="stable")
    tips = {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, max(2.0, 0.9 + 0.32 * len(shown))), layout="constrained")
        axes = figure.add_subplot()
        for place, (_, row) in enumerate(shown.iterrows()):
            gid = f"ranks-{place}"
            low, rank, high = row["rank_low"], row["rank"], row["rank_high"]
            _point(axes, (rank, place), x_range=(low, high), filled=True, gid=gid)
            tips[gid] = f"{row['variant']}: rank {rank:g}, n = {row['n']}" + (
                ""
                if pd.isna(low)
                else f", 95 % interval [{low:g}, {high:g}], best in {100 * row['best_probability']:.0f} % of resamples"
            )
        axes.set_yticks(range(len(shown)), shown["variant"].astype(str).tolist())
        axes.invert_yaxis()
        axes.set_xlim(0.5, max(len(shown), 1) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("rank by mean top-1 error (1 = least), with its 95 % interval")
        lay_out(figure)
        return Drawing(figure, tips)


def rank_stability(rankings: Rankings) -> Drawing:
    """How far the order by fewer seeds, and that by an earlier epoch, agree with the suite's.

    The shading holds 95 % of the subsets of seeds, and of the bootstrap's resamples.
    """
    measure = "".join(MEASURES[name] for name in rankings.by_epoch["measure"].unique())
    panels = [
        (rankings.by_seeds, "seeds", "number of seeds that variants are ordered by"),
        (rankings.by_epoch, "epoch", f"epoch whose {measure} variants are ordered by"),
    ]
    drawn = [(frame, column, label) for frame, column, label in panels if frame["tau"].notna().any()]
    tips = {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(4.8 * len(drawn), 4.8), 3.6), layout="constrained")
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
            axes.set_ylabel("agreement with the final order\n(Kendall's tau-b)")
            settled = first_stable_epoch(frame) if column == "epoch" else None
            if settled is not None:
                text = f"at least {STABLE_TAU:g} from epoch {settled} on"
                axes.axvline(settled, color="black", linestyle=":", linewidth=1, label=text)
                axes.legend(loc="lower right", frameon=False)
        lay_out(figure)
        return Drawing(figure, tips)


def draw_figures(results: Results, *, fronts: ParetoFronts, rankings: Rankings) -> dict[str, Drawing]:
    """All figures of a suite by file name, without those that there is nothing to draw in."""
    summary = results.summary
    drawn = {
        cost.file_name: error_against(summary, cost, fronts=fronts)
        for cost in COSTS
        if (summary["top1_error_mean"].notna() & summary[cost.column].notna()).any()
    }
    if len(results.epochs):
        drawn["learning_curves"] = learning_curves(results.epochs)
    if summary["top1_error_mean"].notna().any():
        drawn["error_bars"] = error_bars(summary)
    if rankings.ranks["rank_low"].notna().any():
        drawn["ranks"] = ranks(rankings)
    if rankings.by_seeds["tau"].notna().any() or rankings.by_epoch["tau"].notna().any():
        drawn["rank_stability"] = rank_stability(rankings)
    return drawn


def _percent(summary: pd.DataFrame, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean errors and the ends of their intervals in percent; NaN where there is none."""
    names = [f"{kind}_error_{name}" for name in ("mean", "low", "high")]
    mean, low, high = (100 * summary.reindex(columns=[name])[name].to_numpy(dtype=float) for name in names)
    return mean, low, high


def _error_tip(row: pd.Series, kind: str) -> str:
    low, high = (row.get(f"{kind}_error_{name}", np.nan) for name in ("low", "high"))
    interval = "" if pd.isna(low) else f" {formatting.interval(Interval(low, high), signed=False)}"
    error = formatting.percent(row[f"{kind}_error_mean"])
    return f"{row['variant']}: {kind[:3]}-{kind[3:]} error {error} %{interval}, n = {row['n']}"


def _point(
    axes: Axes,
    point: tuple[float, float],
    *,
    filled: bool,
    gid: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> None:
    """A marker that is its own artist, with the interval about it; a NaN one is left out."""
    for axis, bounds in ((0, x_range), (1, y_range)):
        if bounds is not None and not np.isnan(bounds).any():
            reach = [[point[axis] - bounds[0]], [bounds[1] - point[axis]]]
            reaches: dict[str, Any] = {"xerr" if axis == 0 else "yerr": reach}
            axes.errorbar(*point, **reaches, fmt="none", ecolor="#777777", elinewidth=1, capsize=3, zorder=2)
    face = COLOURS[0] if filled else "white"
    axes.plot(*point, "o", color=COLOURS[0], markerfacecolor=face, zorder=3, gid=gid)
