"""A suite of three seeds whose resamples can all be enumerated, and the tolerance of what is drawn from them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

# Seeds are rows: four variants whose ranking changes from seed to seed.
ERRORS = np.array([[0.10, 0.11, 0.13, 0.20], [0.12, 0.09, 0.10, 0.21], [0.11, 0.13, 0.09, 0.19]])
NAMES = ["a", "b", "c", "d"]
# All 27 ways to draw three of three seeds, each as likely.
RESAMPLES = [list(chosen) for chosen in product(range(3), repeat=3)]


def row(frame: pd.DataFrame, **where: object) -> Any:
    """The only row with these values."""
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def close(share: float) -> Any:
    """A share among 2,000 resamples, within five standard deviations of its expected value."""
    return pytest.approx(share, abs=5 * np.sqrt(max(share * (1 - share), 1e-9) / 2000))
