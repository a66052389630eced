"""Query GPU and memory without torch, which is slow to import; environment variables to set before importing it."""

from __future__ import annotations

import ctypes
import platform
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
_CPU_INFO = Path("/proc/cpuinfo")
_PROCESS_STATUS = Path("/proc/self/status")
# CUdevice_attribute in CUDA's cuda.h
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_NAME_BYTES = 256
_WITH_BF16 = (8, 0)  # compute capability, from CUDA's table of arithmetic throughput


def gpu_capability() -> tuple[int, int] | None:
    """Compute capability (major, minor) of the first NVIDIA GPU visible to this process; None without one."""
    gpus = _gpus()
    if gpus is None:
        return None
    driver, gpu, _ = gpus
    major, minor = ctypes.c_int(), ctypes.c_int()
    calls = (
        driver.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, gpu),
        driver.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, gpu),
    )
    return None if any(calls) else (major.value, minor.value)


def gpu_count() -> int:
    """How many NVIDIA GPUs are visible to this process."""
    gpus = _gpus()
    return 0 if gpus is None else gpus[2]


def device_name(device: str) -> str:
    """The name of the device that "auto", "cpu" or "cuda" stands for here, as records have it."""
    return (None if device == "cpu" else _gpu_name()) or cpu_name()


def cpu_name() -> str:
    """The name of this machine's CPU."""
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu_name() -> str | None:
    gpus = _gpus()
    if gpus is None:
        return None
    driver, gpu, _ = gpus
    name = ctypes.create_string_buffer(_NAME_BYTES)
    return None if driver.cuDeviceGetName(name, _NAME_BYTES, gpu) else name.value.decode()


def _gpus() -> tuple[ctypes.CDLL, ctypes.c_int, int] | None:
    """The driver, its handle of the first NVIDIA GPU visible to this process, and how many there are."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return None
    count, gpu = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or count.value < 1:
        return None
    return None if driver.cuDeviceGet(ctypes.byref(gpu), 0) else (driver, gpu, count.value)


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
