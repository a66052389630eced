"""Several processes on one results folder, and signals to the command line: exit statuses and what is left."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ablations.data.dataset import Dataset
from ablations.execution.serial import run_serially
from ablations.records.locks import Locks
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import Event, RunEnded
from ablations.training.options import ExecutionOptions
from tests.support.command_line import SMALL, run_main, start_main

pytestmark = pytest.mark.process


def records_of(suite_dir: Path) -> dict[str, Any]:
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in suite_dir.glob("runs/*/result.json")
    }


def test_with_runs_that_another_process_trains_the_status_is_5_and_the_others_are_reported(tmp_path: Path) -> None:
    planned = run_main(*SMALL, "--plan", results=tmp_path).out
    names = {found.split("-")[1]: found for found in re.findall(r"digits-short[34]-s1-[0-9a-f]{8}", planned)}
    locks = Locks(tmp_path / "digits")
    with locks.run(names["short3"]):
        with locks.run(names["short4"]):
            status, _, err = run_main(*SMALL, results=tmp_path)
        assert status == 5 and "another process trains 2 of these 2 runs" in err
        assert records_of(tmp_path / "digits") == {}
        status, _, err = run_main(*SMALL, results=tmp_path)
    assert status == 5 and "another process trains 1 of these 2 runs" in err
    assert set(records_of(tmp_path / "digits")) == {names["short4"]}
    report = (tmp_path / "digits" / "report.md").read_text(encoding="utf-8")
    assert "No headline: 1 of 2 planned runs is not done" in report


def test_two_processes_train_no_run_twice_and_lose_none(tmp_path: Path) -> None:
    given = ("--variants", "short3,short4", "--limit-train", "100", "--epochs", "2", "--seeds", "2")
    both = [start_main(*given, results=tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in both]
    statuses = [process.returncode for process in both]
    assert set(statuses) <= {0, 5} and 0 in statuses, [err for _, err in outputs]
    ended = [line for out, _ in outputs for line in re.findall(r"\] (digits-\S+): top-1 error", out)]
    assert len(ended) == len(set(ended)) == 4, "each run was trained by one of the two"
    records = records_of(tmp_path / "digits")
    assert sorted(records) == sorted(ended) and {record["status"] for record in records.values()} == {"done"}
    for run_id, record in records.items():
        lines = (tmp_path / "digits" / "runs" / run_id / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
        assert len(record["epochs"]) == 2


ENDLESS_STEP = """
import os, signal, sys
from ablations.cli.main import main
from ablations.execution import job, signals
from ablations.training.events import TrainingStarted

def train(config, *, on_event, **named):
    on_event(TrainingStarted(run_id=config.run_id, finished_epochs=0, train_images=1))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    print("in a step", flush=True)
    while os.read(reading, 1):
        print("received", flush=True)

job.train = train
signals.PATIENCE_SECONDS = 3600.0
sys.exit(main(sys.argv[1:]))
"""


def test_a_first_ctrl_c_waits_for_the_step_and_a_second_one_stops_at_once(tmp_path: Path) -> None:
    with start_main("--variants", "short4", results=tmp_path, code=ENDLESS_STEP) as process:
        assert process.stdout is not None
        try:
            assert "in a step\n" in iter(process.stdout.readline, "")
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "received\n"  # and the step goes on
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err and "To go on:" in err
    (record,) = records_of(tmp_path / "digits").values()
    assert record["status"] == "interrupted"


def test_a_run_that_another_process_finishes_before_it_is_locked_is_not_trained_again(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, lock = make_config(epochs=1), Locks.run
    (theirs,) = run_serially(
        [config], dataset=tiny_digits, suite=SuiteFolder(tmp_path / "theirs"), options=ExecutionOptions()
    )

    @contextmanager
    def finished_before_locked(locks: Locks, run_id: str) -> Iterator[bool]:
        shutil.copytree(tmp_path / "theirs" / "runs" / run_id, tmp_path / "ours" / "runs" / run_id)
        with lock(locks, run_id) as mine:
            yield mine

    monkeypatch.setattr(Locks, "run", finished_before_locked)
    events: list[Event] = []
    records = run_serially(
        [config],
        dataset=tiny_digits,
        suite=SuiteFolder(tmp_path / "ours"),
        on_event=events.append,
        options=ExecutionOptions(),
    )
    assert records == [theirs]
    assert events == [RunEnded(record=theirs, position=1, total=1, skipped=True)]
