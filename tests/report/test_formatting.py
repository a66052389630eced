"""Numbers as text: rounded, with units or spread, and a dash for what is missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ablations.analysis.statistics.intervals import Interval
from ablations.report import formatting
from ablations.report.formatting import NONE

MISSING = [None, math.nan, pd.NA, np.float64("nan")]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (formatting.count(6_258_500), "6,258,500"),
        (formatting.count(np.int64(0)), "0"),
        (formatting.count(1748.0), "1,748"),
        (formatting.si(1_521_848_320), "1.522 G"),
        (formatting.si(1_000_000_000), "1.000 G"),
        (formatting.si(999_900_000), "999.9 M"),
        (formatting.si(360_000), "360.0 k"),
        (formatting.megabytes(1_234_567_890), "1,235"),
        (formatting.megabytes(1_234_567_890, 12_345_678), "1,235 ± 12"),
        (formatting.percent(0.306), "30.60"),
        (formatting.percent(0.306, 0.0085), "30.60 ± 0.85"),
        (formatting.percent(0.36, digits=0), "36"),
        (formatting.percent(0.0, 0.0), "0.00 ± 0.00"),
        (formatting.percent(0.306, math.nan), "30.60"),
        (formatting.seconds(1748.32), "1,748.3"),
        (formatting.seconds(12.0, 0.26), "12.0 ± 0.3"),
        (formatting.points(0.0123), "+1.23"),
        (formatting.points(-0.005), "-0.50"),
        (formatting.points(-0.00004), "0.00"),
        (formatting.points(0.00006), "+0.01"),
        (formatting.points(0.0), "0.00"),
        (formatting.plural(1, "run"), "1 run"),
        (formatting.plural(0, "run"), "0 runs"),
        (formatting.plural(2000, "run"), "2,000 runs"),
        (formatting.p_value(0.04321), "0.0432"),
        (formatting.p_value(1.0), "1.0000"),
        (formatting.p_value(0.0001), "0.0001"),
        (formatting.p_value(0.00009999), "< 0.0001"),
        (formatting.number(1234.567), "1,235"),
        (formatting.number(0.012361, 0.00123), "0.01236 ± 0.00123"),
        (formatting.share(0.736), "74 %"),
        (formatting.draw_share(0.736), "74 %"),
        (formatting.draw_share(0.0099), "< 1 %"),
        (formatting.draw_share(1.0), "> 99 %"),
        (formatting.draw_share(math.nan), "too few"),
        (formatting.count_of(2, 2), "2"),
        (formatting.count_of(1, 2), "1 of 2"),
        (formatting.text("short3"), "short3"),
        (formatting.interval_of(0.2298, 0.3822), "[22.98, 38.22]"),
        (formatting.signed_interval_of(-0.0123, 0.004), "[-1.23, +0.40]"),
        (formatting.change(-0.7515), "-75 %"),
        (formatting.change(4.162), "+416 %"),
        (formatting.change(-0.004), "0 %"),
        (formatting.interval(Interval(-0.0123, 0.004)), "[-1.23, +0.40]"),
        (formatting.interval(Interval(0.2298, 0.3822), signed=False), "[22.98, 38.22]"),
        (formatting.interval(Interval(1.0, 3.0), signed=False, scale=1, digits=0), "[1, 3]"),
        (formatting.interval(Interval(-0.5, 0.25), scale=1), "[-0.50, +0.25]"),
    ],
)
def test_a_number_is_rounded(found: str, text: str) -> None:
    assert found == text


@pytest.mark.parametrize("missing", MISSING, ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        *(formatting.text, formatting.number, formatting.count, formatting.si, formatting.megabytes),
        *(formatting.percent, formatting.share, formatting.seconds, formatting.points, formatting.p_value),
        formatting.change,
        lambda missing: formatting.interval_of(missing, missing),
    ],
)
def test_what_is_missing_is_a_dash(make: Callable[[Any], str], missing: Any) -> None:
    assert make(missing) == NONE


def test_an_interval_that_cannot_be_had_is_a_dash() -> None:
    assert formatting.interval(None) == NONE
