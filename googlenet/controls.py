"""Controls: a variant's twin with the capacity of the baseline, so that a part is told from its parameters.

A twin is the same architecture at another width. Counts are closed forms, so the search is exact and needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

from googlenet.architecture import MAX_WIDTH, Architecture
from googlenet.counts import count_macs, count_params
from googlenet.validation import TWIN_MARK, check_choice

Capacity = Literal["params", "macs"]
CAPACITIES: tuple[Capacity, ...] = get_args(Capacity)
TOLERANCE = 0.01  # of the target's count
_COUNTS: dict[Capacity, Callable[..., int]] = {"params": count_params, "macs": count_macs}
_WIDTH_DIGITS = 6  # of a width, so that it is written and read as the same number


def equals_capacity(arch: Architecture, target: Architecture, *, by: Capacity, num_classes: int) -> bool:
    """Whether the count of parameters or MACs is within 1 % of the target's.

    Raises:
        ValueError: if `by` is unknown.
    """
    check_choice("control", by, CAPACITIES)
    count, wanted = (_COUNTS[by](each, num_classes=num_classes) for each in (arch, target))
    return abs(count - wanted) <= TOLERANCE * wanted


def match(arch: Architecture, target: Architecture, *, by: Capacity, num_classes: int) -> Architecture:
    """The architecture at the width whose count of parameters or MACs comes nearest the target's.

    Its name is that of `arch` with "@params" or "@macs".

    Raises:
        ValueError: if `by` is unknown, or no width gives a count within 1 % of the target's; the message names the two
            nearest.
    """
    check_choice("control", by, CAPACITIES)
    count = _COUNTS[by]
    wanted = count(target, num_classes=num_classes)

    def at(step: int) -> Architecture:
        return replace(arch, name=twin_name(arch.name, by), width=round(step * 10**-_WIDTH_DIGITS, _WIDTH_DIGITS))

    # Counts never fall as the width grows, so bisection finds the last width with at most the wanted count.
    below, above = 1, MAX_WIDTH * 10**_WIDTH_DIGITS
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if count(at(middle), num_classes=num_classes) <= wanted else (below, middle)
    counts = {twin: count(twin, num_classes=num_classes) for twin in (at(below), at(above))}
    nearest = min(counts, key=lambda twin: abs(counts[twin] - wanted))
    if not equals_capacity(nearest, target, by=by, num_classes=num_classes):
        listed = " and ".join(f"{found:,} at width {twin.width:g}" for twin, found in counts.items())
        raise ValueError(
            f"control of {arch.name}: no width has within {TOLERANCE:.0%} of {target.name}'s {wanted:,} {by}; nearest "
            f"are {listed}; make all variants wider, leave {arch.name} out, or match by "
            f"{' or '.join(set(CAPACITIES) - {by})}"
        )
    return nearest


def twin_name(variant: str, by: Capacity) -> str:
    """The name of a variant's twin: "without-5x5@params"."""
    return f"{variant}{TWIN_MARK}{by}"


def original_of(name: str) -> str | None:
    """The variant that the twin of this name is a control of; None for a name that is no twin's."""
    original, _, by = name.rpartition(TWIN_MARK)
    return original if original and by in CAPACITIES else None
