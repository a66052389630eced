"""Work for the benchmarks that takes no time, and what they print."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from ablations.suites.recipe import PUBLISHED
from benchmarks.contestants import Contest

RECIPE = replace(PUBLISHED, batch_size=16).at_precision("fp32")
CONTEST = Contest(variant="short4", image_size=16, width=0.25, recipe=RECIPE, images=3 * 16 + 5, device="cpu")
TINY = Contest(variant="short4", image_size=8, width=0.125, recipe=RECIPE, images=2 * 16, device="cpu")


class Printed(NamedTuple):
    """What a benchmark returned, saved and printed."""

    table: pd.DataFrame
    saved: pd.DataFrame
    text: str


def table_cells(text: str) -> list[list[str]]:
    """The cells of each line of a printed table, without its head."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line[:1] == "│"]
