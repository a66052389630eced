"""A device's peak rates, measured: FLOPs per second in large kernels, bytes per second in a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional

from ablations.hardware.device import clock, exact_kernels
from ablations.suites.recipe import Precision

GPU_SIDE, CPU_SIDE = 8192, 2048  # of the matrices
GPU_IMAGES, CPU_IMAGES = 1024, 64  # of the convolution
CHANNELS, MAP_SIDE, KERNEL = 256, 32, 3
GPU_BYTES, CPU_BYTES = 2 * 2**30, 2**28  # of the copy; far beyond any cache
SECONDS = 0.5  # of repeats of each


class Peaks(NamedTuple):
    """A device's peak rates as measured."""

    flops_per_second: float
    bytes_per_second: float

    def highest(self, other: Peaks) -> Peaks:
        """The higher of two measurements, rate by rate."""
        return Peaks(*map(max, self, other))


def measure(device: torch.device, precision: Precision) -> Peaks:
    """Measure both rates in a few seconds; FLOPs in the given precision, without TF32.

    The FLOPs are those of a matrix product or of a 3x3 convolution, whichever is faster: torch takes them from
    different libraries, and on some CPUs convolutions reach twice the speed of matrix products.
    """
    on_gpu = device.type == "cuda"
    side, images, size = (GPU_SIDE, GPU_IMAGES, GPU_BYTES) if on_gpu else (CPU_SIDE, CPU_IMAGES, CPU_BYTES)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = torch.empty(side, side, device=device, dtype=dtype)
    maps = torch.randn(images, CHANNELS, MAP_SIDE, MAP_SIDE, device=device)
    weights = torch.randn(CHANNELS, CHANNELS, KERNEL, KERNEL, device=device)
    maps, weights = (tensor.to(dtype, memory_format=torch.channels_last) for tensor in (maps, weights))
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    with exact_kernels(device), torch.inference_mode():
        product_seconds = _fastest(lambda: torch.matmul(left, right, out=product), device)
        convolution_seconds = _fastest(lambda: functional.conv2d(maps, weights, padding=KERNEL // 2), device)
        copy_seconds = _fastest(lambda: target.copy_(source), device)
    convolution_flops = 2 * weights.numel() * images * MAP_SIDE**2
    return Peaks(
        max(2 * side**3 / product_seconds, convolution_flops / convolution_seconds),
        2 * size / copy_seconds,  # a copy reads and writes
    )


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of many repeats."""
    work()
    best, until = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        began = clock(device)
        work()
        best = min(best, clock(device) - began)
    return best
