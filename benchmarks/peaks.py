"""What a device can do at most, measured: multiply-adds in a large matrix product, bytes in a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from ablations import devices
from ablations.config import Precision

GPU_SIDE, CPU_SIDE = 8192, 2048  # of the matrices
GPU_BYTES, CPU_BYTES = 2 * 2**30, 2**28  # of the copy; far beyond any cache
SECONDS = 0.5  # to repeat each for


class Peaks(NamedTuple):
    """A device's highest measured rates."""

    flops_per_second: float
    bytes_per_second: float

    def highest(self, other: Peaks) -> Peaks:
        """The higher of two measurements, rate by rate."""
        return Peaks(*map(max, self, other))


def measure(device: torch.device, precision: Precision) -> Peaks:
    """Measure them in about two seconds; the matrix product in that precision, without TF32."""
    on_gpu = device.type == "cuda"
    side, size = (GPU_SIDE, GPU_BYTES) if on_gpu else (CPU_SIDE, CPU_BYTES)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = torch.empty(side, side, device=device, dtype=dtype)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = _fastest(lambda: torch.matmul(left, right, out=product), device)
    copy_seconds = _fastest(lambda: target.copy_(source), device)
    return Peaks(2 * side**3 / seconds, 2 * size / copy_seconds)  # a copy reads and writes


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of many repeats."""
    work()
    best, until = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        began = devices.clock(device)
        work()
        best = min(best, devices.clock(device) - began)
    return best
