"""Design: a point for every number of seeds, in percentage points."""

from __future__ import annotations

import pandas as pd
import pytest

from ablations.report.figures.design import draw_design
from tests.support.drawings import marker


def test_every_number_of_seeds_has_its_difference_and_margin_in_points() -> None:
    table = pd.DataFrame({"seeds": [5, 3], "difference": [0.004, 0.009], "margin": [0.005, 0.007]})
    drawing = draw_design(table, margin=0.005, seeds=5)
    assert marker(drawing.figure, "design-difference-3") == pytest.approx((3, 0.9))
    assert marker(drawing.figure, "design-margin-5") == pytest.approx((5, 0.5))
    assert list(drawing.tips.values()) == [
        "3 seeds: difference that is detected, 0.90 points",
        "5 seeds: difference that is detected, 0.40 points",
        "3 seeds: margin shown equivalent, 0.70 points",
        "5 seeds: margin shown equivalent, 0.50 points",
    ]
    (legend,) = (axes.get_legend() for axes in drawing.figure.axes)
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][2:] == ["the suite's margin: 0.5", "within the budget: 5"]
