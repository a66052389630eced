"""Where randomness comes from: each draw's seed derives from (run seed, epoch, purpose), so nothing needs saving."""

from __future__ import annotations

import hashlib
from typing import Literal

Purpose = Literal["init", "order", "flip", "crop", "cutout", "dropout", "validation-split"]


def draw_seed(seed: int, *, purpose: Purpose, epoch: int = 0) -> int:
    """A 63-bit seed for one purpose in one epoch of the run with that seed (epoch 0: before training)."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
