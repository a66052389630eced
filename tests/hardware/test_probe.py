"""Querying GPUs through a fake CUDA driver, its failures included; and peak memory."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ablations.errors import ConfigError
from ablations.hardware import probe
from ablations.hardware.device import resolve_device

# From CUDA's cuda.h.
SUCCESS, NOT_INITIALIZED, NO_DEVICE, INVALID_DEVICE, INVALID_VALUE = 0, 3, 100, 101, 1
MAJOR, MINOR = 75, 76
HANDLE = 40  # a device's handle may differ from its index

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
Install = Callable[..., None]


class FakeDriver:
    """A driver of GPUs with these compute capabilities; `broken` names the call that fails."""

    def __init__(self, *capabilities: tuple[int, int], broken: str = "") -> None:
        self._capabilities = capabilities
        self._broken = broken
        self._ready = False

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        self._ready = self._broken != "cuInit"
        return SUCCESS if self._ready else NO_DEVICE

    def cuDeviceGetCount(self, count: Any) -> int:
        return self._give(count, len(self._capabilities), call="cuDeviceGetCount")

    def cuDeviceGet(self, gpu: Any, number: int) -> int:
        if number >= len(self._capabilities):
            return INVALID_DEVICE
        return self._give(gpu, HANDLE + number, call="cuDeviceGet")

    def cuDeviceGetAttribute(self, value: Any, attribute: int, gpu: ctypes.c_int) -> int:
        if not HANDLE <= gpu.value < HANDLE + len(self._capabilities):
            return INVALID_DEVICE
        capability = dict(zip((MAJOR, MINOR), self._capabilities[gpu.value - HANDLE], strict=True))
        if attribute not in capability:
            return INVALID_VALUE
        return self._give(value, capability[attribute], call=f"cuDeviceGetAttribute {attribute}")

    def cuDeviceGetName(self, name: Any, size: int, gpu: ctypes.c_int) -> int:
        if self._broken == "cuDeviceGetName":
            return INVALID_VALUE
        name.value = f"GPU {gpu.value - HANDLE}".encode()[: size - 1]
        return SUCCESS

    def _give(self, pointer: Any, value: int, *, call: str) -> int:
        if not self._ready:
            return NOT_INITIALIZED
        if call == self._broken:
            return INVALID_VALUE
        pointer._obj.value = value
        return SUCCESS


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Replaces the driver by a fake one, or by an error on loading it."""

    def put(driver: FakeDriver | OSError) -> None:
        def load(name: str) -> FakeDriver:
            assert name == "libcuda.so.1"
            if isinstance(driver, OSError):
                raise driver
            return driver

        monkeypatch.setattr(ctypes, "CDLL", load)

    return put


@pytest.fixture
def no_driver_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if the driver is loaded."""

    def load(name: str) -> None:
        raise AssertionError(f"{name} was loaded")

    monkeypatch.setattr(ctypes, "CDLL", load)


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((7, 0), "fp32"), ((7, 5), "fp32"), ((8, 0), "bf16"), ((8, 6), "bf16"), ((9, 0), "bf16"), ((12, 1), "bf16")],
)
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_gpu_has_bf16_from_compute_capability_8_on(
    install: Install, device: str, capability: tuple[int, int], precision: str
) -> None:
    install(FakeDriver(capability))
    assert probe.gpu_capability() == capability
    assert probe.native_precision(device) == precision


def test_the_first_gpu_counts_as_torch_uses_it(install: Install) -> None:
    install(FakeDriver((7, 5), (9, 0)))
    assert probe.gpu_count() == 2
    assert probe.gpu_capability() == (7, 5)
    assert probe.native_precision("auto") == "fp32"


@pytest.mark.parametrize(
    "driver",
    [
        OSError("libcuda.so.1: cannot open shared object file: No such file or directory"),
        FakeDriver((9, 0), broken="cuInit"),
        FakeDriver((9, 0), broken="cuDeviceGetCount"),
        FakeDriver(),
        FakeDriver((9, 0), broken="cuDeviceGet"),
        FakeDriver((9, 0), broken=f"cuDeviceGetAttribute {MAJOR}"),
        FakeDriver((9, 0), broken=f"cuDeviceGetAttribute {MINOR}"),
    ],
    ids=["no-driver", "cuInit", "count", "no-gpu", "device", "major", "minor"],
)
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_driver_that_shows_no_gpu_means_single_precision(
    install: Install, device: str, driver: FakeDriver | OSError
) -> None:
    install(driver)
    assert probe.gpu_capability() is None
    assert probe.native_precision(device) == "fp32"


@pytest.mark.parametrize(("device", "name"), [("auto", "GPU 0"), ("cuda", "GPU 0"), ("cpu", "Some CPU")])
def test_the_device_has_the_name_that_records_have(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str, name: str
) -> None:
    monkeypatch.setattr(probe, "_CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU\n")
    install(FakeDriver((9, 0), (8, 0)))
    assert probe.device_name(device) == name
    install(FakeDriver((9, 0), broken="cuDeviceGetName"))
    assert probe.device_name(device) == "Some CPU"


@pytest.mark.usefixtures("no_driver_call")
def test_for_the_cpu_the_driver_is_not_loaded() -> None:
    assert probe.native_precision("cpu") == "fp32"
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("no_driver_call")
def test_a_gpu_that_torch_can_use_is_taken_without_loading_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")


def test_auto_is_an_error_where_torch_cannot_use_the_gpu(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    # Training on the CPU instead would take hours, in the precision that the plan chose for the GPU.
    install(FakeDriver((9, 0)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"torch.*--device cpu") as raised:
        resolve_device("auto")
    assert raised.value.exit_status == 2
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("driver", [OSError("no such file"), FakeDriver()], ids=["no-driver", "no-gpu"])
def test_auto_is_the_cpu_where_the_driver_shows_no_gpu(
    install: Install, monkeypatch: pytest.MonkeyPatch, driver: FakeDriver | OSError
) -> None:
    install(driver)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_without_proc_the_peak_comes_from_getrusage_in_bytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, unit: int
) -> None:
    # getrusage(2) counts in kilobytes on Linux and in bytes on macOS.
    monkeypatch.setattr(probe, "_PROCESS_STATUS", tmp_path / "missing")
    monkeypatch.setattr(probe.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=3_000))
    monkeypatch.setattr(sys, "platform", system)
    assert probe.peak_resident_bytes() == 3_000 * unit


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_the_driver_and_torch_agree() -> None:
    assert probe.gpu_capability() == torch.cuda.get_device_capability(0)
    assert probe.device_name("auto") == torch.cuda.get_device_name(0)
    assert (probe.native_precision("auto") == "bf16") == (torch.cuda.get_device_capability(0) >= (8, 0))
