"""One-factor axes: architectures that differ from `reduced` in a single field, grouped by that field.

`AXES` maps each axis to its members; `reduced` itself, the baseline of every axis, is in `googlenet.variants`.
"""

from __future__ import annotations

from dataclasses import replace

from googlenet.architecture import Architecture, Auxiliary
from googlenet.variants import REDUCED

# One factor at a time around `reduced`; depth is spanned by VARIANTS. At 32x32 the ImageNet stem leaves stage 5 a
# 1x1 map, so that axis says nothing about kernel sizes.
AXES: dict[str, tuple[Architecture, ...]] = {
    "reduction": (replace(REDUCED, name="no-reduction", reduction=False),),
    "width": (
        replace(REDUCED, name="half-width", width=0.5),
        replace(REDUCED, name="double-width", width=2.0),
    ),
    "branch5x5": (
        replace(REDUCED, name="branch-5x5", branch5x5="5x5"),
        replace(REDUCED, name="branch-3x3", branch5x5="3x3"),
    ),
    "batch-norm": (
        replace(REDUCED, name="no-batch-norm", batch_norm=False),
        replace(REDUCED, name="bn-eps-1e-3", bn_eps=1e-3),
        replace(REDUCED, name="bn-eps-channels", bn_eps_5x5="channels"),
    ),
    "conv-bias": (replace(REDUCED, name="no-conv-bias", conv_bias=False),),
    "stem": (
        replace(REDUCED, name="imagenet-stem", stem="imagenet"),
        replace(REDUCED, name="imagenet-linear-stem", stem="imagenet-linear"),
    ),
    "auxiliary": (
        replace(REDUCED, name="aux-weight-03", aux=Auxiliary(weight=0.3)),
        replace(REDUCED, name="aux-weight-10", aux=Auxiliary(weight=1.0)),
    ),
    "head": (replace(REDUCED, name="flatten-head", head="flatten"),),
    "dropout": (replace(REDUCED, name="no-dropout", dropout=0.0),),
    "init": (
        replace(REDUCED, name="truncated-normal-init", init="truncated-normal"),
        replace(REDUCED, name="normal-init", init="normal"),
    ),
}
