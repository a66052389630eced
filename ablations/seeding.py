"""Where randomness comes from: each draw's seed derives from (run seed, epoch, purpose), so nothing needs saving."""

from __future__ import annotations

import hashlib
from typing import Literal

Purpose = Literal["init", "order", "flip", "crop", "cutout", "dropout", "validation-split"]


def derive_seed(seed: int, *, purpose: Purpose, epoch: int = 0, place: str = "") -> int:
    """A 63-bit seed for one purpose in one epoch of the run with that seed (epoch 0: before training).

    `place` tells draws for the same purpose apart: the name of the layer that weights are drawn for.
    """
    name = f"{seed}/{epoch}/{purpose}" + (f"/{place}" if place else "")
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
