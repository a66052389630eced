"""Where a network's parameters and MACs are: each variant's modules as parts of a horizontal bar."""

from __future__ import annotations

import re

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from ablations.analysis.costs import COSTS, Cost
from ablations.report.figures.figure import COLOURS, FULL_WIDTH, GREY, FigureKind
from ablations.report.figures.labels import names_beside
from ablations.report.svg import INK, PAPER, Drawing, lay_out, own_style

PANELS = tuple(cost for cost in COSTS if cost.name in ("params", "macs"))
SHORTEST_PART = 0.005  # of the longest bar, for a white line beside it not to hide it
ROOM_FOR_TOTALS = 1.18  # times the longest bar
HALF_BAR = 0.4
STAGE_COLOURS = {
    "stem": GREY,
    "stage 3": COLOURS[0],
    "stage 4": COLOURS[1],
    "stage 5": COLOURS[2],
    "auxiliary": COLOURS[3],
    "head": INK,
}


def stage_of(module: str) -> str:
    """The stage that a module belongs to, of STAGE_COLOURS: "stage 3" of "3a", "auxiliary" of "aux4a"."""
    if module.startswith("aux"):
        return "auxiliary"
    return re.sub(r"^([3-5])[a-z]$", r"stage \1", module)


def draw_modules(modules: pd.DataFrame) -> Drawing:
    """A bar for each variant from the top down, as long as its parameters or MACs, with a part for each module."""
    tips: dict[str, str] = {}
    variants = list(dict.fromkeys(modules["variant"]))
    stages = set(map(stage_of, modules["module"]))
    with own_style():
        figure = Figure(figsize=(FULL_WIDTH, 1.2 + 0.25 * len(variants)), layout="constrained")
        for number, cost in enumerate(PANELS, start=1):
            axes = figure.add_subplot(1, len(PANELS), number)
            tips |= _draw_bars(axes, modules, cost)
            axes.set_ylim(max(len(variants), 1) - 0.5, -0.5)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
            axes.set_xlabel(cost.axis)
            axes.grid(visible=False, axis="y")
            if number > 1:
                axes.set_yticks([])
        names_beside(figure.axes[0], list(map(str, variants)))
        shown = [Patch(color=colour, label=stage) for stage, colour in STAGE_COLOURS.items() if stage in stages]
        figure.legend(handles=shown, loc="outside upper right", ncols=len(STAGE_COLOURS), frameon=False)
        lay_out(figure)
        return Drawing(figure, tips)


def _draw_bars(axes: Axes, modules: pd.DataFrame, cost: Cost) -> dict[str, str]:
    """Bars with their totals, and white lines between parts that leave room for them; the tooltips of the parts."""
    modules = modules[modules[cost.name] > 0]
    counts = cost.scale * modules[cost.name]
    by_variant = counts.groupby(modules["variant"], sort=False)
    places, ends = by_variant.ngroup(), by_variant.cumsum()
    longest = max(ends, default=1.0)
    colours = [STAGE_COLOURS[stage_of(module)] for module in modules["module"]]
    parts = axes.barh(places, counts, left=ends - counts, height=2 * HALF_BAR, color=colours)
    wide = counts >= SHORTEST_PART * longest
    between = wide & wide.shift(-1, fill_value=False) & (places == places.shift(-1))
    rows = places[between]
    axes.vlines(ends[between], rows - HALF_BAR, rows + HALF_BAR, colors=PAPER, linewidth=0.5)
    for place, total in enumerate(by_variant.sum()):
        text = f"{total:,.0f}" if total >= 100 else f"{total:#.3g}"
        axes.annotate(text, (total, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlim(0, ROOM_FOR_TOTALS * longest)
    tips = {}
    for number, (part, (_, row)) in enumerate(zip(parts, modules.iterrows(), strict=True)):
        gid = f"modules-{cost.name}-{number}"
        part.set_gid(gid)
        share = 100 * row[f"{cost.name}_share"]
        tips[gid] = f"{row['variant']}: {row['module']} has {cost.describe(row[cost.name])}, {share:.1f} %"
    return tips


MODULES = FigureKind(
    name="modules",
    caption="Where the parameters and MACs of each variant are",
    legend=(
        "Modules: white lines part the modules of a stage, from the stem to the head. Auxiliary heads have parameters, "
        "but no MACs, because evaluation does not run them."
    ),
    draw=lambda analysis: draw_modules(analysis.modules),
    has_data=lambda analysis: len(analysis.results.done) > 0 and len(analysis.modules) > 0,
)
