"""Areas of a treemap: in proportion to counts, side by side without gaps, with labels inside."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from ablations.analysis.modules import LAYER_COLUMNS, layer_costs
from ablations.report.figures.treemap import draw_treemap
from googlenet.registry import architecture

# By hand: a stem of 40 parameters, a module of 100 in two branches, one of them of two layers, a head without any MAC.
LAYERS = pd.DataFrame(
    [
        ("stem", "", "stem.conv", 8, 4, 4, 40, 30, 1),
        ("3a", "1x1", "3a.1x1", 8, 4, 4, 25, 10, 1),
        ("3a", "3x3", "3a.3x3_reduce", 8, 4, 4, 25, 20, 1),
        ("3a", "3x3", "3a.3x3", 8, 4, 4, 50, 40, 1),
        ("3a", "", "3a.concat", 16, 4, 4, 0, 0, 0),
        ("aux3a", "", "aux3a.linear", 8, 1, 1, 60, 0, 0),
    ],
    columns=list(LAYER_COLUMNS),
)


def areas_of(figure: Figure) -> list[dict[str, tuple[float, ...]]]:
    """Of each panel, left, top, width and height by gid, all fractions."""
    panels = []
    for axes in figure.axes:
        patches: list[Any] = list(axes.patches)
        panels.append({patch.get_gid(): (*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in patches})
    return panels


def test_areas_are_shares_of_the_network() -> None:
    drawing = draw_treemap(LAYERS, title="by hand")
    params, macs = areas_of(drawing.figure)
    assert params == {
        "treemap-params-stem-": pytest.approx((0, 0, 1, 0.2)),
        "treemap-params-3a-1x1": pytest.approx((0, 0.2, 0.25, 0.5)),
        "treemap-params-3a-3x3": pytest.approx((0.25, 0.2, 0.75, 0.5)),
        "treemap-params-aux3a-": pytest.approx((0, 0.7, 1, 0.3)),
    }
    assert macs == {
        "treemap-macs-stem-": pytest.approx((0, 0, 1, 0.3)),
        "treemap-macs-3a-1x1": pytest.approx((0, 0.3, 1 / 7, 0.7)),
        "treemap-macs-3a-3x3": pytest.approx((1 / 7, 0.3, 6 / 7, 0.7)),
    }
    assert set(drawing.tips) == {*params, *macs}
    assert drawing.tips["treemap-params-3a-3x3"] == "3a 3x3: 75 parameters, 37.5 %"
    assert "auxiliary heads" in drawing.figure.axes[1].get_title()
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["1x1 branch", "3x3 branch", "stem, heads"]


@pytest.mark.parametrize("name", ["inception-v1", "naive"])
def test_labels_are_inside_their_areas_and_names_of_modules_apart(name: str) -> None:
    figure = draw_treemap(layer_costs(architecture(name), num_classes=10), title=name).figure
    for axes in figure.axes:
        rooms = [patch.get_window_extent() for patch in axes.patches]
        labels = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert labels and all(
            any(room.containsx(box.x0) and room.containsx(box.x1) for room in rooms) for box in labels
        )
        names = [tick.get_window_extent() for tick in axes.get_yticklabels() if tick.get_visible()]
        assert len(names) >= 9
        assert not any(first.overlaps(second) for first, second in combinations(names, 2))
        assert all(figure.bbox.contains(*box.min) for box in names)
