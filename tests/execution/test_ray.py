"""Runs on Ray: the records of one run after the other, whatever node or worker dies, and nothing left when stopped."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.errors import DataError
from ablations.execution import ray as executor
from ablations.execution.executor import choose_executor
from ablations.execution.ray import run_on_ray
from ablations.execution.ray_cluster import SETTINGS, connected
from ablations.execution.ray_worker import PlannedRun, RunOutcome, WorkerSettings
from ablations.execution.serial import run_serially
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event, RunEnded, RunStarted, StepDone, SuiteStarted, TrainingStarted
from ablations.training.options import ExecutionOptions
from tests.support.command_line import start_main
from tests.support.records import OutcomeOf, without_times

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = pytest.mark.process
# Epochs of the run whose node is killed: it must still train when the driver hears of its first.
LONG = 20
ENDLESS = 100_000


class Nodes(NamedTuple):
    """Two simulated machines with one core each, connected to, and the options of runs on them."""

    cluster: Any
    second: Any
    options: ExecutionOptions


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    from ray.cluster_utils import Cluster

    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    options = ExecutionOptions(executor="ray", ray_address=cluster.address)
    try:
        with connected(options):
            yield Nodes(cluster, second, options)
    finally:
        cluster.shutdown()


def test_records_are_those_of_one_run_after_the_other_although_a_node_is_killed(
    nodes: Nodes, make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, outcome_of: OutcomeOf
) -> None:
    configs = [
        make_config(epochs=2, seed=1),
        make_config(epochs=LONG, seed=2, flip=0.5, validation_fraction=0.2),
        make_config(epochs=LONG, seed=3),
        make_config(epochs=2, optimizer="sgd", learning_rate=1e20, schedule="constant"),  # diverges
    ]
    ours, theirs = SuiteFolder(tmp_path / "ours"), SuiteFolder(tmp_path / "theirs")
    events: list[Event] = []
    killed: list[str] = []
    elsewhere: set[str] = set()
    run_serially(configs[:1], dataset=tiny_digits, suite=ours, options=ExecutionOptions())

    def kill_the_second_node(event: Event) -> None:
        events.append(event)
        if isinstance(event, RunStarted) and event.place:
            elsewhere.add(event.config.run_id)
        if isinstance(event, EpochDone) and event.run_id in elsewhere and event.epoch.epoch < LONG // 2 and not killed:
            killed.append(event.run_id)
            nodes.cluster.remove_node(nodes.second, allow_graceful=False)

    assert choose_executor(nodes.options) is run_on_ray
    records = run_on_ray(configs, dataset=tiny_digits, suite=ours, options=nodes.options, on_event=kill_the_second_node)
    expected = run_serially(configs, dataset=tiny_digits, suite=theirs, options=ExecutionOptions())

    assert [record.status for record in records] == ["done", "done", "done", "diverged"]
    for record, other in zip(records, expected, strict=True):
        assert without_times(record) == without_times(other)
        assert ours.run(record.config).read_result() == record
        if record.status == "done":
            found = [outcome_of(suite.run(record.config)) for suite in (ours, theirs)]
            torch.testing.assert_close(*found, rtol=0, atol=0)

    (moved,) = killed
    starts = [event for event in events if isinstance(event, RunStarted) and event.config.run_id == moved]
    assert [bool(event.place) for event in starts] == [True, False]
    resumed = [
        event.finished_epochs for event in events if isinstance(event, TrainingStarted) and event.run_id == moved
    ]
    assert resumed[0] == 0 and 1 <= resumed[1] < LONG
    valid = {record.run_id: record.times.timing_valid for record in records if record.times}
    assert valid == {config.run_id: config.run_id != moved for config in configs[:3]}
    assert events[0] == RunEnded(record=records[0], position=1, total=4, skipped=True)
    for record in records[1:]:
        check_events(events, record, moved=record.run_id == moved)


def run_of(event: Event) -> str:
    """The id of the run that an event is about."""
    if isinstance(event, RunStarted):
        return event.config.run_id
    assert not isinstance(event, SuiteStarted)
    return event.record.run_id if isinstance(event, RunEnded) else event.run_id


def check_events(events: list[Event], record: RunRecord, *, moved: bool) -> None:
    """One run's events come in order; where it stayed on its node, each epoch once, and steps tell of every image."""
    own = [event for event in events if run_of(event) == record.run_id]
    assert isinstance(own[0], RunStarted) and isinstance(own[-1], RunEnded) and own[-1].record == record
    told = [event.epoch for event in own if isinstance(event, EpochDone)]
    assert set(told) <= set(record.epochs) and told[-1:] == list(record.epochs[-1:])
    if not moved:
        assert told == list(record.epochs)
        images = sum(event.images for event in own if isinstance(event, StepDone))
        assert record.train_images is None or images == record.train_images * len(record.epochs)


