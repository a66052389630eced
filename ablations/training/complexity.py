"""Count a network's parameters, and its multiply-adds (MACs) and activations on one image."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch

from googlenet.model import GoogLeNet

with warnings.catch_warnings():
    # fvcore scripts a few losses on import, which newer torch calls deprecated.
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis

COUNTED = ("conv", "linear")  # fvcore's total also holds batch norm and pooling


class Complexity(NamedTuple):
    """Trainable parameters with auxiliary heads; MACs and activations for one image in evaluation.

    A multiply-add is one MAC; FLOPs are 2 x MACs. Activations are the entries that convolutions and linear layers
    write.
    """

    params: int
    macs: int
    activations: int

    @property
    def flops(self) -> int:
        """Floating-point operations."""
        return 2 * self.macs


def measure(model: GoogLeNet) -> Complexity:
    """Count a network: MACs and activations of convolutions and linear layers with fvcore, and its parameters.

    The tests hold these counts against torch's own counter and against closed forms, for every architecture.
    """
    arch = model.arch
    device = next(model.parameters()).device
    image = torch.zeros(1, arch.in_channels, arch.image_size, arch.image_size, device=device)
    was_training = model.training
    model.eval()
    try:
        macs = _counted(FlopCountAnalysis(model, image))
        activations = _counted(ActivationCountAnalysis(model, image))
    finally:
        model.train(was_training)
    params = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Complexity(params, macs, activations)


def _counted(analysis: FlopCountAnalysis | ActivationCountAnalysis) -> int:
    counts = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    return int(sum(counts[kind] for kind in COUNTED))
