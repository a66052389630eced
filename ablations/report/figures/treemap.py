"""Treemap of one network: its modules and their branches as areas in proportion to parameters and to MACs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.transforms import Bbox

from ablations.analysis.costs import COSTS, Cost
from ablations.report.figures.figure import COLOURS
from ablations.report.svg import Drawing, lay_out, own_style
from googlenet.architecture import BRANCHES

PANELS = tuple(cost for cost in COSTS if cost.name in ("params", "macs"))
NO_BRANCH = "stem, heads"
PART_COLOURS = dict(zip((*BRANCHES, NO_BRANCH), COLOURS, strict=False))
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of red, green and blue, Rec. 709
DARK = 0.4  # luminance below which text is white
PADDING = 2  # pixels between a label and the border of its area


class _Area(NamedTuple):
    patch: Rectangle
    label: str
    tip: str


def draw_treemap(layers: pd.DataFrame, *, title: str) -> Drawing:
    """The layers (see `analysis.modules.layer_costs`) as two treemaps: of parameters, and of MACs.

    Modules lie from the top down in the network's order, branches side by side within them. Labels stand where they
    fit, those of larger modules first; tooltips name every area.
    """
    sums = layers.groupby(["module", "branch"], sort=False)[[cost.name for cost in PANELS]].sum().reset_index()
    parts = {branch or NO_BRANCH for branch in sums.loc[sums["params"] > 0, "branch"]}
    with own_style():
        figure = Figure(figsize=(9.0, 5.6), layout="constrained")
        figure.suptitle(title)
        panels = {cost: figure.add_subplot(1, len(PANELS), number) for number, cost in enumerate(PANELS, start=1)}
        areas = [area for cost, axes in panels.items() for area in _draw_areas(axes, sums[sums[cost.name] > 0], cost)]
        shares = {cost: sums.groupby("module", sort=False)[cost.name].sum() / sums[cost.name].sum() for cost in PANELS}
        for cost, axes in panels.items():
            _name_modules(axes, {str(module): share for module, share in shares[cost].items() if share > 0})
            axes.set_title(_heading(sums, cost))
        legend = [
            Patch(color=colour, label=part if part == NO_BRANCH else f"{part} branch")
            for part, colour in PART_COLOURS.items()
            if part in parts
        ]
        figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), frameon=False)
        lay_out(figure)
        for cost, axes in panels.items():
            _hide_overlapping(axes, [share for share in shares[cost] if share > 0])
        for area in areas:
            _write_inside(area)
        return Drawing(figure, {str(area.patch.get_gid()): area.tip for area in areas})


def _heading(sums: pd.DataFrame, cost: Cost) -> str:
    without = cost.name == "macs" and sums["module"].str.startswith("aux").any()
    return cost.describe(sums[cost.name].sum()) + (" (auxiliary heads have none)" if without else "")


def _draw_areas(axes: Axes, sums: pd.DataFrame, cost: Cost) -> list[_Area]:
    """An area for each module and branch."""
    areas = []
    total, top = sums[cost.name].sum(), 0.0
    for module, group in sums.groupby("module", sort=False):
        whole, left = group[cost.name].sum(), 0.0
        for branch, count in zip(group["branch"], group[cost.name], strict=True):
            colour, gid = PART_COLOURS[branch or NO_BRANCH], f"treemap-{cost.name}-{module}-{branch}"
            patch = Rectangle((left, top), count / whole, whole / total, facecolor=colour, edgecolor="white", gid=gid)
            axes.add_patch(patch)
            name = f"{module} {branch}".strip()
            areas.append(_Area(patch, branch, f"{name}: {cost.describe(count)}, {100 * count / total:.1f} %"))
            left += count / whole
        top += whole / total
    axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return areas


def _name_modules(axes: Axes, shares: Mapping[str, float]) -> None:
    """The name and share of each module beside its areas."""
    ends = pd.Series(shares).cumsum()
    names = [f"{module}  {'< 1 %' if share < 0.01 else f'{100 * share:.0f} %'}" for module, share in shares.items()]
    axes.set_yticks(list(ends - pd.Series(shares) / 2), names)
    axes.tick_params(length=0)


def _hide_overlapping(axes: Axes, shares: list[float]) -> None:
    """Hide the names that would lie over that of a larger module."""
    shown: list[Bbox] = []
    for text, _ in sorted(zip(axes.get_yticklabels(), shares, strict=True), key=lambda named: -named[1]):
        box = text.get_window_extent()
        text.set_visible(not any(box.overlaps(other) for other in shown))
        if text.get_visible():
            shown.append(box)


def _write_inside(area: _Area) -> None:
    """Write the label into its area if it fits."""
    axes: Any = area.patch.axes
    colour = to_rgb(area.patch.get_facecolor())
    dark = sum(weight * part for weight, part in zip(LUMINANCE, colour, strict=True)) < DARK
    text = axes.text(
        *area.patch.get_center(), area.label, ha="center", va="center", fontsize=8, color="white" if dark else "black"
    )
    box, room = text.get_window_extent(), area.patch.get_window_extent()
    if box.width + 2 * PADDING > room.width or box.height > room.height:
        text.remove()
