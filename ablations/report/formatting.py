"""What a figure looks like in a table: text for people, with the value behind it for sorting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ablations.analysis.intervals import Interval
from ablations.report.document import Row

NONE = "–"
LONG_FROM = 28  # characters from which a text may break into lines


class Cell(str):
    """A table's text that knows the number it shows; `value` is None where there is none."""

    value: float | None

    def __new__(cls, text: str, value: Any = None) -> Cell:
        cell = super().__new__(cls, text)
        number = math.nan if value is None or pd.isna(value) else float(value)
        cell.value = number if math.isfinite(number) else None
        return cell


def is_numeric(column: str, rows: Sequence[Row]) -> bool:
    """Whether a column holds figures: nothing but cells that stand for numbers, and gaps."""
    texts = [row[column] for row in rows if column in row]
    return all(isinstance(text, Cell) or text == NONE for text in texts)


def count(value: Any) -> Cell:
    """A whole number with separators of thousands."""
    return Cell(NONE if pd.isna(value) else f"{int(value):,}", value)


def si(value: Any) -> Cell:
    """MACs or FLOPs in millions or billions."""
    if pd.isna(value):
        return Cell(NONE)
    return Cell(f"{value / 1e9:.3f} G" if value >= 1e9 else f"{value / 1e6:.1f} M", value)


def megabytes(mean: Any, std: Any = None) -> Cell:
    """Bytes in millions, with their standard deviation where it is known."""
    return _with_spread(mean, std, scale=1e-6, form=",.0f")


def percent(mean: Any, std: Any = None, *, digits: int = 2) -> Cell:
    """A fraction in percent, with its standard deviation where it is known."""
    return _with_spread(mean, std, scale=100, form=f".{digits}f")


def seconds(mean: Any, std: Any = None) -> Cell:
    """Seconds, with their standard deviation where it is known."""
    return _with_spread(mean, std, scale=1, form=",.1f")


def points(difference: Any) -> Cell:
    """A difference of fractions in percentage points, signed."""
    return Cell(NONE if pd.isna(difference) else f"{100 * difference:+.2f}", difference)


def interval(bounds: Interval | None, *, signed: bool = True, scale: float = 100, digits: int = 2) -> Cell:
    """The bounds of an interval, by default of fractions in percentage points; sorts by the lower one."""
    if bounds is None or math.isnan(bounds.low):
        return Cell(NONE)
    form = f"{'+' if signed else ''}.{digits}f"
    return Cell(f"[{scale * bounds.low:{form}}, {scale * bounds.high:{form}}]", bounds.low)


def interval_of(row: pd.Series, column: str) -> Cell:
    """A row's 95 % interval of a mean error, in percent, from its columns `<column>_low` and `<column>_high`."""
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    return interval(None if pd.isna(low) else Interval(low, high), signed=False)


def p_value(value: float) -> Cell:
    """A p-value to four digits."""
    return Cell("< 0.0001" if value < 1e-4 else f"{value:.4f}", value)


def _with_spread(mean: Any, std: Any, *, scale: float, form: str) -> Cell:
    if pd.isna(mean):
        return Cell(NONE)
    spread = "" if std is None or pd.isna(std) else f" ± {scale * std:{form}}"
    return Cell(f"{scale * mean:{form}}{spread}", mean)


def some(run_ids: Sequence[str], *, most: int = 10) -> str:
    """Names of runs, not more than a person reads."""
    return ", ".join(run_ids[:most]) + (f" and {len(run_ids) - most:,} more" if len(run_ids) > most else "")


def unique(column: pd.Series) -> list[Any]:
    return list(dict.fromkeys(column.dropna()))
