"""Figures of a suite's results; the same functions serve the report and the notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from . import files
from .stats import pareto_front
from .tables import Results

# Okabe & Ito's colours, told apart with any kind of colour vision; line styles tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "savefig.dpi": 150,
    # Without a fixed salt, element ids in an SVG differ from one process to the next.
    "svg.hashsalt": "googlenet-ablations",
}


class Cost(NamedTuple):
    """A column of the summary to put on an x axis."""

    column: str
    label: str
    file_name: str


COSTS = (
    Cost("params", "trainable parameters", "error_vs_params"),
    Cost("macs", "multiply-adds for one image (MACs)", "error_vs_macs"),
    Cost("train_seconds_mean", "training time (s)", "error_vs_seconds"),
)


def error_against(summary: pd.DataFrame, cost: Cost) -> Figure:
    """Mean top-1 error against a cost on a log axis, with standard deviations, labels and the front."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        shown = summary.dropna(subset=["top1_error_mean", cost.column]).sort_values(cost.column)
        costs = shown[cost.column].to_numpy(dtype=float)
        errors = 100 * shown["top1_error_mean"].to_numpy(dtype=float)
        spread = 100 * shown["top1_error_std"].to_numpy(dtype=float)
        front = pareto_front(list(costs), list(errors))
        axes.errorbar(costs, errors, yerr=spread, fmt="none", ecolor="#999999", capsize=3, zorder=1)
        axes.plot(costs[front], errors[front], color=COLOURS[1], linewidth=1, zorder=2, label="front")
        for on_front, marker, face in ((True, "o", COLOURS[0]), (False, "o", "white")):
            chosen = front == on_front
            axes.scatter(costs[chosen], errors[chosen], marker=marker, c=face, edgecolors=COLOURS[0], zorder=3)
        for index, variant in enumerate(shown["variant"]):
            above = not front[index]  # below the front there is room
            axes.annotate(
                str(variant),
                (costs[index], errors[index]),
                xytext=(0, 8 if above else -8),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                fontsize=9,
            )
        if len(shown):
            axes.set_xscale("log")
        axes.margins(x=0.12, y=0.2)
        axes.set_xlabel(cost.label)
        axes.set_ylabel("top-1 error (%)")
        if front.any():
            axes.legend(loc="upper right", frameon=False)
        return figure


def learning_curves(epochs: pd.DataFrame) -> Figure:
    """Training loss and training error by epoch, a line a variant: the mean over seeds, with their range shaded."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.0), layout="constrained")
        for place, (column, label, scale) in enumerate(
            (("train_loss", "training loss (nats)", 1), ("train_error", "training error (%)", 100)), start=1
        ):
            axes = figure.add_subplot(1, 2, place)
            for index, (variant, group) in enumerate(epochs.groupby("variant", sort=False) if len(epochs) else ()):
                by_epoch = scale * group.pivot(index="epoch", columns="seed", values=column)
                colour = COLOURS[index % len(COLOURS)]
                style = LINE_STYLES[index % len(LINE_STYLES)]
                x = by_epoch.index.to_numpy()
                axes.plot(x, by_epoch.mean(axis=1), style, color=colour, marker=".", label=str(variant))
                axes.fill_between(x, by_epoch.min(axis=1), by_epoch.max(axis=1), color=colour, alpha=0.15, linewidth=0)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            axes.xaxis.set_major_locator(MultipleLocator(max(1, len(set(epochs.get("epoch", ()))) // 7)))
            if len(epochs):
                axes.set_yscale("log" if column == "train_loss" else "linear")
                axes.legend(frameon=False, fontsize=8)
        return figure


def error_bars(summary: pd.DataFrame) -> Figure:
    """Mean top-1 and top-5 error of each variant as bars, with standard deviations."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        shown = summary.dropna(subset=["top1_error_mean"])
        has_top5 = shown["top5_error_mean"].notna().any()
        kinds = ("top1", "top5") if has_top5 else ("top1",)
        width = 0.8 / len(kinds)
        for index, kind in enumerate(kinds):
            places = [place + (index - (len(kinds) - 1) / 2) * width for place in range(len(shown))]
            bars = axes.bar(
                places,
                100 * shown[f"{kind}_error_mean"].astype(float),
                width,
                yerr=100 * shown[f"{kind}_error_std"].astype(float),
                capsize=3,
                color=COLOURS[index],
                hatch="" if index == 0 else "//",
                edgecolor="white",
                label=f"{kind[:3]}-{kind[3:]} error",
            )
            axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=2)
        axes.set_xticks(range(len(shown)), [f"{v}\nn = {n}" for v, n in zip(shown["variant"], shown["n"], strict=True)])
        axes.set_ylabel("error (%)")
        axes.margins(y=0.12)
        axes.legend(frameon=False)
        return figure


def figures(results: Results) -> dict[str, Figure]:
    """All figures of a suite by file name."""
    return {
        **{cost.file_name: error_against(results.summary, cost) for cost in COSTS},
        "learning_curves": learning_curves(results.epochs),
        "error_bars": error_bars(results.summary),
    }


def write(figures_by_name: dict[str, Figure], *, folder: Path) -> None:
    """Save each figure as PNG and SVG, the same bytes for the same data."""
    for name, figure in figures_by_name.items():
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            with mpl.rc_context(STYLE), files.replacing(folder / f"{name}.{suffix}") as temporary:
                figure.savefig(temporary, format=suffix, metadata=metadata)
