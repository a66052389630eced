"""The benchmark of the executors, with what they do replaced by given measurements, and its reading of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ablations.hardware.probe import peak_resident_bytes
from ablations.suites.suite import Suite
from benchmarks import executors
from benchmarks.executors import Measured


def test_medians_and_the_median_ratio_of_rounds_in_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    order: list[str] = []
    seconds = {"serial": iter([10.0, 40.0, 12.0]), "ray": iter([5.0, 10.0, 24.0])}

    def given(name: str, suite: Suite) -> Measured:
        order.append(name)
        assert [arch.name for arch in suite.architectures] == ["short3", "short4"] and suite.seeds == 2
        return Measured(next(seconds[name]), 3.0, 4.0, 7)

    monkeypatch.setattr(executors, "_serial", lambda suite: given("serial", suite))
    monkeypatch.setattr(executors, "_ray", lambda suite: given("ray", suite))
    table = executors.main(executors.Arguments(seeds=2, output=tmp_path / "executors.csv"))
    assert order == ["serial", "ray"] * 3
    assert list(table["suite_seconds"]) == [12.0, 10.0]
    assert list(table["times_serial"]) == [1.0, 2.0]  # of 2, 4 and 0.5
    assert list(table["runs"]) == [4, 4]
    assert (tmp_path / "executors.csv").read_text().startswith("executor,runs,rounds,suite_seconds,")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_descendants_counts_the_processes_below() -> None:
    code = "import sys; held = bytearray(b'x' * 50_000_000); print(flush=True); sys.stdin.read()"
    before = executors._memory_of_descendants(str(os.getpid()))
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        grown = executors._memory_of_descendants(str(os.getpid())) - before
        child.stdin.close()
    assert 50e6 < grown < 50e6 + peak_resident_bytes()
