"""In which order variants come, and how far to trust it: a report's section on ranks."""

from __future__ import annotations

import math

import pandas as pd

from ablations.analysis.rankings import MEASURES, STABLE_TAU, RankCorrelation, Rankings, first_stable_epoch
from ablations.report import formatting
from ablations.report.document import Block, Section, Table, Text
from ablations.report.formats.markdown import escape
from ablations.report.formatting import Cell


def rankings_section(ranked: Rankings, agreement: RankCorrelation | None) -> Section | None:
    """The order of the variants, and how it depends on seeds, epochs and data."""
    blocks: list[Block] = []
    if not ranked.reason:
        blocks.append(Table("ranks", _rank_rows(ranked.ranks)))
        blocks += [
            Text(text)
            for text in (
                _seeds_text(ranked.by_seeds, n=int(ranked.ranks["n"].iloc[0])),
                _epochs_text(ranked.by_epoch),
            )
            if text
        ]
    if agreement is not None:
        blocks.append(Text(_agreement_text(agreement)))
    return Section("Order of the variants", blocks) if blocks else None


def _rank_rows(ranks: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for _, row in ranks.sort_values("rank", kind="stable").iterrows():
        low, high = row["rank_low"], row["rank_high"]
        best = row["best_probability"]
        rows.append(
            {
                "variant": str(row["variant"]),
                "n": formatting.count(row["n"]),
                "top-1 error %": formatting.percent(row["error"]),
                "rank": Cell(f"{row['rank']:g}", row["rank"]),
                "95 % of resamples": Cell(formatting.NONE) if pd.isna(low) else Cell(f"[{low:g}, {high:g}]", low),
                "best in": Cell(formatting.NONE) if pd.isna(best) else Cell(f"{100 * best:.0f} %", best),
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
    measure = str(by_epoch["measure"].iloc[0])
    settled = first_stable_epoch(by_epoch)
    last = by_epoch.iloc[-1]
    if settled is None:
        verdict = f"it does not reach {STABLE_TAU:g} and stay there; after the last it is {last['tau']:.2f}"
    elif settled < last["epoch"]:
        verdict = (
            f"it is {STABLE_TAU:g} or above from epoch {settled} of {last['epoch']:.0f} on: the order was settled by "
            "then"
        )
    else:
        verdict = f"it reaches {STABLE_TAU:g} at the last of {last['epoch']:.0f} epochs only"
    caveat = {
        "test_error": " The test error of earlier epochs is the diagnostic's.",
        "train_error": (
            " Training error says little of unseen images; a recipe with a validation_fraction would tell better."
        ),
    }
    return (
        f"**Epochs.** Kendall's tau between the order by {MEASURES[measure]} after each epoch and the order by the "
        f"final test error: {verdict}.{caveat.get(measure, '')}"
    )


def _agreement_text(agreement: RankCorrelation) -> str:
    other = escape(agreement.other)
    if agreement.reason:
        return f"**Other suite.** No comparison with the order of {other}: {escape(agreement.reason)}."
    if math.isnan(agreement.tau):
        return f"**Other suite.** No comparison with the order of {other}: in one suite all tie."
    interval = (
        formatting.interval(agreement.interval, scale=1, signed=True) if agreement.interval else "none with one seed"
    )
    return (
        f"**Other suite.** Kendall's tau between the orders of {len(agreement.variants)} variants in this suite and in "
        f"{other}: {agreement.tau:+.2f}, 95 % interval {interval} over {agreement.seeds[0]} and {agreement.seeds[1]} "
        f"seeds, p {formatting.p_value(agreement.p)}. At 1 either suite predicts the other's order, at 0 neither does."
    )
