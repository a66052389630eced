"""The command line: read the arguments, run, plan or report a suite, and turn errors into exit statuses."""

from __future__ import annotations

import errno
import io
import logging
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import tyro

from ablations.cli.arguments import Arguments, checked
from ablations.errors import ConfigError, Terminated, UserError
from ablations.hardware.probe import CUBLAS_WORKSPACE, THREAD_SPINS

if TYPE_CHECKING:
    from rich.console import Console

    from ablations.experiment import DataSource
    from ablations.records.suite_folder import SuiteFolder
    from ablations.suites.plan import Plan
    from ablations.suites.suite import Suite

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)  # no right to a file, or a disk that is only read
DONE, SOME_FAILED, INTERRUPTED, TERMINATED = 0, 3, 130, 143


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line (by default the process's own) and return its exit status."""
    given = sys.argv[1:] if given is None else given
    command = shlex.join(["python", "run_all.py", *given])
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold what the terminal cannot show
    try:
        arguments = checked(_parse(given))
        os.environ.setdefault(*THREAD_SPINS)
        os.environ["MPLBACKEND"] = "agg"  # one inherited from a notebook may be missing here; nothing is shown anyway
        if arguments.deterministic:
            os.environ.setdefault(*CUBLAS_WORKSPACE)
        return _execute(arguments, command)
    except UserError as error:
        _say(f"error: {error}")
        return error.exit_status
    except OSError as error:
        place = error.filename or "the output"
        remedy = "--results and --data-dir name the folders that are used"
        if error.filename and error.errno in FORBIDDEN:
            remedy = "make it readable and writable, or pass a copy of its folder with --results or --data-dir"
        _say(f"error: {place}: {error.strerror or error}; {remedy}")
        return ConfigError.exit_status
    except KeyboardInterrupt as stop:
        _say(f"\nstopped; every finished epoch is kept; --report shows the finished runs. To go on: {command}")
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


def _parse(given: Sequence[str]) -> Arguments:
    """The arguments; exits after --help and on unknown flags."""
    try:
        try:
            return tyro.cli(Arguments, prog="run_all.py", args=given, config=(tyro.conf.FlagCreatePairsOff,))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone, as after `--help | head`
        for stream in (sys.stdout, sys.stderr):  # Python flushes them once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(DONE if {"--help", "-h"} & set(given) else ConfigError.exit_status)


def _say(line: str) -> None:
    with suppress(OSError):  # nobody reads it; the exit status says it too
        print(line, file=sys.stderr, flush=True)


def _terminate(signal_number: int, frame: FrameType | None) -> None:
    raise Terminated


# The imports below are local so that --help answers at once, and --list, --describe, --plan and --report never load
# torch.


def _execute(arguments: Arguments, command: str) -> int:
    from rich.logging import RichHandler

    from ablations.cli.console import make_console
    from ablations.cli.listing import show_architectures
    from ablations.cli.running import CommandRun
    from ablations.experiment import DataSource, plan_suite
    from ablations.records.suite_folder import SuiteFolder

    console = make_console()
    logging.basicConfig(
        format="%(message)s", handlers=[RichHandler(console=console, show_time=False, show_path=False)], force=True
    )
    if arguments.list:
        show_architectures(console)
        return DONE
    data = DataSource(directory=arguments.data_dir, image_size=arguments.image_size)
    if arguments.describe is not None:
        return _describe(arguments.describe, data, arguments, console)
    if arguments.report:
        folder = SuiteFolder(_reported_folder(arguments))
        compared = _compared_suite(arguments, folder)
        commands = folder.read_plan().commands
        console.print(f"runs of: {', then '.join(commands)}", markup=False, emoji=False, soft_wrap=True)
        from ablations.cli.outcome import show_outcome

        show_outcome(folder, compared, console)
        return DONE
    if arguments.merge is not None:
        from ablations.cli.merging import merge_and_report

        merge_and_report(SuiteFolder(arguments.results / _suite_name(arguments)), arguments.merge, console)
        return DONE
    suite = _selected_suite(arguments)
    folder = SuiteFolder(arguments.results / suite.name)
    compared = _compared_suite(arguments, folder)
    if arguments.plan:
        plan = plan_suite(suite, data.summarise(suite.dataset), command=command)
        return _show_plan(plan, folder, arguments, console)
    if arguments.dry_run:
        from ablations.cli.dry_run import show_dry_run

        succeeded = show_dry_run(suite, data, arguments=arguments, command=command, console=console)
        return DONE if succeeded else SOME_FAILED
    command_run = CommandRun(
        arguments=arguments, data=data, command=command, console=console, folder=folder, compared=compared
    )
    if arguments.until_settled:
        from ablations.cli.until_settled import run_until_settled

        all_done = run_until_settled(suite, command_run)
    else:
        trained = command_run.train(suite)
        command_run.report(trained)
        all_done = trained.all_done
    return DONE if all_done else SOME_FAILED


def _describe(variant: str, data: DataSource, arguments: Arguments, console: Console) -> int:
    from ablations.cli.describe import describe

    dataset, width, results = arguments.dataset, arguments.width, arguments.results
    describe(variant, dataset=dataset, width=width, data=data, results=results, console=console)
    return DONE


def _selected_suite(arguments: Arguments) -> Suite:
    from ablations.hardware.probe import native_precision
    from ablations.suites.suite import select
    from ablations.suites.suite_file import find_suite

    if arguments.resume and arguments.fresh:
        raise ConfigError("--resume and --fresh exclude each other; give one of them")
    try:
        return select(
            find_suite(arguments.suite, many_cells=arguments.yes),
            variants=None if arguments.variants is None else _items(arguments.variants),
            dataset=arguments.dataset,
            seeds=arguments.seeds,
            seed_list=_numbers("--seed-list", arguments.seed_list),
            looks=_numbers("--looks", arguments.looks),
            epochs=arguments.epochs,
            keep_epochs=_numbers("--keep-epochs", arguments.keep_epochs),
            limit_train=arguments.limit_train,
            width=arguments.width,
            control=arguments.control,
            recipe=arguments.recipe,
            precision=arguments.precision,
            native_precision=native_precision(arguments.device),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _suite_name(arguments: Arguments) -> str:
    """The name of a suite that was run, whether or not it is built in or its file is still there."""
    from ablations.suites.builtin import SUITES
    from ablations.suites.suite_file import find_suite

    found = arguments.suite.endswith(".toml") or arguments.suite in SUITES
    suite = find_suite(arguments.suite, many_cells=True) if found else None
    name = suite.name if suite else arguments.suite
    if arguments.dataset is not None and not (suite and suite.dataset == arguments.dataset):
        name = f"{name}-{arguments.dataset}"  # as `select` names the suite
    return name


def _reported_folder(arguments: Arguments) -> Path:
    from googlenet.validation import nearest, shown

    name = _suite_name(arguments)
    known = sorted(path.parent.name for path in arguments.results.glob("*/plan.json"))
    if name not in known:
        there = f"; suites that are there: {', '.join(known)}{nearest(name, known)}" if known else ""
        raise ConfigError(
            f"suite {shown(name)} has no plan.json in {arguments.results}, so there is nothing to report; run the "
            f"suite first, or pass the folder of its results with --results{there}"
        )
    return arguments.results / name


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _numbers(flag: str, text: str | None) -> tuple[int, ...] | None:
    """Whole numbers out of a comma-separated list; None if the flag was not given."""
    try:
        if text is not None and not _items(text):
            raise ValueError("it is empty")
        return None if text is None else tuple(int(item) for item in _items(text))
    except ValueError as error:
        raise ConfigError(f"{flag} is {text!r}; give whole numbers with commas between them, as in 80,81") from error


def _compared_suite(arguments: Arguments, folder: SuiteFolder) -> Path | None:
    """The folder of the suite to compare with, checked before hours of training rather than after them."""
    if arguments.compare_with is None:
        return None
    from ablations.analysis.analyse import check_comparable
    from googlenet.validation import check_name

    try:
        check_name("--compare-with", arguments.compare_with)
    except ValueError as error:
        raise ConfigError(f"{error} (the name of a suite in --results)") from error
    compared = arguments.results / arguments.compare_with
    check_comparable(folder.path, compared)
    return compared


def _show_plan(plan: Plan, folder: SuiteFolder, arguments: Arguments, console: Console) -> int:
    from ablations.cli.budget import budget_seconds, expected_std, show_design
    from ablations.cli.planning import show_plan, survey
    from ablations.cli.slots import slots_of

    budget = None if arguments.budget is None else budget_seconds(arguments.budget)
    std = None if arguments.expect_sd is None else expected_std(arguments.expect_sd)
    state = survey(plan, folder=folder, device=arguments.device)
    slots = slots_of(arguments)
    show_plan(state, console=console, slots=slots)
    show_design(state, console=console, budget=budget, std=std, slots=slots)
    return DONE
