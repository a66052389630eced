"""--until-settled: train, report, and go on with more seeds until every comparison is settled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count

from rich.console import Console

from ablations.analysis.comparisons import Comparisons
from ablations.cli.running import CommandRun, Trained
from ablations.errors import ConfigError
from ablations.records.looks import looks_of
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.plan import Plan
from ablations.suites.suite import MAX_SEEDS, MIN_LOOK, Suite
from googlenet.validation import check_count

FIRST_LOOK = 5  # seeds, of a suite with a single one


def run_until_settled(suite: Suite, command_run: CommandRun) -> bool:
    """Train and report at one look after the other; return whether all runs are done.

    It ends once every comparison is settled, a run has failed, or no look is left up to --max-seeds. Looks that were
    not declared are declared before the first report. All variants get the same seeds.

    Raises:
        ConfigError: if --max-seeds is out of range or less than the seeds to begin with.
        UserError: if the suite cannot be run, or another process has some of the runs.
    """
    arguments, console, folder = command_run.arguments, command_run.console, command_run.folder
    most = arguments.max_seeds
    seeds = _first_seeds(suite, asked_for=arguments.seeds, most=most)
    while True:
        trained = command_run.train(replace(suite, seed_list=seeds))
        command_run = replace(command_run, arguments=replace(command_run.arguments, fresh=False))
        plan = folder.read_plan()
        if trained.all_done and len(seeds) < len(plan.shared_seeds) <= most:
            seeds = plan.shared_seeds  # an earlier command has begun with more
            continue
        plan = declare_looks(folder, most=most, console=console)
        written = command_run.report(trained)
        if not trained.all_done:
            return False
        looks_taken = len(looks_of(plan, folder.looks.read()))
        line, following = _what_follows(plan, written.comparisons, trained=trained, looks_taken=looks_taken, most=most)
        console.print(line, markup=False, emoji=False, soft_wrap=True)
        if following is None:
            return True
        seeds = extended(seeds, following)


def _first_seeds(suite: Suite, *, asked_for: int | None, most: int) -> tuple[int, ...]:
    """The seeds to begin with: as many as the user asked for, the first look declares, or the suite has."""
    try:
        check_count("--max-seeds", most, low=MIN_LOOK, high=MAX_SEEDS)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    number = suite.looks[0] if suite.looks and asked_for is None else len(suite.run_seeds)
    if number < MIN_LOOK:
        number = suite.looks[0] if suite.looks else min(FIRST_LOOK, most)
    if number > most:
        raise ConfigError(f"--max-seeds is {most}, and the first look is at {number} seeds; use {number} or more")
    return extended(suite.run_seeds[:number], number)


def extended(seeds: Iterable[int], number: int) -> tuple[int, ...]:
    """These seeds with the lowest others from 1 on that make them so many, sorted."""
    found = set(seeds)
    others = (seed for seed in count(1) if seed not in found)
    return tuple(sorted([*found, *(next(others) for _ in range(number - len(found)))]))


def declare_looks(folder: SuiteFolder, *, most: int, console: Console) -> Plan:
    """The saved plan, whose looks are declared now unless they were before, or one was taken without.

    They are at the number of its seeds, twice as many and so on, up to `most`.
    """
    with folder.locks.suite():
        plan = folder.read_plan()
        seeds = len(plan.shared_seeds)
        if plan.looks or looks_of(plan, folder.looks.read()) or not MIN_LOOK <= seeds <= most:
            return plan
        looks = [seeds]
        while looks[-1] < most:
            looks.append(min(2 * looks[-1], most))
        plan = replace(plan, looks=tuple(looks))
        folder.write_plan(plan)
    said = f"looks declared: verdicts are read at {_listed(looks)} seeds until all are settled, and at no more later"
    console.print(said, markup=False, emoji=False, soft_wrap=True)
    return plan


def unsettled(comparisons: Comparisons) -> list[str]:
    """The variants whose comparison with the baseline is not settled, twins among them."""
    return [comparison.variant for comparison in comparisons.comparisons if comparison.verdict == "inconclusive"]


def _what_follows(
    plan: Plan, comparisons: Comparisons, *, trained: Trained, looks_taken: int, most: int
) -> tuple[str, int | None]:
    """What came of this look in a line, and the number of seeds of the next one; None if it was the last."""
    seeds = len(plan.shared_seeds)
    at = f"at {_counted(seeds, 'seed')}"
    own = {record.config.architecture.name for record in trained.records}
    others = {run.architecture.name for run in plan.runs} - own
    too_few = f"{', '.join(sorted(others))} of an earlier command would get no more seeds; name all in --variants"
    if not comparisons.comparisons:
        return f"stopped {at}, without verdicts: {comparisons.reason or too_few}", None
    names = unsettled(comparisons)
    if not names:
        return f"all comparisons are settled {at}, after {_counted(looks_taken, 'look')}", None
    said = f"not settled {at}: {', '.join(names)}"
    following = next_look(seeds, declared=plan.looks, most=most)
    if following is not None and not others:
        return f"{said}; {following} seeds next", following
    if others:
        why = too_few
    elif seeds >= most:
        why = f"--max-seeds is {most}"
    else:
        why = f"no look up to --max-seeds {most} is left of those declared, {_listed(plan.looks)}"
    return f"{said}; stopped after {_counted(looks_taken, 'look')}: {why}", None


def next_look(seeds: int, *, declared: Sequence[int], most: int) -> int | None:
    """The next declared look or, without a declaration, twice as many seeds; None if there is none up to `most`."""
    if declared:
        return next((number for number in declared if seeds < number <= most), None)
    return min(2 * seeds, most) if seeds < most else None


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
