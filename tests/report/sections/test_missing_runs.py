"""What a report says of planned runs that are not done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ablations.analysis.results import load_results
from ablations.records.suite_folder import SuiteFolder
from ablations.report.sections.missing_runs import missing_runs_section
from tests.support.synthetic_suites import (
    failed,
    items_of,
    make_analysis,
    make_plan,
    make_record,
    save,
    texts_of,
)


def test_every_missing_run_is_listed_with_its_status_and_the_commands(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short", "long"))
    plan = replace(plan, commands=("python run_all.py --variants 'a`b'", "python run_all.py"))
    records = [make_record(run, wrong=1000) for run in plan.runs]
    stopped = failed(records[1], status="interrupted", message="stopped by a signal")
    diverged = failed(records[2], status="diverged", message="")
    save(tmp_path, plan, [records[0], stopped, diverged, records[3]])
    unfinished = SuiteFolder(tmp_path).run(plan.runs[4])
    unfinished.claim()
    for epoch in records[4].epochs[:3]:
        unfinished.epochs.append(epoch)
    section = missing_runs_section(make_analysis(load_results(tmp_path)))
    assert items_of(section) == [
        f"`{stopped.run_id}` interrupted after 1 of 14 epochs: stopped by a signal",
        f"`{diverged.run_id}` diverged after 1 of 14 epochs",
        f"`{records[4].run_id}` unfinished after 3 of 14 epochs",
        f"`{records[5].run_id}` missing after 0 of 14 epochs",
    ]
    assert texts_of(section) == ["To train them: ``python run_all.py --variants 'a`b'``, then `python run_all.py`"]


def test_a_complete_suite_has_no_missing_run(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced",))
    save(tmp_path, plan, [make_record(run, wrong=1000) for run in plan.runs])
    section = missing_runs_section(make_analysis(load_results(tmp_path)))
    assert (items_of(section), texts_of(section)) == ([], ["None: every planned run is done."])
