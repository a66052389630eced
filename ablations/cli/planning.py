"""What --plan shows: the runs of a suite, how far they are, and what they cost in time, memory and disk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from ablations.analysis.planning.run_costs import RunCosts, calibrations_in, makespan, other_records, run_costs
from ablations.cli.console import show_table
from ablations.cli.listing import image_of, listing_table
from ablations.hardware.probe import device_name
from ablations.records.disk import DiskUse, disk_use
from ablations.records.record import MISSING, RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.report.document import Column, Table
from ablations.report.formatting import NONE, number, plural, some
from ablations.suites.plan import Plan
from ablations.suites.run_config import RunConfig
from googlenet.counts import count_macs, count_params

LISTED = 500  # runs that are listed one by one; of more, how many have each status
READ = 400  # records that are read for times and errors, those of the first seeds
DONE = "done"


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanState:
    """A plan and what is known of its runs.

    `runs` has a row a planned run: `run`, `variant`, `epochs` and `status`. `done` is how many runs of each variant are
    done, those of seeds that are not planned included, and `records` are records of these. `device` is the name of the
    one that runs would train on here.
    """

    plan: Plan
    folder: SuiteFolder
    runs: pd.DataFrame
    done: Mapping[str, int]
    records: list[RunRecord]
    costs: RunCosts
    device: str

    @property
    def variants(self) -> dict[str, RunConfig]:
        """A run of each variant, in the plan's order."""
        return {run.architecture.name: run for run in self.plan.runs}

    def seconds(self, variant: str) -> float:
        """Seconds of a run of a variant; NaN if they are not known."""
        cost = self.costs.by_variant.get(variant)
        return cost.seconds if cost else math.nan


def survey(plan: Plan, *, folder: SuiteFolder, device: str = "auto") -> PlanState:
    """Read how far the planned runs are, and what such runs took so far, in any suite beside this one.

    Raises:
        ConfigError: if a record of these runs cannot be read.
    """
    known = bool(plan.data.fingerprint)
    rows = [_run_row(config, folder, known=known) for config in plan.runs]
    done = [config for config, row in zip(plan.runs, rows, strict=True) if row["status"] == DONE]
    names = {row["run"] for row in rows}
    if known:
        others = list(_other_seeds(plan, folder, planned=names))
        names |= {run.run_id for run in others}
        done += [run for run in others if folder.run(run).read_status() == DONE]
    records = folder.records(done[:READ])
    timed = [*records, *other_records(plan, folder, known=names)]
    name = device_name(device)
    calibrations = calibrations_in(folder.path.parent).read()
    return PlanState(
        plan=plan,
        folder=folder,
        runs=pd.DataFrame(rows),
        done=Counter(run.architecture.name for run in done),
        records=records,
        costs=run_costs(plan, records=timed, calibrations=calibrations, device=name),
        device=name,
    )


def _run_row(config: RunConfig, folder: SuiteFolder, *, known: bool) -> dict[str, Any]:
    """How far a run is; without the data its full name and its status are not known."""
    row: dict[str, Any] = {"variant": config.architecture.name}
    planned = config.recipe.epochs
    if not known:
        name = f"{config.dataset}-{config.architecture.name}-s{config.seed}"
        return {**row, "run": name, "epochs": f"0/{planned}", "status": "not known"}
    run = folder.run(config)
    status = run.read_status()
    epochs = planned if status == DONE else 0 if status == MISSING else len(run.epochs.read())
    return {**row, "run": run.path.name, "epochs": f"{epochs}/{planned}", "status": status}


def _other_seeds(plan: Plan, folder: SuiteFolder, *, planned: set[str]) -> Iterator[RunConfig]:
    """Runs in the suite's folder that differ from the planned ones in their seed alone."""
    if not folder.runs.is_dir():
        return
    configs = {f"{run.dataset}-{run.architecture.name}": run for run in plan.runs}
    for name in sorted({path.name for path in folder.runs.iterdir()} - planned):
        prefix, _, rest = name.rpartition("-s")
        seed = rest.partition("-")[0]
        if prefix in configs and seed.isdecimal():
            config = replace(configs[prefix], seed=int(seed))
            if config.run_id == name:
                yield config


