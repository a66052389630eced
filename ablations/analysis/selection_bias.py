"""How much choosing the epoch on test images would have flattered each variant."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.results import Results


def measure_selection_bias(results: Results) -> pd.DataFrame:
    """One row a variant whose runs were all diagnosed: its reported error, and its least over epochs, as fractions.

    `flattery_mean` and `flattery_std` are those of the difference, which is never negative; `epoch_mean` is the mean
    of the epochs that test images would have chosen, the earliest of several. Without the diagnostic there is no row.
    """
    runs = results.done
    if runs.empty or results.epochs["test_error"].isna().all():
        return pd.DataFrame()
    epochs = results.epochs[results.epochs["run_id"].isin(runs["run_id"])]
    epochs = epochs.astype({"test_error": float})
    by_run = epochs.groupby("run_id")["test_error"]
    # Each run by its own number of epochs, which a variant's recipe may change.
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
    found["flattery"] = found["reported"] - found["least"]
    groups = found.groupby("variant", sort=False)
    table = groups.agg(
        n=("flattery", "size"),
        reported_mean=("reported", "mean"),
        least_mean=("least", "mean"),
        flattery_mean=("flattery", "mean"),
        flattery_std=("flattery", "std"),
        epoch_mean=("epoch", "mean"),
    )
    return table[groups["least"].apply(lambda values: values.notna().all())].reset_index()
