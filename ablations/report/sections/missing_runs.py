"""Missing runs: planned runs that are not done, and the commands that train them."""

from __future__ import annotations

from ablations.analysis.analyse import Analysis
from ablations.report.document import Items, Section, Text
from ablations.report.formats.markdown import commands, escape

TITLE = "Missing runs"


def missing_runs_section(analysis: Analysis) -> Section:
    """Planned runs that are not done, with their status, and the commands that train them."""
    results = analysis.results
    lines = []
    for _, row in results.runs[results.runs["status"] != "done"].iterrows():
        reason = f": {escape(row['message'])}" if row["message"] else ""
        lines.append(
            f"`{row['run_id']}` {row['status']} after {row['epochs']} of {row['planned_epochs']} epochs{reason}"
        )
    if not lines:
        return Section(TITLE, [Text("None: every planned run is done.")])
    return Section(TITLE, [Items(lines), Text(f"To train them: {commands(results.plan.commands)}")])
