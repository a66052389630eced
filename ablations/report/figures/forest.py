"""Forest plot: the difference of each variant's top-1 error from the baseline's, with the verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablations.analysis.analyse import Analysis
from ablations.analysis.comparisons import Comparison
from ablations.analysis.costs import macs_change
from ablations.analysis.statistics.verdicts import EQUIVALENT, INCONCLUSIVE, Verdict
from ablations.report import formatting
from ablations.report.figures.figure import COLOURS, GREY, HEIGHT, WIDTH, FigureKind
from ablations.report.figures.labels import names_beside
from ablations.report.svg import INK, PAPER, Drawing, lay_out, own_style

WORDS: dict[Verdict, str] = {
    "better": "lower error",
    "better, within the margin": "lower, within margin",
    "worse": "higher error",
    "worse, within the margin": "higher, within margin",
    "equivalent": "equivalent",
    "inconclusive": "not settled",
}
ROOM = 3.3  # inches beside the names, of which the two columns of text take one
COLUMNS = ((38, "right"), (46, "left"))  # of text: offset in points from the axes, and alignment


def draw_forest(comparisons: Sequence[Comparison], *, macs: pd.Series) -> Drawing:
    """Differences in points, the lowest at the top, and the margin of equivalence as a band.

    The thick line of each is its interval on these test images, the thin one that on new images. `macs` is the relative
    change of MACs by variant, which stands at the right with the verdict.
    """
    shown = sorted(comparisons, key=lambda comparison: comparison.difference)
    tips = {}
    with own_style():
        figure = Figure(figsize=(WIDTH, max(HEIGHT, 1.2 + 0.25 * len(shown))), layout="constrained")
        axes = figure.add_subplot()
        for place, comparison in enumerate(shown):
            colour, shape = _look_of(comparison.verdict)
            for scope, width in ((comparison.these, 2.2), (comparison.new, 0.9)):
                if scope:
                    low, high = (100 * bound for bound in scope.interval)
                    axes.hlines(place, low, high, colors=colour, linewidth=width, zorder=2)
            face = PAPER if comparison.verdict == INCONCLUSIVE else colour
            marker: dict[str, Any] = {"color": colour, "markerfacecolor": face, "markersize": 5, "zorder": 3}
            axes.plot(100 * comparison.difference, place, shape, gid=f"forest-{place}", **marker)
            texts = formatting.change(macs[comparison.variant]), WORDS[comparison.verdict]
            _columns(axes, texts, place=place)
            tips[f"forest-{place}"] = (
                f"{comparison.variant}: {formatting.points(comparison.difference)} points "
                f"{formatting.interval(comparison.interval)}{_on_new(comparison)}, n = {comparison.n}, {texts[1]}, "
                f"MACs {texts[0]}"
            )
        names_beside(axes, [comparison.variant for comparison in shown], room=ROOM)
        axes.set_ylim(max(len(shown), 1) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.axvline(0, color=INK, linewidth=1, zorder=1)
        if shown:
            margin, baseline = 100 * shown[0].margin, shown[0].baseline
            axes.axvspan(-margin, margin, color=GREY, alpha=0.2, linewidth=0, zorder=0, gid="forest-margin")
            tips["forest-margin"] = f"margin of equivalence: {margin:g} points"
            axes.set_xlabel(f"top-1 error minus that of {baseline} (points)")
            _columns(axes, ("MACs", "top-1 error"), place=None)
        lay_out(figure)
        return Drawing(figure, tips)


def _look_of(verdict: Verdict) -> tuple[str, str]:
    """The colour and the shape of a mark."""
    if verdict == INCONCLUSIVE:
        return GREY, "o"
    if verdict in EQUIVALENT:
        return COLOURS[2], "D"
    return (COLOURS[0], "o") if verdict == "better" else (COLOURS[1], "s")


def _columns(axes: Axes, texts: tuple[str, str], *, place: float | None) -> None:
    """Two texts to the right of the axes, at this row, or above the rows."""
    for text, (offset, side) in zip(texts, COLUMNS, strict=True):
        axes.annotate(
            text.replace("-", "\N{MINUS SIGN}") if side == "right" else text,
            (1, 1 if place is None else place),
            (offset, 8 if place is None else 0),
            xycoords="axes fraction" if place is None else ("axes fraction", "data"),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=8,
            annotation_clip=False,
        )


def _on_new(comparison: Comparison) -> str:
    return f", on new images {formatting.interval(comparison.new.interval)}" if comparison.new else ""


def _draw(analysis: Analysis) -> Drawing:
    results = analysis.results
    return draw_forest(
        analysis.comparisons.comparisons, macs=macs_change(results.summary, baseline=results.plan.baseline)
    )


FOREST = FigureKind(
    name="forest",
    caption="Difference in top-1 error from the baseline",
    legend=(
        "Differences are in points of top-1 error. Thick lines are intervals over seeds on these test images, thin "
        "ones on new images too, each at the level of the last look; the shaded band is the margin of equivalence."
    ),
    draw=_draw,
    has_data=lambda analysis: bool(analysis.comparisons.comparisons),
)
