"""Derive a seed for each purpose from (run seed, epoch), so that no generator's state needs saving."""

from __future__ import annotations

import hashlib
from typing import Literal

Purpose = Literal["init", "order", "flip", "crop", "cutout", "dropout", "validation-split", "test-flip"]


def derive_seed(seed: int, *, purpose: Purpose, epoch: int = 0, layer: str = "") -> int:
    """A 63-bit seed for one purpose in one epoch of the run with that seed (epoch 0: before training).

    `layer` is the name of the layer whose weights are drawn, which gives each layer a seed of its own.
    """
    name = f"{seed}/{epoch}/{purpose}" + (f"/{layer}" if layer else "")
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
