"""Run a suite: plan its runs, prepare its folder, execute the runs, and return their records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ablations.data.archives import ARCHIVES
from ablations.data.image_folder import check_results_apart
from ablations.data.registry import load_dataset
from ablations.data.summary import DataSummary
from ablations.errors import ConfigError, DataMissing
from ablations.hardware.probe import native_precision
from ablations.records.calibration import Calibration
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.confounds import check_confounds
from ablations.suites.plan import Plan, make_plan
from ablations.suites.plan_checks import check_against_runs
from ablations.suites.suite import Suite, select
from ablations.suites.suite_file import find_suite

if TYPE_CHECKING:
    from ablations.data.dataset import Dataset
    from ablations.execution.dry_run import FirstSteps
    from ablations.hardware.environment import Environment
    from ablations.suites.run_config import RunConfig
    from ablations.training.events import Event
    from ablations.training.options import ExecutionOptions

logger = logging.getLogger(__name__)

DRY_RUN_SECONDS = 60.0  # of all variants together

# torch is imported where something is trained only, so that plans and reports do without it.


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where a suite's data comes from: `directory` holds archives or, for "folder", train/ and test/.

    `image_size` is the side in pixels that a folder's images are resized to; None expects 32x32.
    """

    directory: Path = Path("data")
    image_size: int | None = None

    def load(self, dataset: str, *, download: bool = True) -> Dataset:
        """Load a dataset by name (see `data.registry.load_dataset`)."""
        return load_dataset(dataset, self.directory, image_size=self.image_size, download=download)

    def summarise(self, dataset: str) -> DataSummary:
        """Summarise a dataset; for an archive that is not downloaded yet, what it would hold.

        Raises:
            DataMissing: if other data is not there.
        """
        try:
            return DataSummary.of(self.load(dataset, download=False))
        except DataMissing:
            if dataset not in ARCHIVES:
                raise
            return DataSummary.of_archive(dataset)


def plan_suite(suite: Suite, data: DataSummary, *, command: str) -> Plan:
    """Plan a suite's runs on its data; a warning names each variant that is left out.

    Raises:
        ConfigError: if an architecture does not fit the data, or variants differ in more than the suite declares.
    """
    try:
        plan = make_plan(suite, data=data, command=command)
        check_confounds(plan)
        check_against_runs(plan)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    for reason in plan.skipped:
        logger.warning("left out: %s", reason)
    return plan


class DryRun(NamedTuple):
    """A run whose first steps were taken, and what they showed or the error that it ended with."""

    config: RunConfig
    outcome: FirstSteps | Exception
    environment: Environment

    @property
    def calibration(self) -> Calibration | None:
        """What a whole run takes here; None after an error."""
        if isinstance(self.outcome, Exception):
            return None
        return Calibration(
            config=self.config,
            environment=self.environment,
            train_images=self.outcome.train_images,
            timed_steps=self.outcome.timed_steps,
            seconds=self.outcome.run_seconds,
            peak_memory_bytes=self.outcome.peak_memory_bytes,
        )


def dry_run(
    suite: Suite | str,
    *,
    data: DataSource | None = None,
    options: ExecutionOptions | None = None,
    command: str = "ablations.dry_run",
) -> Iterator[DryRun]:
    """Take the first steps of each variant, with its first seed, and yield what they showed; there are no results.

    All variants together are timed for about a minute.

    Raises:
        ConfigError: if suite, data and options do not fit together.
        DataError: if the data is missing or damaged.
    """
    from ablations.execution.dry_run import train_first_steps
    from ablations.training.options import ExecutionOptions

    options = options or ExecutionOptions.resolve()
    dataset, plan = _planned(suite, data=data, options=options, command=command)
    configs = [run for run in plan.runs if run.seed == plan.runs[0].seed]
    environment = options.environment()
    for config in configs:
        outcome: FirstSteps | Exception
        try:
            outcome = train_first_steps(
                config, dataset=dataset, options=options, most_seconds=DRY_RUN_SECONDS / len(configs)
            )
        except Exception as error:  # whatever it is, the other variants are tried too
            outcome = error
        yield DryRun(config, outcome, environment)


def _planned(
    suite: Suite | str, *, data: DataSource | None, options: ExecutionOptions, command: str
) -> tuple[Dataset, Plan]:
    suite = find_suite(suite) if isinstance(suite, str) else suite
    # A recipe whose precision is open takes the device's best.
    suite = select(suite, native_precision=native_precision(options.device.type))
    dataset = (data or DataSource()).load(suite.dataset)
    return dataset, plan_suite(suite, DataSummary.of(dataset), command=command)


def run_suite(
    suite: Suite | str,
    *,
    results: Path = Path("results"),
    data: DataSource | None = None,
    options: ExecutionOptions | None = None,
    resume: bool = False,
    fresh: bool = False,
    command: str = "ablations.run_suite",
    on_event: Callable[[Event], None] | None = None,
) -> list[RunRecord]:
    """Execute every run of a suite and return their records, in plan order.

    Runs that are done are skipped, and stopped ones resume after their last finished epoch.

    Args:
        suite: a suite, the name of a built-in one, or the path of a suite file (.toml).
        results: records go to `results / suite.name`, which `load_results` and `write_report` read.
        data: where the dataset comes from; `data/` by default.
        options: device, engine and diagnostics; by default a GPU if there is one.
        resume: refuse earlier runs whose settings or data were others, instead of keeping both.
        fresh: archive the earlier records of these runs and start afresh.
        command: how the report says that the suite was run.
        on_event: observer of the suite's progress (see `training.events`).

    Raises:
        ConfigError: if suite, data and options do not fit together, or the folder holds other runs.
        DataError: if the data is missing or damaged.
        HeldElsewhere: if another process holds the suite's folder.
        KeyboardInterrupt: passed on after the current run was saved as "interrupted".
    """
    from ablations.execution.executor import choose_executor
    from ablations.execution.prepare import prepare
    from ablations.training.events import SuiteStarted, ignore
    from ablations.training.options import ExecutionOptions

    options = options or ExecutionOptions.resolve()
    observe = on_event or ignore
    data = data or DataSource()
    suite = find_suite(suite) if isinstance(suite, str) else suite
    if suite.dataset == "folder":
        check_results_apart(data.directory, results)
    dataset, plan = _planned(suite, data=data, options=options, command=command)
    folder = SuiteFolder(results / suite.name)
    with folder.locks.suite():
        archived = prepare(plan, suite=folder, environment=options.environment(), resume=resume, fresh=fresh)
    observe(SuiteStarted(runs=plan.runs, archived=tuple(archived)))
    executor = choose_executor(options)
    return executor(plan.runs, dataset=dataset, suite=folder, options=options, on_event=observe)
