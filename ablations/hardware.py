"""What GPU there is, asked of the driver and not of torch, so that a plan that depends on it is quick."""

from __future__ import annotations

import ctypes
import sys
from typing import Literal

NativePrecision = Literal["fp32", "bf16"]
# Environment variable and value with which cuBLAS repeats its results bit for bit; see its documentation on results'
# reproducibility.
CUBLAS_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
# CUdevice_attribute in CUDA's cuda.h
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_WITH_BF16 = (8, 0)  # compute capability, from CUDA's table of arithmetic throughput


def gpu_capability() -> tuple[int, int] | None:
    """The compute capability of the first NVIDIA GPU that this process may use; None without one."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return None
    count, gpu, major, minor = (ctypes.c_int() for _ in range(4))
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or count.value < 1:
        return None
    calls = (
        driver.cuDeviceGet(ctypes.byref(gpu), 0),
        driver.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, gpu),
        driver.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, gpu),
    )
    return None if any(calls) else (major.value, minor.value)


def native_precision(device: str) -> NativePrecision:
    """The fastest precision that trains well on "auto", "cpu" or "cuda": "bf16" on a GPU that has it, else "fp32"."""
    capability = None if device == "cpu" else gpu_capability()
    return "bf16" if capability and capability >= _WITH_BF16 else "fp32"
