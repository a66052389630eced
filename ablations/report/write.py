"""The report of a suite: everything in it is derived from the plan and the records, and can be rebuilt from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ablations.analysis.analyse import analyse
from ablations.analysis.comparisons import Comparisons
from ablations.analysis.results import Results
from ablations.records.suite_folder import SuiteFolder
from ablations.report.contents import compose, latex_tables
from ablations.report.figures import draw_figures
from ablations.report.formats import html, latex, markdown
from ablations.report.svg import write_drawings
from ablations.storage import atomic


def write_csv(suite_dir: Path, results: Results, *, others: Mapping[str, pd.DataFrame]) -> None:
    """Write ``results.csv``, a row a planned run, ``summary.csv``, a row a variant, and what is derived from them."""
    for name, frame in {"results.csv": results.runs, "summary.csv": results.summary, **others}.items():
        atomic.write_text(suite_dir / name, frame.to_csv(index=False, lineterminator="\n"))


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

    `compare_with` is the folder of another suite, whose order of the variants is compared with this one's.

    Raises:
        ConfigError: if a plan, a record or predictions cannot be read or do not belong together.
    """
    analysis = analyse(suite_dir, compare_with=compare_with)
    drawings = draw_figures(analysis.results, fronts=analysis.pareto, rankings=analysis.rankings)
    document = compose(analysis, drawings)
    write_csv(
        suite_dir,
        analysis.results,
        others={
            "verdicts.csv": analysis.comparisons.frame(),
            "fronts.csv": analysis.pareto.table,
            "ranks.csv": analysis.rankings.ranks,
            "per_class.csv": analysis.per_class,
            "calibration.csv": analysis.calibration,
        },
    )
    svgs = write_drawings(drawings, folder=SuiteFolder(suite_dir).figures)
    atomic.write_text(suite_dir / REPORT_FILE, markdown.render(document))
    atomic.write_text(suite_dir / PAGE_FILE, html.render(document, svgs=svgs))
    atomic.write_text(suite_dir / LATEX_FILE, latex.render(latex_tables(document)))
    return Report(path=suite_dir / REPORT_FILE, results=analysis.results, comparisons=analysis.comparisons)