def test_a_worker_that_dies_each_time_leaves_a_record_and_the_next_run_is_trained(
    nodes: Nodes,
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, configs = executor.train_run, [make_config(epochs=1, seed=seed) for seed in (1, 2)]
    fatal, tries = configs[0].run_id, tmp_path / "tries"

    def train_or_die(dataset: Dataset, settings: WorkerSettings, run: PlannedRun, patience: float) -> Any:
        if run.config.run_id == fatal:
            with tries.open("a") as file:
                file.write("x")
            os._exit(1)
        return train(dataset, settings, run, patience)

    monkeypatch.setattr(executor, "train_run", train_or_die)
    monkeypatch.setattr(executor, "MAX_RETRIES", 1)
    events: list[Event] = []
    suite = SuiteFolder(tmp_path / "suite")
    died, done = run_on_ray(configs, dataset=tiny_digits, suite=suite, options=nodes.options, on_event=events.append)
    assert (died.status, done.status) == ("failed", "done")
    assert died.message == "its worker died 2 times (WorkerCrashedError)"
    assert tries.read_text() == 2 * "x"
    assert suite.run(configs[0]).read_result() == died
    assert [type(event) for event in events if run_of(event) == fatal] == [RunStarted, RunEnded]


def test_what_the_user_must_repair_stops_the_suite(
    nodes: Nodes, make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    other = replace(tiny_digits, fingerprint="another")
    with pytest.raises(DataError, match="fingerprint is another") as raised:
        run_on_ray([make_config()], dataset=other, suite=SuiteFolder(tmp_path), options=nodes.options)
    assert raised.value.exit_status == 4 and "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]
    assert not list(tmp_path.glob("locks/ray-*"))


def test_within_a_seed_the_longest_runs_come_first(make_config: Callable[..., RunConfig]) -> None:
    runs = [
        PlannedRun(position, 5, config)
        for position, config in enumerate(
            [
                make_config(variant="short4", seed=7),
                make_config(variant="naive", seed=7),
                make_config(variant="short3", seed=7),
                make_config(variant="short4", seed=2),
                make_config(variant="short3", seed=2),
            ],
            start=1,
        )
    ]
    assert [run.position for run in executor.longest_first(runs)] == [2, 3, 1, 5, 4]


@pytest.mark.slow  # by itself on an idle machine: it measures
def test_a_thousand_runs_that_take_no_time_are_done_at_fifty_a_second(
    nodes: Nodes,
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configs = [make_config(epochs=1, seed=seed) for seed in range(1, 1001)]
    (record,) = run_serially(
        configs[:1], dataset=tiny_digits, suite=SuiteFolder(tmp_path / "one"), options=ExecutionOptions()
    )

    def train_none(dataset: Dataset, settings: WorkerSettings, run: PlannedRun, patience: float) -> RunOutcome:
        return RunOutcome(replace(record, run_id=run.config.run_id, config=run.config), skipped=True)

    monkeypatch.setattr(executor, "train_run", train_none)
    ended: list[float] = []
    records = run_on_ray(
        configs,
        dataset=tiny_digits,
        suite=SuiteFolder(tmp_path / "all"),
        options=nodes.options,
        on_event=lambda event: ended.append(time.monotonic()),
    )
    assert [record.run_id for record in records] == [config.run_id for config in configs]
    assert len(ended) == 1000 and 999 / (ended[-1] - ended[0]) >= 50


def test_a_finished_suite_does_not_start_ray(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    configs = [make_config(epochs=1)]
    done = run_serially(configs, dataset=tiny_digits, suite=SuiteFolder(tmp_path), options=ExecutionOptions())
    nowhere = ExecutionOptions(executor="ray", ray_address="127.0.0.1:1")
    assert run_on_ray(configs, dataset=tiny_digits, suite=SuiteFolder(tmp_path), options=nowhere) == done


def test_sigterm_stops_the_runs_keeps_their_epochs_and_leaves_no_process(tmp_path: Path) -> None:
    given = ("--executor", "ray", "--variants", "short4", "--seeds", "2", "--epochs", str(ENDLESS))
    given += ("--limit-train", "100")
    with start_main(*given, results=tmp_path) as process:
        assert process.stdout is not None
        try:
            assert any(": epoch 1/" in line for line in process.stdout)
            group = descendants(process.pid)
            assert group, "Ray's processes"
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 143
    assert time.monotonic() - began < 30
    assert "Traceback" not in err and "To go on:" in err
    assert wait_for_end(group) == []
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "digits" / "runs").glob("*/result.json")]
    assert texts and {json.loads(text)["message"] for text in texts} == {"stopped by a signal"}


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that these started."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").glob("*") for child in (task / "children").read_text().split()
    ]
    return [*children, *(below for child in children for below in descendants(child))]


def wait_for_end(pids: list[int]) -> list[int]:
    """Those of the processes that are still there after at most 20 seconds."""
    for _ in range(200):
        pids = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        if not pids:
            break
        time.sleep(0.1)
    return pids
