"""Rankings: the order of the variants by top-1 error, and how it depends on seeds, epochs and data."""

from __future__ import annotations

import math

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.rankings import MEASURES, STABLE_TAU, RankCorrelation, first_stable_epoch
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Table, Text
from ablations.report.formats.markdown import escape


def rankings_section(analysis: Analysis) -> Section | None:
    """The order of the variants, and how it depends on seeds, epochs and data."""
    rankings = analysis.rankings
    blocks: list[Block] = []
    if not rankings.reason:
        blocks.append(_table(rankings.ranks))
        texts = _seeds_text(rankings.by_seeds, n=int(rankings.ranks["n"].iloc[0])), _epochs_text(rankings.by_epoch)
        blocks += [Text(text) for text in texts if text]
    if analysis.rank_correlation is not None:
        blocks.append(Text(_correlation_text(analysis.rank_correlation)))
    return Section("Order of the variants", blocks) if blocks else None


def _table(ranks: pd.DataFrame) -> Table:
    columns = [
        Column("variant", ("variant",)),
        Column("n", ("n",)),
        Column("top-1 error %", ("error",), format=formatting.percent),
        Column("rank", ("rank",), format="{:g}".format),
        Column("95 % of resamples", ("rank_low", "rank_high"), format=_rank_interval),
        Column("best in", ("best_probability",), format=formatting.share),
    ]
    return Table("rankings", ranks.sort_values("rank", kind="stable"), columns=columns)


def _rank_interval(low: float, high: float) -> str:
    return formatting.NONE if pd.isna(low) else f"[{low:g}, {high:g}]"


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


def _correlation_text(found: RankCorrelation) -> str:
    other = escape(found.other)
    if found.reason:
        return f"**Other suite.** No comparison with the order of {other}: {escape(found.reason)}."
    if math.isnan(found.tau):
        return f"**Other suite.** No comparison with the order of {other}: in one suite all tie."
    interval = formatting.interval(found.interval, scale=1) if found.interval else "none with one seed"
    return (
        f"**Other suite.** Kendall's tau between the orders of {len(found.variants)} variants in this suite and in "
        f"{other}: {found.tau:+.2f}, 95 % interval {interval} over {found.seeds[0]} and {found.seeds[1]} "
        f"seeds, p {formatting.p_value(found.p)}. At 1 either suite predicts the other's order, at 0 neither does."
    )
