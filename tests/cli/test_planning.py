"""--plan: what runs cost, how far they are, and what it takes to say so of ten thousand runs."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ablations.cli.planning import show_plan, survey
from ablations.experiment import DataSource, plan_suite
from ablations.records.suite_folder import SuiteFolder
from ablations.storage.serialization import to_plain
from ablations.suites.builtin import SUITES
from ablations.suites.plan import Plan
from ablations.suites.suite import select
from benchmarks.synthetic_records import ENVIRONMENT, make_record
from tests.support.command_line import start_main
from tests.support.synthetic_suites import failed, make_plan, save, save_suite

MEASURED = """
import sys, time
from ablations.cli.main import main
from ablations.hardware.probe import peak_resident_bytes
assert main(sys.argv[1:]) == 0
print(time.process_time(), peak_resident_bytes(), file=sys.stderr)
"""
PLAN = make_plan("cifar10", seeds=3, variants=("reduced", "short"))


def shown(plan: Plan, folder: SuiteFolder, *, slots: int | None = 1) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=200, highlight=False)
    show_plan(survey(plan, folder=folder), console=console, slots=slots)
    return stream.getvalue()


def cells(text: str, variant: str) -> list[str]:
    """The variant's row of the table of costs."""
    rows = [re.split(r" *│ *", line)[1:-1] for line in text.partition("costs of a run")[2].splitlines()]
    return next(row for row in rows if row and row[0] == variant)


def test_hours_are_those_of_a_run_times_the_runs_that_are_left(tmp_path: Path) -> None:
    folder = SuiteFolder(tmp_path / "cifar10")
    records = [make_record(run, wrong=1000, seconds=7193.0) for run in PLAN.runs]  # 7,200 s with all else
    save(folder.path, PLAN, [*records[:2], failed(records[2], status="failed", message="")])
    text = shown(PLAN, folder, slots=2)
    # Two of the three seeds of each are left.
    for variant in ("reduced", "short"):
        assert cells(text, variant)[:6] == [variant, "2", "2.0", "4.0", "1", "1,000"]
    assert "4 of 6 runs are left: 8.0 hours one by one, and at least 4.0 with 2 side by side." in text
    assert "8.0 hours one by one; how many train side by side is known once Ray is connected." in shown(
        PLAN, folder, slots=None
    )
    save(folder.path, PLAN, records[:5])
    assert "1 of 6 runs is left: 2.0 hours one by one." in shown(PLAN, folder)
    assert f"n runs on {ENVIRONMENT.device} (graph), as none were timed on " in text


def test_seeds_beyond_the_plan_count_as_runs_of_it(tmp_path: Path) -> None:
    folder = SuiteFolder(tmp_path / "cifar10")
    save_suite(folder.path, PLAN, wrong={"reduced": [1000] * 3, "short": [1000] * 2})
    state = survey(make_plan("cifar10", seeds=1, variants=("reduced", "short")), folder=folder)
    assert (dict(state.done), len(state.records)) == ({"reduced": 3, "short": 2}, 5)
    longer = make_plan("cifar10", seeds=1, variants=("reduced", "short"), epochs=3)
    assert not survey(longer, folder=folder).done, "runs with another recipe are no runs of it"


def test_epochs_and_status_are_those_of_the_records(tmp_path: Path) -> None:
    folder = SuiteFolder(tmp_path / "cifar10")
    record = make_record(PLAN.runs[1], wrong=1000)
    save(folder.path, PLAN, [make_record(PLAN.runs[0], wrong=1), failed(record, status="oom", message="full")])
    begun = folder.run(PLAN.runs[2])
    begun.claim()
    begun.epochs.rewrite(record.epochs[:4])
    folder.run(PLAN.runs[1]).epochs.rewrite(record.epochs[:1])
    found = survey(PLAN, folder=folder).runs
    assert found["status"].tolist() == ["done", "oom", "unfinished", *["missing"] * 3]
    assert found["epochs"].tolist() == ["14/14", "1/14", "4/14", *["0/14"] * 3]


def test_without_the_data_no_run_is_looked_for(tmp_path: Path) -> None:
    unknown = replace(PLAN, data=replace(PLAN.data, fingerprint=""))
    text = shown(unknown, SuiteFolder(tmp_path / "cifar10"))
    assert text.count("not known") == 6 + 1 and "cifar10-reduced-s1 " in text


@pytest.mark.slow
@pytest.mark.process
def test_ten_thousand_runs_take_seconds_and_less_than_500_megabytes(tmp_path: Path) -> None:
    suite = select(SUITES["digits"], seeds=10_000 // 7 + 1, native_precision="fp32")
    plan = plan_suite(suite, DataSource().summarise("digits"), command="")
    folder = SuiteFolder(tmp_path / "digits")
    for run in plan.runs:
        path = folder.run(run).path
        path.mkdir(parents=True)
        # Without the flush to the disk of each file, which takes minutes.
        (path / "result.json").write_text(json.dumps(to_plain(make_record(run, wrong=1000)), indent=2))
    given = ("--plan", "--seeds", str(suite.seeds))
    with start_main(*given, results=tmp_path, code=MEASURED) as process:
        out, err = process.communicate()
    seconds, peak_bytes = map(float, err.split())
    assert re.search(r"done +│ +10003 ", out)
    assert peak_bytes < 500e6
    assert seconds < 8  # of computing; 4.6 on an idle machine, more where others compute beside it
