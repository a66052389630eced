"""Figures of tables: what is shown of a number, the number behind it, and what stands where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ablations.analysis.intervals import Interval
from ablations.report import formatting
from ablations.report.formatting import NONE, Cell

MISSING = [None, math.nan, pd.NA, np.float64("nan")]


@pytest.mark.parametrize(
    ("cell", "text", "value"),
    [
        (formatting.count(6_258_500), "6,258,500", 6_258_500),
        (formatting.count(np.int64(0)), "0", 0),
        (formatting.count(1748.0), "1,748", 1748),
        (formatting.si(1_521_848_320), "1.522 G", 1_521_848_320),
        (formatting.si(1_000_000_000), "1.000 G", 10**9),
        (formatting.si(999_900_000), "999.9 M", 999_900_000),
        (formatting.si(360_000), "0.4 M", 360_000),
        (formatting.megabytes(1_234_567_890), "1,235", 1_234_567_890),
        (formatting.megabytes(1_234_567_890, 12_345_678), "1,235 ± 12", 1_234_567_890),
        (formatting.percent(0.306), "30.60", 0.306),
        (formatting.percent(0.306, 0.0085), "30.60 ± 0.85", 0.306),
        (formatting.percent(0.36, digits=0), "36", 0.36),
        (formatting.percent(0.0, 0.0), "0.00 ± 0.00", 0.0),
        (formatting.percent(0.306, math.nan), "30.60", 0.306),
        (formatting.seconds(1748.32), "1,748.3", 1748.32),
        (formatting.seconds(12.0, 0.26), "12.0 ± 0.3", 12.0),
        (formatting.points(0.0123), "+1.23", 0.0123),
        (formatting.points(-0.005), "-0.50", -0.005),
        (formatting.p_value(0.04321), "0.0432", 0.04321),
        (formatting.p_value(1.0), "1.0000", 1.0),
        (formatting.p_value(0.0001), "0.0001", 0.0001),
        (formatting.p_value(0.00009999), "< 0.0001", 0.00009999),
        (formatting.interval(Interval(-0.0123, 0.004)), "[-1.23, +0.40]", -0.0123),
        (formatting.interval(Interval(0.2298, 0.3822), signed=False), "[22.98, 38.22]", 0.2298),
        (formatting.interval(Interval(1.0, 3.0), signed=False, scale=1, digits=0), "[1, 3]", 1.0),
        (formatting.interval(Interval(-0.5, 0.25), scale=1), "[-0.50, +0.25]", -0.5),
    ],
)
def test_a_figure_is_shown_rounded_and_sorts_by_what_it_was(cell: Cell, text: str, value: float) -> None:
    assert cell == text
    assert cell.value == value


@pytest.mark.parametrize("missing", MISSING, ids=repr)
@pytest.mark.parametrize(
    "make",
    [formatting.count, formatting.si, formatting.megabytes, formatting.percent, formatting.seconds, formatting.points],
)
def test_what_is_missing_is_a_dash_without_a_value(make: Callable[[Any], Cell], missing: Any) -> None:
    assert make(missing) == NONE
    assert make(missing).value is None


@pytest.mark.parametrize("bounds", [None, Interval(math.nan, math.nan)])
def test_an_interval_that_cannot_be_had_is_a_dash(bounds: Interval | None) -> None:
    assert formatting.interval(bounds) == NONE
    assert formatting.interval(bounds).value is None


def test_an_interval_of_a_row_is_in_percent_and_without_signs() -> None:
    row = pd.Series({"top1_error_low": 0.2298, "top1_error_high": 0.3822, "top5_error_low": None})
    row["top5_error_high"] = None
    assert formatting.interval_of(row, "top1_error") == "[22.98, 38.22]"
    assert formatting.interval_of(row, "top1_error").value == 0.2298
    assert formatting.interval_of(row, "top5_error") == NONE


@pytest.mark.parametrize("value", [math.inf, -math.inf, *MISSING], ids=repr)
def test_what_cannot_be_sorted_has_no_value(value: Any) -> None:
    assert Cell("text", value).value is None
    assert Cell("text").value is None


def test_a_cell_is_text_wherever_text_is_wanted() -> None:
    cell = Cell("1,748", 1748)
    assert f"{cell} s" == "1,748 s"
    assert " | ".join([cell, "x"]) == "1,748 | x"


@pytest.mark.parametrize(
    ("texts", "numeric"),
    [
        ([Cell("1", 1), Cell("2", 2)], True),
        ([Cell("1", 1), NONE], True),
        ([Cell("1 of 2", 1), Cell(NONE)], True),
        ([Cell("1", 1), "2"], False),
        (["short", NONE], False),
        (["1", "2"], False),
    ],
)
def test_a_column_is_numeric_if_every_text_stands_for_a_number(texts: list[str], numeric: bool) -> None:
    rows = [{"variant": "x", "column": text} for text in texts]
    assert formatting.is_numeric("column", rows) is numeric
    assert not formatting.is_numeric("variant", rows)


def test_rows_without_a_column_do_not_speak_for_it() -> None:
    rows: list[dict[str, str]] = [{"n": Cell("1", 1)}, {"other": "text"}]
    assert formatting.is_numeric("n", rows)
    assert not formatting.is_numeric("other", rows)
