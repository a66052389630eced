"""What the figures share: the class of an entry, widths, colours, and points with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ablations.analysis.analyse import Analysis
from ablations.report import formatting
from ablations.report.svg import INK, Drawing

WIDTH, FULL_WIDTH, HEIGHT = 4.6, 9.2, 3.4  # inches: of one panel, of two, and of either; text is read at 70 % of it
# Those of Okabe & Ito's colours that contrast with a light page and a dark one. They are told apart with any kind of
# colour vision; line styles tell them apart in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", INK)
GREY = "#777777"
LINE_STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True, kw_only=True)
class FigureKind:
    """A figure of the report: the name of its files, its caption, and a legend that says what its marks mean.

    `draw` is called only for an analysis that `has_data` for it. Equal legends of several figures are said once.
    """

    name: str
    caption: str
    legend: str
    draw: Callable[[Analysis], Drawing]
    has_data: Callable[[Analysis], bool]


def errors_in_percent(summary: pd.DataFrame, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean errors and the bounds of their intervals in percent; NaN where there is none."""
    names = [f"{kind}_error_{name}" for name in ("mean", "low", "high")]
    mean, low, high = (100 * summary.reindex(columns=[name])[name].to_numpy(dtype=float) for name in names)
    return mean, low, high


def error_tip(row: pd.Series, kind: str) -> str:
    """The tooltip of a variant's error."""
    low, high = (row.get(f"{kind}_error_{name}", np.nan) for name in ("low", "high"))
    interval = "" if pd.isna(low) else f" {formatting.interval_of(low, high)}"
    error = formatting.percent(row[f"{kind}_error_mean"])
    return f"{row['variant']}: {kind[:3]}-{kind[3:]} error {error} %{interval}, n = {row['n']}"


def draw_point(
    axes: Axes,
    point: tuple[float, float],
    *,
    filled: bool,
    gid: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> None:
    """A marker that is its own artist, with intervals; an interval of NaN is left out."""
    for axis, bounds in ((0, x_range), (1, y_range)):
        if bounds is not None and not np.isnan(bounds).any():
            reach = [[point[axis] - bounds[0]], [bounds[1] - point[axis]]]
            reaches: dict[str, Any] = {"xerr" if axis == 0 else "yerr": reach}
            axes.errorbar(*point, **reaches, fmt="none", ecolor=GREY, elinewidth=1, capsize=3, zorder=2)
    face = COLOURS[0] if filled else "white"
    axes.plot(*point, "o", color=COLOURS[0], markerfacecolor=face, zorder=3, gid=gid)