def show_plan(state: PlanState, *, console: Console, slots: int | None = 1) -> None:
    """Print what a run of each variant is and costs, and how far each planned run is.

    `slots` is how many runs train side by side; None if Ray's cluster decides it.
    """
    plan, variants = state.plan, state.variants
    title = f"plan of suite {plan.suite}, in {state.folder.path}"
    show_table(listing_table(_networks(variants)), console=console, title=title)
    disk = {name: disk_use(config, test_images=plan.data.test_images) for name, config in variants.items()}
    show_table(_costs_table(state, disk), console=console, title="costs of a run")
    for line in (*_about_times(state, slots=slots), _about_disk(state, disk)):
        console.print(Text(line))
    count = len(state.runs)
    runs = state.runs[["run", "epochs", "status"]]
    if count > LISTED:
        runs = state.runs["status"].value_counts().rename_axis("status").reset_index(name="runs")
    show_table(Table.of("runs", runs), console=console, title=plural(count, "run"))
    if not plan.data.fingerprint:
        console.print("The data is not there yet, so the runs have no full names and their status is not known.")


def _networks(variants: Mapping[str, RunConfig]) -> list[dict[str, object]]:
    return [
        {
            "variant": name,
            "recipe": config.recipe.name,
            "batch": config.recipe.batch_size,
            "image": image_of(config.architecture),
            "params": count_params(config.architecture, num_classes=config.num_classes),
            "MACs": count_macs(config.architecture, num_classes=config.num_classes),
        }
        for name, config in variants.items()
    ]


def _left(state: PlanState) -> dict[str, int]:
    """How many planned runs of each variant are not done."""
    left = state.runs[state.runs["status"] != DONE]["variant"].value_counts()
    return {name: int(left.get(name, 0)) for name in state.variants}


def _costs_table(state: PlanState, disk: Mapping[str, DiskUse]) -> Table:
    """A row a variant: times and memory of the runs that were timed, and disk in closed form."""
    left = _left(state)
    rows = []
    for name in state.variants:
        cost = state.costs.by_variant.get(name)
        rows.append(
            {
                "variant": name,
                "left": left[name],
                "seconds": state.seconds(name),
                "seconds_left": state.seconds(name) * left[name],
                "n": cost.runs if cost else None,
                "memory": cost.peak_memory_bytes if cost else None,
                "training": disk[name].training,
                "kept": disk[name].done,
            }
        )
    frame = pd.DataFrame(rows).astype({"n": float, "memory": float})
    return Table(
        "costs",
        frame,
        columns=[
            Column("variant", ("variant",)),
            Column("left", ("left",)),
            Column("hours", ("seconds",), format=hours),
            Column("hours left", ("seconds_left",), format=hours),
            Column("n", ("n",), format=number),
            Column("memory MB", ("memory",), format=_megabytes),
            Column("disk MB", ("training",), format=_megabytes),
            Column("kept MB", ("kept",), format=_megabytes),
        ],
    )


def _about_times(state: PlanState, *, slots: int | None) -> Iterator[str]:
    """What the times are of, which are not known and why, and what all runs that are left take."""
    machine = state.costs.machine
    if machine is not None:
        threads = f", {plural(machine.threads, 'thread')}" if machine.device_kind == "cpu" else ""
        elsewhere = "" if machine.device == state.device else f", as none were timed on {state.device}"
        yield (
            f"Hours and memory are the mean and the most of n runs on {machine.device} ({machine.engine}{threads})"
            f"{elsewhere}; n = 0 is a dry run."
        )
    unknown = untimed(state)
    if unknown:
        results = state.folder.path.parent
        yield (
            f"No time is known of {some(unknown)}: no run with this recipe and data and a valid time is in {results}, "
            "and no dry run; --dry-run takes one in a minute."
        )
        return
    left = _left(state)
    seconds = [state.seconds(name) for name, count in left.items() for _ in range(count)]
    beside = ""
    if slots is None:
        beside = "; how many train side by side is known once Ray is connected"
    elif slots > 1:
        beside = f", and at least {hours(makespan(seconds, slots))} with {slots} side by side"
    verb = "is" if len(seconds) == 1 else "are"
    of_all = f"{len(seconds):,} of {plural(len(state.runs), 'run')} {verb} left"
    yield f"{of_all}: {hours(sum(seconds))} hours one by one{beside}."


def untimed(state: PlanState) -> list[str]:
    """The variants whose time is not known."""
    return [name for name in state.variants if name not in state.costs.by_variant]


def _about_disk(state: PlanState, disk: Mapping[str, DiskUse]) -> str:
    planned = state.runs["variant"].value_counts()
    kept = sum(disk[name].done * int(planned[name]) for name in disk)
    most = max(use.training for use in disk.values())
    return (
        f"A run takes up to {_megabytes(most)} MB of disk while it trains, its newest states. All runs keep "
        f"{_megabytes(kept)} MB once they are done, their weights and predictions."
    )


def hours(seconds: float) -> str:
    """Seconds in hours, with two digits at least."""
    return _two_digits(seconds / 3600)


def _megabytes(count: float) -> str:
    """Bytes in millions, with two digits at least."""
    return _two_digits(count / 1e6)


def _two_digits(value: float) -> str:
    if math.isnan(value):
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
