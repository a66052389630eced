"""Figures of the report, in their order, with captions and legends."""

from __future__ import annotations

from collections.abc import Sequence

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import COSTS
from ablations.report.document import Picture, Section, Text
from ablations.report.figures.error_against_cost import error_against_cost_figure
from ablations.report.figures.error_bars import ERROR_BARS
from ablations.report.figures.factorial import FACTORIAL
from ablations.report.figures.figure import FigureKind
from ablations.report.figures.forest import FOREST
from ablations.report.figures.learning_curves import LEARNING_CURVES
from ablations.report.figures.modules import MODULES
from ablations.report.figures.rank_stability import RANK_STABILITY
from ablations.report.figures.rankings import RANKINGS

FIGURES = (
    *map(error_against_cost_figure, COSTS),
    FOREST,
    LEARNING_CURVES,
    ERROR_BARS,
    FACTORIAL,
    RANKINGS,
    RANK_STABILITY,
    MODULES,
)
MAIN_FIGURES = ("forest", "error_vs_macs")  # which stand before the first table, side by side


def figures_of(analysis: Analysis) -> list[FigureKind]:
    """The figures that there is data for."""
    return [figure for figure in FIGURES if figure.has_data(analysis)]


def main_figures_section(analysis: Analysis) -> Section | None:
    """The figures that answer most: differences from the baseline, and what an error costs; None without data."""
    by_name = {figure.name: figure for figure in figures_of(analysis)}
    return _section("Error and cost", [by_name[name] for name in MAIN_FIGURES if name in by_name])


def figures_section(analysis: Analysis) -> Section | None:
    """The other figures that there is data for; None without data."""
    return _section("Figures", [figure for figure in figures_of(analysis) if figure.name not in MAIN_FIGURES])


def _section(title: str, figures: Sequence[FigureKind]) -> Section | None:
    """The figures, and what their marks mean."""
    if not figures:
        return None
    legends = dict.fromkeys(figure.legend for figure in figures)
    return Section(title, [*(Picture(figure.name, figure.caption) for figure in figures), Text(" ".join(legends))])
