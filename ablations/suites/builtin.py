"""The built-in suites: digits, cifar10, cifar100 and folder, each with the seven variants."""

from __future__ import annotations

from ablations.suites.recipe import DIGITS, PUBLISHED
from ablations.suites.suite import Suite
from googlenet.variants import VARIANTS

# The fields in which the seven variants differ: naive in its modules' design, the others in their modules.
DESIGN_AND_DEPTH = ("stages", "stem_channels", "reduction", "branch5x5")
SUITES: dict[str, Suite] = {
    "digits": Suite(
        name="digits",
        axis="module design and depth",
        varies=DESIGN_AND_DEPTH,
        dataset="digits",
        recipe=DIGITS,
        architectures=tuple(VARIANTS.values()),
        width=0.5,
    ),
    **{
        name: Suite(
            name=name,
            axis="module design and depth",
            varies=DESIGN_AND_DEPTH,
            dataset=name,
            recipe=PUBLISHED,
            architectures=tuple(VARIANTS.values()),
        )
        for name in ("cifar10", "cifar100", "folder")
    },
}
