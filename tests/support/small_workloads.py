"""Workloads for the benchmarks' tests that train in no time, and readers of what a benchmark prints."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from ablations.suites.recipe import PUBLISHED
from benchmarks.timed_loops import Workload

RECIPE = replace(PUBLISHED, batch_size=16).at_precision("fp32")
TINY = Workload(variant="short4", image_size=8, width=0.125, recipe=RECIPE, images=2 * 16, device="cpu")


class Printed(NamedTuple):
    """The table that a benchmark returned, the one that it saved, and the text that it printed."""

    table: pd.DataFrame
    saved: pd.DataFrame
    text: str


def table_cells(text: str) -> list[list[str]]:
    """The cells of each line of a printed table, without its head."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line[:1] == "│"]
