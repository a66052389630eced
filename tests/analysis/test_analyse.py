"""The analysis of a suite as a whole: it repeats, survives unreadable predictions, and compares with another suite."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ablations.analysis.analyse import Analysis, analyse, check_comparable
from ablations.errors import ConfigError
from ablations.records.suite_folder import SuiteFolder
from tests.support.synthetic_suites import make_plan, save_predictions, save_suite


def saved(suite_dir: Path, wrong: dict[str, list[int]]) -> SuiteFolder:
    """A finished suite with predictions that have the first images wrong."""
    plan = make_plan("cifar10", seeds=len(wrong["reduced"]), variants=tuple(wrong))
    save_suite(suite_dir, plan, wrong=wrong)
    folder = SuiteFolder(suite_dir)
    for run in plan.runs:
        save_predictions(folder.run(run), wrong=np.arange(wrong[run.architecture.name][run.seed - 1]))
    return folder


def frames(analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Everything that is drawn at random or read from predictions."""
    return {
        "comparisons": analysis.comparisons.frame(),
        "pareto": analysis.pareto.table,
        **{field.name: getattr(analysis.rankings, field.name) for field in fields(analysis.rankings)[:3]},
        "per_class": analysis.per_class,
        "calibration": analysis.calibration,
    }


def test_the_same_records_give_the_same_analysis(tmp_path: Path) -> None:
    base = [800, 815, 790, 805, 812, 798, 803, 809]
    wrong = {"reduced": base, "short": base[::-1], "naive": [count + 40 for count in base]}
    saved(tmp_path / "one", wrong)
    saved(tmp_path / "other", {name: counts[:2] for name, counts in wrong.items()})
    first, second = (analyse(tmp_path / "one", compare_with=tmp_path / "other") for _ in range(2))
    for name, frame in frames(first).items():
        assert len(frame) and frame.equals(frames(second)[name])
    assert first.rank_correlation is not None and first.rank_correlation == second.rank_correlation
    assert 0 < first.rank_correlation.ceiling < 1
    assert analyse(tmp_path / "other").rank_correlation is None


def test_unreadable_predictions_leave_the_rest_of_the_analysis(tmp_path: Path) -> None:
    folder = saved(tmp_path, {"reduced": [800], "short": [803]})
    reduced, short = (folder.run(run) for run in folder.read_plan().runs)
    stored: dict[str, Any] = short.read_predictions()._asdict() | {"confidence": np.full(10_000, 2.0)}
    np.savez(short.path / "predictions.npz", **stored)
    found = analyse(tmp_path)
    (line,) = found.unread
    assert short.config.run_id in line
    assert found.comparisons.image_tests is None and found.comparisons.reason == line
    assert list(found.calibration["variant"]) == ["reduced"]
    (reduced.path / "predictions.npz").unlink()
    found = analyse(tmp_path)
    assert len(found.unread) == 2 and found.comparisons.reason == found.unread[0]
    assert found.per_class.empty and found.calibration.empty and len(found.pareto.table)


def test_a_suite_is_compared_with_another_one_only(tmp_path: Path) -> None:
    saved(tmp_path / "cifar10", {"reduced": [800], "short": [700]})
    for same in (tmp_path / "cifar10", tmp_path / "cifar10" / ".." / "cifar10"):
        with pytest.raises(ConfigError, match="--compare-with cifar10 is the suite itself; name another one"):
            check_comparable(tmp_path / "cifar10", same)
    with pytest.raises(ConfigError, match=r"absent/plan\.json is not there.*run the suite first"):
        analyse(tmp_path / "cifar10", compare_with=tmp_path / "absent")
