"""Architectures as frozen data: Inception rows, auxiliary heads and everything else that is to be built.

Standard library only, so that the data can be read, listed and hashed without importing torch.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple, get_args

from googlenet.validation import (
    TWIN_PATTERN,
    check_choice,
    check_count,
    check_flag,
    check_name,
    check_range,
    shown,
)

Stem = Literal["cifar", "imagenet", "imagenet-linear"]
Branch5x5 = Literal["5x5", "3x3", "3x3+3x3"]
Pool = Literal["padded", "ceil"]
Head = Literal["gap", "flatten"]
Branch = Literal["1x1", "3x3", "5x5", "pool"]
BnEps5x5 = Literal["same", "channels"]
Init = Literal["torch", "truncated-normal", "normal"]
AuxPool = Literal["5x5/3", "adaptive-4x4"]

BRANCHES: tuple[Branch, ...] = get_args(Branch)  # of an Inception module, in the order of its output channels
# The published CIFAR input. An architecture that has it is built for whatever the data has.
ANY_SIZE, ANY_CHANNELS = 32, 3
MAX_WIDTH = 16
STEM_NARROW = 64  # channels of the first two stem convolutions at 224x224, Table 1 of arXiv:1409.4842
FIRST_STAGE = 3  # the paper numbers its Inception stages 3, 4 and 5
MODULE_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, kw_only=True)
class InceptionRow:
    """Channels of one Inception module, in the columns of Table 1 of arXiv:1409.4842."""

    ch1x1: int
    ch3x3_reduce: int
    ch3x3: int
    ch5x5_reduce: int
    ch5x5: int
    pool_proj: int

    def __post_init__(self) -> None:
        for field in fields(self):
            check_count(f"Inception row: {field.name}", getattr(self, field.name))


ROW_FIELDS: dict[Branch, tuple[str, ...]] = {
    "1x1": ("ch1x1",),
    "3x3": ("ch3x3_reduce", "ch3x3"),
    "5x5": ("ch5x5_reduce", "ch5x5"),
    "pool": ("pool_proj",),
}


@dataclass(frozen=True, kw_only=True)
class Auxiliary:
    """Auxiliary classifiers: average pool, 1x1 conv, hidden linear layer, dropout, linear layer.

    `after` names modules by their position: "4d" is the fourth module of stage 4. Channels are those of
    arXiv:1409.4842, section 5. `weight` multiplies each head's cross-entropy in the training loss.
    """

    after: tuple[str, ...] = ("4a", "4d")
    weight: float = 0.3
    dropout: float = 0.7
    pool: AuxPool = "5x5/3"
    conv_channels: int = 128
    hidden: int = 1024

    def __post_init__(self) -> None:
        if not self.after:
            raise ValueError("auxiliary: after is empty; name at least one module such as '4a', or set aux to none")
        check_range("auxiliary: weight", self.weight, low=0, high=10, open_low=True)
        check_range("auxiliary: dropout", self.dropout, low=0, high=0.99)
        check_choice("auxiliary: pool", self.pool, get_args(AuxPool))
        check_count("auxiliary: conv_channels", self.conv_channels)
        check_count("auxiliary: hidden", self.hidden)

    def pooled_size(self, map_size: int) -> int:
        """Side of the pooled map for a square input of side `map_size`; below 1 when the map is too small."""
        if self.pool == "adaptive-4x4":
            return 4 if map_size >= 4 else 0
        return (map_size - 5) // 3 + 1


class ModuleSpec(NamedTuple):
    """One Inception module: its label ("4a"), scaled row, input and output channels, and the side of its map."""

    label: str
    row: InceptionRow
    in_channels: int
    out_channels: int
    map_size: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Everything that says what to build, one field for each axis that can be ablated.

    `stages` are stages 3, 4 and 5; a max-pool stands between two stages, also next to an empty one, so that
    stage 5 always sees the same map. `width` multiplies every channel number. With `reduction` off, modules have
    no 1x1 reductions and their pool branch passes its input through. `branches` are those that the modules have; the
    channels of the others are gone. `pool` "padded" is 3x3/2 with padding 1; "ceil" is torchvision's: 3x3/2 without
    padding, rounded up, and 2x2/2 before stage 5.

    `extra_pools` puts a 3x3/1 max-pool between any two modules of a stage, which leaves the map's size.
    `module_dropout` is the probability with which a channel is dropped after each module but the last.

    `bn_eps_5x5` "channels" gives the batch norm after the first 3x3 of a "3x3+3x3" branch its number of channels as
    eps, as a call ``BatchNorm2d(n, n)`` does; other layers have `bn_eps`. `init` is torch's own; or a normal
    distribution with standard deviation 0.01, which "truncated-normal" cuts at two standard deviations and "normal" at
    -2 and 2.

    `image_size` and `in_channels` are the input that the architecture is for. The defaults, 32 and 3, fit any data (see
    `needs_image_size`).

    Raises:
        ValueError: on construction, naming the value, what is allowed and the remedy.
    """

    name: str
    stages: tuple[tuple[InceptionRow, ...], ...]
    stem: Stem = "cifar"
    stem_channels: int = 192
    width: float = 1.0
    reduction: bool = True
    branches: tuple[Branch, ...] = BRANCHES
    branch5x5: Branch5x5 = "3x3+3x3"
    batch_norm: bool = True
    bn_eps: float = 1e-5
    bn_eps_5x5: BnEps5x5 = "same"
    conv_bias: bool = True
    pool: Pool = "padded"
    head: Head = "gap"
    dropout: float = 0.4
    module_dropout: float = 0.0
    extra_pools: bool = False
    aux: Auxiliary | None = None
    init: Init = "torch"
    in_channels: int = ANY_CHANNELS
    image_size: int = ANY_SIZE

    def __post_init__(self) -> None:
        check_name("architecture", self.name, pattern=TWIN_PATTERN)
        self._check_values()
        if not isinstance(self.stages, tuple) or not all(isinstance(rows, tuple) for rows in self.stages):
            raise ValueError(f"{self.name}: stages is {self.stages!r}; it must be a tuple of tuples of InceptionRow")
        if len(self.stages) != 3:
            raise ValueError(f"{self.name}: stages has {len(self.stages)} entries; give three, for stages 3, 4 and 5")
        for row in itertools.chain(*self.stages):
            if not isinstance(row, InceptionRow):
                raise ValueError(f"{self.name}: stages holds {row!r}, which is no InceptionRow; rows('3a') makes one")
        if not self.stages[0]:
            raise ValueError(f"{self.name}: stage 3 has no module; only stages 4 and 5 may be empty, so add a row")
        if max(map(len, self.stages)) > len(MODULE_LETTERS):
            raise ValueError(
                f"{self.name}: a stage has over {len(MODULE_LETTERS)} modules, one for each letter; use fewer"
            )
        self._check_input()
        self._check_aux()

    def _check_values(self) -> None:
        for field, choices in (
            ("stem", Stem),
            ("branch5x5", Branch5x5),
            ("bn_eps_5x5", BnEps5x5),
            ("pool", Pool),
            ("head", Head),
            ("init", Init),
        ):
            check_choice(f"{self.name}: {field}", getattr(self, field), get_args(choices))
        self._check_branches()
        for field in ("reduction", "batch_norm", "conv_bias", "extra_pools"):
            check_flag(f"{self.name}: {field}", getattr(self, field))
        for field in ("stem_channels", "in_channels", "image_size"):
            check_count(f"{self.name}: {field}", getattr(self, field))
        check_range(f"{self.name}: width", self.width, low=0, high=MAX_WIDTH, open_low=True)
        # A BatchNorm2d call with two positional arguments sets eps by accident; no sane eps is near 1.
        check_range(f"{self.name}: bn_eps", self.bn_eps, low=0, high=0.1, open_low=True)
        has_first_3x3 = "5x5" in self.branches and self.branch5x5 == "3x3+3x3"
        if self.bn_eps_5x5 == "channels" and not (self.batch_norm and has_first_3x3):
            raise ValueError(
                f"{self.name}: bn_eps_5x5 is 'channels', which is about batch norm after the first 3x3 of a '3x3+3x3' "
                f"branch; branch5x5 is {self.branch5x5!r}, batch_norm {str(self.batch_norm).lower()} and branches "
                f"{', '.join(self.branches)}, so set it to 'same'"
            )
        for field in ("dropout", "module_dropout"):
            check_range(f"{self.name}: {field}", getattr(self, field), low=0, high=0.99)

    def _check_branches(self) -> None:
        if not isinstance(self.branches, tuple) or not self.branches:
            raise ValueError(
                f"{self.name}: branches is {shown(self.branches)}; give a tuple of at least one of "
                f"{', '.join(BRANCHES)}"
            )
        for branch in self.branches:
            check_choice(f"{self.name}: branches: branch", branch, BRANCHES)
        if self.branches != tuple(branch for branch in BRANCHES if branch in self.branches):
            raise ValueError(
                f"{self.name}: branches is {', '.join(self.branches)}; name each once, in the order "
                f"{', '.join(BRANCHES)}"
            )

    def _check_input(self) -> None:
        if self._fits(self.image_size):
            return
        smallest = next(size for size in range(1, 1024) if self._fits(size))
        raise ValueError(
            f"{self.name}: image_size {self.image_size} is too small for the pools of the {self.stem!r} stem and "
            f"three stages; use at least {smallest}" + ("" if self.stem == "cifar" else " or the 'cifar' stem")
        )

    def _check_aux(self) -> None:
        if self.aux is None:
            return
        if not isinstance(self.aux, Auxiliary):
            raise ValueError(f"{self.name}: aux is {self.aux!r}; give an Auxiliary, or None for no auxiliary heads")
        maps = {spec.label: spec.map_size for spec in self.modules()}
        if list(self.aux.after) != [label for label in maps if label in self.aux.after]:
            raise ValueError(
                f"{self.name}: auxiliary heads after {', '.join(map(repr, self.aux.after))}; name modules in their "
                f"order, each once, out of {', '.join(maps)} ('4d' is the fourth module of stage 4)"
            )
        for label in self.aux.after:
            if self.aux.pooled_size(maps[label]) < 1:
                raise ValueError(
                    f"{self.name}: the map after {label} is {maps[label]}x{maps[label]}, too small for an auxiliary "
                    f"head with {self.aux.pool!r} pooling; use a larger image_size, the 'cifar' stem or no "
                    "auxiliary heads"
                )

    def _fits(self, image_size: int) -> bool:
        """A pool needs a map of at least 2x2: on 1x1 it would change nothing."""
        before_pools = [*self._stem_maps(image_size), *self._stage_maps(image_size)[:-1]]
        return min(before_pools) >= 2

    def _stem_maps(self, image_size: int) -> list[int]:
        """Sides of the maps that enter the stem's pools."""
        if self.stem == "cifar":
            return []
        first = (image_size + 1) // 2  # 7x7/2 conv with padding 3
        return [first, self._pooled(first)]

    def _stage_maps(self, image_size: int) -> tuple[int, int, int]:
        """Sides of the maps of stages 3, 4 and 5."""
        stem_maps = self._stem_maps(image_size)
        stage3 = self._pooled(stem_maps[-1]) if stem_maps else image_size
        stage4 = self._pooled(stage3)
        # The "ceil" style has a 2x2/2 pool here, which rounds up as the padded 3x3/2 does.
        return stage3, stage4, (stage4 + 1) // 2

    def _pooled(self, map_size: int) -> int:
        return (map_size + 1) // 2 if self.pool == "padded" else map_size // 2

    def channels(self, count: int) -> int:
        """`count` channels at this architecture's width: rounded, at least 1."""
        return max(1, round(count * self.width))

    @property
    def needs_image_size(self) -> int | None:
        """The only side of images that this architecture is for; None if it is for any."""
        return None if self.image_size == ANY_SIZE else self.image_size

    @property
    def needs_channels(self) -> int | None:
        """The only number of input channels that this architecture is for; None if it is for any."""
        return None if self.in_channels == ANY_CHANNELS else self.in_channels

    def at_size(self, image_size: int, *, in_channels: int = ANY_CHANNELS, width: float = 1.0) -> Architecture:
        """This architecture for images of `image_size` pixels a side, with `width` times its channels."""
        return replace(self, image_size=image_size, width=self.width * width, in_channels=in_channels)

    def module_out_channels(self, row: InceptionRow, *, in_channels: int) -> int:
        """Output channels of a module with these (already scaled) channels."""
        pool = row.pool_proj if self.reduction else in_channels
        by_branch = zip(BRANCHES, (row.ch1x1, row.ch3x3, row.ch5x5, pool), strict=True)
        return sum(channels for branch, channels in by_branch if branch in self.branches)

    def modules(self) -> tuple[ModuleSpec, ...]:
        """Every Inception module in order, with its scaled row, channels and map side."""
        modules: list[ModuleSpec] = []
        channels = self.channels(self.stem_channels)
        for number, (rows, map_size) in enumerate(zip(self.stages, self._stage_maps(self.image_size), strict=True)):
            for letter, row in zip(MODULE_LETTERS, rows, strict=False):
                scaled = InceptionRow(**{f.name: self.channels(getattr(row, f.name)) for f in fields(row)})
                out_channels = self.module_out_channels(scaled, in_channels=channels)
                modules.append(ModuleSpec(f"{number + FIRST_STAGE}{letter}", scaled, channels, out_channels, map_size))
                channels = out_channels
        return tuple(modules)

    def layers(self) -> tuple[object, ...]:
        """All that the built network depends on, equal for architectures that build the same one under any name."""
        unused = [name for branch in BRANCHES if branch not in self.branches for name in ROW_FIELDS[branch]]
        if not self.reduction:
            unused += ["ch3x3_reduce", "ch5x5_reduce", "pool_proj"]
        modules = tuple(spec._replace(row=replace(spec.row, **dict.fromkeys(unused, 1))) for spec in self.modules())
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        without_meaning = [] if self.batch_norm else ["bn_eps"]
        if "5x5" not in self.branches:
            without_meaning.append("branch5x5")
        if self.branches == ("1x1",):
            without_meaning.append("reduction")
        if max(map(len, self.stages)) == 1:
            without_meaning.append("extra_pools")
        if len(modules) == 1:
            without_meaning.append("module_dropout")
        for name in ("name", "stages", "width", "stem_channels", *without_meaning):
            del values[name]
        aux = self.aux and (self.channels(self.aux.conv_channels), self.channels(self.aux.hidden))
        return modules, self.channels(self.stem_channels), self.channels(STEM_NARROW), aux, tuple(values.items())

    def feature_channels(self) -> int:
        """Channels of the last feature map."""
        return self.modules()[-1].out_channels

    def feature_map_size(self) -> int:
        """Side of the last feature map."""
        return self._stage_maps(self.image_size)[-1]

    def stem_map_sizes(self) -> tuple[int, ...]:
        """Sides of the maps that the stem's convolutions write, in order."""
        if self.stem == "cifar":
            return (self.image_size,)
        first, second = self._stem_maps(self.image_size)
        return first, second, second

    def stage_map_sizes(self) -> tuple[int, int, int]:
        """Sides of the maps of stages 3, 4 and 5, also of empty ones."""
        return self._stage_maps(self.image_size)
