"""What a worker of Ray does with one run, and how it tells of events, without Ray."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ablations.data.dataset import Dataset
from ablations.errors import ConfigError, DataError, DeviceLost
from ablations.execution import ray_worker
from ablations.execution.ray_events import EventSender, Mailbox
from ablations.execution.ray_node import Token, view_node
from ablations.execution.ray_worker import PlannedRun, RunOutcome, RunTaken, WorkerSettings, train_run
from ablations.execution.serial import run_serially
from ablations.records.locks import Locks
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import RunStarted, StepDone, TrainingStarted
from ablations.training.options import ExecutionOptions


class DirectMailbox:
    """A mailbox in this process, called as Ray's actors are."""

    def __init__(self) -> None:
        mailbox = Mailbox()
        self.put = SimpleNamespace(remote=mailbox.put)
        self.take = mailbox.take


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    monkeypatch.setattr(ray_worker, "_place", lambda driver_node: "node-b GPU 1")
    path = tmp_path / "token"
    path.write_text(path.name, encoding="utf-8")
    return WorkerSettings(
        suite_dir=tmp_path,
        options=ExecutionOptions(),
        threads=1,
        driver_node="a",
        mailbox=DirectMailbox(),
        token=Token(path, view_node(path).versions),
    )


def test_a_run_says_where_it_starts(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, settings: WorkerSettings
) -> None:
    config = make_config(epochs=1)
    outcome = train_run(tiny_digits, settings, PlannedRun(3, 7, config), 0.0)
    assert isinstance(outcome, RunOutcome) and not outcome.skipped and outcome.record.status == "done"
    started, training, *_ = settings.mailbox.take()
    assert started == RunStarted(config=config, position=3, total=7, place="node-b GPU 1")
    assert isinstance(training, TrainingStarted)


def test_a_run_that_another_process_finished_meanwhile_is_not_trained(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, settings: WorkerSettings
) -> None:
    config = make_config(epochs=1)
    suite = SuiteFolder(settings.suite_dir)
    (record,) = run_serially([config], dataset=tiny_digits, suite=suite, options=ExecutionOptions())
    assert train_run(tiny_digits, settings, PlannedRun(1, 1, config), 0.0) == RunOutcome(record, skipped=True)
    assert settings.mailbox.take() == []


def test_a_node_that_has_other_versions_trains_nothing(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, settings: WorkerSettings
) -> None:
    token = settings.token._replace(versions={"torch": "1.0"})
    run = PlannedRun(1, 1, make_config(epochs=1))
    refused = train_run(tiny_digits, replace(settings, token=token), run, 0.0)
    assert isinstance(refused, ConfigError) and "instead of 1.0; install the same versions on all nodes" in str(refused)
    assert settings.mailbox.take() == [] and not SuiteFolder(settings.suite_dir).run(run.config).path.exists()


def test_a_run_that_another_process_has_is_waited_for_in_vain(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, settings: WorkerSettings
) -> None:
    config = make_config(epochs=1)
    with Locks(settings.suite_dir).run(config.run_id):
        began = time.monotonic()
        outcome = train_run(tiny_digits, settings, PlannedRun(1, 1, config), 0.1)
    assert outcome == RunTaken(config.run_id)
    assert time.monotonic() - began >= 0.1


def test_what_the_user_must_repair_is_returned(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, settings: WorkerSettings
) -> None:
    other = replace(tiny_digits, fingerprint="another")
    outcome = train_run(other, settings, PlannedRun(1, 1, make_config()), 0.0)
    assert isinstance(outcome, DataError) and "fingerprint is another" in str(outcome)


def test_a_run_that_loses_the_gpu_leaves_its_record_to_the_others(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    settings: WorkerSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, train = make_config(epochs=1), ray_worker.train_to_record

    def lose(*given: Any, **named: Any) -> None:
        train(*given, **named)
        raise DeviceLost("lost")

    monkeypatch.setattr(ray_worker, "train_to_record", lose)
    outcome = train_run(tiny_digits, settings, PlannedRun(1, 1, config), 0.0)
    record = SuiteFolder(settings.suite_dir).run(config).read_result()
    assert record is not None and outcome == RunOutcome(record, skipped=False)


def test_steps_are_summed_up_and_told_before_what_follows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    mailbox = DirectMailbox()
    send = EventSender(mailbox)
    for moment in (0.05, 0.1, 0.25, 0.3):
        now[0] = moment
        send(StepDone(run_id="r", images=32, loss=moment))
    assert mailbox.take() == [StepDone(run_id="r", images=96, loss=0.25)]
    after = TrainingStarted(run_id="r", finished_epochs=0, train_images=1)
    send(after)
    assert mailbox.take() == [StepDone(run_id="r", images=32, loss=0.3), after]
