"""Seeds that are derived from a run's seed: distinct for each epoch and purpose, and the same on every machine."""

import hashlib
from typing import get_args

import pytest
import torch

from ablations.seeding import Purpose, derive_seed
from ablations.suites.run_config import MAX_SEED


def test_seeds_differ_by_run_epoch_and_purpose() -> None:
    # With 11 and 111, numbers that run into each other would collide.
    numbers = (*range(15), 111)
    purposes: tuple[Purpose, ...] = get_args(Purpose)
    derived = [derive_seed(s, purpose=p, epoch=e) for s in numbers for e in numbers for p in purposes]
    assert len(purposes) >= 7
    assert len(set(derived)) == len(derived)


def test_a_derived_seed_is_63_bits_of_a_sha256() -> None:
    digest = hashlib.sha256(b"7/3/order").hexdigest()
    assert derive_seed(7, purpose="order", epoch=3) == int(digest[:16], 16) // 2
    assert derive_seed(7, purpose="init") == int(hashlib.sha256(b"7/0/init").hexdigest()[:16], 16) // 2


@pytest.mark.parametrize("seed", [0, 1, MAX_SEED])
def test_torch_takes_a_derived_seed(seed: int) -> None:
    derived = derive_seed(seed, purpose="dropout", epoch=1)
    assert torch.Generator().manual_seed(derived).initial_seed() == derived
