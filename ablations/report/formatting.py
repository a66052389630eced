"""Numbers as plain text for tables and sentences; a missing one is a dash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ablations.analysis import costs

NONE = "–"


def text(value: Any) -> str:
    """A value as `str` gives it."""
    return NONE if pd.isna(value) else str(value)


def number(mean: Any, std: Any = None) -> str:
    """A number to four digits, with its standard deviation where it is known."""
    return _with_spread(mean, std, scale=1, form=",.4g")


def count(value: Any) -> str:
    """A whole number with thousands separators."""
    return NONE if pd.isna(value) else f"{int(value):,}"


def plural(n: int, noun: str) -> str:
    """A count of things, as in "1 run" and "2,000 runs"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def count_of(n: int, planned: int) -> str:
    """How many are done: one number if all of them are, else "1 of 2"."""
    return str(n) if n == planned else f"{n} of {planned}"


def si(value: Any) -> str:
    """A count to four digits of its thousands, millions or billions."""
    return NONE if pd.isna(value) else costs.si(value)


def megabytes(mean: Any, std: Any = None) -> str:
    """Bytes in millions, with their standard deviation where it is known."""
    return _with_spread(mean, std, scale=1e-6, form=",.0f")


def percent(mean: Any, std: Any = None, *, digits: int = 2) -> str:
    """A fraction in percent, with its standard deviation where it is known."""
    return _with_spread(mean, std, scale=100, form=f".{digits}f")


def whole_percent(fraction: Any) -> str:
    """A fraction in whole percent."""
    return percent(fraction, digits=0)


def share(fraction: Any) -> str:
    """A fraction in whole percent with its sign, as in "74 %"."""
    return NONE if pd.isna(fraction) else f"{whole_percent(fraction)} %"


def draw_share(fraction: Any) -> str:
    """A share of draws in whole percent, never none or all of them; "too few" where seeds are too few for a share."""
    if pd.isna(fraction):
        return "too few"
    return "< 1 %" if fraction < 0.01 else "> 99 %" if fraction > 0.99 else share(fraction)


def seconds(mean: Any, std: Any = None) -> str:
    """Seconds, with their standard deviation where it is known."""
    return _with_spread(mean, std, scale=1, form=",.1f")


def points(difference: Any) -> str:
    """A difference of fractions in percentage points, signed; one that rounds to zero is "0.00"."""
    if pd.isna(difference):
        return NONE
    rounded = round(100 * difference, 2)
    return f"{rounded:+.2f}" if rounded else "0.00"


def interval(bounds: tuple[float, float] | None, *, signed: bool = True, scale: float = 100, digits: int = 2) -> str:
    """An interval (low, high), by default of fractions in percentage points."""
    if bounds is None or pd.isna(bounds[0]):
        return NONE
    form = f"{'+' if signed else ''}.{digits}f"
    return f"[{scale * bounds[0]:{form}}, {scale * bounds[1]:{form}}]"


def interval_of(low: Any, high: Any, *, signed: bool = False) -> str:
    """An interval of fractions in percent from its bounds."""
    return interval((low, high), signed=signed)


def signed_interval_of(low: Any, high: Any) -> str:
    """An interval of differences in percentage points from its bounds."""
    return interval_of(low, high, signed=True)


def change(fraction: Any) -> str:
    """A relative change in whole percent, signed, as in "-75 %"; one that rounds to zero is "0 %"."""
    if pd.isna(fraction):
        return NONE
    percent = round(100 * fraction)
    return f"{percent:+d} %" if percent else "0 %"


def p_value(value: Any) -> str:
    """A p-value to four digits."""
    if pd.isna(value):
        return NONE
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def some(run_ids: Sequence[str], *, most: int = 10) -> str:
    """The first few names of runs, and how many more there are."""
    return ", ".join(run_ids[:most]) + (f" and {len(run_ids) - most:,} more" if len(run_ids) > most else "")


def unique(column: pd.Series) -> list[Any]:
    """The distinct known values of a column, in the order of their first occurrence."""
    return list(dict.fromkeys(column.dropna()))


def _with_spread(mean: Any, std: Any, *, scale: float, form: str) -> str:
    if pd.isna(mean):
        return NONE
    spread = "" if std is None or pd.isna(std) else f" ± {scale * std:{form}}"
    return f"{scale * mean:{form}}{spread}"
