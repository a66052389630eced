"""Kept epochs: errors and losses after the epochs whose weights the recipe keeps."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.results import Results

MEASURES = ("train_error", "train_loss", "validation_error")


def measure_kept_epochs(results: Results) -> pd.DataFrame:
    """One row a variant and kept epoch, over its `n` runs that are done; empty where no recipe keeps an epoch.

    Errors are fractions; `_std` is the sample standard deviation. `held_out` says whether images were held out for
    validation; without them the validation error is missing.
    """
    done = set(results.done["run_id"])
    kept = [
        (run.run_id, epoch, run.recipe.validation_fraction > 0)
        for run in results.plan.runs
        for epoch in run.recipe.keep_epochs
        if run.run_id in done
    ]
    if not kept:
        return pd.DataFrame()
    rows = pd.DataFrame(kept, columns=["run_id", "epoch", "held_out"]).merge(results.epochs, on=["run_id", "epoch"])
    groups = rows.astype(dict.fromkeys(MEASURES, float)).groupby(["variant", "epoch", "held_out"], sort=False)
    named = {f"{name}_{what}": (name, what) for name in MEASURES for what in ("mean", "std")}
    return groups.agg(n=("run_id", "size"), **named).reset_index()
