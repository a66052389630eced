"""Seconds of a suite on Ray and one run after the other; `python -m benchmarks.executors --help` lists the options.

Both train the digits with one CPU thread a run, in turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from ablations import DataSource, ExecutionOptions, run_suite
from ablations.cli.console import make_console, show_table
from ablations.execution.ray_cluster import connected
from ablations.report.document import Table
from ablations.suites.suite import Suite, select
from ablations.suites.suite_file import find_suite
from ablations.training.events import Event, RunStarted
from benchmarks import command

SMAPS = "smaps_rollup"  # see proc(5); Linux only


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Compare the executors on the digits, and measure what Ray takes to start and while idle."""

    variants: str = "short3,short4"
    """Comma-separated variants."""
    seeds: int = 4
    """Seeds of each variant."""
    epochs: int = 10
    """Epochs of a run."""
    rounds: int = 3
    """Suites on each executor."""
    output: Path = Path("results/benchmarks/executors.csv")
    """The table as CSV."""


class Measured(NamedTuple):
    """Seconds of a suite, of Ray's start and until a worker trains, and the memory of Ray's processes before that."""

    suite_seconds: float
    start_seconds: float
    first_run_seconds: float
    idle_bytes: int


def main(arguments: Arguments) -> pd.DataFrame:
    """Measure, print and save; returns the table that was saved."""
    torch.set_num_threads(1)
    table = measure(arguments)
    rows = [
        {
            "executor": str(row["executor"]),
            "suite s": f"{row['suite_seconds']:,.1f}",
            "Ray starts s": f"{row['start_seconds']:,.1f}",
            "first run after s": f"{row['first_run_seconds']:,.1f}",
            "idle MB": f"{row['idle_bytes'] / 1e6:,.0f}",
            "x serial": f"{row['times_serial']:.2f}",
        }
        for _, row in table.iterrows()
    ]
    console = make_console()
    title = f"{arguments.rounds} rounds in turns, medians, one thread a run"
    show_table(Table.of("benchmark", pd.DataFrame(rows)), console=console, title=title)
    command.save(table, arguments.output, console=console)
    return table


def measure(arguments: Arguments) -> pd.DataFrame:
    """A row for each executor, with the medians over the rounds; `times_serial` is the median ratio of speeds."""
    suite = select(
        find_suite("digits"),
        variants=tuple(arguments.variants.split(",")),
        seeds=arguments.seeds,
        epochs=arguments.epochs,
    )
    executors: dict[str, Callable[[Suite], Measured]] = {"serial": _serial, "ray": _ray}
    found: dict[str, list[Measured]] = {name: [] for name in executors}
    for _ in range(arguments.rounds):
        for name, run in executors.items():
            found[name].append(run(suite))
    serial = [measured.suite_seconds for measured in found["serial"]]
    rows = [
        {
            "executor": name,
            "runs": len(suite.architectures) * arguments.seeds,
            "rounds": arguments.rounds,
            **pd.DataFrame(each).median().to_dict(),
            "times_serial": statistics.median(
                one / measured.suite_seconds for one, measured in zip(serial, each, strict=True)
            ),
        }
        for name, each in found.items()
    ]
    return pd.DataFrame(rows)


def _serial(suite: Suite) -> Measured:
    return _run(suite, ExecutionOptions(), start_seconds=0.0, idle_bytes=0)


def _ray(suite: Suite) -> Measured:
    options = ExecutionOptions(executor="ray", cpus_per_run=1)
    began = time.perf_counter()
    with connected(options):
        start_seconds = time.perf_counter() - began
        return _run(suite, options, start_seconds=start_seconds, idle_bytes=_memory_of_descendants("self"))


def _run(suite: Suite, options: ExecutionOptions, *, start_seconds: float, idle_bytes: int) -> Measured:
    started: list[float] = []

    def on_event(event: Event) -> None:
        if isinstance(event, RunStarted):
            started.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as results:
        began = time.perf_counter()
        run_suite(suite, results=Path(results), data=DataSource(), options=options, on_event=on_event)
        seconds = time.perf_counter() - began
    return Measured(seconds + start_seconds, start_seconds, started[0] - began, idle_bytes)


def _memory_of_descendants(pid: str) -> int:
    """Proportional set size in bytes of all processes below one; 0 where the system does not tell."""
    process = Path("/proc") / pid
    children = [child for task in process.glob("task/*/children") for child in task.read_text().split()]
    return sum(_memory(child) + _memory_of_descendants(child) for child in children)


def _memory(pid: str) -> int:
    path = Path("/proc") / pid / SMAPS
    lines = path.read_text().splitlines() if path.is_file() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    command.run(main, Arguments, name="executors")
