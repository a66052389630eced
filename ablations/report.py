"""The report of a suite: everything in it is derived from the plan and the records, and can be rebuilt from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import evidence, files, findings, html, latex, markdown, ordering, overview, plots, tables, tradeoffs, verdicts
from .document import Document, Picture, Section, Table, Text
from .drawings import Drawing
from .drawings import write as write_drawings
from .errors import ConfigError
from .evidence import Evidence
from .ordering import Agreement
from .tables import Results
from .tradeoffs import Tradeoffs
from .verdicts import Verdicts

REPORT_FILE = "report.md"
PAGE_FILE = "report.html"
LATEX_FILE = "summary.tex"
CAPTIONS = {
    "error_vs_params": "Top-1 error against parameters",
    "error_vs_macs": "Top-1 error against multiply-adds",
    "error_vs_seconds": "Top-1 error against training time",
    "error_vs_memory": "Top-1 error against peak memory",
    "error_bars": "Errors of each variant",
    "learning_curves": "Learning curves",
    "ranks": "Ranks of the variants",
    "rank_stability": "The order by fewer seeds and at earlier epochs",
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
    judged: Verdicts
    weighed: Tradeoffs
    found: Evidence
    agreement: Agreement | None


def write(suite_dir: Path, *, compare_with: Path | None = None) -> Report:
    """Write report.md, report.html, summary.tex, the CSV files and figures/ from the suite's records.

    `compare_with` is the folder of another suite, whose order of the variants is compared with this one's.

    Raises:
        ConfigError: if a plan, a record or predictions cannot be read or do not belong together.
    """
    analysis = analyse(suite_dir, compare_with=compare_with)
    drawings = plots.figures(analysis.results, analysis.weighed)
    document = compose(analysis, drawings)
    tables.write_csv(
        suite_dir,
        analysis.results,
        others={
            "verdicts.csv": analysis.judged.frame(),
            "fronts.csv": analysis.weighed.fronts,
            "ranks.csv": analysis.weighed.ranks,
            "per_class.csv": analysis.found.per_class,
            "calibration.csv": analysis.found.calibration,
        },
    )
    svgs = write_drawings(drawings, folder=suite_dir / "figures")
    files.write_text(suite_dir / REPORT_FILE, markdown.render(document))
    files.write_text(suite_dir / PAGE_FILE, html.render(document, svgs=svgs))
    files.write_text(suite_dir / LATEX_FILE, latex.render(_latex_tables(document)))
    return Report(path=suite_dir / REPORT_FILE, results=analysis.results, verdicts=analysis.judged)


def analyse(suite_dir: Path, *, compare_with: Path | None = None) -> Analysis:
    """Work out everything that the report says.

    Raises:
        ConfigError: if a plan, a record or predictions cannot be read or do not belong together.
    """
    results = tables.load(suite_dir)
    agreement = None
    if compare_with is not None:
        if compare_with.resolve() == suite_dir.resolve():
            raise ConfigError(f"--compare-with {compare_with.name} is the suite itself; name another one")
        other = tables.load(compare_with)
        compared = tradeoffs.compare_rankings(results, other, random_source=_fixed_source())
        agreement = Agreement(other.plan.suite, compared)
    return Analysis(
        results=results,
        judged=verdicts.judge(results, suite_dir),
        weighed=tradeoffs.weigh(results, random_source=_fixed_source()),
        found=evidence.gather(results, suite_dir),
        agreement=agreement,
    )


def _fixed_source() -> np.random.Generator:
    return np.random.default_rng(verdicts.RANDOM_SEED)


def compose(analysis: Analysis, drawings: Mapping[str, Drawing]) -> Document:
    """The report as data, with the figures that are there."""
    results = analysis.results
    sections = [
        overview.head(results),
        findings.shown(results, analysis.judged),
        overview.results_section(results),
        findings.verdict_section(results, analysis.judged),
        overview.differences_section(results),
        ordering.tradeoff_section(analysis.weighed),
        ordering.order_section(analysis.weighed, analysis.agreement),
        _figures(drawings),
        findings.selection_section(results),
        findings.evidence_section(results, analysis.found),
        overview.published_section(results),
        overview.absent_section(results),
    ]
    return Document(f"Suite {results.plan.suite}", [section for section in sections if section is not None])


def _figures(drawings: Mapping[str, Drawing]) -> Section:
    legend = (
        "A filled point is on the front: no other variant is as good in both and better in one. Bars are 95 % t "
        "intervals of the mean over seeds, which one seed does not have; shading in learning curves spans the seeds."
    )
    return Section("Figures", [*(Picture(name, CAPTIONS[name]) for name in drawings), Text(legend)])


def _latex_tables(document: Document) -> list[tuple[Table, str]]:
    blocks = [block for section in document.sections for block in section.blocks if isinstance(block, Table)]
    return [(block, LATEX_TABLES[block.name]) for block in blocks if block.name in LATEX_TABLES]
