"""Factorial suites: the cells of a grid of architectures, one for each combination of the factors' levels."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal, get_args

from ablations.suites.values import in_words
from googlenet.architecture import Architecture
from googlenet.controls import CAPACITIES, twin_name
from googlenet.registry import ARCHITECTURES
from googlenet.validation import MAX_NAME, check_choice
from googlenet.variants import REDUCED

Resolution = Literal["full", "main"]
RESOLUTIONS: tuple[Resolution, ...] = get_args(Resolution)
_NO_FACTORS = ("name", "image_size", "in_channels", "aux")
FACTORS = tuple(field.name for field in fields(Architecture) if field.name not in _NO_FACTORS)
MAX_CELLS = 64
# So that the name of a cell's twin is not too long either.
_MAX_NAME = MAX_NAME - max(len(twin_name("", by)) for by in CAPACITIES)
_DIGEST = 8  # hexadecimal digits of the hash that ends a name that is cut


def count_cells(counts: Sequence[int], resolution: Resolution) -> int:
    """The number of cells of factors with these numbers of levels."""
    return math.prod(counts) if resolution == "full" else 1 + sum(count - 1 for count in counts)


def check_factors(levels: Mapping[str, Sequence[Any]], *, resolution: Resolution, many_cells: bool) -> None:
    """Check which factors there are, how many levels they have, and how many cells these make.

    Raises:
        ValueError: if a factor or the resolution is unknown, there is no factor, one has fewer than two levels, or the
            cells are more than 64 and not `many_cells`.
    """
    check_choice("resolution", resolution, RESOLUTIONS)
    for name in levels:
        check_choice("factor", name, FACTORS)
    if not levels:
        raise ValueError("factors is empty; give at least one factor with two levels")
    for name, own in levels.items():
        if len(own) < 2:
            raise ValueError(f"factor {name} has {len(own)} level{'' if len(own) else 's'}; give at least two")
    counts = [len(own) for own in levels.values()]
    cells, main = (count_cells(counts, each) for each in (resolution, "main"))
    if cells > MAX_CELLS and not many_cells:
        fewer = f', set resolution = "main" ({main:,} cells)' if main < cells else ""
        raise ValueError(
            f"the factors have {cells:,} cells, more than {MAX_CELLS}; leave out levels{fewer}, or accept them with "
            "--yes (in Python, find_suite with many_cells=True)"
        )


def factor_settings(
    base: Architecture, levels: Mapping[str, Sequence[Any]], *, resolution: Resolution = "full"
) -> dict[str, Any]:
    """The settings of a suite that cross these levels of an architecture's fields; the first cell is the baseline.

    With the resolution "main" the cells are the first one and those that differ from it in one factor.

    Raises:
        ValueError: if a level is doubled, or a combination of levels is not allowed.
    """
    for name, own in levels.items():
        doubled = [level for place, level in enumerate(own) if level in own[:place]]
        if doubled:
            raise ValueError(f"factor {name} has the level {in_words(doubled[0])} twice; name each level once")
    cells = tuple(_cell(base, own) for own in _combinations(levels, resolution))
    return {
        "axis": f"factors {' x '.join(levels)}",
        "architectures": cells,
        "baseline": cells[0].name,
        "varies": tuple(levels),
        "factors": tuple(levels),
    }


def _combinations(levels: Mapping[str, Sequence[Any]], resolution: Resolution) -> Iterator[dict[str, Any]]:
    """The levels of each cell by factor; the last factor changes first."""
    if resolution == "full":
        for combination in itertools.product(*levels.values()):
            yield dict(zip(levels, combination, strict=True))
        return
    first = {name: own[0] for name, own in levels.items()}
    yield first
    for name, own in levels.items():
        for level in own[1:]:
            yield {**first, name: level}


def _cell(base: Architecture, levels: Mapping[str, Any]) -> Architecture:
    """The base with these levels: the known architecture that it equals, or one named after its differences."""
    differing = [f"{name} {in_words(level)}" for name, level in levels.items() if level != getattr(base, name)]
    words = differing if base.name == REDUCED.name else [base.name, *differing]
    try:
        cell = replace(base, **levels, name=_name(words) if differing else base.name)
    except ValueError as error:
        combination = ", ".join(f"{name} {in_words(level)}" for name, level in levels.items())
        raise ValueError(f"the cell {combination} cannot be built ({error}); leave out one of these levels") from error
    return next((known for known in ARCHITECTURES.values() if replace(known, name=cell.name) == cell), cell)


def _name(words: Sequence[str]) -> str:
    """A usable name of these words: "batch-norm-false_branch5x5-5x5"; one that is too long ends in a hash."""
    name = "_".join(re.sub(r"[^a-z0-9]+", "-", each.lower()).strip("-") for each in words)
    if len(name) <= _MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: _MAX_NAME - _DIGEST - 1]}-{digest}"
