"""Measured peak rates, by a scripted clock."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import peaks
from benchmarks.peaks import Peaks

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("channels", "multiply_adds"),
    [
        (1, 64**3),  # the product of 64 x 64 matrices, against 32 x 32 x 9 of the convolution
        (256, 32 * 32 * 256 * 256 * 9),  # the convolution of one image of 32 x 32
    ],
)
def test_peaks_are_operations_and_bytes_over_the_fastest_seconds(
    monkeypatch: pytest.MonkeyPatch, channels: int, multiply_adds: int
) -> None:
    monkeypatch.setattr(peaks, "CHANNELS", channels)
    # The time limit is reached after five repeats.
    monkeypatch.setattr(peaks, "SECONDS", 5)
    monkeypatch.setattr(peaks, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    # Read before and after each repeat, which so takes 4, 2, 3, 4, ... seconds.
    times = itertools.accumulate(
        itertools.chain.from_iterable((100.0, seconds) for seconds in itertools.cycle((4, 2, 3)))
    )
    monkeypatch.setattr(peaks, "clock", lambda device: next(times))
    # A copy of 2^16 bytes reads and writes them.
    assert peaks.measure(CPU, "fp32") == Peaks(2 * multiply_adds / 2, 2 * 2**16 / 2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_measured_peaks_are_positive(precision: Any) -> None:
    assert min(peaks.measure(CPU, precision)) > 0


def test_the_highest_peaks_are_rate_by_rate() -> None:
    assert Peaks(3.0, 10.0).highest(Peaks(2.0, 20.0)) == Peaks(3.0, 20.0)
    assert Peaks(2.0, 20.0).highest(Peaks(3.0, 10.0)) == Peaks(3.0, 20.0)
