"""TODO"""

from __future__ import annotations

from ablations.analysis.results import Results
from ablations.report.document import Items, Section, Text
from ablations.report.formats.markdown import commands, escape


def missing_runs_section(results: Results) -> Section:
    """Planned runs that are not done and the command that trains them."""
    lines = []
    for _, row in results.runs[results.runs["status"] != "done"].iterrows():
        reason = f": {escape(row['message'])}" if row["message"] else ""
        lines.append(
            f"`{row['run_id']}` {row['status']} after {row['epochs']} of {row['planned_epochs']} epochs{reason}"
        )
    if not lines:
        return Section("Runs that are not in the figures", [Text("None: every planned run is done.")])
    to_train = Text(f"To train them: {commands(results.plan.commands)}")
    return Section("Runs that are not in the figures", [Items(lines), to_train])
