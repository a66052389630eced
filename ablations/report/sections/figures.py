"""Figures of the report, in their order, with captions and legends."""

from __future__ import annotations

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import COSTS
from ablations.report.document import Picture, Section, Text
from ablations.report.figures.error_against_cost import error_against_cost_figure
from ablations.report.figures.error_bars import ERROR_BARS
from ablations.report.figures.factorial import FACTORIAL
from ablations.report.figures.figure import FigureKind
from ablations.report.figures.learning_curves import LEARNING_CURVES
from ablations.report.figures.modules import MODULES
from ablations.report.figures.rank_stability import RANK_STABILITY
from ablations.report.figures.rankings import RANKINGS

FIGURES = (
    *map(error_against_cost_figure, COSTS),
    LEARNING_CURVES,
    ERROR_BARS,
    FACTORIAL,
    RANKINGS,
    RANK_STABILITY,
    MODULES,
)


def figures_of(analysis: Analysis) -> list[FigureKind]:
    """The figures that there is data for."""
    return [figure for figure in FIGURES if figure.has_data(analysis)]


def figures_section(analysis: Analysis) -> Section | None:
    """The figures that there is data for, and what their marks mean; None without data."""
    figures = figures_of(analysis)
    if not figures:
        return None
    legends = dict.fromkeys(figure.legend for figure in figures)
    return Section("Figures", [*(Picture(figure.name, figure.caption) for figure in figures), Text(" ".join(legends))])
