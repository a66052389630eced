"""Statements about order in simulated suites: the table of all scenarios, and what it has to show at full count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.calibration_of_order import SCENARIOS, order_calibration

MEASURES = ["rank_coverage", "best_right", "best_wrong", "front_out", "front_in", "tau_bias"]


def test_every_scenario_has_a_row_that_repeats() -> None:
    table = order_calibration(2, 0)
    assert len(table) == len(SCENARIOS) == 36
    pd.testing.assert_frame_equal(table, order_calibration(2, 0))
    assert list(table.columns) == ["seeds", "spread", "scatter", *(n + e for n in MEASURES for e in ("", "_se"))]
    assert table["rank_coverage"].between(0, 1).all() and table["tau_bias"].between(-2, 2).all()
    few = table[table["seeds"] < 5]
    assert few[["best_right", "best_wrong", "front_out", "front_in"]].isna().all(axis=None)
    assert table["rank_coverage"].mean() > 0.95


@pytest.mark.slow
def test_statements_about_order_hold_as_often_as_they_say() -> None:
    table = order_calibration(2000, 1)
    assert (table["rank_coverage"] > 0.97).all()
    enough = table[table["seeds"] >= 5]
    assert (enough["best_wrong"] < 0.05).all()
    assert (enough["front_out"] < 0.10).all() and (enough["front_in"] > 0.92).all()
    # Where variants differ and spread alike; none would do so if a ranking without true order had no expected tau.
    model = table[(table["spread"] > 0) & (table["scatter"] != "unequal")]
    assert (np.abs(model["tau_bias"]) < 0.05 + 3 * model["tau_bias_se"]).all()
