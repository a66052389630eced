"""TODO"""

from __future__ import annotations

from collections.abc import Mapping

from ablations.analysis.analyse import Analysis
from ablations.report.document import Document, Picture, Section, Table, Text
from ablations.report.figures import CAPTIONS, LEGENDS
from ablations.report.sections.comparisons import verdict_section
from ablations.report.sections.differences import differences_section
from ablations.report.sections.headline import headline_section
from ablations.report.sections.missing_runs import missing_runs_section
from ablations.report.sections.pareto import pareto_section
from ablations.report.sections.per_class import per_class_section
from ablations.report.sections.provenance import provenance_section
from ablations.report.sections.published import published_section
from ablations.report.sections.rankings import rankings_section
from ablations.report.sections.selection_bias import selection_bias_section
from ablations.report.sections.summary import results_section
from ablations.report.svg import Drawing

LATEX_TABLES = {
    "summary": "Errors and costs of each variant.",
    "verdicts": "Top-1 error of each variant against the baseline's, paired by seed.",
    "fronts": "Variants on the fronts of error against cost.",
}


def compose(analysis: Analysis, drawings: Mapping[str, Drawing]) -> Document:
    """The report as data, with the figures that are there."""
    results = analysis.results
    sections = [
        provenance_section(results),
        headline_section(results, analysis.comparisons),
        results_section(results),
        verdict_section(results, analysis.comparisons),
        differences_section(results),
        pareto_section(analysis.pareto),
        rankings_section(analysis.rankings, analysis.rank_correlation),
        _figures(drawings),
        selection_bias_section(results),
        per_class_section(analysis),
        published_section(results),
        missing_runs_section(results),
    ]
    return Document(f"Suite {results.plan.suite}", [section for section in sections if section is not None])


def _figures(drawings: Mapping[str, Drawing]) -> Section | None:
    if not drawings:
        return None
    legend = " ".join(text for name, text in LEGENDS.items() if name in drawings)
    return Section("Figures", [*(Picture(name, CAPTIONS[name]) for name in drawings), Text(legend)])


def latex_tables(document: Document) -> list[tuple[Table, str]]:
    blocks = [block for section in document.sections for block in section.blocks if isinstance(block, Table)]
    return [(block, LATEX_TABLES[block.name]) for block in blocks if block.name in LATEX_TABLES]
