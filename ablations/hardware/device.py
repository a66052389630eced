"""The torch device: selection, description, synchronised clock, kernel settings and memory."""

from __future__ import annotations

import contextlib
import ctypes
import math
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from ablations.errors import ConfigError
from ablations.hardware import probe
from ablations.hardware.environment import Environment, commit, package_versions

_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # see proc(5): resets the peak resident set


def resolve_device(name: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda"; "auto" is a GPU if there is one.

    Raises:
        ConfigError: for "cuda" without a usable GPU, and for "auto" if the driver shows a GPU that torch cannot use.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError(f"--device cuda: torch {torch.__version__} finds no GPU; use --device cpu or auto")
    if name == "auto" and not available and probe.gpu_capability():
        raise ConfigError(
            f"the driver shows a GPU that torch {torch.__version__} cannot use; install a build of torch for it, or "
            "pass --device cpu"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def describe_environment(device: torch.device, *, engine: str, deterministic: bool = False) -> Environment:
    """Describe this process on the device; `engine` names how optimisation steps run (eager, graph, ...)."""
    on_gpu = device.type == "cuda"
    return Environment(
        device=torch.cuda.get_device_name(device) if on_gpu else probe.cpu_name(),
        device_kind=device.type,
        engine=engine,
        deterministic=deterministic,
        threads=torch.get_num_threads(),
        platform=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=(*package_versions(), *((f"CUDA {torch.version.cuda}",) if on_gpu else ())),
        commit=commit(),
    )


def clock(device: torch.device) -> float:
    """Synchronise the device and return a monotonic time in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def free_memory_bytes(device: torch.device) -> float:
    """Free memory of a GPU in bytes; infinite for the CPU, where images need no second copy."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf


@contextlib.contextmanager
def untimed_kernels() -> Iterator[None]:
    """Turn cuDNN's autotuning off inside: timing kernels pays only for shapes that recur."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextlib.contextmanager
def exact_kernels(device: torch.device, *, deterministic: bool = False) -> Iterator[None]:
    """Use IEEE fp32 inside, without TF32, and autotuned (or, with `deterministic`, deterministic) cuDNN kernels.

    Deterministic results repeat bit for bit on the same machine and build of torch; cuBLAS also needs the environment
    variable of `probe.CUBLAS_WORKSPACE`, set before torch starts it. A CPU's kernels always repeat, for the same number
    of threads. Source: https://pytorch.org/docs/stable/notes/randomness.html

    Raises:
        RuntimeError: inside, with `deterministic`, from an operation without a deterministic kernel.
    """
    matmul = torch.get_float32_matmul_precision()
    switch = deterministic and not torch.are_deterministic_algorithms_enabled()
    if switch:  # not always: the call imports torch's compiler, which takes seconds
        torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("highest")
    try:
        with contextlib.ExitStack() as flags:
            if device.type == "cuda":
                flags.enter_context(
                    torch.backends.cudnn.flags(
                        enabled=True, benchmark=not deterministic, deterministic=deterministic, allow_tf32=False
                    )
                )
            yield
    finally:
        if switch:
            torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision(matmul)


def release_cached_memory(device: torch.device) -> None:
    """Free the memory that torch and cuBLAS cache on a GPU; no CUDA graph may be alive, as it uses that memory."""
    if device.type == "cuda":
        torch.cuda.init()
        # cuBLAS keeps a workspace of tens of megabytes for each stream it ran on, graph captures included.
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak memory; on a CPU only Linux can, elsewhere this does nothing."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        # Missing in some libcs and containers; memory freed by earlier runs then counts towards this peak.
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):
            _CLEAR_REFS.write_text(_RESET_PEAK)


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory in bytes since the reset: allocated on a GPU, or the process's resident set for the CPU.

    Where the resident set's peak cannot be reset, it is that of the whole process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return probe.peak_resident_bytes()
