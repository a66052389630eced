"""Selection bias: how much lower the reported error would be if the epoch had been chosen on test images."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.results import Results


def measure_selection_bias(results: Results) -> pd.DataFrame:
    """One row a variant of which every run has the diagnostic: its reported error and its least over epochs, fractions.

    `selection_bias_mean` and `_std` are those of reported less least error, which is never negative. `epoch_mean` is
    the mean of the epochs with the least test error, the earliest where several have it. Without the diagnostic the
    table is empty.
    """
    runs = results.done
    if runs.empty or results.epochs["test_error"].isna().all():
        return pd.DataFrame()
    epochs = results.epochs[results.epochs["run_id"].isin(runs["run_id"])]
    epochs = epochs.astype({"test_error": float})
    by_run = epochs.groupby("run_id")["test_error"]
    # Runs may differ in their number of epochs, which a variant's recipe may change.
    whole = epochs[by_run.transform("count") == by_run.transform("size")]
    best = epochs.loc[whole.groupby("run_id")["test_error"].idxmin()].set_index("run_id").reindex(runs["run_id"])
    found = pd.DataFrame(
        {
            "variant": runs["variant"].to_numpy(),
            "reported": runs["top1_error"].to_numpy(dtype=float),
            "least": best["test_error"].to_numpy(),
            "epoch": best["epoch"].to_numpy(dtype=float),
        }
    )
    found["selection_bias"] = found["reported"] - found["least"]
    groups = found.groupby("variant", sort=False)
    table = groups.agg(
        n=("selection_bias", "size"),
        reported_mean=("reported", "mean"),
        least_mean=("least", "mean"),
        selection_bias_mean=("selection_bias", "mean"),
        selection_bias_std=("selection_bias", "std"),
        epoch_mean=("epoch", "mean"),
    )
    return table[groups["least"].apply(lambda values: values.notna().all())].reset_index()
