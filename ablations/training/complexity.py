"""What a network costs: parameters, and multiply-adds and activations on one image."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from googlenet.counts import count_macs, count_params
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
    """Count a network with fvcore, and hold the counts against torch's own counter and the closed form.

    Raises:
        RuntimeError: if the three disagree, naming all of them.
    """
    arch = model.arch
    device = next(model.parameters()).device
    image = torch.zeros(1, arch.in_channels, arch.image_size, arch.image_size, device=device)
    was_training = model.training
    model.eval()
    try:
        macs = _counted(FlopCountAnalysis(model, image))
        activations = _counted(ActivationCountAnalysis(model, image))
        torch_macs = _torch_macs(model, image)
    finally:
        model.train(was_training)
    params = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    _agree(
        "MACs",
        fvcore=macs,
        torch_counter=torch_macs,
        closed_form=count_macs(arch, num_classes=model.num_classes),
    )
    _agree("parameters", module=params, closed_form=count_params(arch, num_classes=model.num_classes))
    return Complexity(params, macs, activations)


def _counted(analysis: FlopCountAnalysis | ActivationCountAnalysis) -> int:
    counts = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    return int(sum(counts[kind] for kind in COUNTED))


def _torch_macs(model: GoogLeNet, image: torch.Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops() // 2


def _agree(what: str, **counts: int) -> None:
    if len(set(counts.values())) > 1:
        raise RuntimeError(f"the counters disagree on {what}: {counts}")
