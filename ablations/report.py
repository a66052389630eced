"""The report of a suite: everything in it is derived from the plan and the records, and can be rebuilt from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import (
    evidence,
    files,
    findings,
    fronts,
    html,
    latex,
    markdown,
    ordering,
    overview,
    plan_file,
    plots,
    rankings,
    tables,
    tradeoffs,
    verdicts,
)
from .document import Document, Picture, Section, Table, Text
from .drawings import Drawing
from .drawings import write as write_drawings
from .errors import ConfigError
from .evidence import Evidence
from .fronts import COSTS, Fronts
from .rankings import Agreement, Rankings
from .tables import Results
from .verdicts import Verdicts

REPORT_FILE = "report.md"
PAGE_FILE = "report.html"
LATEX_FILE = "summary.tex"
RANDOM_SEED = 0  # of all that is drawn: a report can be rebuilt byte for byte
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
LATEX_TABLES = {
    "summary": "Errors and costs of each variant.",
    "verdicts": "Top-1 error of each variant against the baseline's, paired by seed.",
    "fronts": "Variants on the fronts of error against cost.",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """A written report: its path, and what it was written from."""

    path: Path
    results: Results
    verdicts: Verdicts


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All that is worked out from a suite's records."""

    results: Results
    verdicts: Verdicts
    fronts: Fronts
    rankings: Rankings
    evidence: Evidence
    agreement: Agreement | None


def write(suite_dir: Path, *, compare_with: Path | None = None) -> Report:
    """Write report.md, report.html, summary.tex, the CSV files and figures/ from the suite's records.

    `compare_with` is the folder of another suite, whose order of the variants is compared with this one's.

    Raises:
        ConfigError: if a plan, a record or predictions cannot be read or do not belong together.
    """
    analysis = analyse(suite_dir, compare_with=compare_with)
    drawings = plots.figures(analysis.results, fronts=analysis.fronts, rankings=analysis.rankings)
    document = compose(analysis, drawings)
    tables.write_csv(
        suite_dir,
        analysis.results,
        others={
            "verdicts.csv": analysis.verdicts.frame(),
            "fronts.csv": analysis.fronts.table,
            "ranks.csv": analysis.rankings.ranks,
            "per_class.csv": analysis.evidence.per_class,
            "calibration.csv": analysis.evidence.calibration,
        },
    )
    svgs = write_drawings(drawings, folder=suite_dir / "figures")
    files.write_text(suite_dir / REPORT_FILE, markdown.render(document))
    files.write_text(suite_dir / PAGE_FILE, html.render(document, svgs=svgs))
    files.write_text(suite_dir / LATEX_FILE, latex.render(_latex_tables(document)))
    return Report(path=suite_dir / REPORT_FILE, results=analysis.results, verdicts=analysis.verdicts)


def analyse(suite_dir: Path, *, compare_with: Path | None = None) -> Analysis:
    """Work out everything that the report says.

    Raises:
        ConfigError: if a plan, a record or predictions cannot be read or do not belong together.
    """
    results = tables.load(suite_dir)
    found = evidence.gather(results, suite_dir)
    agreement = None
    if compare_with is not None:
        check_comparable(suite_dir, compare_with)
        other = tables.load(compare_with)
        agreement = rankings.compare(results, other, random_source=_fixed_source())
    return Analysis(
        results=results,
        verdicts=verdicts.judge(results, suite_dir, unread=found.unread, random_source=_fixed_source()),
        fronts=fronts.find(results, random_source=_fixed_source()),
        rankings=rankings.rank(results, random_source=_fixed_source()),
        evidence=found,
        agreement=agreement,
    )


def check_comparable(suite_dir: Path, other: Path) -> None:
    """Refuse a folder whose order of the variants cannot be compared with the suite's.

    Raises:
        ConfigError: if it is the suite's own, or that of no suite that was run.
    """
    if other.resolve() == suite_dir.resolve():
        raise ConfigError(f"--compare-with {other.name} is the suite itself; name another one")
    plan_file.read_plan(other)


def _fixed_source() -> np.random.Generator:
    return np.random.default_rng(RANDOM_SEED)


def compose(analysis: Analysis, drawings: Mapping[str, Drawing]) -> Document:
    """The report as data, with the figures that are there."""
    results = analysis.results
    sections = [
        overview.provenance_section(results),
        findings.headline_section(results, analysis.verdicts),
        overview.results_section(results),
        findings.verdict_section(results, analysis.verdicts),
        overview.differences_section(results),
        tradeoffs.tradeoff_section(analysis.fronts),
        ordering.order_section(analysis.rankings, analysis.agreement),
        _figures(drawings),
        findings.selection_section(results),
        findings.evidence_section(results, analysis.evidence),
        overview.published_section(results),
        overview.absent_section(results),
    ]
    return Document(f"Suite {results.plan.suite}", [section for section in sections if section is not None])


def _figures(drawings: Mapping[str, Drawing]) -> Section | None:
    if not drawings:
        return None
    legend = " ".join(text for name, text in LEGENDS.items() if name in drawings)
    return Section("Figures", [*(Picture(name, CAPTIONS[name]) for name in drawings), Text(legend)])


def _latex_tables(document: Document) -> list[tuple[Table, str]]:
    blocks = [block for section in document.sections for block in section.blocks if isinstance(block, Table)]
    return [(block, LATEX_TABLES[block.name]) for block in blocks if block.name in LATEX_TABLES]
