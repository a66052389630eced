"""What variants trade error for: a report's section on fronts."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.bootstrap import RESAMPLES
from ablations.analysis.costs import COSTS
from ablations.analysis.pareto import ParetoFronts
from ablations.analysis.power import MIN_SEEDS
from ablations.report import formatting
from ablations.report.document import Section, Table, Text
from ablations.report.formatting import Cell


def pareto_section(fronts: ParetoFronts) -> Section:
    """Which variants are on the fronts of error against cost, and how sure that is."""
    if fronts.reason:
        return Section("Trade-offs", [Text(f"No front: {fronts.reason}.")])
    titles = {cost.name: cost.title for cost in COSTS}
    rows = []
    for variant, group in fronts.table.groupby("variant", sort=False):
        row: dict[str, str] = {"variant": str(variant), "n": formatting.count(group["n"].iloc[0])}
        for _, front in group.iterrows():
            row[f"front: error, {titles[front['cost']]}"] = _on_front(front)
        rows.append(row)
    text = (
        "On the front is a variant that no other one matches in both and beats in one of mean top-1 error and mean "
        f"cost. Percentages: in how many of {RESAMPLES:,} bootstrap resamples of the seeds it is."
    )
    if (fronts.table["n"] < MIN_SEEDS).any():
        text += " With one seed there is nothing to resample, so how sure a front is cannot be said."
    missing = [cost.title for cost in COSTS if fronts.of(cost).empty]
    if missing:
        text += f" There is no front of {' and '.join(missing)}: not all of these runs have figures that compare."
    return Section("Trade-offs", [Table("fronts", rows), Text(text)])


def _on_front(row: pd.Series) -> Cell:
    probability = row["front_probability"]
    text = "yes" if row["on_front"] else "no"
    if pd.isna(probability):
        return Cell(text, float(row["on_front"]))
    return Cell(f"{text}, {100 * probability:.0f} %", probability)
