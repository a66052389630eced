"""Rank stability: a panel for the number of seeds and one for epochs."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from ablations.analysis.rankings import EPOCH_COLUMNS, RANK_COLUMNS, SEED_COLUMNS, Rankings
from ablations.report.figures.rank_stability import draw_rank_stability


def legend_of(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_stability_has_a_panel_for_seeds_and_one_for_epochs_where_there_is_data() -> None:
    ranks = pd.DataFrame([("a", 3, 0.1, 1, 1, 2, 0.5)], columns=list(RANK_COLUMNS))
    by_seeds = pd.DataFrame([(1, 0.5), (3, 0.625), (20, 0.75)], columns=list(SEED_COLUMNS))
    taus = [(1, "train_error", -0.25), (2, "train_error", 0.95), (3, "train_error", 1.0)]
    by_epoch = pd.DataFrame(taus, columns=list(EPOCH_COLUMNS))
    both = draw_rank_stability(Rankings(ranks=ranks, by_seeds=by_seeds, by_epoch=by_epoch))
    seeds, epochs = both.figure.axes
    assert ("seeds" in seeds.get_xlabel(), "training error" in epochs.get_xlabel()) == (True, True)
    assert ("true order" in seeds.get_ylabel(), "final ranking" in epochs.get_ylabel()) == (True, True)
    assert list(both.tips.values()) == [
        "seeds 1: tau 0.50",
        "seeds 3: tau 0.62",
        "seeds 20: tau 0.75",
        "epoch 1: tau -0.25",
        "epoch 2: tau 0.95",
        "epoch 3: tau 1.00",
    ]
    assert epochs.get_ylim()[0] < -0.25, "the least tau is seen"
    assert (legend_of(seeds), legend_of(epochs)) == (["this suite: 3"], ["at least 0.9 from epoch 2"])
    only = draw_rank_stability(Rankings(by_epoch=by_epoch))
    assert len(only.figure.axes) == 1 and len(only.tips) == 3


def test_without_data_there_is_no_panel() -> None:
    assert draw_rank_stability(Rankings()).figure.axes == []
