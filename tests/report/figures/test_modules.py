"""Modules as parts of bars: as long as their counts, one after the other, in the colours of their stages."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from ablations.analysis.modules import MODULE_COLUMNS
from ablations.report.figures.modules import STAGE_COLOURS, draw_modules

MODULES = pd.DataFrame(
    [
        ("big", "stem", 1e6, 0.05, 4e6, 0.5, 10, 0.5),
        ("big", "4a", 3e6, 0.15, 4e6, 0.5, 10, 0.5),
        ("big", "aux4a", 16e6, 0.8, 0, 0.0, 0, 0.0),
        ("small", "stem", 1e6, 0.5, 2e6, 0.25, 10, 0.5),
        ("small", "4a", 1e6, 0.5, 6e6, 0.75, 10, 0.5),
    ],
    columns=list(MODULE_COLUMNS),
)


def test_parts_follow_each_other_with_lengths_of_their_counts() -> None:
    drawing = draw_modules(MODULES)
    params, macs = drawing.figure.axes
    assert [text.get_text() for text in params.get_yticklabels()] == ["big", "small"] and params.yaxis_inverted()
    for axes, name in ((params, "params"), (macs, "macs")):
        parts: list[Any] = list(axes.patches)
        modules = MODULES[MODULES[name] > 0]
        assert [part.get_width() for part in parts] == pytest.approx(modules[name] / 1e6)
        lefts = modules.groupby("variant")[name].cumsum() - modules[name]
        assert [part.get_x() for part in parts] == pytest.approx(lefts / 1e6)
        assert [part.get_gid() in drawing.tips for part in parts] == [True] * len(parts)
    assert [text.get_text() for text in params.texts] == ["20.0", "2.00"]
    assert drawing.tips["modules-params-1"] == "big: 4a has 3,000,000 parameters, 15.0 %"
    assert drawing.tips["modules-macs-2"] == "small: stem has 2.000 M MACs, 25.0 %"


def test_colours_are_those_of_the_stages_that_there_are() -> None:
    figure = draw_modules(MODULES).figure
    (legend,) = figure.legends
    stages = [text.get_text() for text in legend.get_texts()]
    assert stages == ["stem", "stage 4", "auxiliary"]
    drawn = [to_hex(part.get_facecolor()) for part in figure.axes[0].patches[:3]]
    assert drawn == [STAGE_COLOURS[stage].lower() for stage in stages]


def test_without_variants_the_axes_are_empty() -> None:
    assert draw_modules(MODULES[:0]).tips == {}
