"""Values of a configuration as a person writes them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from googlenet.architecture import FIRST_STAGE, InceptionRow
from googlenet.variants import ROWS


def in_words(value: Any) -> str:
    """A value as a person writes it; stages by the rows of Table 1."""
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        stages = enumerate(value, start=FIRST_STAGE)
        return " / ".join(" ".join(_row_name(row, number) for row in stage) or "none" for number, stage in stages)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _row_name(row: InceptionRow, stage: int) -> str:
    """A module's name in Table 1, of those with its channels the one of this stage; else its channels."""
    names = [name for name, known in ROWS.items() if known == row]
    own_stage = [name for name in names if name.startswith(str(stage))]
    return next(iter(own_stage + names), f"({', '.join(str(getattr(row, field.name)) for field in fields(row))})")
