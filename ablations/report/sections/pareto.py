"""Pareto fronts of error and cost: the variants that no other variant dominates."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import COSTS
from ablations.analysis.mean_draws import DRAWS, SHARE_SEEDS
from ablations.analysis.pareto import ParetoFronts
from ablations.report import formatting
from ablations.report.document import Column, Section, Table, Text


def pareto_section(analysis: Analysis) -> Section | None:
    """Which variants are on the Pareto fronts of error and cost, with shares of draws; None if recipes differ."""
    if analysis.results.different_recipes:
        return None
    fronts = analysis.pareto
    if fronts.reason:
        return Section("Pareto fronts", [Text(f"No front: {fronts.reason}.")])
    text = (
        "A variant is on the Pareto front if no other variant is at least as good in both mean top-1 error and mean "
        "cost and better in one. "
    )
    if (fronts.table["n"] < SHARE_SEEDS).any():
        text += f"Fewer than {SHARE_SEEDS} seeds are too few to say how sure that is."
    else:
        text += f"Percentages are the share of {DRAWS:,} draws of the true means in which it is on the front."
    missing = [cost.title for cost in COSTS if fronts.of(cost).empty]
    if missing:
        text += f" There is no front for {' and '.join(missing)}: not all of these runs have comparable values."
    return Section("Pareto fronts", [_table(fronts), Text(text)])


def _table(fronts: ParetoFronts) -> Table:
    """A row a variant, and a column for each cost that has a front."""
    by_variant = fronts.table.drop_duplicates("variant").set_index("variant")
    frame = by_variant[["n"]]
    columns = [Column("variant", ("variant",)), Column("n", ("n",))]
    for cost in COSTS:
        front = fronts.of(cost)
        if front.empty:
            continue
        on_front, probability, order = (f"{cost.name}_{name}" for name in ("on_front", "probability", "order"))
        share = front["front_probability"].astype(float)
        frame = frame.assign(
            **{on_front: front["on_front"], probability: share, order: share.fillna(front["on_front"].astype(float))}
        )
        columns.append(Column(f"error vs. {cost.title}", (order, on_front, probability), format=_on_front))
    return Table(
        "pareto", frame.reset_index(), columns=columns, caption="Variants on the Pareto fronts of error and cost."
    )


def _on_front(_: float, on_front: bool, probability: float) -> str:
    answer = "yes" if on_front else "no"
    return answer if pd.isna(probability) else f"{answer}, {formatting.draw_share(probability)}"
