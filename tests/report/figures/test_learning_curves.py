"""Learning curves: means over seeds within their range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from ablations.analysis.analyse import Analysis
from ablations.report.figures.learning_curves import draw_learning_curves
from ablations.report.svg import Drawing


def test_learning_curves_are_means_within_the_range_over_seeds(five: Analysis, drawings: Mapping[str, Drawing]) -> None:
    drawing = drawings["learning_curves"]
    loss, error = drawing.figure.axes
    for axes, column, scale in ((loss, "train_loss", 1), (error, "train_error", 100)):
        bands = axes.findobj(PolyCollection)
        for variant, line, band in zip(five.results.variants, axes.lines, bands, strict=True):
            group = scale * five.results.epochs[five.results.epochs["variant"] == variant].set_index("epoch")[column]
            per_epoch = group.groupby(level=0)
            assert np.asarray(line.get_ydata()) == pytest.approx(per_epoch.mean().to_numpy())
            drawn: Any = band
            ends = drawn.get_paths()[0].vertices[:, 1]
            assert (ends.min(), ends.max()) == pytest.approx((group.min(), group.max()))
            assert drawing.tips[str(line.get_gid())].startswith(f"{variant}: training ")
            assert drawing.tips[str(line.get_gid())].endswith("n = 5")
    assert (loss.get_ylabel(), error.get_ylabel()) == ("training loss (nats)", "training error (%)")


def test_without_epochs_the_axes_are_empty() -> None:
    assert draw_learning_curves(pd.DataFrame()).tips == {}
