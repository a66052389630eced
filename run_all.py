"""Run an ablation suite and report it: `python run_all.py --help`."""

from __future__ import annotations

import functools
import io
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

import tyro

from ablations.errors import ConfigError, HeldElsewhere, Terminated, UserError
from ablations.hardware import CUBLAS_WORKSPACE, THREAD_SPINS

if TYPE_CHECKING:
    from rich.console import Console

    from ablations.events import Event
    from ablations.plan import DataSummary, Plan
    from ablations.record import RunRecord
    from ablations.splits import Dataset
    from ablations.suites import Suite

DONE, SOME_FAILED, INTERRUPTED, TERMINATED = 0, 3, 130, 143


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Train the variants of a suite, each with every seed, and write a report that compares them.

    Without arguments: seven GoogLeNet variants on scikit-learn's handwritten digits, on a CPU in minutes. A run that
    is done is skipped and a stopped one goes on from its last finished epoch.

    Exit status: 0 all done; 2 bad arguments; 3 some runs failed, the disk is full or the GPU lost; 4 data missing or
    damaged; 5 another process has some of these runs, or the folder; 130 or 143 stopped by a signal, can go on.
    """

    suite: str = "digits"
    """digits, cifar10, cifar100, folder, or the path of a suite file (.toml)."""
    variants: str | None = None
    """Comma-separated architectures, instead of the suite's own; see --list."""
    seeds: int | None = None
    """Train every variant with the seeds 1 to N."""
    recipe: str | None = None
    """published, fast or digits, instead of the suite's own recipe."""
    epochs: int | None = None
    """Epochs, instead of the recipe's."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of convolutions; auto is the recipe's own or, where it leaves that open, bf16 on a GPU that has it, else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU where there is one."""
    engine: Literal["auto", "eager", "compile", "graph"] = "auto"
    """How steps run; auto replays a CUDA graph on a GPU. All give the same numbers, up to rounding."""
    deterministic: bool = False
    """Use only kernels that repeat bit for bit on the same machine and build of torch; slower on a GPU."""
    runs_per_gpu: int = 1
    """Train K runs side by side on the GPU; their times are then not valid."""
    data_dir: Path = Path("data")
    """Where archives are kept (cifar10, cifar100), or the folder with train/ and test/ (folder)."""
    measure_selection_bias: bool = False
    """Also note the test error after every epoch, to report how far choosing by it would have flattered."""
    track: Literal["off", "tensorboard"] = "off"
    """Write live curves for TensorBoard to <results>/<suite>/tensorboard (needs the extra of that name)."""
    compare_with: str | None = None
    """Another suite in --results: does its order of the variants predict this one's?"""
    image_size: int | None = None
    """Resize a folder's images to N x N pixels; without it they must be 32x32."""
    results: Path = Path("results")
    """Where records and reports go, one folder a suite."""
    limit_train: int | None = None
    """Train on a stratified subset of N images."""
    resume: bool = False
    """Go on with the runs that are there, and refuse if settings or data have changed; without it both are kept."""
    fresh: bool = False
    """Move the records of these runs, and of the last command if its settings were others, aside and start afresh."""
    list: bool = False
    """List suites and architectures with their costs, and stop."""
    plan: bool = False
    """Show the runs and what is done of them, and stop."""
    report: bool = False
    """Rebuild the report from the records, and stop."""


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line (by default the process's own) and return its exit status."""
    given = sys.argv[1:] if given is None else given
    command = shlex.join(["python", "run_all.py", *given])
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold what the terminal cannot show
    try:
        arguments = tyro.cli(Arguments, prog="run_all.py", args=given, config=(tyro.conf.FlagCreatePairsOff,))
        os.environ.setdefault(*THREAD_SPINS)
        if arguments.deterministic:
            os.environ.setdefault(*CUBLAS_WORKSPACE)
        return _execute(arguments, command)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        place = error.filename or "the output"
        print(
            f"error: {place}: {error.strerror or error}; --results and --data-dir name the folders that are used",
            file=sys.stderr,
        )
        return ConfigError.exit_status
    except KeyboardInterrupt as stop:
        print(
            f"\nstopped; every finished epoch is kept; --report shows the finished runs. To go on: {command}",
            file=sys.stderr,
        )
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


def _terminate(signal_number: int, frame: FrameType | None) -> None:
    raise Terminated


# The imports below stand in functions so that --help answers at once, and --list, --plan and --report without torch.


def _execute(arguments: Arguments, command: str) -> int:
    from rich.logging import RichHandler

    from ablations import plan_file
    from ablations.console import make_console, show_architectures, show_plan
    from ablations.plan import DataSummary

    if arguments.list + arguments.plan + arguments.report > 1:
        raise ConfigError("--list, --plan and --report exclude each other; give one of them")
    console = make_console()
    logging.basicConfig(
        format="%(message)s", handlers=[RichHandler(console=console, show_time=False, show_path=False)], force=True
    )
    if arguments.list:
        show_architectures(console)
        return DONE
    suite = _selected_suite(arguments)
    suite_dir = arguments.results / suite.name
    compared = _compared_suite(arguments, suite_dir)
    if arguments.report:
        commands = plan_file.read_plan(suite_dir).commands
        console.print(f"runs of: {', then '.join(commands)}", markup=False, emoji=False, soft_wrap=True)
        _report(suite_dir, compared, console)
        return DONE
    if arguments.plan:
        show_plan(_plan(suite, _summary(suite, arguments), command), suite_dir=suite_dir, console=console)
        return DONE
    dataset = _load(suite, arguments, download=True)
    planned = _plan(suite, DataSummary.of(dataset), command)
    records = _train(planned, dataset, arguments, suite_dir, console)
    _report(suite_dir, compared, console)
    if arguments.measure_selection_bias:
        _say_what_was_not_measured(records, suite_dir, console)
    elsewhere = len(planned.runs) - len(records)
    if elsewhere:
        raise HeldElsewhere(
            f"another process trains {elsewhere} of these {len(planned.runs)} runs; once it is done, "
            "--report shows them too"
        )
    return DONE if all(record.status == "done" for record in records) else SOME_FAILED


def _selected_suite(arguments: Arguments) -> Suite:
    from ablations import hardware, suite_files, suites

    if arguments.resume and arguments.fresh:
        raise ConfigError("--resume and --fresh exclude each other; give one of them")
    names = None
    if arguments.variants is not None:
        names = tuple(name.strip() for name in arguments.variants.split(",") if name.strip())
    try:
        return suites.select(
            suite_files.find(arguments.suite),
            variants=names,
            seeds=arguments.seeds,
            epochs=arguments.epochs,
            limit_train=arguments.limit_train,
            recipe=arguments.recipe,
            precision=arguments.precision,
            native_precision=hardware.native_precision(arguments.device),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _compared_suite(arguments: Arguments, suite_dir: Path) -> Path | None:
    """The folder of the suite to compare with, looked at before hours of training rather than after them."""
    if arguments.compare_with is None:
        return None
    from ablations import report
    from googlenet.checks import check_name

    try:
        check_name("--compare-with", arguments.compare_with)
    except ValueError as error:
        raise ConfigError(f"{error} (the name of a suite in --results)") from error
    compared = arguments.results / arguments.compare_with
    report.check_comparable(suite_dir, compared)
    return compared


def _load(suite: Suite, arguments: Arguments, *, download: bool) -> Dataset:
    from ablations import datasets

    return datasets.load(suite.dataset, arguments.data_dir, image_size=arguments.image_size, download=download)


def _summary(suite: Suite, arguments: Arguments) -> DataSummary:
    """That of the data or, for a plan to be shown, of what an archive that is not there yet would hold."""
    from ablations.archives import ARCHIVES
    from ablations.errors import DataMissing
    from ablations.plan import DataSummary

    try:
        return DataSummary.of(_load(suite, arguments, download=False))
    except DataMissing:
        if suite.dataset not in ARCHIVES:
            raise
        return DataSummary.of_archive(suite.dataset)


def _plan(suite: Suite, data: DataSummary, command: str) -> Plan:
    """The suite's runs on the data, in which nothing but what it declares differs."""
    from ablations import confounds, plan

    try:
        planned = plan.make(suite, data=data, command=command)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    confounds.check(planned)
    return planned


def _train(planned: Plan, dataset: Dataset, arguments: Arguments, suite_dir: Path, console: Console) -> list[RunRecord]:
    """Bring every run to its record but those that another process has."""
    from ablations import devices, engine, parallel, preparation, runner
    from ablations.console import Display
    from ablations.events import to_all
    from ablations.locks import Locks
    from ablations.stopping import Stopper
    from ablations.tracking import TensorBoard

    device = devices.resolve(arguments.device)
    chosen_engine = engine.resolve(arguments.engine, device)
    workers = arguments.runs_per_gpu
    if workers < 1 or (workers > 1 and device.type != "cuda"):
        raise ConfigError(
            f"--runs-per-gpu is {workers}; use 1 or more on a GPU and 1 elsewhere, and the device is {device.type}"
        )
    with ExitStack() as observing:
        observers: list[Callable[[Event], None]] = []
        if arguments.track == "tensorboard":
            observers.append(observing.enter_context(TensorBoard(suite_dir / "tensorboard")).on_event)
        with Locks(suite_dir).suite():
            environment = devices.environment(device, engine=chosen_engine, deterministic=arguments.deterministic)
            moved = preparation.prepare(
                planned, suite_dir=suite_dir, environment=environment, resume=arguments.resume, fresh=arguments.fresh
            )
        for path in moved:
            console.print(f"moved aside: {path}", markup=False, emoji=False, soft_wrap=True)
        display = observing.enter_context(Display(planned.runs, console=console))
        stopper = observing.enter_context(Stopper())
        run = runner.run if workers == 1 else functools.partial(parallel.run, workers=workers)
        return run(
            planned.runs,
            dataset=dataset,
            device=device,
            suite_dir=suite_dir,
            engine=chosen_engine,
            measure_selection_bias=arguments.measure_selection_bias,
            deterministic=arguments.deterministic,
            on_event=to_all(display.on_event, *observers, stopper.on_event),
        )


def _say_what_was_not_measured(records: Sequence[RunRecord], suite_dir: Path, console: Console) -> None:
    """A run that was done before is not trained again for a diagnostic."""
    from ablations.run_folder import RunFolder

    done = [RunFolder(suite_dir / "runs", record.config) for record in records if record.status == "done"]
    without = sum(not folder.diagnosed.read() for folder in done)
    if without:
        console.print(
            f"{without} of {len(done)} runs were trained without --measure-selection-bias; --fresh trains them again",
            soft_wrap=True,
        )


def _report(suite_dir: Path, compared: Path | None, console: Console) -> None:
    from ablations import findings, overview, report
    from ablations.console import show_table
    from ablations.locks import Locks

    with Locks(suite_dir).suite():
        written = report.write(suite_dir, compare_with=compared)
    plan = written.results.plan
    show_table(overview.summary_table(written.results, intervals=False), console=console, title=f"suite {plan.suite}")
    if written.verdicts.reason:
        console.print(f"no verdict: {written.verdicts.reason}", markup=False, emoji=False, soft_wrap=True)
    else:
        title = f"top-1 error against {plan.baseline}"
        rows = findings.verdict_table(written.verdicts)
        show_table(
            ({name: text.strip("*") for name, text in row.items()} for row in rows), console=console, title=title
        )
    pages = f"report: {written.path} and {written.path.with_suffix('.html').name}"
    console.print(pages, markup=False, emoji=False, soft_wrap=True)


if __name__ == "__main__":
    exit_status = main()
    for ending in (signal.SIGINT, signal.SIGTERM):  # which could only add a traceback now
        signal.signal(ending, signal.SIG_IGN)
    sys.exit(exit_status)
