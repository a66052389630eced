"""Errors after kept epochs, from the epochs of runs that are done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ablations.analysis.epochs.kept_epochs import measure_kept_epochs
from ablations.analysis.results import load_results
from ablations.suites.plan import Plan
from tests.support.synthetic_suites import failed, make_plan, make_record, save, with_recipes


def saved(suite_dir: Path, plan: Plan, *, errors: dict[str, list[float]]) -> pd.DataFrame:
    """Save runs whose training and validation error after epoch 2 are these and these plus 0.1, by variant and seed."""
    records = []
    for run in plan.runs:
        record = make_record(run, wrong=1000)
        error = errors[run.architecture.name][run.seed - 1]
        held_out = run.recipe.validation_fraction > 0
        known = replace(
            record.epochs[1], train_error=error, train_loss=error, validation_error=error + 0.1 if held_out else None
        )
        records.append(replace(record, epochs=(record.epochs[0], known, *record.epochs[2:])))
    records[-1] = failed(records[-1], status="oom", message="out of memory")
    save(suite_dir, plan, records)
    return measure_kept_epochs(load_results(suite_dir))


def test_a_row_a_variant_and_kept_epoch_over_the_runs_that_are_done(tmp_path: Path) -> None:
    changes: dict[str, dict[str, Any]] = {
        "short": {"name": "kept", "keep_epochs": (2, 4)},
        "long": {"name": "held-out", "keep_epochs": (1, 2), "validation_fraction": 0.1},
    }
    plan = with_recipes(make_plan("cifar10", seeds=2, variants=("short", "reduced", "long")), changes)
    found = saved(tmp_path, plan, errors={"short": [0.25, 0.35], "reduced": [0.0, 0.0], "long": [0.5, 0.0]})
    assert found[["variant", "epoch", "n", "held_out"]].to_numpy().tolist() == [
        ["short", 2, 2, False],
        ["short", 4, 2, False],
        ["long", 1, 1, True],  # the other run failed after this epoch
        ["long", 2, 1, True],
    ]
    short, later, _, long = found.to_dict("records")
    assert (short["train_error_mean"], short["train_loss_mean"]) == pytest.approx((0.3, 0.3))
    assert short["train_error_std"] == pytest.approx(0.1 / 2**0.5)
    assert pd.isna(short["validation_error_mean"])
    # A synthetic record's training loss is 2 over the number of the epoch.
    assert later["train_loss_mean"] == pytest.approx(0.5)
    assert long["validation_error_mean"] == pytest.approx(0.6)


def test_without_kept_epochs_there_is_no_row(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    assert saved(tmp_path, plan, errors={"reduced": [0.1, 0.2], "short": [0.1, 0.2]}).empty
