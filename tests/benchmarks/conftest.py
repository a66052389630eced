"""What all tests of the benchmarks share: networks are too small to be worth timing, and nothing is measured long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ablations.data.dataset import Dataset
from benchmarks import gpu_figures, peaks, throughput


@pytest.fixture(scope="module", autouse=True)
def small_peaks() -> Iterator[None]:
    """Matrices and copies that take no time, as what they measure is no matter here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(peaks, "SECONDS", 0.01)
        patched.setattr(peaks, "CPU_SIDE", 64)
        patched.setattr(peaks, "CPU_BYTES", 2**16)
        patched.setattr(peaks, "CPU_IMAGES", 1)
        yield


@pytest.fixture(scope="module")
def few_digits(tiny_digits: Dataset) -> Dataset:
    """As much data as four batches of eight need."""
    return replace(
        tiny_digits,
        train=tiny_digits.train.take(np.arange(32)),
        test=tiny_digits.test.take(np.arange(16)),
        fingerprint=f"few-of-{tiny_digits.fingerprint}",
    )


@pytest.fixture
def make_scale(few_digits: Dataset) -> Callable[..., gpu_figures.Scale]:
    """Makes work that a CPU does in seconds."""
    epochs = dict.fromkeys(("full_epochs", "suite_epochs", "gap_epochs", "fast_epochs", "long_epochs"), 1)

    def make(*, real_data: bool, **changes: Any) -> gpu_figures.Scale:
        small = gpu_figures.Scale(
            device=torch.device("cpu"),
            dataset=few_digits,
            real_data=real_data,
            steps=1,
            speed_steps=1,
            width=0.125,
            speed=throughput.Arguments(memory=False, rounds=1, steps=1, device="cpu"),
        )
        return replace(small, **{**epochs, **changes})

    return make
