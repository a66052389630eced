"""The time and memory of a report on a complete suite of synthetic records."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ablations.analysis.analyse import analyse
from benchmarks import reporting


def test_the_synthetic_suite_is_complete_and_its_predictions_are_those_of_its_records(tmp_path: Path) -> None:
    plan = reporting.make_records(tmp_path / "suite", seeds=1)
    analysis = analyse(tmp_path / "suite")
    assert analysis.results.complete and len(plan.runs) == 20
    assert int(analysis.calibration["n"].sum()) == 20  # analyse leaves out predictions that do not fit their record


@pytest.mark.process
def test_a_reports_seconds_and_memory_are_measured_printed_and_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reporting, "VARIANTS", 2)
    table = reporting.main(reporting.Arguments(records=(2,), output=tmp_path / "reporting.csv"))
    assert list(table["records"]) == [2]
    assert 0 < table["seconds"].iloc[0] < 300
    assert 50e6 < table["peak_bytes"].iloc[0] < 2e9, "pandas and matplotlib alone take more than 50 MB"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "reporting.csv"), table, check_dtype=False)
    assert f"{table['seconds'].iloc[0]:.1f}" in capsys.readouterr().out
