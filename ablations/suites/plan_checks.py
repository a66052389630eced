"""Checks of a plan against its own runs: whatever a plan says twice has to agree, or its file was changed by hand."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

from ablations.storage.changes import changes
from googlenet.architecture import Architecture
from googlenet.controls import original_of
from googlenet.counts import count_macs, count_params
from googlenet.validation import shown

if TYPE_CHECKING:
    from ablations.suites.plan import FullSize, Plan
    from ablations.suites.run_config import RunConfig

REMEDY = "run the suite again to replace the plan"


def check_against_runs(plan: Plan) -> None:
    """Hold a plan's data, subset and recipe against its baseline's runs, full-size counts against every variant's.

    That the runs agree among themselves is left to `confounds.check_confounds`.

    Raises:
        ValueError: naming the value that differs, that of the runs, and the remedy.
    """
    by_variant = {run.architecture.name: run for run in reversed(plan.runs)}  # the first of each
    baseline = by_variant.get(plan.baseline, plan.runs[0])
    side = baseline.recipe.resize or plan.data.image_size
    for what, stated, of_runs in (
        ("data: name", plan.data.name, baseline.dataset),
        ("data: fingerprint", plan.data.fingerprint, baseline.fingerprint),
        ("data: num_classes", plan.data.num_classes, baseline.num_classes),
        ("data: image_size, or the recipe's resize,", side, baseline.architecture.image_size),
        ("limit_train", plan.limit_train, baseline.limit_train),
    ):
        if stated != of_runs:
            name = baseline.architecture.name
            raise ValueError(f"{what} is {shown(stated)}, and that of {name}'s runs is {of_runs!r}; {REMEDY}")
    _check_recipe(plan, baseline)
    for size in plan.full_size:
        # The width of a twin at full size is not its trained width divided by the suite's.
        if size.variant in by_variant and original_of(size.variant) is None:
            _check_full_size(plan, size, by_variant[size.variant].architecture)


def _check_recipe(plan: Plan, run: RunConfig) -> None:
    """A variant may have values of its own in its recipe only if the suite declares them; the name is no value."""
    if "recipe" in plan.declared:
        return
    for change in changes(run.recipe, plan.recipe):
        field = f"recipe.{change.path}"
        if change.path != "name" and field not in plan.declared:
            raise ValueError(
                f"{field} is {shown(change.now)}, and that of {run.architecture.name}'s runs is {shown(change.then)}; "
                f'{REMEDY}, or declare it in the suite file: declared = ["{field}"]'
            )


def _check_full_size(plan: Plan, size: FullSize, trained: Architecture) -> None:
    """Count the trained architecture at full size, for images of three channels or one, which its own may not have."""
    # Rounded, because dividing by the suite's width may leave 0.30000000000000004 of a width of 0.3.
    full = replace(trained, image_size=size.image_size, width=round(trained.width / plan.width, 12))
    counted = [_counts(replace(full, in_channels=channels), plan.data.num_classes) for channels in (3, 1)]
    if (size.params, size.macs) not in counted:
        params, macs = counted[0]
        raise ValueError(
            f"full_size of {size.variant}: params {size.params:,} and macs {size.macs:,} are not those of its runs' "
            f"architecture at {size.image_size}x{size.image_size} pixels and 1/{plan.width:g} of its width, "
            f"{params:,} and {macs:,}; {REMEDY}"
        )


@functools.lru_cache(maxsize=256)
def _counts(arch: Architecture, num_classes: int) -> tuple[int, int]:
    return count_params(arch, num_classes=num_classes), count_macs(arch, num_classes=num_classes)
