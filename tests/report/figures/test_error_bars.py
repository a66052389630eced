"""Errors as bars with their intervals."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from ablations.analysis.analyse import Analysis
from ablations.report.figures.error_bars import draw_error_bars
from ablations.report.svg import Drawing
from tests.support.drawings import segments, summary_row


def test_bars_have_the_intervals_of_both_errors(five: Analysis, drawings: Mapping[str, Drawing]) -> None:
    drawing = drawings["error_bars"]
    summary = five.results.summary.set_index("variant")
    bars: dict[str, Any] = {str(bar.get_gid()): bar for bar in drawing.figure.axes[0].patches}
    drawn = {round(float(bar[0, 1]), 6): bar[:, 0] for bar in segments(drawing.figure)}
    assert len(drawn) == len(bars) == 2 * len(summary)
    for gid, tip in drawing.tips.items():
        variant, kind = str(re.split(":", tip)[0]), re.split("-", gid)[1]
        mean, low, high = (100 * summary[f"{kind}_error_{name}"][variant] for name in ("mean", "low", "high"))
        assert bars[gid].get_width() == pytest.approx(mean)
        middle = bars[gid].get_y() + bars[gid].get_height() / 2
        assert drawn[round(middle, 6)] == pytest.approx((low, high))
        assert tip == f"{variant}: top-{kind[3:]} error {mean:.2f} % [{low:.2f}, {high:.2f}], n = 5"


def test_one_seed_without_top5_has_one_bar_and_no_interval() -> None:
    ends = {"top1_error_low": math.nan, "top1_error_high": math.nan}
    drawing = draw_error_bars(pd.DataFrame([summary_row(n=1, **ends)]))
    assert segments(drawing.figure) == []
    assert list(drawing.tips.values()) == ["short3: top-1 error 5.21 %, n = 1"]


def test_without_data_the_axes_are_empty() -> None:
    assert draw_error_bars(pd.DataFrame([summary_row(top1_error_mean=math.nan)])).tips == {}
