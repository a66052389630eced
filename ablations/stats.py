"""Statistics of a comparison: trade-off fronts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pareto_front(costs: Sequence[float], errors: Sequence[float]) -> NDArray[np.bool_]:
    """Which of the points are on the front: no other one is as good in both and better in one.

    Points with a missing (NaN) cost or error are never on it.
    """
    points = np.column_stack([np.asarray(costs, dtype=float), np.asarray(errors, dtype=float)])
    no_worse = (points[:, None, :] <= points[None, :, :]).all(axis=2)
    better = (points[:, None, :] < points[None, :, :]).any(axis=2)
    dominated = (no_worse & better).any(axis=0)
    return np.logical_not(dominated | np.isnan(points).any(axis=1))
