"""Top-1 error against a cost: points, intervals, the front, axes and tooltips."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import COSTS, Cost
from ablations.analysis.pareto import ParetoFronts, find_fronts
from ablations.analysis.results import Results, load_results
from ablations.report.figures.error_against_cost import draw_error_against_cost
from ablations.report.formatting import draw_share
from ablations.report.svg import Drawing
from tests.support.drawings import marker, place_of, segments, summary_row
from tests.support.synthetic_suites import make_plan, make_record, save, save_suite

PARAMS, _, SECONDS, MEMORY = COSTS


@pytest.mark.parametrize(
    ("cost", "said", "x"),
    [
        ("params", "1,892,970 parameters", 1.89297),
        ("macs", "484.9 M MACs", 484.9),
        ("train_seconds_mean", "1,234.6 s of training", 1234.56),
        ("peak_memory_bytes_mean", "peak memory 2.50 GB", 2.5),
    ],
)
def test_a_point_stands_at_its_cost_and_error_and_says_so(cost: str, said: str, x: float) -> None:
    (chosen,) = (known for known in COSTS if known.column == cost)
    drawing = draw_error_against_cost(pd.DataFrame([summary_row()]), chosen, fronts=ParetoFronts())
    ((gid, tip),) = drawing.tips.items()
    assert tip == f"short3: top-1 error 5.21 % [4.90, 5.52], n = 5, {said}"
    assert marker(drawing.figure, gid) == pytest.approx((x, 5.21))
    assert re.search(r"\((millions|million MACs|s|GB)\)$", drawing.figure.axes[0].get_xlabel())


def test_error_bars_of_points_are_the_intervals_and_not_the_standard_deviation() -> None:
    drawing = draw_error_against_cost(pd.DataFrame([summary_row()]), COSTS[0], fronts=ParetoFronts())
    (bar,) = segments(drawing.figure)
    assert bar == pytest.approx(np.array([[1.89297, 4.90], [1.89297, 5.52]]))


@pytest.mark.parametrize("absent", [True, False], ids=["no columns", "n = 1"])
def test_without_an_interval_a_point_has_no_error_bar(absent: bool) -> None:
    ends = {"top1_error_low": math.nan, "top1_error_high": math.nan}
    summary = pd.DataFrame([summary_row(n=1, top1_error_std=math.nan, **ends)])
    if absent:
        summary = summary.drop(columns=list(ends))
    drawing = draw_error_against_cost(summary, PARAMS, fronts=ParetoFronts())
    assert segments(drawing.figure) == []
    assert list(drawing.tips.values()) == ["short3: top-1 error 5.21 %, n = 1, 1,892,970 parameters"]


def test_tooltips_say_how_often_a_variant_is_on_the_front_of_that_cost(
    five: Analysis, drawings: Mapping[str, Drawing]
) -> None:
    for cost in COSTS:
        drawing = drawings[cost.file_name]
        for variant, share in five.pareto.of(cost)["front_probability"].items():
            said = f", on the front in {draw_share(share)} of draws"
            assert drawing.tips[place_of(drawing, str(variant))].endswith(said)


def filled(drawing: Drawing) -> set[str]:
    """The gids of the points that are filled."""
    (axes,) = drawing.figure.axes
    return {str(line.get_gid()) for line in axes.lines if line.get_gid() and line.get_markerfacecolor() != "white"}


def test_points_on_the_front_are_filled_and_joined(five: Analysis, drawings: Mapping[str, Drawing]) -> None:
    drawing = drawings["error_vs_params"]
    summary = five.results.summary.set_index("variant")
    means = {
        name: (summary["params"][name] / 1e6, 100 * summary["top1_error_mean"][name]) for name in five.results.variants
    }
    expected = [
        name
        for name, (cost, error) in means.items()
        if not any(c <= cost and e <= error and (c, e) != (cost, error) for c, e in means.values())
    ]
    assert filled(drawing) == {place_of(drawing, name) for name in expected}
    (axes,) = drawing.figure.axes
    (front,) = (line for line in axes.lines if line.get_label() == "front")
    assert np.asarray(front.get_xydata()) == pytest.approx(np.array(sorted(means[name] for name in expected)))


def assert_no_front(drawing: Drawing) -> None:
    (axes,) = drawing.figure.axes
    assert filled(drawing) == set() and axes.get_legend() is None
    assert "front" not in {line.get_label() for line in axes.lines}
    assert not any("front" in tip for tip in drawing.tips.values())


def against(cost: Cost, results: Results) -> Drawing:
    fronts = find_fronts(results, rng=np.random.default_rng(0))
    return draw_error_against_cost(results.summary, cost, fronts=fronts)


def test_an_incomplete_suite_is_drawn_without_a_front(tmp_path: Path) -> None:
    # Of reduced one seed is missing, so a front would compare other seeds.
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short", "long"))
    save_suite(tmp_path, plan, wrong={"reduced": [1000], "short": [900, 910], "long": [1100, 1120]})
    drawing = against(PARAMS, load_results(tmp_path))
    assert len(drawing.tips) == 3
    assert_no_front(drawing)


def test_times_of_which_some_are_not_valid_are_drawn_without_a_front(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    records = [make_record(run, wrong=1000 + run.seed) for run in plan.runs]
    times = records[0].times
    assert times is not None
    save(tmp_path, plan, [replace(records[0], times=replace(times, timing_valid=False)), *records[1:]])
    found = load_results(tmp_path)
    assert len(against(SECONDS, found).tips) == 2
    assert_no_front(against(SECONDS, found))
    assert filled(against(PARAMS, found))


def test_a_front_of_memory_is_that_of_the_means_of_the_table(tmp_path: Path) -> None:
    # By its largest peak short would cost the most; by its mean it costs the least, and its error is the larger.
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    peaks = {("reduced", 1): 20, ("reduced", 2): 20, ("short", 1): 30, ("short", 2): 2}
    records = []
    for run in plan.runs:
        name = run.architecture.name
        record = make_record(run, wrong={"reduced": 1000, "short": 1100}[name] + run.seed)
        assert record.costs is not None
        costs = replace(record.costs, peak_memory_bytes=peaks[name, run.seed] * 10**8)
        records.append(replace(record, costs=costs))
    save(tmp_path, plan, records)
    drawing = against(MEMORY, load_results(tmp_path))
    assert marker(drawing.figure, place_of(drawing, "short")) == pytest.approx((1.6, 11.015))
    assert filled(drawing) == set(drawing.tips)


@pytest.mark.parametrize(("factor", "scale"), [(1.3, "linear"), (1.0, "linear"), (40.0, "log")])
def test_an_axis_has_ticks_to_read_however_far_apart_costs_are(factor: float, scale: str) -> None:
    rows = [summary_row(), summary_row(variant="big", top1_error_mean=0.05, params=int(factor * 1_892_970))]
    figure = draw_error_against_cost(pd.DataFrame(rows), COSTS[0], fronts=ParetoFronts()).figure
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    seen = [tick for tick in axes.xaxis.get_ticklabels() if tick.get_text() and low <= tick.get_position()[0] <= high]
    assert axes.get_xscale() == scale
    assert len(seen) >= 2
    assert all(re.fullmatch(r"[\d,.]+", tick.get_text()) for tick in seen)


def test_without_data_the_axes_are_empty() -> None:
    summary = pd.DataFrame([summary_row(top1_error_mean=math.nan)])
    assert draw_error_against_cost(summary, PARAMS, fronts=ParetoFronts()).tips == {}
