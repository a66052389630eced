"""The published architectures as data: Table 1, the seven variants, the reference implementations, one-factor axes.

A variant is `replace(REDUCED, ...)`: the line shows what differs. A literal dict is the registry.
"""

from __future__ import annotations

from dataclasses import replace

from .arch import Architecture, Auxiliary, InceptionRow
from .checks import check_choice


def _row(ch1x1: int, *, reduce3: int, ch3x3: int, reduce5: int, ch5x5: int, pool: int) -> InceptionRow:
    """A row with the short names that keep the table below readable."""
    return InceptionRow(
        ch1x1=ch1x1, ch3x3_reduce=reduce3, ch3x3=ch3x3, ch5x5_reduce=reduce5, ch5x5=ch5x5, pool_proj=pool
    )


# Szegedy et al. 2014, arXiv:1409.4842, Table 1.
ROWS: dict[str, InceptionRow] = {
    "3a": _row(64, reduce3=96, ch3x3=128, reduce5=16, ch5x5=32, pool=32),
    "3b": _row(128, reduce3=128, ch3x3=192, reduce5=32, ch5x5=96, pool=64),
    "4a": _row(192, reduce3=96, ch3x3=208, reduce5=16, ch5x5=48, pool=64),
    "4b": _row(160, reduce3=112, ch3x3=224, reduce5=24, ch5x5=64, pool=64),
    "4c": _row(128, reduce3=128, ch3x3=256, reduce5=24, ch5x5=64, pool=64),
    "4d": _row(112, reduce3=144, ch3x3=288, reduce5=32, ch5x5=64, pool=64),
    "4e": _row(256, reduce3=160, ch3x3=320, reduce5=32, ch5x5=128, pool=128),
    "5a": _row(256, reduce3=160, ch3x3=320, reduce5=32, ch5x5=128, pool=128),
    "5b": _row(384, reduce3=192, ch3x3=384, reduce5=48, ch5x5=128, pool=128),
}
SHORT4_ROW = _row(256, reduce3=96, ch3x3=128, reduce5=16, ch5x5=96, pool=32)


def rows(names: str) -> tuple[InceptionRow, ...]:
    """Rows of Table 1 by name, as in ``rows("4a 4d 4e")``.

    Raises:
        ValueError: if a name is not in Table 1.
    """
    for name in names.split():
        check_choice("Table 1 row", name, ROWS)
    return tuple(ROWS[name] for name in names.split())


STAGE3, STAGE4, STAGE5 = rows("3a 3b"), rows("4a 4b 4c 4d 4e"), rows("5a 5b")

# The CIFAR ablation of 2020. Its write-up gives parameter counts only; these modules reproduce all of them. For
# long, short2 and short3 the time ratios to reduced agree too; short3 and short4 remain reconstructions: other
# modules could give the same counts.
REDUCED = Architecture(name="reduced", stages=(STAGE3, STAGE4, STAGE5))
VARIANTS: dict[str, Architecture] = {
    "naive": replace(REDUCED, name="naive", reduction=False, branch5x5="3x3"),
    "reduced": REDUCED,
    "long": replace(REDUCED, name="long", stages=(STAGE3, rows("4a 4b 4c 4d 4e 4e"), rows("5a 5a 5a 5b"))),
    "short": replace(REDUCED, name="short", stages=(STAGE3, rows("4a 4d 4e"), STAGE5)),
    "short2": replace(REDUCED, name="short2", stages=(STAGE3, rows("4a"), STAGE5)),
    "short3": replace(REDUCED, name="short3", stages=(rows("3a"), rows("4a"), rows("5b")), stem_channels=832),
    "short4": replace(REDUCED, name="short4", stages=((SHORT4_ROW,), (), rows("5b"))),
}
RECONSTRUCTED = ("short3", "short4")

# Five public implementations and torchvision's, at the image size and number of classes they were published with.
_PAPER = replace(REDUCED, name="paper", stem="imagenet", branch5x5="5x5", image_size=224)
_BN_AUX = replace(
    _PAPER, name="bn-aux-224", branch5x5="3x3", conv_bias=False, dropout=0.2, aux=Auxiliary(weight=1.0, dropout=0.5)
)
_PLAIN = replace(_PAPER, name="plain-224", stem="imagenet-linear", batch_norm=False, dropout=0.0)
REFERENCES: dict[str, Architecture] = {
    "bn-aux-224": _BN_AUX,
    "plain-224": _PLAIN,
    "plain-cifar": replace(_PLAIN, name="plain-cifar", stages=(STAGE3, STAGE4, ()), head="flatten", image_size=32),
    "inception-v1": replace(_PAPER, name="inception-v1", bn_eps=1e-3, conv_bias=False, aux=Auxiliary()),
    "plain-gray": replace(_PAPER, name="plain-gray", batch_norm=False, in_channels=1),
    "torchvision": replace(
        _BN_AUX,
        name="torchvision",
        bn_eps=1e-3,
        pool="ceil",
        aux=Auxiliary(pool="adaptive-4x4"),
        init="truncated-normal",
    ),
}
REFERENCE_CLASSES: dict[str, int] = {
    "bn-aux-224": 10,
    "plain-224": 1000,
    "plain-cifar": 10,
    "inception-v1": 1000,
    "plain-gray": 10,
    "torchvision": 1000,
}

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
    "init": (replace(REDUCED, name="truncated-normal-init", init="truncated-normal"),),
}

ARCHITECTURES: dict[str, Architecture] = {
    **VARIANTS,
    **REFERENCES,
    **{architecture.name: architecture for axis in AXES.values() for architecture in axis},
}


def architecture(name: str) -> Architecture:
    """The architecture of that name among the variants, references and axes.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    check_choice("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]
