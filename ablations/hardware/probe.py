"""Query GPU and memory without torch, which is slow to import; environment variables to set before importing it."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path
from typing import Literal

NativePrecision = Literal["fp32", "bf16"]
# Environment variable of libgomp: how long waiting threads spin. By its default, another process on one of two cores
# made training 4 to 20 times slower. This value costs nothing measurable on an idle machine.
THREAD_SPINS = ("GOMP_SPINCOUNT", "5000")
# Environment variable that makes cuBLAS deterministic: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
CUBLAS_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
_DRIVER = "libcuda.so.1"
_PROCESS_STATUS = Path("/proc/self/status")
# CUdevice_attribute in CUDA's cuda.h
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_WITH_BF16 = (8, 0)  # compute capability, from CUDA's table of arithmetic throughput


def gpu_capability() -> tuple[int, int] | None:
    """Compute capability (major, minor) of the first NVIDIA GPU visible to this process; None without one."""
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


def peak_resident_bytes() -> int:
    """Peak resident set of this process in bytes; on Linux since the last reset."""
    if _PROCESS_STATUS.is_file():
        for line in _PROCESS_STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def native_precision(device: str) -> NativePrecision:
    """Fastest precision that the device ("auto", "cpu" or "cuda") supports natively: "bf16", or else "fp32"."""
    capability = None if device == "cpu" else gpu_capability()
    return "bf16" if capability and capability >= _WITH_BF16 else "fp32"
