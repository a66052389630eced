"""Run a suite for a command: train what is missing of its runs, then write and show its report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.cli.arguments import Arguments
from ablations.errors import ConfigError, HeldElsewhere

if TYPE_CHECKING:
    from rich.console import Console

    from ablations.experiment import DataSource
    from ablations.records.record import RunRecord
    from ablations.records.suite_folder import SuiteFolder
    from ablations.report.write import Report
    from ablations.suites.suite import Suite
    from ablations.training.events import Event
    from ablations.training.options import ExecutionOptions

# The imports below are local so that --plan, which imports this module, loads neither torch nor what draws.


@dataclass(frozen=True, kw_only=True)
class Trained:
    """How many runs were planned, and the records of all but those that another process has."""

    planned: int
    records: list[RunRecord]

    @property
    def elsewhere(self) -> int:
        """The number of runs that another process has."""
        return self.planned - len(self.records)

    @property
    def all_done(self) -> bool:
        """Whether every run is done."""
        return not self.elsewhere and all(record.status == "done" for record in self.records)


@dataclass(frozen=True, kw_only=True)
class CommandRun:
    """What a command trains with, and where it reports; `compared` is the folder of the suite to compare with."""

    arguments: Arguments
    data: DataSource
    command: str
    console: Console
    folder: SuiteFolder
    compared: Path | None

    def train(self, suite: Suite) -> Trained:
        """Train the suite's runs that are not done.

        Raises:
            UserError: if the suite cannot be run (see `experiment.run_suite`), or no report can be written.
            KeyboardInterrupt: if a signal stopped it.
        """
        from ablations.execution.signals import Stopper
        from ablations.experiment import run_suite
        from ablations.observers.progress import Display
        from ablations.observers.tensorboard import TensorBoard
        from ablations.report.write import check_report
        from ablations.training.events import SuiteStarted, to_all

        arguments, folder = self.arguments, self.folder
        options = execution_options(arguments)

        def check_before_training(event: Event) -> None:
            if isinstance(event, SuiteStarted):
                check_report(folder.read_plan(), folder.path)

        with ExitStack() as observing:
            observers: list[Callable[[Event], None]] = [check_before_training]
            if arguments.track == "tensorboard":
                observers.append(observing.enter_context(TensorBoard(folder.tensorboard)).on_event)
            display = observing.enter_context(Display(console=self.console, log_every=arguments.log_every))
            stopper = observing.enter_context(Stopper())
            if options.executor == "serial":  # else the runs train in other processes, and a signal need not wait
                observers.append(stopper.on_event)
            records = run_suite(
                suite,
                results=arguments.results,
                data=self.data,
                options=options,
                resume=arguments.resume,
                fresh=arguments.fresh,
                command=self.command,
                on_event=to_all(display.on_event, *observers),
            )
            return Trained(planned=display.planned_runs, records=records)

    def report(self, trained: Trained) -> Report:
        """Write the report and show what it says.

        Raises:
            ConfigError: if a record cannot be read or the report cannot be written.
            HeldElsewhere: after that, if another process has some of the runs.
        """
        from ablations.cli.outcome import say_what_was_not_measured, show_outcome

        written = show_outcome(self.folder, self.compared, self.console)
        if self.arguments.measure_selection_bias:
            say_what_was_not_measured(trained.records, self.folder, self.console)
        if trained.elsewhere:
            raise HeldElsewhere(
                f"another process trains {trained.elsewhere} of these {trained.planned} runs; once it is done, "
                "--report shows them too"
            )
        return written


def execution_options(arguments: Arguments) -> ExecutionOptions:
    """How the runs are executed.

    Raises:
        ConfigError: if an argument is out of range, or the device cannot be used.
    """
    from ablations.training.options import ExecutionOptions

    if arguments.log_every < 0:
        raise ConfigError(f"--log-every is {arguments.log_every}; use 1 or more steps, or 0 to print none")
    return ExecutionOptions.resolve(
        device=arguments.device,
        engine=arguments.engine,
        deterministic=arguments.deterministic,
        measure_selection_bias=arguments.measure_selection_bias,
        executor=arguments.executor,
        ray_address=arguments.ray_address,
        cpus_per_run=arguments.cpus_per_run,
        runs_per_device=arguments.runs_per_gpu,
        log_every=arguments.log_every,
    )
