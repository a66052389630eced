"""Names in figures: all inside the figure and apart from each other, for few and many variants with long names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, cycle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ablations.analysis.comparisons import Comparison
from ablations.analysis.costs import COSTS
from ablations.analysis.modules import MODULE_COLUMNS
from ablations.analysis.pareto import ParetoFronts
from ablations.analysis.rankings import RANK_COLUMNS, Rankings
from ablations.report.figures.error_against_cost import draw_error_against_cost
from ablations.report.figures.error_bars import draw_error_bars
from ablations.report.figures.forest import WORDS, draw_forest
from ablations.report.figures.learning_curves import draw_learning_curves
from ablations.report.figures.modules import draw_modules
from ablations.report.figures.rankings import draw_rankings
from ablations.report.svg import Drawing
from googlenet.registry import ARCHITECTURES
from googlenet.validation import MAX_NAME
from tests.support.drawings import summary_row
from tests.support.paired_suites import compare
from tests.support.synthetic_suites import make_results

COUNTS = [1, 7, 41]
LONGEST = sorted(ARCHITECTURES, key=len, reverse=True)


def names_of(count: int) -> list[str]:
    """The product's longest names; where there are not enough, the longest again with a number."""
    return [LONGEST[place] if place < len(LONGEST) else f"{LONGEST[0]}-{place}" for place in range(count)]


def summary_of(count: int, *, spread: float = 1.0) -> pd.DataFrame:
    """Variants whose errors and costs scatter about those of one point; with a spread of 0 all coincide."""
    rng = np.random.default_rng(count)
    rows = []
    for name in names_of(count):
        error, params = 0.06 + 0.02 * spread * rng.random(), 1_000_000 * 8 ** (spread * rng.random())
        ends = {"top1_error_low": error - 0.003, "top1_error_high": error + 0.003}
        top5 = {"top5_error_mean": error / 5, "top5_error_low": error / 6, "top5_error_high": error / 4}
        rows.append(summary_row(variant=name, top1_error_mean=error, params=params, **ends, **top5))
    return pd.DataFrame(rows)


def epochs_of(count: int, *, epochs: int = 14) -> pd.DataFrame:
    rows = [(name, 1, epoch, 2 / epoch, 0.8 / epoch) for name in names_of(count) for epoch in range(1, epochs + 1)]
    return pd.DataFrame(rows, columns=["variant", "seed", "epoch", "train_loss", "train_error"])


def ranks_of(count: int) -> Rankings:
    rows = [(name, 5, 0.1, place, place, place, 0.0) for place, name in enumerate(names_of(count), start=1)]
    return Rankings(ranks=pd.DataFrame(rows, columns=list(RANK_COLUMNS)))


def modules_of(count: int) -> pd.DataFrame:
    """Variants of all stages, the last a hundred times as large as the first."""
    sizes = np.geomspace(1e5, 1e7, count)
    parts = ("stem", "3a", "4a", "aux4a", "5a", "head")
    rows = [
        (name, part, size, 1 / 6, 20 * size, 1 / 6, size, 1 / 6)
        for name, size in zip(names_of(count), sizes, strict=True)
        for part in parts
    ]
    return pd.DataFrame(rows, columns=list(MODULE_COLUMNS))


def comparisons_of(count: int) -> list[Comparison]:
    """Comparisons with all verdicts in turn, the longest words first."""
    errors = 0.1 + 0.01 * np.random.default_rng(count).random((4, 1 + count))
    results = make_results(errors, names=["the-baseline", *names_of(count)])
    found = compare(replace(results, plan=replace(results.plan, baseline="the-baseline"))).comparisons
    verdicts = cycle(sorted(WORDS, key=lambda verdict: -len(WORDS[verdict])))
    return [replace(each, these=each.these._replace(verdict=next(verdicts))) for each in found]


FIGURES: dict[str, Callable[[int], Drawing]] = {
    "error_against_cost": lambda n: draw_error_against_cost(summary_of(n), COSTS[0], fronts=ParetoFronts()),
    "coinciding": lambda n: draw_error_against_cost(summary_of(n, spread=0), COSTS[0], fronts=ParetoFronts()),
    "forest": lambda n: draw_forest(comparisons_of(n), macs=pd.Series(-0.75, index=names_of(n))),
    "error_bars": lambda n: draw_error_bars(summary_of(n)),
    "learning_curves": lambda n: draw_learning_curves(epochs_of(n)),
    "rankings": lambda n: draw_rankings(ranks_of(n)),
    "modules": lambda n: draw_modules(modules_of(n)),
}


def texts_of(figure: Figure) -> dict[int, tuple[str, Bbox]]:
    """The texts that are seen, with their extents in pixels."""
    found: list[Any] = figure.findobj(Text)
    seen = [text for text in found if text.get_visible() and text.get_text().strip()]
    axes = figure.axes
    ticks = {tick for each in axes for axis in (each.xaxis, each.yaxis) for tick in axis.get_ticklabels(which="both")}
    inside = {
        tick
        for each in axes
        for axis, (low, high) in ((each.xaxis, sorted(each.get_xlim())), (each.yaxis, sorted(each.get_ylim())))
        for tick in axis.get_ticklabels(which="both")
        if low <= tick.get_position()[axis is each.yaxis] <= high
    }
    shown = [text for text in seen if text not in ticks or text in inside]
    return {place: (text.get_text(), text.get_window_extent()) for place, text in enumerate(shown)}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", FIGURES)
def test_texts_are_inside_the_figure_and_apart_from_each_other(kind: str, count: int) -> None:
    figure = FIGURES[kind](count).figure
    texts = texts_of(figure)
    said = " ".join(text for text, _ in texts.values())
    assert all(name in said for name in names_of(count))
    for text, box in texts.values():
        assert figure.bbox.padded(0.5).containsx(box.x0) and figure.bbox.padded(0.5).containsx(box.x1), text
        assert figure.bbox.padded(0.5).containsy(box.y0) and figure.bbox.padded(0.5).containsy(box.y1), text
    for (first, one), (second, other) in combinations(texts.values(), 2):
        assert not one.padded(-0.5).overlaps(other.padded(-0.5)), f"{first} and {second}"


@pytest.mark.parametrize("draw", [draw_error_bars, draw_rankings], ids=["error_bars", "rankings"])
def test_the_longest_name_that_is_allowed_leaves_room_for_the_bars(draw: Callable[[Any], Drawing]) -> None:
    name = "m" * MAX_NAME
    ranks = Rankings(ranks=pd.DataFrame([(name, 5, 0.1, 1, 1, 1, 0.0)], columns=list(RANK_COLUMNS)))
    figure = draw(ranks if draw is draw_rankings else pd.DataFrame([summary_row(variant=name)])).figure
    (axes,) = figure.axes
    (text,) = axes.get_yticklabels()
    assert text.get_window_extent().x0 >= 0
    assert axes.bbox.width > 2.5 * figure.dpi


@pytest.mark.parametrize("epochs", [1, 2, 14])
def test_epochs_are_whole_numbers(epochs: int) -> None:
    figure = draw_learning_curves(epochs_of(2, epochs=epochs)).figure
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick.get_text() for tick in axes.get_xticklabels() if low <= tick.get_position()[0] <= high]
        assert ticks and set(ticks) <= {str(number) for number in range(epochs + 1)}
