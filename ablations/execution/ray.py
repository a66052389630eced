"""Executor that trains several runs at once on Ray: on this machine's cores or GPUs, or on the nodes of a cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from ablations.data.dataset import Dataset
from ablations.errors import UserError
from ablations.execution.job import finished, unfinished_record
from ablations.execution.ray_cluster import checked, connected, summary, task_resources, threads_per_run
from ablations.execution.ray_events import Mailbox
from ablations.execution.ray_node import Token
from ablations.execution.ray_worker import PlannedRun, RunOutcome, RunTaken, WorkerSettings, train_run
from ablations.execution.serial import MAX_PASSES
from ablations.execution.signals import PATIENCE_SECONDS
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import Event, RunEnded, RunStarted, ignore
from ablations.training.options import ExecutionOptions
from googlenet.architecture import Architecture
from googlenet.counts import count_macs

POLL_SECONDS = 0.1  # between two looks at the events
MAX_RETRIES = 3  # of a run whose worker or node died
LOCK_SECONDS = 120.0  # until a file server releases the locks of a machine that failed
STOP_SECONDS = PATIENCE_SECONDS + 5.0  # that runs have, once told to stop, to write their records


def run_on_ray(
    runs: Sequence[RunConfig],
    *,
    dataset: Dataset,
    suite: SuiteFolder,
    options: ExecutionOptions,
    on_event: Callable[[Event], None] = ignore,
) -> list[RunRecord]:
    """Execute every planned run like `run_serially`, as many at a time as Ray has GPUs or CPU cores for.

    A run whose worker or node dies starts again after its last epoch, on another node if there is one; after
    `MAX_RETRIES` its record says so. A run that another process trains is skipped as by `run_serially`.

    Raises:
        KeyboardInterrupt: passed on after the current runs were stopped and saved as "interrupted".
        UserError: if nothing of this suite can be run, or Ray cannot be used.
    """
    planned = [PlannedRun(position, len(runs), config) for position, config in enumerate(runs, start=1)]
    records: dict[int, RunRecord] = {}

    def end(run: PlannedRun, record: RunRecord, *, skipped: bool) -> None:
        records[run.position] = record
        on_event(RunEnded(record=record, position=run.position, total=run.total, skipped=skipped))

    for run in planned:
        record = finished(suite.run(run.config))
        if record is not None:
            end(run, record, skipped=True)
    if len(records) < len(planned):
        with connected(options) as nodes:
            threads = threads_per_run([node["Resources"] for node in nodes], options=options)
            with (
                checked(nodes if options.ray_address else [], suite_dir=suite.path.resolve()) as token,
                _Tasks(dataset, suite=suite, options=options, threads=threads, token=token, on_event=on_event) as tasks,
            ):
                for _ in range(MAX_PASSES):
                    left = [run for run in planned if run.position not in records]
                    for run, outcome in tasks.train(longest_first(left)):
                        end(run, outcome.record, skipped=outcome.skipped)
    return [records[position] for position in sorted(records)]


def longest_first(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The runs seed by seed as planned, those of a seed in falling order of multiply-adds.

    A long run that starts last would leave all but one of the devices without work.
    """

    @functools.cache
    def macs(architecture: Architecture, num_classes: int) -> int:
        return count_macs(architecture, num_classes=num_classes)

    first = {run.config.seed: run.position for run in reversed(runs)}

    def order(run: PlannedRun) -> tuple[int, int]:
        config = run.config
        return first[config.seed], -config.recipe.epochs * macs(config.architecture, config.num_classes)

    return sorted(runs, key=order)


class _Tasks:
    """A suite's runs as tasks of Ray; on leaving the context with an error, those that run are stopped."""

    def __init__(
        self,
        dataset: Dataset,
        *,
        suite: SuiteFolder,
        options: ExecutionOptions,
        threads: int,
        token: Token,
        on_event: Callable[[Event], None],
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = ray.get_runtime_context().get_node_id()
        with_driver = NodeAffinitySchedulingStrategy(here, soft=False)  # no other node's failure loses the events
        self._mailbox: Any = ray.remote(num_cpus=0)(Mailbox).options(scheduling_strategy=with_driver).remote()
        self._dataset = ray.put(dataset)  # goes to each node once, and its runs share it
        settings = WorkerSettings(
            suite_dir=suite.path.resolve(),
            options=options,
            threads=threads,
            driver_node=here,
            mailbox=self._mailbox,
            token=token,
        )
        self._settings = ray.put(settings)
        # A process sees the GPU that it was given first only, so that each run on a GPU has a new one.
        max_calls = 1 if options.device.type == "cuda" else 0
        resources = task_resources(options)
        self._train: Any = ray.remote(max_retries=MAX_RETRIES, max_calls=max_calls, **resources)(train_run)
        self._suite, self._options, self._on_event = suite, options, on_event
        self._waiting: dict[Any, PlannedRun] = {}
        self._started: set[str] = set()
        self._running: set[str] = set()

    def __enter__(self) -> _Tasks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        for task in self._waiting:
            ray.cancel(task)
        if self._waiting:
            ray.wait(list(self._waiting), num_returns=len(self._waiting), timeout=STOP_SECONDS)

    def train(self, runs: Sequence[PlannedRun]) -> Iterator[tuple[PlannedRun, RunOutcome]]:
        """Train runs side by side and yield each one's outcome; runs that another process trains are left out."""
        import ray

        for run in runs:
            # The lock of a run that started here may be one of a node that failed.
            patience = LOCK_SECONDS if run.config.run_id in self._started else 0.0
            self._waiting[self._train.remote(self._dataset, self._settings, run, patience)] = run
        while self._waiting:
            tasks = list(self._waiting)
            ended, _ = ray.wait(tasks, num_returns=len(tasks), timeout=POLL_SECONDS)
            self._tell()
            for task in ended:
                outcome = self._outcome(task)
                run = self._waiting.pop(task)
                if isinstance(outcome, UserError):
                    raise outcome
                if isinstance(outcome, RunTaken):
                    continue
                if not outcome.skipped and run.config.run_id not in self._running:  # its worker died before it said so
                    self._on_event(RunStarted(config=run.config, position=run.position, total=run.total))
                self._running.discard(run.config.run_id)
                yield run, outcome

    def _tell(self) -> None:
        """Pass on the events that have arrived, but for those of a run that has ended on another node since."""
        import ray

        for event in ray.get(self._mailbox.take.remote()):
            if isinstance(event, RunStarted):
                self._started.add(event.config.run_id)
                self._running.add(event.config.run_id)
                self._on_event(event)
            elif event.run_id in self._running:
                self._on_event(event)

    def _outcome(self, task: Any) -> RunOutcome | RunTaken | UserError:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return ray.get(task)
        except RayTaskError as error:
            message = summary(error)
        except RayError as error:
            message = f"its worker died {MAX_RETRIES + 1} times ({type(error).__name__})"
        return self._save_failure(self._waiting[task].config, message)

    def _save_failure(self, config: RunConfig, message: str) -> RunOutcome | RunTaken:
        folder = self._suite.run(config)
        with self._suite.locks.run(config.run_id) as mine:
            if not mine:
                return RunTaken(config.run_id)
            record = unfinished_record(
                folder,
                options=self._options,
                test_accesses=int(folder.has_predictions),
                status="failed",
                message=message,
            )
            folder.write_result(record)
        return RunOutcome(record, skipped=False)
