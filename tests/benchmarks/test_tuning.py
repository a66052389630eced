"""Tuning trains on what is not held out, and never reads a test image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pandas as pd
import pytest

from ablations.data.dataset import Dataset, Split
from benchmarks import tuning


def test_tuning_measures_held_out_images_and_never_reads_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tiny_digits: Dataset, tmp_path: Path
) -> None:
    without_test = replace(tiny_digits, test=cast(Split, None))
    monkeypatch.setattr(tuning.datasets, "load", lambda name, folder: without_test)
    arguments = tuning.Arguments(
        variant="short4",
        width=0.125,
        rates=(0.4, 1e-6),
        batch_size=32,
        epochs=2,
        validation_fraction=0.2,
        seeds=2,
        device="cpu",
        output=tmp_path / "tuning.csv",
    )
    table = tuning.main(arguments)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "tuning.csv"), table, check_dtype=False)
    # Rates are those of batch size 512, of which this is a sixteenth.
    assert table["learning_rate"].tolist() == pytest.approx([0.025, 0.025, 6.25e-8, 6.25e-8])
    assert table["seed"].tolist() == [1, 2, 1, 2]
    assert set(table["validation_images"]) == {30} and set(table["train_images"]) == {120}
    assert (table["validation_error"] * 30).round(9).isin(range(31)).all()  # counts of 30 images
    # A rate that hardly moves the weights leaves the loss where the same seed began.
    assert table["train_loss"][0] < table["train_loss"][2] and table["train_loss"][1] < table["train_loss"][3]
