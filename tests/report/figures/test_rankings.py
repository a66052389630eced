"""Ranks as dots with their intervals."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.rankings import RANK_COLUMNS, Rankings
from ablations.report.figures.rankings import draw_rankings
from tests.support.drawings import marker, place_of, segments


def test_ranks_are_dots_with_their_intervals_from_the_best_down() -> None:
    frame = pd.DataFrame(
        [("b", 5, 0.2, 2.5, 1, 3, 0.25), ("a", 5, 0.1, 1, 1, 1.5, None), ("c", 5, 0.2, 2.5, 2, 3, 0.0)],
        columns=list(RANK_COLUMNS),
    )
    drawing = draw_rankings(Rankings(ranks=frame))
    (axes,) = drawing.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.yaxis_inverted()
    assert marker(drawing.figure, place_of(drawing, "b")) == (2.5, 1)
    assert [bar.tolist() for bar in segments(drawing.figure)] == [
        [[1, 0], [1.5, 0]],
        [[1, 1], [3, 1]],
        [[2, 2], [3, 2]],
    ]
    assert drawing.tips[place_of(drawing, "b")] == ("b: rank 2.5, n = 5, 95 % interval [1, 3], best in 25 % of draws")
    assert drawing.tips[place_of(drawing, "a")].endswith("95 % interval [1, 1.5]")


def test_without_ranks_the_axes_are_empty() -> None:
    assert draw_rankings(Rankings()).tips == {}
