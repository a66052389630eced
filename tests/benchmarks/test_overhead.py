"""The costs that make up the overhead of a run."""

from __future__ import annotations

import contextlib
import io
import itertools
import statistics
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from ablations.records.record import RunRecord
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.train import train
from benchmarks import overhead
from tests.support.small_workloads import Printed, table_cells

OVERHEAD = overhead.Arguments(
    variant="short4", images=128, epoch_images=6400, epochs=3, image_size=8, width=0.125, device="cpu"
)
COSTS = [
    "progress: events of steps",
    "progress: drawing",
    "recording: line of metrics",
    "checkpointing",
]


@pytest.fixture(scope="module")
def overhead_and_saves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Printed, list[float]]:
    """The overhead of three epochs, and the seconds of each checkpoint by a clock of our own."""
    save, seconds = checkpoint.save, list[float]()

    def timed_save(folder: Path, state: dict[str, Any], *, epoch: int) -> None:
        began = time.perf_counter()
        save(folder, state, epoch=epoch)
        seconds.append(time.perf_counter() - began)

    arguments = replace(OVERHEAD, output=tmp_path_factory.mktemp("overhead") / "new" / "table.csv")
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(text):
        patched.setattr(checkpoint, "save", timed_save)
        table = overhead.main(arguments)
        assert checkpoint.save is timed_save  # put back
    return Printed(table, pd.read_csv(arguments.output), text.getvalue()), seconds


def test_overheads_shares_add_up(overhead_and_saves: tuple[Printed, list[float]]) -> None:
    measured, _ = overhead_and_saves
    pd.testing.assert_frame_equal(measured.saved, measured.table, check_dtype=False)
    table = measured.saved.set_index("cost")
    assert table.index.tolist() == [*COSTS, "all"]
    for column in ("seconds", "share"):
        assert (table[column] > 0).all()
        assert table[column][COSTS].sum() == pytest.approx(table[column]["all"])
    assert (table["seconds"] / table["share"]).tolist() == pytest.approx(table["epoch_seconds"].tolist())
    assert [row[0] for row in table_cells(measured.text)] == [*COSTS, "all"]


def test_a_checkpoints_cost_is_that_of_saving_it(overhead_and_saves: tuple[Printed, list[float]]) -> None:
    measured, saves = overhead_and_saves
    seconds = measured.table.set_index("cost")["seconds"]["checkpointing"]
    assert len(saves) == 3
    assert statistics.median(saves) <= seconds < 20 * statistics.median(saves)


def test_overheads_costs_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[RunRecord] = []

    def noting(config: RunConfig, **named: Any) -> RunRecord:
        records.append(train(config, **named))
        return records[-1]

    # A stopwatch whose every reading is a second after the last, so that each call takes one.
    monkeypatch.setattr(overhead, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    monkeypatch.setattr(overhead, "train", noting)
    table = overhead.measure(OVERHEAD).set_index("cost")
    (record,) = records
    epoch_seconds = 6400 / 128 * statistics.median(epoch.train_seconds for epoch in record.epochs)
    # An epoch of 6400 images has 100 steps of 64, ten drawings a second, and one line of metrics and checkpoint.
    expected = [100, 10 * epoch_seconds, 1, 1, 102 + 10 * epoch_seconds]
    assert table["seconds"].tolist() == pytest.approx(expected)
    assert table["share"].tolist() == pytest.approx([seconds / epoch_seconds for seconds in expected])
