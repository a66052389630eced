"""Cost metrics: which runs compare, and that one more entry needs no change elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ablations.analysis import pareto, results
from ablations.analysis.costs import (
    COSTS,
    Cost,
    has_comparable_memory,
    has_comparable_time,
    is_done,
    macs_change,
    one_hardware,
)
from ablations.analysis.pareto import find_fronts
from ablations.analysis.results import load_results
from tests.support.synthetic_suites import make_plan, make_results, save_suite

NAMES = ["a", "b", "c", "d"]
ERRORS = np.full((3, 4), 0.1)
BY_NAME = {cost.name: cost for cost in COSTS}


@pytest.mark.parametrize(
    ("change", "without"),
    [
        ({}, set()),
        ({"timing_valid": [True, True, None, True]}, {"train_seconds"}),
        ({"device": ["Some GPU", "Some GPU", "Some GPU", "Another GPU"]}, {"train_seconds"}),
        ({"engine": ["graph", "eager", "graph", "graph"]}, {"train_seconds"}),
        ({"deterministic": [True, False, False, False]}, {"train_seconds"}),
        ({"threads": [8, 8, 4, 8]}, {"train_seconds"}),
        ({"peak_memory_bytes": [10**9, None, 10**9, 10**9]}, {"peak_memory_bytes"}),
        ({"device_kind": ["cuda", "cuda", "cpu", "cuda"]}, {"peak_memory_bytes"}),
    ],
    ids=str,
)
def test_costs_compare_where_every_run_was_measured_alike(change: dict[str, Any], without: set[str]) -> None:
    runs = make_results(ERRORS, names=NAMES, **change).runs
    assert {name for name, cost in BY_NAME.items() if not cost.all_comparable(runs)} == without


def test_a_run_that_is_not_done_or_not_timed_is_left_out_alone() -> None:
    runs = make_results(ERRORS[:1], names=NAMES).runs.astype({"timing_valid": object})
    runs.loc[0, "status"] = "oom"
    runs.loc[0, ["timing_valid", "device", "device_kind"]] = None
    runs.loc[1, ["timing_valid", "device"]] = False, "Another GPU"  # resumed elsewhere
    assert is_done(runs).tolist() == has_comparable_memory(runs).tolist() == [False, True, True, True]
    assert has_comparable_time(runs).tolist() == [False, False, True, True]
    assert one_hardware(runs)


def test_a_further_cost_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = BY_NAME["train_seconds"]
    extra: tuple[Cost, ...] = (
        replace(base, name="eval_seconds", count_column="n_evaluated", title="evaluation time"),
        replace(BY_NAME["macs"], name="activations", title="activations"),
    )
    for module in (results, pareto):
        monkeypatch.setattr(module, "COSTS", (*COSTS, *extra))
    wrong = {"reduced": [1000, 1010], "short": [1020, 1030]}
    save_suite(tmp_path, make_plan("cifar10", seeds=2, variants=tuple(wrong)), wrong=wrong)
    found = load_results(tmp_path)
    fronts = find_fronts(found, rng=np.random.default_rng(0))
    for cost in extra:
        assert set(cost.columns) < set(found.summary.columns)
        assert list(fronts.of(cost)["value"]) == list(found.summary[cost.column])
    assert list(found.summary["n_evaluated"]) == [2, 2]
    assert list(found.summary["eval_seconds_std"]) == [0, 0]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("params", 6_258_500, "6,258,500 parameters"),
        ("macs", 1_521_848_320, "1.522 G MACs"),
        ("macs", 25_400_000, "25.40 M MACs"),
        ("train_seconds", 1234.56, "1,234.6 s of training"),
        ("peak_memory_bytes", 2.5e9, "peak memory 2.50 GB"),
    ],
)
def test_costs_are_described_with_their_unit(name: str, value: float, text: str) -> None:
    assert BY_NAME[name].describe(value) == text


def test_the_change_of_macs_is_relative_to_the_baselines_where_both_are_known() -> None:
    summary = pd.DataFrame({"variant": ["reduced", "short", "naive", "long"], "macs": [400, 100, 1000, None]})
    found = macs_change(summary, baseline="reduced")
    assert found.to_dict() == pytest.approx({"reduced": 0, "short": -0.75, "naive": 1.5, "long": math.nan}, nan_ok=True)
    assert macs_change(summary, baseline="long").isna().all()
