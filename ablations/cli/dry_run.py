"""--dry-run: time the first steps of each variant of a suite, say what a run takes, and keep that for --plan."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ablations import experiment
from ablations.analysis.planning.run_costs import calibrations_in
from ablations.cli.arguments import Arguments
from ablations.cli.listing import image_of
from ablations.cli.running import execution_options
from ablations.experiment import DataSource, DryRun
from ablations.records.suite_folder import SuiteFolder
from ablations.storage import atomic
from ablations.suites.suite import Suite
from googlenet.counts import count_macs, count_params


def show_dry_run(suite: Suite, data: DataSource, *, arguments: Arguments, command: str, console: Console) -> bool:
    """Print a line for each variant once its first steps are timed, and write the lines to the suite's folder.

    What a run takes goes into the calibrations in the folder of results. A variant that fails does not stop the others.
    Returns whether none failed.
    """
    lines = [_heading(suite.name)]
    calibrations = calibrations_in(arguments.results)
    console.print(Text(lines[0]), soft_wrap=True)
    failed = 0
    for variant in experiment.dry_run(suite, data=data, options=execution_options(arguments), command=command):
        lines.append(f"- {_line(variant)}")
        console.print(Text(lines[-1]), soft_wrap=True)
        if variant.calibration is None:
            failed += 1
        else:
            calibrations.path.parent.mkdir(parents=True, exist_ok=True)
            calibrations.append(variant.calibration)
    path = SuiteFolder(arguments.results / suite.name).dry_run_report
    atomic.write_text(path, "\n".join([f"# {lines[0]}", "", f"    {command}", "", *lines[1:], ""]))
    console.print(Text(f"report of the dry run: {path}; its times, for --plan: {calibrations.path}"), soft_wrap=True)
    return not failed


def _heading(suite: str) -> str:
    """The heading of a dry run's lines."""
    return f"Dry run of suite {suite}: a few steps of each variant, to time them. These are no results."


def _line(variant: DryRun) -> str:
    """What a variant's first steps showed, as one line."""
    config, outcome = variant.config, variant.outcome
    arch, recipe = config.architecture, config.recipe
    said = (
        f"{arch.name}: recipe {recipe.name}, {recipe.precision}, batch {recipe.batch_size} of {image_of(arch)}, "
        f"{count_params(arch, num_classes=config.num_classes):,} parameters, "
        f"{count_macs(arch, num_classes=config.num_classes):,} MACs an image: "
    )
    if isinstance(outcome, Exception):
        return f"{said}FAILED: {type(outcome).__name__}: {next(iter(str(outcome).splitlines()), '')}"
    timed = f"{outcome.timed_steps} step{'' if outcome.timed_steps == 1 else 's'}"
    return (
        f"{said}loss {outcome.loss:.4f}, {outcome.step_seconds:.3f} s a step (mean of {timed}), peak memory "
        f"{outcome.peak_memory_bytes / 1e6:,.0f} MB; {outcome.steps:,} steps a run, which would take about "
        f"{outcome.run_seconds / 3600:,.2f} h"
    )
