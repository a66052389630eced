"""A suite on Ray whose workers and nodes are killed again and again loses no run and trains none to another record."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ablations.data.dataset import Dataset
from ablations.execution.ray import MAX_RETRIES, run_on_ray
from ablations.execution.ray_cluster import connected
from ablations.execution.serial import run_serially
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event, RunEnded
from ablations.training.options import ExecutionOptions
from tests.support.records import OutcomeOf, assert_same_records

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = [pytest.mark.process, pytest.mark.slow]
NODES = 2  # with one core each, beside the head, which trains nothing and stays
KILLS = 20
EPOCHS = 20  # some seconds of a run
NODE_SHARE = 0.3  # of the kills
MOST_EPOCHS = 12  # of all runs, between two kills
MOST_SECONDS = 30.0  # between two kills
LOOK_SECONDS = 0.05  # between two looks for an epoch that is over, or a worker that trains


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_worker_niceness", "0")
    head = {"num_cpus": 0, "include_dashboard": False}
    # Otherwise each node sets signal handlers, which the thread that adds nodes cannot.
    cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
    try:
        for _ in range(NODES):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


class Killer(threading.Thread):
    """Observer that kills workers that train, and nodes, which it replaces, after random numbers of epochs."""

    def __init__(self, cluster: Any, *, seed: int) -> None:
        super().__init__(daemon=True)
        self.killed: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.over = threading.Event()
        self.events: list[Event] = []
        self._cluster, self._rng = cluster, random.Random(seed)

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def run(self) -> None:
        try:
            while self.killed.total() < KILLS and not self.over.is_set():
                self._wait_for_epochs(self._rng.randint(0, MOST_EPOCHS))
                if self._rng.random() < NODE_SHARE:
                    self._kill_node()
                else:
                    self._kill_worker()
        except BaseException as error:  # the test raises it
            self.error = error

    def _wait_for_epochs(self, count: int) -> None:
        first, deadline = len(self.events), time.monotonic() + MOST_SECONDS
        while sum(isinstance(event, EpochDone) for event in self.events[first:]) < count:
            if self.over.wait(LOOK_SECONDS) or time.monotonic() >= deadline:
                return

    def _kill_node(self) -> None:
        node = self._rng.choice(list(self._cluster.worker_nodes))
        os.kill(raylet_of(node), signal.SIGKILL)
        self.killed["node"] += 1
        self._cluster.remove_node(node, allow_graceful=False)
        self._cluster.add_node(num_cpus=1)

    def _kill_worker(self) -> None:
        while not self.over.is_set():
            workers = [pid for node in self._cluster.worker_nodes for pid in training_workers(raylet_of(node))]
            if workers:
                with suppress(ProcessLookupError):
                    os.kill(self._rng.choice(workers), signal.SIGKILL)
                    self.killed["worker"] += 1
                return
            self.over.wait(LOOK_SECONDS)


def raylet_of(node: Any) -> int:
    """The process of a node that starts its workers."""
    return node.all_processes["raylet"][0].process.pid


def training_workers(raylet: int) -> list[int]:
    """The workers of a raylet that train a run: Ray names processes after what they do."""
    found = []
    for pid in Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::train_run"):
                found.append(int(pid))
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_kill_of_workers_and_nodes_loses_or_changes_a_record(
    cluster: Any,
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    outcome_of: OutcomeOf,
    seed: int,
) -> None:
    kinds: list[dict[str, Any]] = [{}, {"flip": 0.5, "crop_padding": 1, "cutout": 2}, {"validation_fraction": 0.2}]
    configs = [make_config(epochs=EPOCHS, seed=number, **kind) for number in range(1, 5) for kind in kinds]
    options = ExecutionOptions(executor="ray", ray_address=cluster.address)
    ours, theirs = SuiteFolder(tmp_path / "ours"), SuiteFolder(tmp_path / "theirs")
    run_serially(configs, dataset=tiny_digits, suite=theirs, options=ExecutionOptions())
    killer = Killer(cluster, seed=seed)

    with connected(options):
        killer.start()
        try:
            records = run_on_ray(configs, dataset=tiny_digits, suite=ours, options=options, on_event=killer.on_event)
        finally:
            killer.over.set()
            killer.join()
        assert killer.error is None and killer.killed.total() == KILLS
        ended = [event.record for event in killer.events if isinstance(event, RunEnded)]
        assert sorted(record.run_id for record in ended) == sorted(config.run_id for config in configs)
        assert [ours.run(config).read_result() for config in configs] == records
        failed = [record for record in records if record.status != "done"]
        for record in failed:
            assert record.status == "failed" and f"its worker died {MAX_RETRIES + 1} times" in record.message
        print(f"\nseed {seed}: killed {dict(killer.killed)}, {len(failed)} runs of {len(configs)} failed")

        # Without kills, what failed goes on and is done.
        run_on_ray(configs, dataset=tiny_digits, suite=ours, options=options)
    assert_same_records(configs, ours, theirs, outcome_of=outcome_of)
