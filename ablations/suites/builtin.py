"""The built-in suites: seven variants on four datasets, axes, a factorial one, published networks and their slips."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from ablations.suites.factors import factor_settings
from ablations.suites.recipe import BN_AUX_ADAM, DIGITS, GRAY_ADAM, PLAIN_ADAM, PUBLISHED, Recipe
from ablations.suites.suite import ARCHITECTURE, Suite
from googlenet.architecture import Architecture
from googlenet.axes import AXES
from googlenet.references import REFERENCES
from googlenet.validation import check_choice
from googlenet.variants import REDUCED, VARIANTS

# The fields in which the seven variants differ: naive in its modules' design, the others in their modules.
DESIGN_AND_DEPTH = ("stages", "stem_channels", "reduction", "branch5x5")


def _instead_of(base: Recipe, own: Recipe) -> dict[str, Any]:
    """The values that make `own` of `base`."""
    values = {field.name: getattr(own, field.name) for field in fields(Recipe)}
    return {name: value for name, value in values.items() if value != getattr(base, name)}


# The recipe that each network was published with. Of inception-v1 no training is described: it gets that of bn-aux-224,
# which it resembles most.
REFERENCE_RECIPES = {
    "bn-aux-224": BN_AUX_ADAM,
    "plain-cifar": PLAIN_ADAM,
    "inception-v1": BN_AUX_ADAM,
    "plain-gray": GRAY_ADAM,
}

_AS_PUBLISHED = replace(PUBLISHED, precision="fp32")
_CHANNELS_EPS = next(arch for arch in AXES["batch-norm"] if arch.bn_eps_5x5 == "channels")
# The public code of the 2020 ablation flips its test images at random, and gives nine batch norms their number of
# channels as eps.
_FLIPPED = ("test-flip", "bn-eps-channels-test-flip")

AXIS_SUITES = {  # by axis, what its suite says that it varies
    "branches": "branches of the Inception modules, each left out",
    "modules": "Inception modules, each left out",
    "components": "components, each removed, replaced or added",
    "width": "width",
    "depth": "depth",
}


def axis_settings(axis: str) -> dict[str, Any]:
    """The settings of a suite that make it vary an axis around its baseline, `reduced`.

    Raises:
        ValueError: if there is no such axis.
    """
    check_choice("axis", axis, AXES)
    varied = [field.name for field in fields(Architecture) if field.name != "name"]
    return {
        "axis": AXIS_SUITES.get(axis, axis),
        "architectures": (REDUCED, *AXES[axis]),
        "varies": tuple(
            name for name in varied if any(getattr(arch, name) != getattr(REDUCED, name) for arch in AXES[axis])
        ),
        "skip_unfit": True,
    }


SUITES: dict[str, Suite] = {
    # So narrow and with so few images that the variants differ by more than seeds do, and that it takes three minutes.
    "digits": Suite(
        name="digits",
        axis="module design and depth",
        varies=DESIGN_AND_DEPTH,
        dataset="digits",
        recipe=DIGITS,
        architectures=tuple(VARIANTS.values()),
        seeds=4,
        width=0.125,
        limit_train=400,
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
    **{axis: Suite(name=axis, dataset="cifar10", recipe=PUBLISHED, **axis_settings(axis)) for axis in AXIS_SUITES},
    # The two changes of which naive has both: which of them costs ten times the parameters, and which the error?
    "design": Suite(
        name="design",
        dataset="cifar10",
        recipe=PUBLISHED,
        **factor_settings(REDUCED, {"reduction": (True, False), "branch5x5": ("3x3+3x3", "3x3")}),
    ),
    "references": Suite(
        name="references",
        axis="published networks, each with the recipe of its publication",
        varies=(ARCHITECTURE,),
        declared=("recipe",),
        dataset="cifar10",
        recipe=_AS_PUBLISHED,
        architectures=(REDUCED, *(REFERENCES[name] for name in REFERENCE_RECIPES)),
        recipe_changes={name: _instead_of(_AS_PUBLISHED, recipe) for name, recipe in REFERENCE_RECIPES.items()},
    ),
    "quirks": Suite(
        name="quirks",
        axis="two slips in the public code of the 2020 ablation",
        varies=("bn_eps_5x5",),
        declared=("recipe.flip_test",),
        dataset="cifar10",
        recipe=PUBLISHED,
        architectures=(
            REDUCED,
            _CHANNELS_EPS,
            replace(REDUCED, name=_FLIPPED[0]),
            replace(_CHANNELS_EPS, name=_FLIPPED[1]),
        ),
        recipe_changes={name: {"flip_test": True} for name in _FLIPPED},
    ),
}
