"""Fixtures of the benchmarks' tests: tiny networks and short measurements."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import peaks


@pytest.fixture(scope="module", autouse=True)
def small_peaks() -> Iterator[None]:
    """Measure peak rates on matrices and copies so small that it takes no time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(peaks, "SECONDS", 0.01)
        patched.setattr(peaks, "CPU_SIDE", 64)
        patched.setattr(peaks, "CPU_BYTES", 2**16)
        patched.setattr(peaks, "CPU_IMAGES", 1)
        yield
