"""Labels of points: apart from each other, inside the axes, and on no point."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
from matplotlib.text import Annotation

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import COSTS, Cost
from ablations.analysis.pareto import ParetoFronts
from ablations.report.figures.error_against_cost import draw_error_against_cost
from ablations.report.svg import Drawing
from tests.support.drawings import marker, place_of


@pytest.mark.parametrize("cost", COSTS, ids=lambda cost: cost.file_name)
def test_labels_stand_apart_inside_the_axes(cost: Cost, drawings: Mapping[str, Drawing]) -> None:
    check(drawings[cost.file_name])


def test_labels_of_points_without_intervals_or_a_front_stand_apart_too(five: Analysis) -> None:
    summary = five.results.summary.drop(columns=["top1_error_low", "top1_error_high"])
    check(draw_error_against_cost(summary, COSTS[0], fronts=ParetoFronts()))


def check(drawing: Drawing) -> None:
    labels: list[Any] = drawing.figure.findobj(Annotation)
    boxes = {label.get_text(): label.get_window_extent() for label in labels}
    assert len(boxes) == len(drawing.tips) == 7
    (axes,) = drawing.figure.axes
    for first, second in combinations(boxes.values(), 2):
        assert not first.overlaps(second)
    points = {
        variant: axes.transData.transform(marker(drawing.figure, place_of(drawing, variant))) for variant in boxes
    }
    for variant, box in boxes.items():
        assert axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max)
        assert not [other for other, point in points.items() if box.contains(*point)], f"{variant} covers a point"
