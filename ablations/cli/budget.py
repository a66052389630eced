"""What --plan says of a study's design: what numbers of seeds can show, and how many fit --budget."""

from __future__ import annotations

import re

import pandas as pd
from rich.console import Console
from rich.text import Text

from ablations.analysis.planning.design import (
    Spread,
    Variant,
    assumed_spread,
    design_table,
    pooled_spread,
    seconds_of,
    seeds_within,
)
from ablations.analysis.results import WHOLE_RECIPE
from ablations.analysis.statistics.paired_tests import rounding_std
from ablations.cli.console import show_table
from ablations.cli.planning import PlanState, hours, untimed
from ablations.errors import ConfigError
from ablations.records.looks import looks_of
from ablations.report.document import Column, Table
from ablations.report.formatting import percent, plural, some
from ablations.suites.suite import MAX_SEEDS
from googlenet.validation import check_range

SEEDS = (3, 5, 8, 10, 15, 20)
# Standard deviations over seeds of a run's top-1 error, as fractions, where no runs are there yet; and where from.
ASSUMED = {
    "cifar10": (0.0015, "about that of well-trained networks"),
    "digits": (0.022, "as in results/reference/digits, 7 variants of 4 seeds"),
}
_UNITS = {"m": 60, "h": 3600, "d": 86400}  # seconds
_BUDGET = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([mhd])")


def budget_seconds(text: str) -> float:
    """Seconds of a budget such as 90m, 6h or 2d.

    Raises:
        ConfigError: if it is not written like that, or is zero.
    """
    match = _BUDGET.fullmatch(text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not seconds:
        raise ConfigError(f"--budget is {text!r}; give minutes, hours or days, as in 90m, 6h or 2d")
    return seconds


def expected_std(points: float) -> float:
    """The fraction of --expect-sd.

    Raises:
        ConfigError: if it is not above 0 and at most 50 points.
    """
    try:
        check_range("--expect-sd", points, low=0, high=50, open_low=True)
    except ValueError as error:
        raise ConfigError(f"{error} of percentage points") from error
    return points / 100


def show_design(
    state: PlanState, *, console: Console, budget: float | None, std: float | None, slots: int | None = 1
) -> None:
    """Print what numbers of seeds take and can show; with a budget in seconds, also those that fit, and draw it.

    `std` is the standard deviation over seeds that a variant's error is expected to have, a fraction. `slots` is how
    many runs train side by side; if Ray's cluster decides it, None, and the hours are those of runs one by one.

    Raises:
        ConfigError: if the budget cannot be spent, as the time of a variant is not known.
    """
    plan = state.plan
    comparisons = 0 if WHOLE_RECIPE in plan.declared else len(state.variants) - 1
    spread, about = _spread(state, std)
    variants = {name: Variant(state.seconds(name), state.done[name]) for name in state.variants}
    fitting = None if budget is None else _fitting(state, budget, variants, slots=slots or 1)
    numbers = sorted({*SEEDS, fitting} if fitting else SEEDS)
    looks = looks_of(plan, state.folder.looks.read())
    table = design_table(
        numbers,
        spread=spread,
        comparisons=comparisons,
        looks=looks,
        declared=looks[0].declared if looks else plan.looks,
        variants=variants,
        slots=slots or 1,
    )
    show_table(_table(table), console=console, title=f"what seeds show, in hours {_beside(slots)}")
    console.print(Text(about if comparisons else "This suite has no comparisons, so no verdicts."))
    if fitting is None or budget is None:
        return
    console.print(Text(_said(table, fitting, budget=budget, variants=variants, slots=slots)))
    if fitting and table["difference"].notna().any():
        _draw(state, table, seeds=fitting, console=console)


def _beside(slots: int | None) -> str:
    return f"with {slots} side by side" if slots and slots > 1 else "one by one"


def _fitting(state: PlanState, budget: float, variants: dict[str, Variant], *, slots: int) -> int:
    unknown = untimed(state)
    if unknown:
        raise ConfigError(
            f"--budget: no time is known of {some(unknown)}, so no number of seeds can be worked out; run this command "
            "with --dry-run instead of --plan and --budget first"
        )
    return seeds_within(budget, list(variants.values()), slots=slots, most=MAX_SEEDS)


def _spread(state: PlanState, std: float | None) -> tuple[Spread | None, str]:
    """The spread of differences from the baseline, and what it is of."""
    plan = state.plan
    what = (
        "At the first look so many seeds detect the difference, and show a difference of zero to be within the margin, "
        f"in 80 % of cases, if differences from {plan.baseline} over seeds have a standard deviation of"
    )
    least_std = rounding_std(plan.data.test_images)
    found = pooled_spread(state.records, baseline=plan.baseline, least_std=least_std)
    if std is not None:
        source = "as --expect-sd says"
    elif found is not None:
        of = f"that of {found.differences} differences over up to {found.seeds} seeds that are there"
        return found, f"{what} {percent(found.std)} points, {of}."
    elif plan.data.name in ASSUMED:
        std, of = ASSUMED[plan.data.name]
        source = f"which is assumed ({of}; --expect-sd gives another)"
    else:
        return None, (
            f"What seeds can show depends on their spread, which is not known for {plan.data.name}: give --expect-sd, "
            "a variant's standard deviation over seeds in points, or train two seeds first."
        )
    spread = assumed_spread(std)
    return spread, (
        f"{what} {percent(spread.std)} points: the square root of 2 times {percent(std)} of a variant, {source}."
    )


def _table(table: pd.DataFrame) -> Table:
    return Table(
        "design",
        table,
        columns=[
            Column("seeds", ("seeds",)),
            Column("hours left", ("seconds",), format=hours),
            Column("difference detected (points)", ("difference",), format=percent),
            Column("margin shown equivalent (points)", ("margin",), format=percent),
        ],
    )


def _said(table: pd.DataFrame, seeds: int, *, budget: float, variants: dict[str, Variant], slots: int | None) -> str:
    of = f"each of {plural(len(variants), 'variant')}"
    more = " Ray's cluster may train several side by side, so more may fit." if slots is None else ""
    if not seeds:
        one = seconds_of(1, [variant._replace(done=0) for variant in variants.values()], slots=slots or 1)
        takes = f"one of {of} takes {hours(one)} hours {_beside(slots)}"
        return f"A budget of {hours(budget)} hours fits no seed: {takes}.{more}"
    row = table[table["seeds"] == seeds].iloc[0]
    runs = sum(max(0, seeds - variant.done) for variant in variants.values())
    fits = (
        f"A budget of {hours(budget)} hours fits {plural(seeds, 'seed')} of {of}: {plural(runs, 'more run')}, "
        f"{hours(row['seconds'])} hours {_beside(slots)}.{more}"
    )
    if pd.isna(row["difference"]):
        return fits
    return (
        f"{fits} They detect a difference of {percent(row['difference'])} points, and show one of zero to be within "
        f"{percent(row['margin'])}, with a level of {100 * row['level']:.2g} % for each comparison."
    )


def _draw(state: PlanState, table: pd.DataFrame, *, seeds: int, console: Console) -> None:
    from ablations.report.figures.design import draw_design
    from ablations.report.svg import write_drawings

    drawing = draw_design(table, margin=state.plan.margin, seeds=seeds)
    write_drawings({"design": drawing}, folder=state.folder.figures)
    console.print(Text(f"drawn in {state.folder.figures / 'design.svg'}, and design.png beside it"), soft_wrap=True)
