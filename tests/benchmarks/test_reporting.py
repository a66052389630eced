"""The report on many records: a complete suite, and what reporting it took."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ablations.analysis.analyse import analyse
from benchmarks import reporting


def test_reporting_makes_a_complete_suite_and_says_what_its_report_took(tmp_path: Path) -> None:
    table = reporting.main(reporting.Arguments(records=(20,), output=tmp_path / "reporting.csv"))
    assert list(table["records"]) == [20]
    assert 0 < table["seconds"].iloc[0] < 300
    assert 50e6 < table["peak_bytes"].iloc[0] < 2e9, "pandas and matplotlib alone take more than 50 MB"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "reporting.csv"), table, check_dtype=False)
    plan = reporting.make_records(tmp_path / "suite", seeds=1)
    analysis = analyse(tmp_path / "suite")
    assert analysis.results.complete and len(plan.runs) == 20
    assert int(analysis.evidence.calibration["n"].sum()) == 20, "the predictions are those of the records"
