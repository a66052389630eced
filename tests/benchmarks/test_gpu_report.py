"""The report on a GPU's figures, made on a CPU: its parts run through, and a failure leaves what was measured."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from ablations.errors import ConfigError
from benchmarks import gpu_figures, gpu_report
from tests.benchmarks.small_contests import Printed, table_cells

MakeScale = Callable[..., gpu_figures.Scale]


def test_the_gpu_report_needs_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs a GPU"):
        gpu_report.main(gpu_report.Arguments(output=tmp_path / "table.csv"))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_part_is_named_with_those_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    arguments = gpu_report.Arguments(parts=("fast", "nonsense"), output=tmp_path / "table.csv")
    with pytest.raises(ConfigError) as stopped:
        gpu_report.main(arguments)
    message = str(stopped.value)
    assert "--parts nonsense" in message
    assert message.endswith("allowed: agreement, throughput, overhead, published, suite, gap, fast")


def make_report(scale: gpu_figures.Scale, *, parts: Sequence[str], output: Path) -> Printed:
    console = Console(file=io.StringIO(), width=400)  # so wide that each row is a line
    table = gpu_report.report(scale, parts=tuple(parts), output=output, console=console)
    assert isinstance(console.file, io.StringIO)
    return Printed(table, pd.read_csv(output), console.file.getvalue())


def test_every_part_of_the_gpu_report_runs_through(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale, tmp_path: Path
) -> None:
    monkeypatch.setattr(gpu_figures, "LARGE_BATCH", 8)
    made = make_report(
        make_scale(real_data=False), parts=list(gpu_figures.PARTS), output=tmp_path / "new" / "table.csv"
    )
    assert made.saved["part"].tolist() == [
        "agreement",
        *["throughput"] * 3,
        "overhead",
        "published",
        "suite",
        "gap",
        *["fast"] * 2,
    ]
    bars = ["<= 0.0001", ">= 3", ">= 50 %", ">= 60 %", "<= 2 %", "<= 45", "<= 8", "within 0.5 points"]
    assert made.saved["bar"].tolist() == [*bars, "<= 10 % in <= 30 s", "<= 6 % in <= 180 s"]
    # Errors on random images say nothing.
    unmeasured = made.saved["part"].isin(["gap", "fast"])
    assert made.saved["met"].isna().equals(unmeasured)
    assert made.saved["measured"].str.contains("unmeasured, needs --data-dir").equals(unmeasured)
    assert not made.saved["measured"].str.contains("test error").any()
    verdicts = {True: "yes", False: "NO"}
    expected = [
        [row["figure"], row["bar"], row["measured"], "-" if pd.isna(row["met"]) else verdicts[bool(row["met"])]]
        for row in made.saved.to_dict("records")
    ]
    assert table_cells(made.text) == expected
    assert (made.saved["commit"].str.len() > 0).all() and (made.saved["device"].str.len() > 0).all()


def test_errors_are_measured_on_real_data(make_scale: MakeScale, tmp_path: Path) -> None:
    made = make_report(make_scale(real_data=True), parts=("gap", "fast"), output=tmp_path / "table.csv")
    assert made.saved["part"].tolist() == ["gap", "fast", "fast"]
    assert made.saved["met"].notna().all()
    assert made.saved["measured"].str.fullmatch(r"[+-]\d+\.\d\d ± \d+\.\d\d points|\d+\.\d\d % in \d+\.\d s").all()
    assert not made.saved["measured"].str.contains("unmeasured").any()


def test_what_was_measured_before_a_failure_is_saved(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale, tmp_path: Path
) -> None:
    def failing(scale: gpu_figures.Scale) -> Iterator[gpu_figures.Figure]:
        yield gpu_figures.Figure("second", "half of it", "<= 1", "0", True)
        raise RuntimeError("out of memory")

    def passing(scale: gpu_figures.Scale) -> Iterator[gpu_figures.Figure]:
        yield gpu_figures.Figure("first", "all of it", "<= 1", "0", True)

    monkeypatch.setattr(gpu_report, "PARTS", {"first": passing, "second": failing, "third": passing})
    output = tmp_path / "table.csv"
    with pytest.raises(RuntimeError, match="out of memory"):
        make_report(make_scale(real_data=False), parts=("first", "second", "third"), output=output)
    saved = pd.read_csv(output)
    assert saved["part"].tolist() == ["first"]
    assert saved["figure"].tolist() == ["all of it"]
