"""Reads positions, bars and labels out of drawn figures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ablations.report.svg import Drawing


def marker(figure: Figure, gid: str) -> tuple[float, float]:
    """Where the point with this gid is, in data."""
    (line,) = figure.findobj(lambda artist: artist.get_gid() == gid)
    data: Any = line
    (x,), (y,) = data.get_data()
    return float(x), float(y)


def segments(figure: Figure) -> list[np.ndarray]:
    """The lines of all error bars, each (2, 2), in data."""
    collections: list[Any] = figure.findobj(LineCollection)
    return [np.asarray(segment) for collection in collections for segment in collection.get_segments() if len(segment)]


def place_of(drawing: Drawing, variant: str) -> str:
    """The gid of the variant's point."""
    (gid,) = (gid for gid, tip in drawing.tips.items() if tip.startswith(f"{variant}:"))
    return gid


def summary_row(**changes: object) -> dict[str, Any]:
    known = {
        "variant": "short3",
        "n": 5,
        "top1_error_mean": 0.0521,
        "top1_error_std": 0.01,
        "top1_error_low": 0.0490,
        "top1_error_high": 0.0552,
        "top5_error_mean": math.nan,
        "top5_error_std": math.nan,
        "params": 1_892_970,
        "macs": 484_900_000,
        "train_seconds_mean": 1234.56,
        "peak_memory_bytes_mean": 2_500_000_000,
    }
    return known | changes
