"""Architectures of a suite as its data asks for them: image size, channels, width, and twins of equal capacity."""

from __future__ import annotations

from ablations.data.summary import DataSummary
from ablations.suites.recipe import RECIPES, Recipe
from ablations.suites.suite import Suite
from googlenet.architecture import Architecture
from googlenet.controls import equals_capacity, match

Named = dict[str, Architecture]


def fit_architectures(suite: Suite, data: DataSummary) -> tuple[Named, Named, tuple[str, ...]]:
    """The architectures at full size and as they are trained, and why others are left out.

    Raises:
        ValueError: if one does not fit the data; of a suite that skips these, if no variant is left.
    """
    trained: Named = {}
    unfit: list[str] = []
    for arch in suite.architectures:
        try:
            trained[arch.name] = _fitted(arch, suite.recipe_of(arch.name), suite, data)
        except ValueError as error:
            if not suite.skip_unfit or arch.name == suite.baseline:
                raise
            unfit.append(str(error))
    if unfit and set(trained) <= {suite.baseline}:
        raise ValueError(f"no variant of suite {suite.name} fits these images: {unfit[0]}")
    return {arch.name: arch for arch in suite.architectures if arch.name in trained}, trained, tuple(unfit)


def with_twins(suite: Suite, full_size: Named, trained: Named, *, num_classes: int) -> tuple[Named, Named]:
    """Both with each variant followed by its twin, unless the variant itself has the baseline's capacity.

    At full size a twin has the capacity of the baseline at full size.

    Raises:
        ValueError: if the baseline is missing, no width gives its capacity, a twin is the baseline itself, or there is
            no twin.
    """
    if suite.baseline not in trained:
        raise ValueError(f"control needs the baseline {suite.baseline}, which is not among the variants; add it")
    by = suite.control
    assert by is not None
    baseline = trained[suite.baseline]
    full, fitted = {}, {}

    def matched(arch: Architecture, target: Architecture) -> Architecture:
        return match(arch, target, by=by, num_classes=num_classes)

    for name, arch in trained.items():
        full[name], fitted[name] = full_size[name], arch
        if equals_capacity(arch, baseline, by=by, num_classes=num_classes):
            continue
        twin = matched(arch, baseline)
        if twin.layers() == baseline.layers():
            raise ValueError(
                f"variant {name} differs from {suite.baseline} in width alone, which control = {by!r} would "
                "undo; leave out the control"
            )
        fitted[twin.name] = twin
        full[twin.name] = matched(full_size[name], full_size[suite.baseline])
    if len(fitted) == len(trained):
        raise ValueError(
            f"no variant differs from {suite.baseline} in its {by}, so control = {by!r} has no effect; leave it out"
        )
    return full, fitted


def _fitted(arch: Architecture, recipe: Recipe, suite: Suite, data: DataSummary) -> Architecture:
    """The architecture for the images that the recipe makes of the data's, at the suite's width.

    Raises:
        ValueError: if it is for images of another size or with another number of channels.
    """
    side = recipe.resize or data.image_size
    channels = 1 if recipe.grayscale else data.channels
    if arch.needs_image_size not in (None, side):
        fitting = [known.name for known in RECIPES.values() if known.resize == arch.image_size]
        raise ValueError(
            f"variant {arch.name} is for images of {arch.image_size}x{arch.image_size}, and these are {side}x{side}; "
            f"set resize = {arch.image_size} in the recipe"
            + (f" or train it with --recipe {' or '.join(fitting)}" if fitting else "")
        )
    if arch.needs_channels not in (None, channels):
        fitting = [known.name for known in RECIPES.values() if known.grayscale]
        raise ValueError(
            f"variant {arch.name} has in_channels {arch.in_channels}, and these images have {channels}; "
            + (
                f"set grayscale = true in the recipe or train it with --recipe {' or '.join(fitting)}"
                if arch.in_channels == 1
                else "no dataset has that many, so leave it out"
            )
        )
    return arch.at_size(side, in_channels=channels, width=suite.width)
