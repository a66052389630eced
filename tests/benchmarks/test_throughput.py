"""The table of training speeds, measured on a tiny network and computed by hand from given speeds."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import pandas as pd
import pytest
import torch

from benchmarks import (
    peaks,
    throughput,
)
from benchmarks.peaks import Peaks
from benchmarks.roofline import shortest_seconds, training_kernels
from benchmarks.timed_loops import LoaderSpeeds, TimedLoop
from googlenet.counts import count_macs
from tests.support.small_workloads import RECIPE, TINY, Printed, table_cells

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """Both loops on a CPU, two rounds of two steps."""
    arguments = throughput.Arguments(
        variants=("short4",),
        batch_size=16,
        image_size=8,
        width=0.125,
        steps=2,
        rounds=2,
        device="cpu",
        memory=False,
        output=tmp_path_factory.mktemp("throughput") / "new" / "table.csv",
    )
    text, loading = io.StringIO(), LoaderSpeeds(loader=123_456.7, reference=2_345.6, workers=8, ratio=52.63)
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(text):
        patched.setattr(throughput, "loader_speeds", lambda device: loading)
        table = throughput.main(arguments)
    return Printed(table, pd.read_csv(arguments.output), text.getvalue())


def test_throughput_saves_a_row_a_loop(compared: Printed) -> None:
    pd.testing.assert_frame_equal(compared.saved, compared.table.fillna(float("nan")), check_dtype=False)
    assert compared.saved["loop"].tolist() == ["reference", "eager"]
    assert compared.saved["times_reference"][0] == 1
    assert compared.saved["times_reference"][1] > 0
    assert compared.saved["peak_memory_bytes"].isna().all()
    assert (compared.saved["mfu"] > 0).all() and (compared.saved["roofline_share"] > 0).all()
    speeds = compared.saved.filter(like="images_per_second")
    assert (speeds.min(axis=1) == speeds["images_per_second_min"]).all() and (speeds.min(axis=1) > 0).all()
    assert (speeds.max(axis=1) == speeds["images_per_second_max"]).all()
    for column, value in {"variant": "short4", "batch_size": 16, "image_size": 8, "width": 0.125, "rounds": 2}.items():
        assert (compared.saved[column] == value).all()


def test_throughput_prints_both_loops_and_the_loading(compared: Printed) -> None:
    rows = table_cells(compared.text)
    assert [row[:4] for row in rows] == [["short4", loop, "fp32", "16"] for loop in ("reference", "eager")]
    for row, (_, saved) in zip(rows, compared.saved.iterrows(), strict=True):
        assert row[4].startswith(f"{saved['images_per_second']:,.1f} (")
        assert row[6] == f"{saved['times_reference']:.2f}"
        assert float(row[8]) == pytest.approx(100 * saved["mfu"], abs=0.051)
    loading = next(line for line in compared.text.splitlines() if line.startswith("loading alone"))
    assert "123,457 images/s" in loading and "2,346 images/s (8 workers)" in loading and "52.6 times" in loading
    assert "table.csv" in compared.text


def test_throughput_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[str] = []

    def interleave(loops: Sequence[TimedLoop], *, rounds: int) -> list[list[float]]:
        kinds.extend(loop.kind for loop in loops)
        assert rounds == 3
        return [[100.0, 200.0, 400.0], [300.0, 500.0, 800.0]]

    measured = iter([Peaks(1e9, 5e9), Peaks(2e9, 4e9)])
    monkeypatch.setattr(throughput, "interleave", interleave)
    monkeypatch.setattr(peaks, "measure", lambda device, precision: next(measured))
    monkeypatch.setattr(throughput, "epoch_peak_memory", lambda kind, workload: {"reference": 7, "eager": 8}[kind])
    table = throughput.measure(TINY, throughput.Arguments(rounds=3), CPU)
    assert kinds == table["loop"].tolist() == ["reference", "eager"]
    assert table["images_per_second"].tolist() == [200, 500]
    assert table["images_per_second_min"].tolist() == [100, 300]
    assert table["images_per_second_max"].tolist() == [400, 800]
    assert table["times_reference"].tolist() == [1, 2.5]  # of 3, 2.5 and 2
    assert table["seconds_per_epoch_of_50000"].tolist() == [250, 100]
    assert table["peak_memory_bytes"].tolist() == [7, 8]
    # The higher of those measured before and after.
    assert set(table["peak_flops_per_second"]) == {2e9} and set(table["peak_bytes_per_second"]) == {5e9}
    macs = count_macs(TINY.architecture, num_classes=10)
    # Forward, and the gradients of inputs and of weights: three times two FLOPs per MAC.
    assert table["mfu"].tolist() == pytest.approx([6 * macs * 200 / 2e9, 6 * macs * 500 / 2e9])
    kernels = training_kernels(TINY.architecture, num_classes=10, recipe=RECIPE, batch_size=16)
    seconds = shortest_seconds(kernels, flops_per_second=2e9, bytes_per_second=5e9)
    assert table["roofline_share"].tolist() == pytest.approx([200 * seconds / 16, 500 * seconds / 16])
    assert set(table["step_flops"]) == {sum(kernel.flops for kernel in kernels)}
    assert set(table["step_bytes"]) == {sum(kernel.bytes for kernel in kernels)}


def test_throughput_without_the_reference_compares_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "interleave", lambda loops, *, rounds: [[100.0]])
    table = throughput.measure(TINY, throughput.Arguments(reference=False, memory=False, rounds=1), CPU)
    assert table["loop"].tolist() == ["eager"]
    assert table["times_reference"].isna().all()
