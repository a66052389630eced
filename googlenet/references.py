"""The reference implementations: five published GoogLeNets and torchvision's, as they were published.

`REFERENCE_CLASSES` gives the number of classes that each was published with. The tests hold the parameter counts
against the published ones, and the outputs and gradients of "torchvision" against ``torchvision.models.googlenet``.
"""

from __future__ import annotations

from dataclasses import replace

from googlenet.architecture import Architecture, Auxiliary
from googlenet.variants import REDUCED, STAGE3, STAGE4

_PAPER = replace(REDUCED, name="paper", stem="imagenet", branch5x5="5x5", image_size=224)
_BN_AUX = replace(
    _PAPER, name="bn-aux-224", branch5x5="3x3", conv_bias=False, dropout=0.2, aux=Auxiliary(weight=1.0, dropout=0.5)
)
_PLAIN = replace(_PAPER, name="plain-224", stem="imagenet-linear", batch_norm=False, dropout=0.0)
REFERENCES: dict[str, Architecture] = {
    "bn-aux-224": _BN_AUX,
    "plain-224": _PLAIN,
    "plain-cifar": replace(_PLAIN, name="plain-cifar", stages=(STAGE3, STAGE4, ()), head="flatten", image_size=32),
    "inception-v1": replace(_PAPER, name="inception-v1", bn_eps=1e-3, conv_bias=False, aux=Auxiliary(), init="normal"),
    "plain-gray": replace(_PAPER, name="plain-gray", batch_norm=False, in_channels=1),
    "torchvision": replace(
        _BN_AUX,
        name="torchvision",
        bn_eps=1e-3,
        pool="ceil",
        aux=Auxiliary(pool="adaptive-4x4"),
        init="normal",
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
