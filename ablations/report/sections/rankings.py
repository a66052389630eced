"""Rankings of the variants by top-1 error, and how they depend on seeds, epochs and data."""

from __future__ import annotations

import math

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.rankings import MEASURES, STABLE_TAU, RankCorrelation, first_stable_epoch
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Table, Text
from ablations.report.formats.markdown import escape


def rankings_section(analysis: Analysis) -> Section | None:
    """The ranking of the variants, and how it depends on seeds, epochs and data; None if there is nothing to rank."""
    rankings = analysis.rankings
    blocks: list[Block] = []
    if not rankings.reason:
        blocks.append(_table(rankings.ranks))
        texts = _seeds_text(rankings.by_seeds, n=int(rankings.ranks["n"].iloc[0])), _epochs_text(rankings.by_epoch)
        blocks += [Text(text) for text in texts if text]
    if analysis.rank_correlation is not None:
        blocks.append(Text(_correlation_text(analysis.rank_correlation)))
    return Section("Rankings", blocks) if blocks else None


def _table(ranks: pd.DataFrame) -> Table:
    columns = [
        Column("variant", ("variant",)),
        Column("n", ("n",)),
        Column("top-1 error %", ("error",), format=formatting.percent),
        Column("rank", ("rank",), format="{:g}".format),
        Column("95 % interval", ("rank_low", "rank_high"), format=_rank_interval),
        Column("best in resamples", ("best_probability",), format=formatting.share),
    ]
    return Table("rankings", ranks.sort_values("rank", kind="stable"), columns=columns)


def _rank_interval(low: float, high: float) -> str:
    return formatting.NONE if pd.isna(low) else f"[{low:g}, {high:g}]"


def _seeds_text(by_seeds: pd.DataFrame, *, n: int) -> str:
    parts = [
        f"{row['tau']:.2f} with {row['seeds']:.0f} (same best variant in {100 * row['top_agrees']:.0f} %)"
        for _, row in by_seeds.iterrows()
        if not pd.isna(row["tau"])
    ]
    if not parts:
        return ""
    return (
        f"**Seeds.** Kendall's tau between the ranking by fewer seeds and the ranking by all {n}, mean over subsets: "
        f"{', '.join(parts)}."
    )


def _epochs_text(by_epoch: pd.DataFrame) -> str:
    """Whether training could have stopped earlier as far as the ranking is concerned."""
    if by_epoch.empty or by_epoch["tau"].isna().all():
        return ""
    measure = str(by_epoch["measure"].iloc[0])
    settled = first_stable_epoch(by_epoch)
    last = by_epoch.iloc[-1]
    if settled is None:
        verdict = f"it does not reach {STABLE_TAU:g} and stay there; after the last epoch it is {last['tau']:.2f}"
    elif settled < last["epoch"]:
        verdict = (
            f"it is {STABLE_TAU:g} or above from epoch {settled} of {last['epoch']:.0f} on, so the ranking was settled "
            "by then"
        )
    else:
        verdict = f"it reaches {STABLE_TAU:g} only at the last of {last['epoch']:.0f} epochs"
    caveat = {
        "test_error": " The test error of earlier epochs is from the selection bias diagnostic.",
        "train_error": (
            " Training error says little about unseen images; a recipe with a validation_fraction would tell more."
        ),
    }
    return (
        f"**Epochs.** Kendall's tau between the ranking by {MEASURES[measure]} after each epoch and the ranking by "
        f"final test error: {verdict}.{caveat.get(measure, '')}"
    )


def _correlation_text(found: RankCorrelation) -> str:
    other = escape(found.other)
    if found.reason:
        return f"**Other suite.** No comparison with the ranking of {other}: {escape(found.reason)}."
    if math.isnan(found.tau):
        return f"**Other suite.** No comparison with the ranking of {other}: in one suite all variants tie."
    interval = formatting.interval(found.interval, scale=1) if found.interval else "none with one seed"
    return (
        f"**Other suite.** Kendall's tau between the rankings of {len(found.variants)} variants in this suite and in "
        f"{other}: {found.tau:+.2f}, 95 % interval {interval} over {found.seeds[0]} and {found.seeds[1]} "
        f"seeds, p {formatting.p_value(found.p)}. At 1 each suite predicts the other's ranking, at 0 neither does."
    )
