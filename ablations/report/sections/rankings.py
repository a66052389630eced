"""Rankings of the variants by top-1 error, and how they depend on seeds, epochs and data."""

from __future__ import annotations

import math

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.mean_draws import DRAWS, SHARE_SEEDS
from ablations.analysis.rankings import MEASURES, STABLE_TAU, RankCorrelation, Rankings, first_stable_epoch
from ablations.analysis.statistics.intervals import ALPHA, MIN_SEEDS
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Table, Text
from ablations.report.formats.markdown import escape

SHOWN_SEEDS = (1, 2, 3, 5, 10, 20)  # beside the suite's own number


def rankings_section(analysis: Analysis) -> Section | None:
    """The ranking of the variants, and how it depends on seeds, epochs and data; None if there is nothing to rank."""
    rankings = analysis.rankings
    blocks: list[Block] = []
    if not rankings.reason:
        blocks.append(_table(rankings.ranks))
        n = int(rankings.ranks["n"].iloc[0])
        texts = _ranks_text(n), _seeds_text(rankings, n=n), _epochs_text(rankings.by_epoch)
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
        Column("best in draws", ("best_probability",), format=formatting.draw_share),
    ]
    return Table("rankings", ranks.sort_values("rank", kind="stable"), columns=columns)


def _rank_interval(low: float, high: float) -> str:
    return formatting.NONE if pd.isna(low) else f"[{low:g}, {high:g}]"


def _ranks_text(n: int) -> str:
    if n < MIN_SEEDS:
        return ""
    text = f"Intervals of ranks are from {DRAWS:,} draws of the true mean errors"
    if n < SHARE_SEEDS:
        return f"{text}. Fewer than {SHARE_SEEDS} seeds are too few to say how often a variant is best."
    return f"{text}, in which a variant is best as often as the last column says."


def _seeds_text(rankings: Rankings, *, n: int) -> str:
    shown = rankings.by_seeds[rankings.by_seeds["seeds"].isin([*SHOWN_SEEDS, n])]
    if shown.empty:
        return ""
    parts = [f"{tau:.2f} with {k}" for k, tau in zip(shown["seeds"], shown["tau"], strict=True)]
    text = (
        "**Seeds.** Kendall's tau that a ranking is expected to have with the true order, by the number of seeds: "
        f"{', '.join(parts)}. This suite has {n}."
    )
    if rankings.spread_p > ALPHA:
        text += (
            " The variants spread no more than seeds alone could make them (F test, p "
            f"{formatting.p_value(rankings.spread_p)}), so these values may be too high: if all true errors are equal, "
            "there is no true order."
        )
    return text


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
    return (
        f"**Other suite.** Kendall's tau between the rankings of {len(found.variants)} variants in this suite and in "
        f"{other}: {found.tau:+.2f}, p {formatting.p_value(found.p)}. {_ceiling_text(found)}"
    )


def _ceiling_text(found: RankCorrelation) -> str:
    """How tau stands to its noise ceiling."""
    if math.isnan(found.ceiling):
        return "One seed does not tell how far seeds alone lower it."
    if found.ceiling == 0:
        return (
            "In one suite the variants spread no more than seeds alone make them, so nothing can be told of the true "
            "orders."
        )
    ceiling = (
        f"Two suites with the same true order would have {found.ceiling:+.2f} on average, with {found.seeds[0]} and "
        f"{found.seeds[1]} seeds (noise ceiling)"
    )
    if found.tau >= found.ceiling:
        return f"{ceiling}: these two agree as well as their seeds let them."
    return f"{ceiling}: the {found.ceiling - found.tau:.2f} below it is chance or a difference of the true orders."
