"""What a run of each variant takes, from earlier runs and dry runs of the same on one machine."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ablations.data.subsets import held_out_count
from ablations.errors import ConfigError
from ablations.hardware.environment import Environment
from ablations.records import calibration
from ablations.records.calibration import Calibration
from ablations.records.record import RunRecord
from ablations.records.run_folder import RESULT_FILE, read_record
from ablations.records.suite_folder import SuiteFolder
from ablations.storage.jsonl import JsonLines
from ablations.suites.plan import Plan
from ablations.suites.recipe import Recipe
from ablations.suites.run_config import RunConfig
from googlenet.architecture import Architecture

READ = 10  # records of a variant that are read in each suite, the newest


class Machine(NamedTuple):
    """What the times of runs depend on, beside the runs: times of different machines are not averaged."""

    device: str
    device_kind: str
    engine: str
    deterministic: bool
    threads: int

    @classmethod
    def of(cls, environment: Environment) -> Machine:
        """The machine of an environment."""
        return cls(*(getattr(environment, name) for name in cls._fields))


class Work(NamedTuple):
    """What decides how much a run computes: runs that agree in it take the same time on one machine."""

    architecture: Architecture
    recipe: Recipe
    num_classes: int
    train_images: int

    @classmethod
    def of(cls, config: RunConfig, *, train_images: int) -> Work:
        """The work of a run that trains on so many images."""
        recipe = replace(config.recipe, name="any", keep_epochs=())
        return cls(config.architecture, recipe, config.num_classes, train_images)


class RunCost(NamedTuple):
    """Seconds and peak memory in bytes of a run: the mean and the most of `runs` earlier ones, or a dry run's if 0."""

    seconds: float
    peak_memory_bytes: int | None
    runs: int


@dataclass(frozen=True, kw_only=True)
class RunCosts:
    """What a run takes on a machine, by variant; those without an earlier run or dry run there are left out.

    `machine` is None where no variant has a time.
    """

    machine: Machine | None = None
    by_variant: Mapping[str, RunCost]


def run_costs(
    plan: Plan, *, records: Iterable[RunRecord], calibrations: Iterable[Calibration], device: str
) -> RunCosts:
    """What a run of each of the plan's variants takes on the device of that name.

    Without any time from there, it is what they take on the machine that has times of most variants. Only runs with a
    valid timing count, and dry runs only for variants without one.
    """
    one_of_each = {config.architecture.name: config for config in plan.runs}
    wanted = {_work(config, plan): name for name, config in one_of_each.items()}
    found: dict[Machine, dict[str, RunCost]] = {}
    for one in calibrations:  # a later one of the same replaces it
        name = wanted.get(Work.of(one.config, train_images=one.train_images))
        if name is not None:
            costs = found.setdefault(Machine.of(one.environment), {})
            costs[name] = RunCost(one.seconds, one.peak_memory_bytes, runs=0)
    timed: dict[tuple[Machine, str], list[RunRecord]] = {}
    for record in records:
        if record.times is not None and record.times.timing_valid and record.train_images is not None:
            name = wanted.get(Work.of(record.config, train_images=record.train_images))
            if name is not None:
                timed.setdefault((Machine.of(record.environment), name), []).append(record)
    for (machine, name), same in timed.items():
        found.setdefault(machine, {})[name] = _mean_cost(same)
    if not found:
        return RunCosts(by_variant={})
    best = max(found, key=lambda machine: (machine.device == device, len(found[machine])))
    return RunCosts(machine=best, by_variant=found[best])


def _work(config: RunConfig, plan: Plan) -> Work:
    images = plan.data.train_images if config.limit_train is None else config.limit_train
    return Work.of(config, train_images=images - held_out_count(images, config.recipe.validation_fraction))


def _mean_cost(records: Sequence[RunRecord]) -> RunCost:
    times = [record.times for record in records if record.times]
    seconds = [one.startup_seconds + one.compile_seconds + one.train_seconds + one.eval_seconds for one in times]
    memory = [record.costs.peak_memory_bytes for record in records if record.costs]
    known = [one for one in memory if one is not None]
    return RunCost(float(np.mean(seconds)), max(known, default=None), runs=len(records))


def calibrations_in(results: Path) -> JsonLines[Calibration]:
    """The calibrations of a folder of results."""
    return JsonLines(results / calibration.FILE_NAME, Calibration, remedy=calibration.REMEDY)


def other_records(plan: Plan, folder: SuiteFolder, *, known: Collection[str]) -> list[RunRecord]:
    """The newest records of runs of the plan's variants on its dataset, in its folder and the suites beside it.

    Of its own folder the runs with these `known` ids are left out, and so are records that cannot be read: they are
    not what is planned.
    """
    prefixes = {f"{run.dataset}-{run.architecture.name}" for run in plan.runs}
    records = []
    for runs in sorted(folder.path.parent.glob("*/runs")):
        left_out = known if runs == folder.runs else ()
        by_prefix: dict[str, list[Path]] = {}
        for path in runs.iterdir():
            if path.name not in left_out:
                by_prefix.setdefault(path.name.rpartition("-s")[0], []).append(path / RESULT_FILE)
        for prefix in sorted(prefixes & by_prefix.keys()):
            records += _newest(by_prefix[prefix])
    return records


def _newest(paths: Iterable[Path]) -> list[RunRecord]:
    found = heapq.nlargest(READ, (path for path in paths if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    records = []
    for path in found:
        try:
            records.append(read_record(path))
        except ConfigError:
            continue
    return records


def makespan(seconds: Sequence[float], slots: int) -> float:
    """Seconds until the last of these runs ends, if each slot that is free takes the longest run that is left.

    Longest first is within a third of the shortest possible (Graham 1969).
    """
    total = math.fsum(seconds)
    if slots == 1 or not seconds or math.isnan(total):
        return total
    ends = [0.0] * slots
    for one in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)
