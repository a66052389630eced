"""Pareto fronts: which variants no other one beats in both error and cost."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.bootstrap import RESAMPLES
from ablations.analysis.costs import COSTS
from ablations.analysis.pareto import ParetoFronts
from ablations.analysis.power import MIN_SEEDS
from ablations.report import formatting
from ablations.report.document import Column, Section, Table, Text


def pareto_section(analysis: Analysis) -> Section:
    """Which variants are on the fronts of error against cost, and how sure that is."""
    fronts = analysis.pareto
    if fronts.reason:
        return Section("Trade-offs", [Text(f"No front: {fronts.reason}.")])
    text = (
        "On the front is a variant that no other one matches in both and beats in one of mean top-1 error and mean "
        f"cost. Percentages: in how many of {RESAMPLES:,} bootstrap resamples of the seeds it is."
    )
    if (fronts.table["n"] < MIN_SEEDS).any():
        text += " With one seed there is nothing to resample, so how sure a front is cannot be said."
    missing = [cost.title for cost in COSTS if fronts.of(cost).empty]
    if missing:
        text += f" There is no front of {' and '.join(missing)}: not all of these runs have figures that compare."
    return Section("Trade-offs", [_table(fronts), Text(text)])


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
        columns.append(Column(f"front: error, {cost.title}", (order, on_front, probability), format=_on_front))
    return Table(
        "pareto", frame.reset_index(), columns=columns, caption="Variants on the fronts of error against cost."
    )


def _on_front(_: float, on_front: bool, probability: float) -> str:
    answer = "yes" if on_front else "no"
    return answer if pd.isna(probability) else f"{answer}, {formatting.share(probability)}"
