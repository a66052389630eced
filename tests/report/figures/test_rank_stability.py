"""Rank stability: a panel for the number of seeds and one for epochs."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.collections import PolyCollection

from ablations.analysis.rankings import EPOCH_COLUMNS, SEED_COLUMNS, Rankings
from ablations.report.figures.rank_stability import draw_rank_stability


def test_stability_has_a_panel_for_seeds_and_one_for_epochs_where_there_is_data() -> None:
    by_seeds = pd.DataFrame([(1, 0.5, -0.25, 0.75, 0.5)], columns=list(SEED_COLUMNS))
    taus = [(1, "train_error", 0.25, 0, 0.5), (2, "train_error", 0.95, 0.5, 1), (3, "train_error", 1.0, 0.75, 1)]
    by_epoch = pd.DataFrame(taus, columns=list(EPOCH_COLUMNS))
    both = draw_rank_stability(Rankings(by_seeds=by_seeds, by_epoch=by_epoch))
    seeds, epochs = both.figure.axes
    assert ("seeds" in seeds.get_xlabel(), "training error" in epochs.get_xlabel()) == (True, True)
    assert list(both.tips.values()) == [
        "seeds 1: tau 0.50 [-0.25, 0.75]",
        "epoch 1: tau 0.25 [0.00, 0.50]",
        "epoch 2: tau 0.95 [0.50, 1.00]",
        "epoch 3: tau 1.00 [0.75, 1.00]",
    ]
    assert seeds.get_ylim()[0] < -0.25, "the whole interval is seen"
    (band,) = epochs.findobj(PolyCollection)
    drawn: Any = band
    assert {(1, 0), (1, 0.5), (3, 0.75), (3, 1)} <= {tuple(corner) for corner in drawn.get_paths()[0].vertices}
    legend = epochs.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["at least 0.9 from epoch 2"]
    only = draw_rank_stability(Rankings(by_epoch=by_epoch))
    assert len(only.figure.axes) == 1 and len(only.tips) == 3


def test_without_data_there_is_no_panel() -> None:
    assert draw_rank_stability(Rankings()).figure.axes == []
