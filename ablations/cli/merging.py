"""--merge: take finished runs out of other results folders, say what became of them, and report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ablations.cli.outcome import show_outcome
from ablations.errors import ConfigError
from ablations.records.merge import MergedFolder, merge
from ablations.records.suite_folder import SuiteFolder
from googlenet.validation import check_name


def merge_and_report(folder: SuiteFolder, directories: Sequence[Path], console: Console) -> None:
    """Merge the finished runs of these folders, say in a line how many of each there were, and write the report.

    Raises:
        UserError: if the folders cannot be merged (see `records.merge.merge`), or the report cannot be written.
    """
    try:
        check_name("suite", folder.path.name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    for outcome in merge(folder, directories):
        console.print(describe_merge(outcome), markup=False, emoji=False, soft_wrap=True)
    show_outcome(folder, None, console)


def describe_merge(outcome: MergedFolder) -> str:
    """What became of the runs in one folder, as one line."""
    kinds = {
        "merged": outcome.copied,
        "there already": outcome.present,
        "not done there": outcome.unfinished,
        "not of this plan": outcome.others,
        "being trained here by another process": len(outcome.busy),
    }
    parts = [f"{number} {kind}" for kind, number in kinds.items() if number or kind == "merged"]
    looks = f"; {outcome.looks} look{'' if outcome.looks == 1 else 's'} taken over" if outcome.looks else ""
    return f"runs in {outcome.source}: {', '.join(parts)}{looks}"
