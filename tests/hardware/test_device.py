"""The torch device: selection, clock, kernel settings, and peak memory against a known allocation."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ablations.errors import ConfigError
from ablations.hardware import device, probe
from ablations.hardware.device import (
    clock,
    describe_environment,
    exact_kernels,
    free_memory_bytes,
    peak_memory_bytes,
    reset_peak_memory,
    resolve_device,
    untimed_kernels,
)

CPU = torch.device("cpu")
ALLOCATED = 128 * 2**20
SLACK = 16 * 2**20  # what the rest of the process may allocate or free in the meantime

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reset a process's peak memory")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize(
    ("name", "there_is_a_gpu", "expected"),
    [
        ("auto", False, "cpu"),
        ("cpu", False, "cpu"),
        ("auto", True, "cuda"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_auto_is_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, name: str, there_is_a_gpu: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there_is_a_gpu)
    monkeypatch.setattr(probe, "gpu_capability", lambda: (9, 0) if there_is_a_gpu else None)
    assert resolve_device(name) == torch.device(expected)


def test_cuda_without_a_gpu_is_an_error_that_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"--device cuda.*--device cpu") as raised:
        resolve_device("cuda")
    assert raised.value.exit_status == 2


def test_free_memory_of_the_cpu_is_infinite() -> None:
    assert free_memory_bytes(CPU) == math.inf


def test_exact_kernels_change_nothing_on_a_cpu() -> None:
    def settings() -> tuple[object, ...]:
        cudnn = torch.backends.cudnn
        return cudnn.enabled, cudnn.benchmark, cudnn.allow_tf32, torch.get_float32_matmul_precision()

    before = settings()
    with exact_kernels(CPU):
        assert settings() == before
    assert settings() == before


def test_exact_kernels_override_the_matmul_precision_and_restore_it() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with exact_kernels(CPU):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("timed", [False, True])
def test_autotuning_is_off_inside_untimed_kernels_and_restored(timed: bool) -> None:
    with torch.backends.cudnn.flags(benchmark=timed):
        with untimed_kernels():
            assert not torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.benchmark == timed


def test_the_clock_never_goes_back_and_counts_seconds() -> None:
    began = time.monotonic()
    ticks = [clock(CPU) for _ in range(1000)]
    time.sleep(0.05)  # a known time to measure
    ticks.append(clock(CPU))
    took = time.monotonic() - began
    assert ticks == sorted(ticks)
    assert 0.05 <= ticks[-1] - ticks[-2] <= ticks[-1] - ticks[0] <= took


def allocate_with_numpy() -> None:
    assert np.ones(ALLOCATED, dtype=np.uint8)[-1] == 1


def allocate_with_torch() -> None:
    assert torch.ones(ALLOCATED, dtype=torch.uint8)[-1] == 1


def allocate_in_small_pieces() -> None:
    # Pieces small enough for malloc's heap, which is not returned to the system automatically.
    pieces = [np.ones(2**16, dtype=np.uint8) for _ in range(ALLOCATED // 2**16)]
    assert len(pieces) == ALLOCATED // 2**16


@on_linux
@pytest.mark.parametrize("allocate", [allocate_with_numpy, allocate_with_torch, allocate_in_small_pieces])
def test_the_peak_includes_freed_memory_until_the_reset(allocate: Callable[[], None]) -> None:
    reset_peak_memory(CPU)
    before = peak_memory_bytes(CPU)
    allocate()
    peak = peak_memory_bytes(CPU)
    assert before + ALLOCATED - SLACK <= peak <= before + ALLOCATED + SLACK
    reset_peak_memory(CPU)
    assert peak_memory_bytes(CPU) <= peak - ALLOCATED + 2 * SLACK


@on_linux
def test_the_peak_is_in_bytes() -> None:
    # Against the resident set in /proc/self/statm, which counts pages.
    reset_peak_memory(CPU)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    assert resident - SLACK <= peak_memory_bytes(CPU) <= resident + SLACK


@on_linux
def test_without_a_reset_the_peak_is_the_whole_processs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Some containers have no clear_refs, or a read-only one.
    monkeypatch.setattr(device, "_CLEAR_REFS", tmp_path / "missing" / "clear_refs")
    allocate_with_numpy()
    peak = peak_memory_bytes(CPU)
    reset_peak_memory(CPU)
    assert peak_memory_bytes(CPU) >= peak - SLACK


def test_the_environment_names_the_processor_and_its_threads() -> None:
    environment = describe_environment(CPU, engine="eager")
    assert environment.engine == "eager"
    assert environment.device_kind == "cpu"
    assert environment.threads == torch.get_num_threads()
    assert environment.device
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.is_file() and "model name" in cpu_info.read_text():
        assert f": {environment.device}\n" in cpu_info.read_text()


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_the_peak_is_allocated_memory() -> None:
    cuda = resolve_device("auto")
    reset_peak_memory(cuda)
    before = peak_memory_bytes(cuda)
    torch.ones(ALLOCATED, dtype=torch.uint8, device=cuda)
    # Allocated, not reserved memory; the allocator rounds up to at most 2 MiB.
    assert 0 <= peak_memory_bytes(cuda) - before - ALLOCATED <= 2 * 2**20
    reset_peak_memory(cuda)
    assert peak_memory_bytes(cuda) == before


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_the_clock_waits_for_queued_work() -> None:
    cuda = resolve_device("cuda")
    matrix = torch.ones(4096, 4096, device=cuda)
    done = torch.cuda.Event()
    for _ in range(20):
        matrix = matrix @ matrix / 4096
    done.record()
    clock(cuda)
    assert done.query()


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_the_environment_names_it() -> None:
    environment = describe_environment(resolve_device("cuda"), engine="graph")
    assert environment.device_kind == "cuda"
    assert environment.device == torch.cuda.get_device_properties(0).name


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_exact_kernels_are_autotuned_ieee_fp32_and_restored() -> None:
    cudnn = torch.backends.cudnn
    before = (cudnn.benchmark, cudnn.allow_tf32)
    with exact_kernels(resolve_device("cuda")):
        assert (cudnn.enabled, cudnn.benchmark, cudnn.allow_tf32) == (True, True, False)
        assert not torch.backends.cuda.matmul.allow_tf32  # torch's default since 1.12
    assert (cudnn.benchmark, cudnn.allow_tf32) == before


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_free_memory_shrinks_by_what_is_allocated() -> None:
    cuda = resolve_device("cuda")
    torch.cuda.empty_cache()
    before = free_memory_bytes(cuda)
    held = torch.ones(ALLOCATED, dtype=torch.uint8, device=cuda)
    assert before - free_memory_bytes(cuda) >= held.nbytes
