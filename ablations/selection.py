"""How much choosing the epoch on test images would have flattered each variant."""

from __future__ import annotations

import pandas as pd

from .tables import Results


def flattery(results: Results) -> pd.DataFrame:
    """One row a variant whose runs were all diagnosed: its reported error, and its least over epochs, as fractions.

    `flattery_mean` and `flattery_std` are those of the difference, which is never negative; `epoch_mean` is the mean
    of the epochs that test images would have chosen, the earliest of several. Without the diagnostic there is no row.
    """
    runs = results.runs[results.runs["status"] == "done"]
    if runs.empty or results.epochs["test_error"].isna().all():
        return pd.DataFrame()
    epochs = results.epochs[results.epochs["run_id"].isin(runs["run_id"])]
    by_run = epochs.astype({"test_error": float}).pivot(index="run_id", columns="epoch", values="test_error")
    by_run = by_run.reindex(runs["run_id"])
    found = pd.DataFrame(
        {
            "variant": runs["variant"].to_numpy(),
            "reported": runs["top1_error"].to_numpy(dtype=float),
            "least": by_run.min(axis=1, skipna=False).to_numpy(),
            "epoch": [row.idxmin() if row.notna().all() else None for _, row in by_run.iterrows()],
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
