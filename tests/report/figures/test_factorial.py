"""The interaction plot: a panel for each pair of factors, a line for each level of the second."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from ablations.analysis.factorial import MEAN_COLUMNS
from ablations.report.figures.factorial import draw_factorial
from tests.support.drawings import marker, segments

LEVELS = {"a": ("on", "off"), "b": ("3a 3b / 4a 4b 4c 4d 4e / 5a 5b", "3a", "4a"), "c": ("x", "y")}
PAIRS = list(itertools.combinations(LEVELS, 2))


def means() -> pd.DataFrame:
    """Errors of 5, 6, 7, ... percent, each with an interval of half a point to both sides."""
    pairs = [(one, x, other, y) for one, other in PAIRS for x in LEVELS[one] for y in LEVELS[other]]
    rows = [
        (*pair, 5, error, error - 0.005, error + 0.005)
        for pair, error in ((pair, (5 + number) / 100) for number, pair in enumerate(pairs))
    ]
    return pd.DataFrame(rows, columns=list(MEAN_COLUMNS))


def test_each_pair_of_factors_has_a_panel_with_a_line_for_each_level() -> None:
    frame = means()
    drawing = draw_factorial(frame)
    panels = drawing.figure.axes
    assert [panel.get_xlabel() for panel in panels] == [one for one, _ in PAIRS]
    for panel, (one, other) in zip(panels, PAIRS, strict=True):
        assert [text.get_text().replace("\n", " ") for text in panel.get_xticklabels()] == list(LEVELS[one])
        legend = panel.get_legend()
        assert legend is not None and legend.get_title().get_text() == other
        assert [text.get_text().replace("\n", " ") for text in legend.get_texts()] == list(LEVELS[other])
    assert len(drawing.tips) == len(frame) == 16
    places = sorted(marker(drawing.figure, gid)[1] for gid in drawing.tips)
    assert places == pytest.approx([5 + number for number in range(16)])
    ends = sorted(tuple(segment[:, 1]) for segment in segments(drawing.figure))
    assert ends == [pytest.approx((4.5 + number, 5.5 + number)) for number in range(16)]


def test_a_point_is_at_its_level_and_says_what_it_is() -> None:
    drawing = draw_factorial(means())
    gid = "factorial-0-1-1"  # second level of both factors of the first panel: 5 + 4
    x, y = marker(drawing.figure, gid)
    assert (round(x), y) == (1, pytest.approx(9))
    assert drawing.tips[gid] == "a off, b 3a: top-1 error 9.00 % [8.50, 9.50], n = 5"
    assert len({marker(drawing.figure, f"factorial-0-{line}-0")[0] for line in range(3)}) == 3, "side by side"


def test_without_data_there_is_no_panel() -> None:
    assert draw_factorial(means()[:0]).figure.axes == []
