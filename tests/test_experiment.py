"""The library's door: plan, run, resume, load and report a suite without the command line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import ablations
from ablations import (
    DataSource,
    ExecutionOptions,
    Suite,
    find_suite,
    load_results,
    load_trained,
    run_suite,
    write_report,
)
from ablations.report.sections import figures
from ablations.suites.suite import select
from ablations.training.events import Event, RunEnded, SuiteStarted
from tests.support.command_line import run_main

OPTIONS = ExecutionOptions()  # on the CPU
SHARED = {"options": OPTIONS, "data": DataSource(directory=Path("nowhere"))}  # digits need no directory


@pytest.fixture(scope="module")
def suite() -> Suite:
    """One run of one epoch on 100 digits, an eighth as wide."""
    chosen = select(find_suite("digits"), variants=("short4",), seeds=1, epochs=1, limit_train=100)
    return replace(chosen, name="tiny")


@pytest.fixture(scope="module")
def results(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results after the suite was run once."""
    folder = tmp_path_factory.mktemp("results")
    (record,) = run_suite(suite, results=folder, **SHARED)
    assert record.status == "done" and record.train_images == 100
    return folder


def test_a_suite_that_is_done_is_skipped(suite: Suite, results: Path) -> None:
    events: list[Event] = []
    (record,) = run_suite(suite, results=results, on_event=events.append, **SHARED)
    assert events == [
        SuiteStarted(runs=(record.config,)),
        RunEnded(record=record, position=1, total=1, skipped=True),
    ]


def test_fresh_archives_the_run_and_gives_the_same_result_again(suite: Suite, results: Path, tmp_path: Path) -> None:
    (first,) = run_suite(suite, results=tmp_path, **SHARED)
    events: list[Event] = []
    (second,) = run_suite(suite, results=tmp_path, fresh=True, on_event=events.append, **SHARED)
    assert isinstance(events[0], SuiteStarted)
    (archived,) = events[0].archived
    assert archived.name == first.run_id and (archived / "result.json").is_file()
    assert (first.test, first.config) == (second.test, second.config)
    other = load_results(results / "tiny").runs
    assert second.test is not None and list(other["top1_error"]) == [second.test.top1_error]


@pytest.mark.process
def test_run_ids_are_those_of_the_command_lines_plan(tmp_path: Path) -> None:
    suite = tmp_path / "tiny.toml"
    suite.write_text(
        'name = "tiny"\naxis = "depth"\nvaries = ["stages"]\ndataset = "digits"\n'
        'recipe = { base = "digits", epochs = 1 }\nvariants = ["short4"]\nwidth = 0.125\nlimit_train = 100\n',
        encoding="utf-8",
    )
    planned = run_main("--suite", str(suite), "--plan", results=tmp_path).out
    (record,) = run_suite(str(suite), results=tmp_path, **SHARED)
    assert re.findall(r"digits-short4-s1-[0-9a-f]{8}", planned) == [record.run_id]


def test_results_are_loaded_and_reported(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FIGURES", ())
    loaded = load_results(results / "tiny")
    assert isinstance(loaded, ablations.Results) and loaded.complete
    (error,) = loaded.runs["top1_error"]
    report = write_report(results / "tiny")
    assert isinstance(report, ablations.Report)
    text = report.path.read_text(encoding="utf-8")
    assert report.path == results / "tiny" / "report.md" and f"{100 * error:.2f}" in text
    assert "ablations.run_suite" in text, "how it was run"


def test_the_trained_network_is_loaded_by_the_runs_folder(results: Path) -> None:
    (run,) = (results / "tiny" / "runs").iterdir()
    model = load_trained(run)  # its predictions are tested in tests/training/test_train.py
    assert (model.arch.name, model.arch.width, model.training) == ("short4", 1 / 8, False)


def test_a_name_that_the_library_lacks_is_an_attribute_error() -> None:
    assert all(getattr(ablations, name) for name in ablations.__all__)
    with pytest.raises(AttributeError, match="module 'ablations' has no attribute 'run_suit'"):
        _ = ablations.run_suit  # pyright: ignore[reportAttributeAccessIssue]
