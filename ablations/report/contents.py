"""What a report consists of: its sections in their order, and the CSV files beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.report.document import Document, Section, Table
from ablations.report.sections.answers import answers_section
from ablations.report.sections.comparisons import comparisons_section
from ablations.report.sections.differences import differences_section
from ablations.report.sections.epochs.kept_epochs import kept_epochs_section
from ablations.report.sections.epochs.selection_bias import selection_bias_section
from ablations.report.sections.factorial import factorial_section
from ablations.report.sections.figures import figures_section, main_figures_section
from ablations.report.sections.headline import headline_section
from ablations.report.sections.missing_runs import missing_runs_section
from ablations.report.sections.pareto import pareto_section
from ablations.report.sections.per_class import per_class_section
from ablations.report.sections.provenance import provenance_section
from ablations.report.sections.published.published import published_section
from ablations.report.sections.published.published_claims import published_claims_section
from ablations.report.sections.published.references import references_section
from ablations.report.sections.rankings import rankings_section
from ablations.report.sections.summary import summary_section

SectionBuilder = Callable[[Analysis], Section | None]  # None where there is nothing to say

SECTIONS: tuple[SectionBuilder, ...] = (
    headline_section,
    main_figures_section,
    answers_section,
    summary_section,
    references_section,
    figures_section,
    comparisons_section,
    factorial_section,
    differences_section,
    pareto_section,
    rankings_section,
    selection_bias_section,
    kept_epochs_section,
    per_class_section,
    published_claims_section,
    published_section,
    missing_runs_section,
    provenance_section,
)

CSV_FILES: dict[str, Callable[[Analysis], pd.DataFrame]] = {  # by name, without .csv
    "results": lambda analysis: analysis.results.runs,
    "epochs": lambda analysis: analysis.results.epochs,
    "summary": lambda analysis: analysis.results.summary,
    "comparisons": lambda analysis: analysis.comparisons.frame(),
    "answers": lambda analysis: analysis.answers.frame(),
    "factorial": lambda analysis: analysis.factorial.effects,
    "pareto": lambda analysis: analysis.pareto.table,
    "rankings": lambda analysis: analysis.rankings.ranks,
    "modules": lambda analysis: analysis.modules,
    "per_class": lambda analysis: analysis.per_class,
    "calibration": lambda analysis: analysis.calibration,
}


def compose(analysis: Analysis, *, sections: Sequence[SectionBuilder] = SECTIONS) -> Document:
    """The report as data; sections that have nothing to say are left out."""
    built = [build(analysis) for build in sections]
    return Document(f"Suite {analysis.results.plan.suite}", [section for section in built if section is not None])


def latex_tables(document: Document) -> list[Table]:
    """The tables with a caption, which are those of the LaTeX file."""
    blocks = [block for section in document.sections for block in section.blocks]
    return [block for block in blocks if isinstance(block, Table) and block.caption]
