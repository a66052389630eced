"""Write the report of a suite, everything in it derived from the plan and the records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablations.analysis.analyse import Analysis, analyse
from ablations.analysis.comparisons import Comparisons
from ablations.analysis.results import Results
from ablations.records.suite_folder import SuiteFolder
from ablations.report.contents import CSV_FILES, compose, latex_tables
from ablations.report.formats import html, latex, markdown
from ablations.report.sections.figures import figures_of
from ablations.report.svg import write_drawings
from ablations.storage import atomic

REPORT_FILE = "report.md"
PAGE_FILE = "report.html"
LATEX_FILE = "summary.tex"


@dataclass(frozen=True, kw_only=True)
class Report:
    """A written report: its path, and what it was written from."""

    path: Path
    results: Results
    comparisons: Comparisons


def write_report(suite_dir: Path, *, compare_with: Path | None = None) -> Report:
    """Write report.md, report.html, summary.tex, the CSV files and figures/ from the suite's records.

    The same records give the same bytes. `compare_with` is the folder of another suite, whose ranking is compared with
    this one's.

    Raises:
        ConfigError: if a plan, a record or predictions cannot be read or do not belong together.
    """
    analysis = analyse(suite_dir, compare_with=compare_with)
    document = compose(analysis)
    write_csv_files(suite_dir, analysis)
    drawings = {figure.name: figure.draw(analysis) for figure in figures_of(analysis)}
    svgs = write_drawings(drawings, folder=SuiteFolder(suite_dir).figures)
    atomic.write_text(suite_dir / REPORT_FILE, markdown.render(document))
    atomic.write_text(suite_dir / PAGE_FILE, html.render(document, svgs=svgs))
    atomic.write_text(suite_dir / LATEX_FILE, latex.render(latex_tables(document)))
    return Report(path=suite_dir / REPORT_FILE, results=analysis.results, comparisons=analysis.comparisons)


def write_csv_files(suite_dir: Path, analysis: Analysis) -> None:
    """Write each of CSV_FILES; errors are fractions there, times seconds, memory bytes."""
    for name, frame_of in CSV_FILES.items():
        atomic.write_text(suite_dir / f"{name}.csv", frame_of(analysis).to_csv(index=False, lineterminator="\n"))
