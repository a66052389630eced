"""Forest plot: differences in order, their intervals, the margin, and the words at the right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation
from scipy import stats

from ablations.analysis.statistics.intervals import Interval
from ablations.analysis.statistics.verdicts import Verdict
from ablations.report.figures.forest import draw_forest
from tests.support.drawings import marker, place_of, segments
from tests.support.paired_suites import compare, results_of

# Of 10,000 images, seeds 1 to 4: worse, within the margin of half a point, too scattered to say, and better.
WRONG = {
    "reduced": [800, 815, 790, 805],
    "naive": [1000, 1012, 995, 1004],
    "long": [804, 817, 794, 806],
    "short2": [700, 930, 760, 891],
    "short": [600, 617, 591, 603],
}
MACS = pd.Series({"naive": 4.162, "long": 0.001, "short2": np.nan, "short": -0.75})
COMPARISONS = compare(results_of(WRONG), level=0.04).comparisons


def test_rows_are_differences_with_intervals_from_the_lowest_down() -> None:
    drawing = draw_forest(COMPARISONS, macs=MACS)
    (axes,) = drawing.figure.axes
    order = ["short", "long", "short2", "naive"]
    assert [label.get_text() for label in axes.get_yticklabels()] == order
    assert axes.yaxis_inverted()
    lines = {int(line[0, 1]): line[:, 0] for line in segments(drawing.figure)}
    for place, variant in enumerate(order):
        differences = np.subtract(WRONG[variant], WRONG["reduced"]) / 100
        low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.96)
        assert marker(drawing.figure, place_of(drawing, variant)) == (pytest.approx(differences.mean()), place)
        assert lines[place] == pytest.approx((low, high))
    assert drawing.tips[place_of(drawing, "short")].startswith("short: -2.00 points [-2.0")
    assert drawing.tips[place_of(drawing, "short")].endswith(", n = 4, lower error, MACs -75 %")


def test_a_thin_line_is_the_interval_on_new_images() -> None:
    (first, *others) = COMPARISONS
    new = first.these._replace(interval=Interval(-0.01, 0.05))
    drawing = draw_forest([replace(first, new=new), *others], macs=MACS)
    last = [line[:, 0].tolist() for line in segments(drawing.figure) if line[0, 1] == 3]
    assert last == [[pytest.approx(100 * bound) for bound in scope.interval] for scope in (first.these, new)]
    assert "], on new images [-1.00, +5.00], n = 4, higher error" in drawing.tips[place_of(drawing, "naive")]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("better, within the margin", "lower, within margin"), ("worse, within the margin", "higher, within margin")],
)
def test_a_difference_within_the_margin_says_so(verdict: Verdict, words: str) -> None:
    one = replace(COMPARISONS[0], these=COMPARISONS[0].these._replace(verdict=verdict))
    drawing = draw_forest([one], macs=MACS)
    assert words in [text.get_text() for text in drawing.figure.findobj(Annotation)]


def test_the_margin_is_a_band_about_a_line_at_zero() -> None:
    figure = draw_forest(COMPARISONS, macs=MACS).figure
    band: Any = figure.findobj(lambda artist: artist.get_gid() == "forest-margin")[0]
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.5, 1.0))
    assert [0, 0] in [np.asarray(line.get_xdata()).tolist() for line in figure.axes[0].lines]
    assert figure.axes[0].get_xlabel() == "top-1 error minus that of reduced (points)"


def test_each_row_ends_with_the_change_of_macs_and_the_verdict_in_words() -> None:
    figure = draw_forest(COMPARISONS, macs=MACS).figure
    found: list[Any] = figure.findobj(Annotation)
    rows: dict[float, list[str]] = {}
    for text in found:
        if text.xycoords == "axes fraction":
            continue  # the heads of the columns
        rows.setdefault(text.xy[1], []).append(text.get_text())
    assert [rows[place] for place in range(4)] == [
        ["\N{MINUS SIGN}75 %", "lower error"],
        ["0 %", "equivalent"],
        ["–", "not settled"],
        ["+416 %", "higher error"],
    ]


def test_without_comparisons_the_axes_are_empty() -> None:
    assert draw_forest([], macs=MACS).tips == {}
