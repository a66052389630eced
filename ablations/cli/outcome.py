"""What is printed once a suite is run: its errors and verdicts in tables of 80 columns; the report has the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ablations.analysis.comparisons import Comparisons
from ablations.analysis.results import Results
from ablations.analysis.statistics.verdicts import INCONCLUSIVE
from ablations.cli.console import show_table
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.report import formatting
from ablations.report.document import Column, Style, Table
from ablations.report.sections.answers import answers_table
from ablations.report.sections.comparisons import advice, comparisons_table, interval_name, looks_sentence
from ablations.report.write import Report, write_report


def show_outcome(folder: SuiteFolder, compare_with: Path | None, console: Console) -> Report:
    """Write a suite's report, print its errors, verdicts and answers, and say where the report is; return it.

    Raises:
        ConfigError: if a record cannot be read or the report cannot be written.
    """
    with folder.locks.suite():
        written = write_report(folder.path, compare_with=compare_with)
    plan = written.results.plan
    show_table(errors_and_costs(written.results), console=console, title=f"suite {plan.suite}")
    compared = verdicts(written.comparisons)
    if compared:
        show_table(compared, console=console, title=f"top-1 error against {plan.baseline}")
        if read := looks_sentence(written.comparisons.looks):
            console.print(read, markup=False, emoji=False)
    else:
        console.print(f"no verdict: {written.comparisons.reason}", markup=False, emoji=False, soft_wrap=True)
    if written.answers.answers:
        show_table(answers_table(written.answers, costs=False), console=console, title="does a part matter?")
    pages = f"report: {written.path} and {written.path.with_suffix('.html').name}"
    console.print(pages, markup=False, emoji=False, soft_wrap=True)
    return written


def say_what_was_not_measured(records: Sequence[RunRecord], folder: SuiteFolder, console: Console) -> None:
    """Say how many runs lack the diagnostic of selection bias: one that was done before is not trained again for it."""
    done = [folder.run(record.config) for record in records if record.status == "done"]
    without = sum(not run.diagnosed.read() for run in done)
    if without:
        console.print(
            f"{without} of {len(done)} runs were trained without --measure-selection-bias; --fresh trains them again",
            soft_wrap=True,
        )


def errors_and_costs(results: Results) -> Table:
    """The top-1 error, parameters, MACs and training time of each variant, as it was trained."""
    columns = [
        Column("variant", ("variant",)),
        Column("n", ("n", "n_planned"), format=formatting.count_of),
        Column("top-1 error %", ("top1_error_mean", "top1_error_std"), format=formatting.percent),
        Column("params", ("params",), format=formatting.si),
        Column("MACs", ("macs",), format=formatting.si),
        Column("train s", ("train_seconds_mean",), format=formatting.seconds),
    ]
    return Table("summary", results.summary, columns=columns)


def verdicts(comparisons: Comparisons) -> Table | None:
    """The difference of each variant from the baseline with its verdict; for one seed, the test over images.

    None if there are neither.
    """
    table = comparisons_table(comparisons)
    if table is None or not comparisons.comparisons:
        return table
    columns = [
        Column("variant", ("variant",)),
        Column("points", ("difference",), format=formatting.points),
        Column(interval_name(comparisons.looks), ("low", "high"), format=formatting.signed_interval_of),
        Column("verdict", ("verdict", "verdict_new_images", "verdict_seeds", "n"), format=_verdict, style=_style),
        Column("settled by", ("verdict", "likely", "safe", "advised"), format=lambda _, *numbers: advice(*numbers)),
    ]
    return replace(table, columns=columns)


def _verdict(verdict: str, on_new: str | None, seeds: float | None, n: int) -> str:
    """The verdict, whether it is about these test images only, and which look gave it if not the last."""
    if verdict == INCONCLUSIVE:
        return verdict
    earlier = "" if seeds in (None, n) else f" (at {seeds:.0f} seeds)"
    return verdict + ("" if verdict == on_new else ", on these images") + earlier


def _style(verdict: str, *_: object) -> Style:
    return "plain" if verdict == INCONCLUSIVE else "strong"
