"""What variants trade error for and in which order they come: a report's sections on fronts and ranks."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from . import cells, power, stats, tradeoffs
from .cells import Cell
from .document import Block, Section, Table, Text
from .markdown import escape
from .tradeoffs import RankAgreement, Tradeoffs

COST_NAMES = {
    "params": "params",
    "macs": "MACs",
    "train_seconds": "training seconds",
    "peak_memory_bytes": "peak memory",
}
MEASURE_NAMES = {"validation_error": "validation error", "test_error": "test error", "train_error": "training error"}


class Agreement(NamedTuple):
    """Another suite, and how far it orders the variants alike."""

    other: str
    found: RankAgreement


def tradeoff_section(weighed: Tradeoffs) -> Section:
    """Which variants are on the fronts of error against cost, and how sure that is."""
    if weighed.reason:
        return Section("Trade-offs", [Text(f"No front: {weighed.reason}.")])
    fronts = weighed.fronts
    rows = []
    for variant, group in fronts.groupby("variant", sort=False):
        row: dict[str, str] = {"variant": str(variant), "n": cells.count(group["n"].iloc[0])}
        for _, front in group.iterrows():
            row[f"front: error, {COST_NAMES[front['cost']]}"] = _on_front(front)
        rows.append(row)
    text = (
        "On the front is a variant that no other one matches in both and beats in one of mean top-1 error and mean "
        "cost. Percentages: in how many of 2,000 bootstrap resamples of the seeds it is."
    )
    if (fronts["n"] < power.MIN_SEEDS).any():
        text += " With one seed there is nothing to resample, so how sure a front is cannot be said."
    if "train_seconds" not in set(fronts["cost"]):
        text += " Times of these runs do not compare, so there is no front of training seconds."
    return Section("Trade-offs", [Table("fronts", rows), Text(text)])


def order_section(weighed: Tradeoffs, agreement: Agreement | None) -> Section | None:
    """The order of the variants, and how it depends on seeds, epochs and data."""
    blocks: list[Block] = []
    if not weighed.reason:
        blocks.append(Table("ranks", _rank_rows(weighed.ranks)))
        blocks += [
            Text(text)
            for text in (
                _seeds_text(weighed.by_seeds, n=int(weighed.ranks["n"].iloc[0])),
                _epochs_text(weighed.by_epoch),
            )
            if text
        ]
    if agreement is not None:
        blocks.append(Text(_agreement_text(agreement)))
    return Section("Order of the variants", blocks) if blocks else None


def _on_front(row: pd.Series) -> Cell:
    probability = row["front_probability"]
    text = "yes" if row["on_front"] else "no"
    if pd.isna(probability):
        return Cell(text, float(row["on_front"]))
    return Cell(f"{text}, {100 * probability:.0f} %", probability)


def _rank_rows(ranks: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for _, row in ranks.sort_values("rank", kind="stable").iterrows():
        bounds = None if pd.isna(row["rank_low"]) else stats.Interval(row["rank_low"], row["rank_high"])
        best = row["best_probability"]
        rows.append(
            {
                "variant": str(row["variant"]),
                "n": cells.count(row["n"]),
                "top-1 error %": cells.percent(row["error"]),
                "rank": Cell(f"{row['rank']:g}", row["rank"]),
                "95 % of resamples": cells.interval(bounds, signed=False, scale=1, digits=0),
                "best in": Cell(cells.NONE) if pd.isna(best) else Cell(f"{100 * best:.0f} %", best),
            }
        )
    return rows


def _seeds_text(by_seeds: pd.DataFrame, *, n: int) -> str:
    parts = [
        f"{row['tau']:.2f} with {row['seeds']:.0f} (the same variant best in {100 * row['top_agrees']:.0f} %)"
        for _, row in by_seeds.iterrows()
        if not pd.isna(row["tau"])
    ]
    if not parts:
        return ""
    return (
        f"**Seeds.** Kendall's tau between the order by fewer seeds and that by all {n}, "
        f"as a mean over subsets: {', '.join(parts)}."
    )


def _epochs_text(by_epoch: pd.DataFrame) -> str:
    """Could training have stopped earlier, as far as the order is concerned?"""
    if by_epoch.empty or by_epoch["tau"].isna().all():
        return ""
    measure = MEASURE_NAMES[str(by_epoch["measure"].iloc[0])]
    settled = tradeoffs.settled_epoch(by_epoch)
    last = by_epoch.iloc[-1]
    if settled is None:
        verdict = f"it never stays at 0.9 or above, and is {last['tau']:.2f} at the last"
    elif settled < last["epoch"]:
        verdict = f"it is 0.9 or above from epoch {settled} of {last['epoch']:.0f} on: the order was settled by then"
    else:
        verdict = f"it reaches 0.9 at the last of {last['epoch']:.0f} epochs only"
    caveat = ""
    if measure != "validation error":
        caveat = (
            ", which says little of unseen images; a recipe with a validation_fraction would tell better"
            if measure == "training error"
            else " of the diagnostic"
        )
    return (
        f"**Epochs.** Kendall's tau between the order at an epoch, by {measure}{caveat}, and the order by the final "
        f"test error: {verdict}."
    )


def _agreement_text(agreement: Agreement) -> str:
    found = agreement.found
    if found.reason:
        return f"**Other data.** No comparison with the order of {escape(agreement.other)}: {escape(found.reason)}."
    if math.isnan(found.tau):
        return f"**Other data.** No comparison with the order of {escape(agreement.other)}: in one suite all tie."
    interval = cells.interval(found.interval, scale=1, signed=True) if found.interval else "none with one seed"
    return (
        f"**Other data.** Kendall's tau between the orders of {len(found.variants)} variants in this suite and in "
        f"{escape(agreement.other)}: {found.tau:+.2f}, 95 % interval {interval} over {found.seeds[0]} and "
        f"{found.seeds[1]} seeds, p {cells.p_value(found.p)}. At 1 either suite predicts the other's order, at 0 "
        "neither does."
    )
