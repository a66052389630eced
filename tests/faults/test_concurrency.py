"""Several processes on one results folder, and signals to the command line: exit statuses and what is left."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import run_all
from ablations.data.dataset import Dataset
from ablations.execution.serial import run_serially
from ablations.records.locks import Locks
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import Event, RunEnded
from ablations.training.options import ExecutionOptions

CPU = torch.device("cpu")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--variants", "short3,short4", "--limit-train", "150", "--epochs", "2")


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process; gives its status, output and errors."""

    def call(*given: str) -> tuple[int, str, str]:
        status = run_all.main([*given, "--results", str(tmp_path), "--device", "cpu"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def started(results_dir: Path, *given: str) -> subprocess.Popen[str]:
    command = [sys.executable, "run_all.py", *given, "--results", str(results_dir), "--device", "cpu"]
    environment = {**os.environ, **ONE_THREAD}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def records_of(suite_dir: Path) -> dict[str, Any]:
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in suite_dir.glob("runs/*/result.json")
    }


def run_ids(main: Callable[..., tuple[int, str, str]]) -> dict[str, str]:
    """Planned run ids by variant."""
    _, out, _ = main(*SMALL, "--plan")
    return {found.split("-")[1]: found for found in re.findall(r"digits-short[34]-s1-[0-9a-f]{8}", out)}


def test_when_another_process_has_every_run_the_status_is_5(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    names = run_ids(main)
    locks = Locks(tmp_path / "digits")
    with locks.run(names["short3"]), locks.run(names["short4"]):
        status, _, err = main(*SMALL)
    assert status == 5
    assert "another process trains 2 of these 2 runs" in err
    assert records_of(tmp_path / "digits") == {}


def test_the_runs_that_another_process_leaves_are_taken(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    names = run_ids(main)
    with Locks(tmp_path / "digits").run(names["short3"]):
        status, _, err = main(*SMALL)
    assert status == 5 and "another process trains 1 of these 2 runs" in err
    assert set(records_of(tmp_path / "digits")) == {names["short4"]}
    report = (tmp_path / "digits" / "report.md").read_text(encoding="utf-8")
    assert "No headline: 1 of 2 planned runs are not done" in report
    status, out, _ = main(*SMALL)
    assert status == 0 and out.count("done before") == 1


def test_two_processes_train_no_run_twice_and_lose_none(tmp_path: Path) -> None:
    given = ("--variants", "short3,short4", "--limit-train", "600", "--epochs", "4", "--seeds", "2")
    both = [started(tmp_path, *given) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in both]
    statuses = [process.returncode for process in both]
    assert set(statuses) <= {0, 5} and 0 in statuses, [err for _, err in outputs]
    ended = [line for out, _ in outputs for line in re.findall(r"\] (digits-\S+): top-1 error", out)]
    assert len(ended) == len(set(ended)) == 4, "each run was trained by one of the two"
    records = records_of(tmp_path / "digits")
    assert sorted(records) == sorted(ended) and {record["status"] for record in records.values()} == {"done"}
    for run_id, record in records.items():
        lines = (tmp_path / "digits" / "runs" / run_id / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
        assert len(record["epochs"]) == 4
    again = started(tmp_path, *given)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0 and out.count("done before") == 4, err


ENDLESS_STEP = """
import os, signal, sys
import run_all
from ablations import runner, stopping
from ablations.events import TrainingStarted

def train(config, *, on_event, **named):
    on_event(TrainingStarted(run_id=config.run_id, finished_epochs=0, train_images=1))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    print("in a step", flush=True)
    while os.read(reading, 1):
        print("came", flush=True)

runner.train = train
stopping.PATIENCE_SECONDS = 3600.0
sys.exit(run_all.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("sent", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_first_signal_waits_for_the_step_and_a_second_one_stops_at_once(
    tmp_path: Path, sent: signal.Signals, expected: int
) -> None:
    given = ("--variants", "short4", "--results", str(tmp_path), "--device", "cpu")
    command = [sys.executable, "-c", ENDLESS_STEP, *given]
    environment = {**os.environ, **ONE_THREAD}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert "in a step\n" in iter(process.stdout.readline, "")
            process.send_signal(sent)
            assert process.stdout.readline() == "came\n"  # and the step goes on
            process.send_signal(sent)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == expected
    assert "Traceback" not in err and "To go on:" in err
    (record,) = records_of(tmp_path / "digits").values()
    assert record["status"] == "interrupted"


def test_a_run_that_another_process_finishes_between_the_look_and_the_lock_is_not_trained_again(
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


def test_resume_refuses_other_settings_and_shows_the_difference(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    main(*SMALL)
    before = {path: path.read_bytes() for path in tmp_path.glob("digits/runs/*/*.json")}
    changed = [*SMALL[:-1], "3"]
    status, _, err = main(*changed, "--resume")
    assert status == 2
    assert "recipe.epochs was 2 and is 3" in err and "--fresh" in err
    assert {path: path.read_bytes() for path in tmp_path.glob("digits/runs/*/*.json")} == before
    status, out, _ = main(*changed, "--fresh")
    assert status == 0 and out.count("moved aside") == 2, "the earlier runs are kept elsewhere"
    assert len(list(tmp_path.glob("digits/superseded/*/*/result.json"))) == 2
    assert len(records_of(tmp_path / "digits")) == 2


def test_a_run_folder_of_another_configuration_is_refused(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    name = run_ids(main)["short4"]
    config = tmp_path / "digits" / "runs" / name / "config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"seed": 7}), encoding="utf-8")
    status, _, err = main(*SMALL, "--variants", "short4")
    assert status == 2
    assert "belongs to another configuration" in err and "seed was 7 and is 1" in err and "--fresh" in err
    assert json.loads(config.read_text(encoding="utf-8")) == {"seed": 7}


def test_only_a_suite_of_the_results_can_be_compared_with(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    status, _, err = main("--report", "--compare-with", "../../elsewhere")
    assert status == 2 and "'../../elsewhere' is not usable" in err
    main(*SMALL)
    status, _, err = main(*SMALL, "--report", "--compare-with", "cifar10")
    assert status == 2 and str(tmp_path / "cifar10") in err and "run the suite first" in err


@pytest.mark.parametrize("content", ['{"schema": 2}', "no JSON"], ids=["older-schema", "damaged"])
def test_fresh_is_the_way_out_of_a_record_that_cannot_be_read(
    main: Callable[..., tuple[int, str, str]], tmp_path: Path, content: str
) -> None:
    given = ("--variants", "short4", "--limit-train", "150", "--epochs", "1")
    main(*given)
    (path,) = tmp_path.glob("digits/runs/*/result.json")
    path.write_text(content, encoding="utf-8")
    status, _, err = main(*given)
    assert status == 2 and str(path) in err and "--fresh moves the run aside" in err
    status, out, err = main(*given, "--fresh")
    assert (status, err) == (0, "") and out.count("moved aside") == 1
    (kept,) = tmp_path.glob("digits/superseded/*/*/result.json")
    assert kept.read_text(encoding="utf-8") == content
