"""The network: `GoogLeNet`, and `build`, which makes it from an architecture's data."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from googlenet.architecture import FIRST_STAGE, STEM_NARROW, Architecture, Init
from googlenet.blocks import CHANNEL_DIM, AuxiliaryHead, ConvUnit, EntryConv, inception
from googlenet.registry import architecture
from googlenet.validation import check_count, shown

INIT_STD = 0.01
# Where normal initialisations are cut; torchvision's GoogLeNet writes -2 and 2, which are no standard deviations.
INIT_BOUND: dict[Init, float] = {"truncated-normal": 2 * INIT_STD, "normal": 2.0}
_TRUNK_SECTION = re.compile(r"trunk\.\d+\.")  # part of a layer's name, which auxiliary heads move


class Output(NamedTuple):
    """What a forward pass returns, in training and in evaluation.

    `logits` is (N, num_classes). `aux` has one (N, num_classes) tensor for each auxiliary head, the one nearest the
    input first; it is empty in evaluation and where the architecture has no auxiliary heads.

    A network can be exported with torch.export; `import googlenet.model` before torch.export.load reads the file.
    """

    logits: Tensor
    aux: tuple[Tensor, ...]


# By this name torch.export.save writes down the type of what a network returns. torch has no public function for it.
_pytree._register_namedtuple(Output, serialized_type_name="googlenet.model.Output")


class GoogLeNet(nn.Module):
    """A GoogLeNet for images (N, in_channels, image_size, image_size).

    The trunk is cut into sections that end where an auxiliary head reads the map; the last section has none.
    """

    def __init__(self, arch: Architecture, *, num_classes: int) -> None:
        super().__init__()
        self.arch = arch
        self.num_classes = num_classes
        self.stem = _stem(arch)
        self.trunk = nn.ModuleList(_trunk_sections(arch))
        self.aux_heads = nn.ModuleList(_aux_heads(arch, num_classes=num_classes))
        self.head = _head(arch, num_classes=num_classes)
        if arch.init in INIT_BOUND:
            for module in self.modules():
                _init_normal(module, bound=INIT_BOUND[arch.init])

    def forward(self, x: Tensor) -> Output:
        taps = []
        x = self.stem(x)
        for section in self.trunk:
            x = section(x)
            taps.append(x)
        heads = zip(self.aux_heads, taps, strict=False) if self.training else ()
        return Output(self.head(x), tuple(head(tap) for head, tap in heads))


def build(arch: Architecture | str, *, num_classes: int) -> GoogLeNet:
    """Build the network of an architecture, or of the named variant, reference or axis member.

    Weights are drawn from torch's global generator; seed it to repeat them.

    Raises:
        TypeError: if `arch` is neither an Architecture nor a name.
        ValueError: if the name is unknown or `num_classes` is below 1.
    """
    if not isinstance(arch, Architecture | str):
        raise TypeError(f"arch is {shown(arch)}; it must be an Architecture, or the name of one such as 'reduced'")
    check_count("num_classes", num_classes)
    return GoogLeNet(architecture(arch) if isinstance(arch, str) else arch, num_classes=num_classes)


def initialise(model: GoogLeNet, *, seed_at: Callable[[str], int]) -> None:
    """Draw every layer's weights anew, each with a seed of its own: ``seed_at(layer)``.

    `layer` is the layer's name, such as "inception4a.branch3x3.conv", which does not depend on the rest of the network.
    So two networks start alike wherever both have a layer of the same name and shape, or the same branch of a merged
    convolution. Reseeds torch's global generators.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            drawn = module.whole() if isinstance(module, EntryConv) else module
            torch.manual_seed(seed_at(_TRUNK_SECTION.sub("", name)))
            drawn.reset_parameters()
            if model.arch.init in INIT_BOUND:
                _init_normal(drawn, bound=INIT_BOUND[model.arch.init])
            if isinstance(module, EntryConv) and isinstance(drawn, nn.Conv2d):
                module.take(drawn)


def _stem(arch: Architecture) -> nn.Sequential:
    out_channels = arch.channels(arch.stem_channels)
    if arch.stem == "cifar":
        return ConvUnit(arch, arch.in_channels, out_channels, kernel=3)
    narrow = arch.channels(STEM_NARROW)
    activation = arch.stem == "imagenet"
    return nn.Sequential(
        OrderedDict(
            conv7x7=ConvUnit(arch, arch.in_channels, narrow, kernel=7, stride=2, activation=activation),
            pool1=_pool(arch),
            conv1x1=ConvUnit(arch, narrow, narrow, kernel=1, activation=activation),
            conv3x3=ConvUnit(arch, narrow, out_channels, kernel=3, activation=activation),
            pool2=_pool(arch),
        )
    )


def _pool(arch: Architecture) -> nn.MaxPool2d:
    if arch.pool == "padded":
        return nn.MaxPool2d(3, stride=2, padding=1)
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _trunk_sections(arch: Architecture) -> list[nn.Sequential]:
    specs = arch.modules()
    taps = arch.aux.after if arch.aux else ()
    sections: list[OrderedDict[str, nn.Module]] = [OrderedDict()]
    for number in range(FIRST_STAGE, FIRST_STAGE + len(arch.stages)):
        stage = [spec for spec in specs if spec.label.startswith(str(number))]
        for spec in stage:
            label = spec.label
            sections[-1][f"inception{label}"] = inception(arch, spec)
            if label in taps:
                sections.append(OrderedDict())
            if arch.module_dropout and spec is not specs[-1]:
                sections[-1][f"dropout{label}"] = nn.Dropout2d(arch.module_dropout)
            if arch.extra_pools and spec is not stage[-1]:
                sections[-1][f"extra_pool{label}"] = nn.MaxPool2d(3, stride=1, padding=1)
        if number == 3:
            sections[-1]["pool3"] = _pool(arch)
        if number == 4:
            # torchvision alone has a 2x2 pool here.
            sections[-1]["pool4"] = nn.MaxPool2d(2, stride=2, ceil_mode=True) if arch.pool == "ceil" else _pool(arch)
    return [nn.Sequential(section) for section in sections]


def _aux_heads(arch: Architecture, *, num_classes: int) -> list[AuxiliaryHead]:
    if arch.aux is None:
        return []
    specs = {spec.label: spec for spec in arch.modules()}
    return [AuxiliaryHead(arch, arch.aux, specs[label], num_classes=num_classes) for label in arch.aux.after]


def _head(arch: Architecture, *, num_classes: int) -> nn.Sequential:
    pool = nn.AdaptiveAvgPool2d(1) if arch.head == "gap" else nn.Identity()
    positions = 1 if arch.head == "gap" else arch.feature_map_size() ** 2
    return nn.Sequential(
        OrderedDict(
            pool=pool,
            flatten=nn.Flatten(CHANNEL_DIM),
            dropout=nn.Dropout(arch.dropout) if arch.dropout else nn.Identity(),
            linear=nn.Linear(arch.feature_channels() * positions, num_classes),
        )
    )


def _init_normal(module: nn.Module, *, bound: float) -> None:
    """Weights of convolutions and linear layers; biases and batch norm keep torch's initialisation."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INIT_STD, a=-bound, b=bound)
