"""Write the report of a suite, everything in it derived from the plan and the records."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablations.analysis.analyse import Analysis, analyse
from ablations.analysis.answers import Answers
from ablations.analysis.comparisons import Comparisons
from ablations.analysis.results import Results
from ablations.errors import ConfigError, UserError
from ablations.records.suite_folder import SuiteFolder
from ablations.report.contents import CSV_FILES, compose, latex_tables
from ablations.report.figures.figure import FigureKind
from ablations.report.formats import html, latex, markdown
from ablations.report.sections import figures
from ablations.report.svg import themed, write_drawings
from ablations.storage import atomic
from ablations.suites.plan import Plan

REPORT_FILE = "report.md"
PAGE_FILE = "report.html"
LATEX_FILE = "summary.tex"
# Names that versions before 0.4.0 gave to CSV files and figures. A file that is renamed leaves its former name here.
FORMER_CSV_FILES = ("fronts", "ranks", "verdicts")
FORMER_FIGURES = ("ranks",)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A written report: its path, and what it was written from."""

    path: Path
    results: Results
    comparisons: Comparisons
    answers: Answers


def write_report(suite_dir: Path, *, compare_with: Path | None = None) -> Report:
    """Write report.md, report.html, summary.tex, the CSV files and figures/ from the suite's records.

    A report with verdicts on new seeds is a look, which ``looks.jsonl`` records. The same records and looks give the
    same bytes. `compare_with` is the folder of another suite, whose ranking is compared with this one's. Figures of an
    earlier report that this one lacks are removed, and so are files under the names that earlier versions used.

    Raises:
        ConfigError: if a plan, a record or predictions cannot be read or do not belong together.
    """
    analysis = analyse(suite_dir, compare_with=compare_with)
    if analysis.comparisons.looks.new:
        looks = SuiteFolder(suite_dir).looks  # rewritten whole, because a line after a torn one would be lost with it
        looks.rewrite([*looks.read(), analysis.comparisons.looks.new])
    drawn = figures.figures_of(analysis)
    _write(suite_dir, analysis, drawn=drawn)
    _remove_stale(suite_dir, drawn=drawn)
    return Report(
        path=suite_dir / REPORT_FILE,
        results=analysis.results,
        comparisons=analysis.comparisons,
        answers=analysis.answers,
    )


def check_report(plan: Plan, suite_dir: Path) -> None:
    """Write a report of the plan without records, with one figure, into a temporary folder in the suite's `figures/`.

    So a report that cannot be written is found before hours of training, not after them.

    Raises:
        ConfigError: if it cannot be written, with the reason.
        DiskFull: if the disk has no room for it.
    """
    folder = SuiteFolder(suite_dir).figures
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".check-") as temporary:
            SuiteFolder(Path(temporary)).write_plan(plan)
            _write(Path(temporary), analyse(Path(temporary)), drawn=figures.FIGURES[:1])
    except UserError:
        raise
    except Exception as error:  # whatever a folder, a package, a font or a setting may cause
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"a report cannot be written in {suite_dir} ({reason}), so nothing is trained; make the folder writable, "
            "or repair what is named by installing this package and its dependencies again"
        ) from error


def _write(suite_dir: Path, analysis: Analysis, *, drawn: Sequence[FigureKind]) -> None:
    document = compose(analysis)
    write_csv_files(suite_dir, analysis)
    drawings = {figure.name: figure.draw(analysis) for figure in drawn}
    svgs = write_drawings(drawings, folder=SuiteFolder(suite_dir).figures)
    embedded = {name: themed(svg) for name, svg in svgs.items()}
    atomic.write_text(suite_dir / REPORT_FILE, markdown.render(document))
    atomic.write_text(suite_dir / PAGE_FILE, html.render(document, svgs=embedded))
    atomic.write_text(suite_dir / LATEX_FILE, latex.render(latex_tables(document)))


def _remove_stale(suite_dir: Path, *, drawn: Sequence[FigureKind]) -> None:
    """Remove figures that were not drawn, and files under former names; other files are the user's."""
    known = dict.fromkeys((*FORMER_FIGURES, *(figure.name for figure in figures.FIGURES)))
    stale = [name for name in known if name not in {figure.name for figure in drawn}]
    for path in (
        *(SuiteFolder(suite_dir).figures / f"{name}.{suffix}" for name in stale for suffix in ("png", "svg")),
        *(suite_dir / f"{name}.csv" for name in FORMER_CSV_FILES),
    ):
        path.unlink(missing_ok=True)


def write_csv_files(suite_dir: Path, analysis: Analysis) -> None:
    """Write each of CSV_FILES; errors are fractions there, times seconds, memory bytes."""
    for name, frame_of in CSV_FILES.items():
        atomic.write_text(suite_dir / f"{name}.csv", frame_of(analysis).to_csv(index=False, lineterminator="\n"))
