"""The values that differ between two dataclasses, or two tables of plain data, by their path."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from googlenet.validation import shown

MISSING = object()  # stands for the earlier value of a key that the earlier table lacks


class Change(NamedTuple):
    """A value that differs, by its path, as in "recipe.learning_rate"."""

    path: str
    then: Any
    now: Any

    def __str__(self) -> str:
        then = "missing" if self.then is MISSING else shown(self.then)
        return f"{self.path} was {then} and is {shown(self.now)}"


def changes(then: object, now: object, *, depth: int = 2) -> list[Change]:
    """The values of `now` that are others in `then`, in the order of `now`.

    Both are dataclasses or mappings. Values that are such themselves are compared by their own fields down to `depth`
    levels, and below that as a whole.
    """
    before = _table(then) or {}
    found = []
    for name, value in (_table(now) or {}).items():
        earlier = before.get(name, MISSING)
        if depth > 1 and _table(value) is not None and _table(earlier) is not None:
            found += [
                change._replace(path=f"{name}.{change.path}") for change in changes(earlier, value, depth=depth - 1)
            ]
        elif earlier is MISSING or earlier != value:
            found.append(Change(name, earlier, value))
    return found


def _table(value: object) -> Mapping[str, Any] | None:
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None
