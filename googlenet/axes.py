"""Axes: architectures that differ from `reduced` in one factor, or that leave one part of it out.

`AXES` maps each axis to its members; `reduced` itself, the baseline of every axis, is in `googlenet.variants`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from googlenet.architecture import BRANCHES, FIRST_STAGE, MODULE_LETTERS, Architecture, Auxiliary
from googlenet.variants import REDUCED, VARIANTS

WIDTHS = {"quarter": 0.25, "half": 0.5, "three-quarter": 0.75, "three-halves": 1.5, "double": 2.0}


def _without_a_branch() -> Iterator[Architecture]:
    for removed in BRANCHES:
        left = tuple(branch for branch in BRANCHES if branch != removed)
        yield replace(REDUCED, name=f"without-{removed}", branches=left)


def _without_a_module() -> Iterator[Architecture]:
    for spec in REDUCED.modules():
        stage, place = int(spec.label[0]) - FIRST_STAGE, MODULE_LETTERS.index(spec.label[1])
        stages = list(REDUCED.stages)
        stages[stage] = stages[stage][:place] + stages[stage][place + 1 :]
        yield replace(REDUCED, name=f"without-{spec.label}", stages=tuple(stages))


# At 32x32 the ImageNet stem leaves stage 5 a 1x1 map, so that the axis "stem" says nothing about kernel sizes.
_NO_REDUCTION = replace(REDUCED, name="no-reduction", reduction=False)
_BRANCH_3X3 = replace(REDUCED, name="branch-3x3", branch5x5="3x3")
_NO_BATCH_NORM = replace(REDUCED, name="no-batch-norm", batch_norm=False)
_NO_CONV_BIAS = replace(REDUCED, name="no-conv-bias", conv_bias=False)
_IMAGENET_STEM = replace(REDUCED, name="imagenet-stem", stem="imagenet")
_AUX_HEADS = replace(REDUCED, name="aux-weight-03", aux=Auxiliary(weight=0.3))
_FLATTEN = replace(REDUCED, name="flatten-head", head="flatten")
_NO_DROPOUT = replace(REDUCED, name="no-dropout", dropout=0.0)
# The write-up of the 2020 ablation tried both, and gives neither their places nor the probability.
_EXTRA_POOLS = replace(REDUCED, name="extra-pools", extra_pools=True)
_MODULE_DROPOUT = replace(REDUCED, name="module-dropout", module_dropout=0.2)

AXES: dict[str, tuple[Architecture, ...]] = {
    "branches": tuple(_without_a_branch()),
    "modules": tuple(_without_a_module()),
    "components": (
        _NO_BATCH_NORM,
        _NO_REDUCTION,
        _NO_DROPOUT,
        _NO_CONV_BIAS,
        _FLATTEN,
        _BRANCH_3X3,
        _AUX_HEADS,
        _IMAGENET_STEM,
        _EXTRA_POOLS,
        _MODULE_DROPOUT,
    ),
    "depth": tuple(arch for name, arch in VARIANTS.items() if name not in ("naive", REDUCED.name)),
    "width": tuple(replace(REDUCED, name=f"{name}-width", width=width) for name, width in WIDTHS.items()),
    "reduction": (_NO_REDUCTION,),
    "branch5x5": (replace(REDUCED, name="branch-5x5", branch5x5="5x5"), _BRANCH_3X3),
    "batch-norm": (
        _NO_BATCH_NORM,
        replace(REDUCED, name="bn-eps-1e-3", bn_eps=1e-3),
        replace(REDUCED, name="bn-eps-channels", bn_eps_5x5="channels"),
    ),
    "conv-bias": (_NO_CONV_BIAS,),
    "stem": (_IMAGENET_STEM, replace(REDUCED, name="imagenet-linear-stem", stem="imagenet-linear")),
    "auxiliary": (_AUX_HEADS, replace(REDUCED, name="aux-weight-10", aux=Auxiliary(weight=1.0))),
    "head": (_FLATTEN,),
    "dropout": (_NO_DROPOUT,),
    "init": (
        replace(REDUCED, name="truncated-normal-init", init="truncated-normal"),
        replace(REDUCED, name="normal-init", init="normal"),
    ),
}
