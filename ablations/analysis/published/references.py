"""Published systems: what the write-ups of five GoogLeNets give, beside what these runs measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ablations.analysis.results import Results

TABLE = Path(__file__).with_name("published_references.csv")


def load_references() -> pd.DataFrame:
    """The published systems, indexed by variant.

    Parameters include auxiliary heads; MACs are those of one image in evaluation, rounded. Both are for the published
    number of classes and image size. `data` and `epochs` are missing where nothing was trained.
    """
    return pd.read_csv(TABLE).astype({"epochs": "Int64"}).set_index("variant")


def compare_with_references(results: Results) -> pd.DataFrame:
    """The summary of those variants that are published systems, beside their published figures, `published_...`.

    Empty unless the suite gives each variant its own recipe: under one recipe they are architectures, not systems.
    """
    if not results.different_recipes:
        return pd.DataFrame()
    epochs = results.runs.groupby("variant")["planned_epochs"].first()
    return results.summary.join(epochs, on="variant").join(
        load_references().add_prefix("published_"), on="variant", how="inner"
    )
