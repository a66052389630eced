"""Checks of single values; their errors name the value, what is allowed and the remedy."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable

MAX_NAME = 64  # characters
NAME_PATTERN = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{MAX_NAME - 1}}}")
TWIN_MARK = "@"  # in an architecture's name, between that of a variant and the capacity in which its twin is equal
TWIN_PATTERN = re.compile(rf"(?=.{{1,{MAX_NAME}}}$){NAME_PATTERN.pattern}({TWIN_MARK}[a-z]+)?")
MAX_COUNT = 2**63 - 1  # what 64 bits hold; beyond it, channels times width may overflow a float
SHOWN = 200  # characters of a value in a message


def shown(value: object) -> str:
    """The value as an error message shows it: as Python writes it, cut where it would fill the screen."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or lists within lists without end
        return f"a huge {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def nearest(value: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name closest to `value`, or an empty string."""
    if not isinstance(value, str) or len(value) > SHOWN:
        return ""
    close = difflib.get_close_matches(value, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_choice(what: str, value: object, allowed: Iterable[str]) -> None:
    """Raise ValueError naming `what`, the value and the choices unless `value` is one of them."""
    choices = tuple(allowed)
    if value not in choices:
        raise ValueError(f"{what} {shown(value)} is unknown; allowed: {', '.join(choices)}{nearest(value, choices)}")


def check_range(what: str, value: object, *, low: float, high: float, open_low: bool = False) -> None:
    """Raise ValueError unless `value` is a number in [low, high] (or in (low, high] with `open_low`)."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not low <= number <= high or (open_low and number == low):
        bracket = "(" if open_low else "["
        raise ValueError(f"{what} is {shown(value)}; it must be a number in {bracket}{low:g}, {high:g}]")


def check_count(what: str, value: object, *, low: int = 1, high: int = MAX_COUNT) -> None:
    """Raise ValueError unless `value` is an integer in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{what} is {shown(value)}; it must be a whole number of at least {low}")
    if value > high:
        limit = "below 2^63" if high == MAX_COUNT else f"of at most {high}"
        raise ValueError(f"{what} is {shown(value)}; it must be a whole number {limit}")


def check_flag(what: str, value: object) -> None:
    """Raise ValueError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{what} is {shown(value)}; it must be true or false")


def check_name(what: str, name: object, *, pattern: re.Pattern[str] = NAME_PATTERN) -> None:
    """Raise ValueError unless `name` can stand in a path, a page and a spreadsheet."""
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise ValueError(f"{what} name {shown(name)} is not usable; use 1-{MAX_NAME} of a-z, 0-9, '_' and '-'")
