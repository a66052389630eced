"""The CSV files of a report hold the values of the frames that they are written from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ablations.analysis.results import load_results
from ablations.report.write import write_csv
from tests.support.synthetic_suites import make_plan, save_suite

WRONG = {"reduced": [1000, 1100], "short": [1010, 900]}


def test_csv_files_hold_the_values_of_their_frames(tmp_path: Path) -> None:
    save_suite(tmp_path, make_plan("cifar10", seeds=2, variants=tuple(WRONG)), wrong=WRONG)
    results = load_results(tmp_path)
    comparisons = pd.DataFrame({"variant": ["short"], "difference": [0.25]})
    write_csv(tmp_path, results, others={"verdicts.csv": comparisons})
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "verdicts.csv"), comparisons)
    runs = pd.read_csv(tmp_path / "results.csv")
    assert list(runs["top1_wrong"]) == [WRONG[v][s - 1] for v, s in zip(runs["variant"], runs["seed"], strict=True)]
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert list(summary["top1_error_mean"]) == pytest.approx(list(results.summary["top1_error_mean"]))
