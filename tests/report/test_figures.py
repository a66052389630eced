"""Figures: what is drawn where, what hovering says, labels that can be read, and SVG that can stand in a page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Annotation

from ablations.analysis.costs import COSTS, Cost
from ablations.analysis.pareto import ParetoFronts, find_fronts
from ablations.analysis.rankings import EPOCH_COLUMNS, RANK_COLUMNS, SEED_COLUMNS, Rankings, rank_variants
from ablations.analysis.results import Results, load_results
from ablations.report.figures import draw_figures, error_against, error_bars, learning_curves, rank_stability, ranks
from ablations.report.svg import Drawing, to_svg, write_drawings
from benchmarks.synthetic_records import ENVIRONMENT
from tests.support.synthetic_suites import failed, make_plan, make_record, save, save_suite

# Top-1 error, parameters, MACs, seconds: about what CIFAR-10 gives.
KNOWN = {
    "naive": (0.0620, 65_291_098, 2_500_000_000, 60.0),
    "reduced": (0.0550, 6_166_250, 484_900_000, 33.0),
    "long": (0.0570, 9_549_674, 570_000_000, 42.0),
    "short": (0.0545, 5_179_402, 430_000_000, 27.0),
    "short2": (0.0551, 3_431_306, 390_000_000, 22.0),
    "short3": (0.0585, 1_892_970, 290_000_000, 14.0),
    "short4": (0.0830, 1_557_834, 270_000_000, 12.0),
}
TITLE = "{http://www.w3.org/2000/svg}title"
HREF = "{http://www.w3.org/1999/xlink}href"


def made(suite_dir: Path, *, seeds: int) -> Results:
    """A complete suite of seven variants with intervals of half a point about its errors, none for one seed."""
    rng = np.random.default_rng(1)
    plan = make_plan("cifar10", seeds=seeds)
    records = []
    for config in plan.runs:
        error, params, macs, seconds = KNOWN[config.architecture.name]
        wrong = round(1e4 * (error + 0.0015 * rng.standard_normal()))
        record = make_record(config, wrong=wrong, seconds=seconds)
        noise = rng.uniform(0.9, 1.1, size=(len(record.epochs), 2))
        epochs = tuple(
            replace(epoch, train_loss=epoch.train_loss * loss, train_error=error + epoch.train_error * share)
            for epoch, (loss, share) in zip(record.epochs, noise, strict=True)
        )
        assert record.costs is not None
        costs = replace(record.costs, params=params, macs=macs, peak_memory_bytes=1_200_000_000 + macs)
        records.append(replace(record, epochs=epochs, costs=costs))
    save(suite_dir, plan, records)
    results = load_results(suite_dir)
    for kind in ("top1_error", "top5_error"):
        reach = 0.005 if seeds > 1 else math.nan
        results.summary[f"{kind}_low"] = results.summary[f"{kind}_mean"] - reach
        results.summary[f"{kind}_high"] = results.summary[f"{kind}_mean"] + reach
    return results


def fronts_of(results: Results) -> ParetoFronts:
    return find_fronts(results, rng=np.random.default_rng(0))


def drawn(results: Results) -> dict[str, Drawing]:
    ranked = rank_variants(results, rng=np.random.default_rng(0))
    return draw_figures(results, fronts=fronts_of(results), rankings=ranked)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made(tmp_path_factory.mktemp("five"), seeds=5)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made(tmp_path_factory.mktemp("one"), seeds=1)


@pytest.fixture(scope="module")
def drawings(five: Results) -> dict[str, Drawing]:
    return drawn(five)


@pytest.fixture(scope="module")
def single(one: Results) -> dict[str, Drawing]:
    return drawn(one)


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


def boxes(figure: Figure) -> dict[str, Any]:
    """Where each label is, in pixels."""
    labels: list[Any] = figure.findobj(Annotation)
    return {label.get_text(): label.get_window_extent() for label in labels}


def ids(root: ElementTree.Element) -> list[str]:
    return [element.attrib["id"] for element in root.iter() if "id" in element.attrib]


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
    drawing = error_against(pd.DataFrame([summary_row()]), chosen, fronts=ParetoFronts())
    ((gid, tip),) = drawing.tips.items()
    assert tip == f"short3: top-1 error 5.21 % [4.90, 5.52], n = 5, {said}"
    assert marker(drawing.figure, gid) == pytest.approx((x, 5.21))
    assert re.search(r"\((millions|million MACs|s|GB)\)$", drawing.figure.axes[0].get_xlabel())


def test_error_bars_of_points_are_the_intervals_and_not_the_standard_deviation() -> None:
    drawing = error_against(pd.DataFrame([summary_row()]), COSTS[0], fronts=ParetoFronts())
    (bar,) = segments(drawing.figure)
    assert bar == pytest.approx(np.array([[1.89297, 4.90], [1.89297, 5.52]]))


@pytest.mark.parametrize("absent", [True, False], ids=["no columns", "n = 1"])
def test_without_an_interval_a_point_has_no_error_bar(absent: bool) -> None:
    ends = {"top1_error_low": math.nan, "top1_error_high": math.nan}
    summary = pd.DataFrame([summary_row(n=1, top1_error_std=math.nan, **ends)])
    if absent:
        summary = summary.drop(columns=list(ends))
    drawing = error_against(summary, COSTS[0], fronts=ParetoFronts())
    assert segments(drawing.figure) == []
    assert list(drawing.tips.values()) == ["short3: top-1 error 5.21 %, n = 1, 1,892,970 parameters"]
    bars = error_bars(summary)
    assert segments(bars.figure) == []
    assert list(bars.tips.values()) == ["short3: top-1 error 5.21 %, n = 1"]


def test_hovering_tells_how_often_a_variant_is_on_the_front_of_that_cost(
    five: Results, drawings: Mapping[str, Drawing]
) -> None:
    table = fronts_of(five).table
    for cost in COSTS:
        drawing = drawings[cost.file_name]
        shares = table[table["cost"] == cost.name].set_index("variant")["front_probability"]
        for variant in KNOWN:
            share = 100 * shares[variant]
            assert drawing.tips[place_of(drawing, variant)].endswith(f", on the front in {share:.0f} % of resamples")


def filled(drawing: Drawing) -> set[str]:
    """The gids of the points that are filled."""
    (axes,) = drawing.figure.axes
    return {str(line.get_gid()) for line in axes.lines if line.get_gid() and line.get_markerfacecolor() != "white"}


def test_points_on_the_front_are_filled_and_joined(five: Results, drawings: Mapping[str, Drawing]) -> None:
    drawing = drawings["error_vs_params"]
    summary = five.summary.set_index("variant")
    means = {name: (summary["params"][name] / 1e6, 100 * summary["top1_error_mean"][name]) for name in KNOWN}
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


def test_an_incomplete_suite_is_drawn_without_a_front(tmp_path: Path) -> None:
    # Of reduced one seed is missing, so a front would compare other seeds.
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short", "long"))
    save_suite(tmp_path, plan, wrong={"reduced": [1000], "short": [900, 910], "long": [1100, 1120]})
    found = drawn(load_results(tmp_path))
    for cost in COSTS:
        assert len(found[cost.file_name].tips) == 3
        assert_no_front(found[cost.file_name])


def test_memory_of_runs_on_a_cpu_and_on_a_gpu_is_not_drawn(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    first, second = (make_record(run, wrong=1000) for run in plan.runs)
    cpu = replace(ENVIRONMENT, device_kind="cpu", device="Some CPU")
    save(tmp_path, plan, [first, replace(second, environment=cpu)])
    found = drawn(load_results(tmp_path))
    assert {name for name in found if "_vs_" in name} == {"error_vs_params", "error_vs_macs"}


def test_times_of_which_some_are_not_valid_are_drawn_without_a_front(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    records = [make_record(run, wrong=1000 + run.seed) for run in plan.runs]
    times = records[0].times
    assert times is not None
    save(tmp_path, plan, [replace(records[0], times=replace(times, timing_valid=False)), *records[1:]])
    found = drawn(load_results(tmp_path))
    assert len(found["error_vs_seconds"].tips) == 2
    assert_no_front(found["error_vs_seconds"])
    assert filled(found["error_vs_params"])


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
    results = load_results(tmp_path)
    drawing = drawn(results)["error_vs_memory"]
    assert marker(drawing.figure, place_of(drawing, "short")) == pytest.approx((1.6, 11.015))
    assert filled(drawing) == set(drawing.tips)
    memory = fronts_of(results).table.query("cost == 'peak_memory_bytes'").set_index("variant")
    assert memory["on_front"].to_dict() == {"reduced": True, "short": True}
    assert memory["value"].to_dict() == {"reduced": 2e9, "short": pytest.approx(1.6e9)}


@pytest.mark.parametrize("seeds", ["single", "drawings"])
@pytest.mark.parametrize("cost", COSTS, ids=lambda cost: cost.file_name)
def test_labels_stand_apart_inside_the_axes(cost: Cost, seeds: str, request: pytest.FixtureRequest) -> None:
    drawing = request.getfixturevalue(seeds)[cost.file_name]
    found = boxes(drawing.figure)
    assert set(found) == set(KNOWN)
    (axes,) = drawing.figure.axes
    for first, second in combinations(found.values(), 2):
        assert not first.overlaps(second)
    for variant, box in found.items():
        assert axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max)
        assert not [
            other
            for other in KNOWN
            if box.contains(*axes.transData.transform(marker(drawing.figure, place_of(drawing, other))))
        ], f"{variant} covers a point"


@pytest.mark.parametrize(("factor", "scale"), [(1.3, "linear"), (1.0, "linear"), (40.0, "log")])
def test_an_axis_has_ticks_to_read_however_far_apart_costs_are(factor: float, scale: str) -> None:
    rows = [summary_row(), summary_row(variant="big", top1_error_mean=0.05, params=int(factor * 1_892_970))]
    figure = error_against(pd.DataFrame(rows), COSTS[0], fronts=ParetoFronts()).figure
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    seen = [tick for tick in axes.xaxis.get_ticklabels() if tick.get_text() and low <= tick.get_position()[0] <= high]
    assert axes.get_xscale() == scale
    assert len(seen) >= 2
    assert all(re.fullmatch(r"[\d,.]+", tick.get_text()) for tick in seen)


def test_learning_curves_are_means_within_the_range_over_seeds(five: Results) -> None:
    drawing = learning_curves(five.epochs)
    loss, error = drawing.figure.axes
    for axes, column, scale in ((loss, "train_loss", 1), (error, "train_error", 100)):
        bands = axes.findobj(PolyCollection)
        for variant, line, band in zip(KNOWN, axes.lines, bands, strict=True):
            group = scale * five.epochs[five.epochs["variant"] == variant].set_index("epoch")[column]
            per_epoch = group.groupby(level=0)
            assert np.asarray(line.get_ydata()) == pytest.approx(per_epoch.mean().to_numpy())
            drawn: Any = band
            ends = drawn.get_paths()[0].vertices[:, 1]
            assert (ends.min(), ends.max()) == pytest.approx((group.min(), group.max()))
            assert drawing.tips[str(line.get_gid())].startswith(f"{variant}: training ")
            assert drawing.tips[str(line.get_gid())].endswith("n = 5")
    assert (loss.get_ylabel(), error.get_ylabel()) == ("training loss (nats)", "training error (%)")


def test_bars_have_the_intervals_of_both_errors(five: Results) -> None:
    drawing = error_bars(five.summary)
    summary = five.summary.set_index("variant")
    bars: dict[str, Any] = {str(bar.get_gid()): bar for bar in drawing.figure.axes[0].patches}
    drawn = {round(float(bar[0, 0]), 6): bar[:, 1] for bar in segments(drawing.figure)}
    assert len(drawn) == len(bars) == 2 * len(KNOWN)
    for gid, tip in drawing.tips.items():
        variant, kind = str(re.split(":", tip)[0]), re.split("-", gid)[1]
        mean, low, high = (100 * summary[f"{kind}_error_{name}"][variant] for name in ("mean", "low", "high"))
        assert bars[gid].get_height() == pytest.approx(mean)
        middle = bars[gid].get_x() + bars[gid].get_width() / 2
        assert drawn[round(middle, 6)] == pytest.approx((low, high))
        assert tip == f"{variant}: top-{kind[3:]} error {mean:.2f} % [{low:.2f}, {high:.2f}], n = 5"


def test_ranks_are_dots_with_their_intervals_from_the_best_down() -> None:
    frame = pd.DataFrame(
        [("b", 5, 0.2, 2.5, 1, 3, 0.25), ("a", 5, 0.1, 1, 1, 1.5, 0.75), ("c", 5, 0.2, 2.5, 2, 3, 0.0)],
        columns=list(RANK_COLUMNS),
    )
    drawing = ranks(Rankings(ranks=frame))
    (axes,) = drawing.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.yaxis_inverted()
    assert marker(drawing.figure, place_of(drawing, "b")) == (2.5, 1)
    assert [bar.tolist() for bar in segments(drawing.figure)] == [
        [[1, 0], [1.5, 0]],
        [[1, 1], [3, 1]],
        [[2, 2], [3, 2]],
    ]
    assert drawing.tips[place_of(drawing, "b")] == (
        "b: rank 2.5, n = 5, 95 % interval [1, 3], best in 25 % of resamples"
    )


def test_stability_has_a_panel_for_seeds_and_one_for_epochs_where_there_is_data() -> None:
    by_seeds = pd.DataFrame([(1, 0.5, -0.25, 0.75, 0.5)], columns=list(SEED_COLUMNS))
    taus = [(1, "train_error", 0.25, 0, 0.5), (2, "train_error", 0.95, 0.5, 1), (3, "train_error", 1.0, 0.75, 1)]
    by_epoch = pd.DataFrame(taus, columns=list(EPOCH_COLUMNS))
    both = rank_stability(Rankings(by_seeds=by_seeds, by_epoch=by_epoch))
    seeds, epochs = both.figure.axes
    assert ("seeds" in seeds.get_xlabel(), "training error" in epochs.get_xlabel()) == (True, True)
    assert list(both.tips.values()) == [
        "seeds 1: tau 0.50 [-0.25, 0.75]",
        "epoch 1: tau 0.25 [0.00, 0.50]",
        "epoch 2: tau 0.95 [0.50, 1.00]",
        "epoch 3: tau 1.00 [0.75, 1.00]",
    ]
    assert seeds.get_ylim()[0] < -0.25, "the whole interval is seen"
    (band,) = epochs.findobj(PolyCollection)
    drawn: Any = band
    assert {(1, 0), (1, 0.5), (3, 0.75), (3, 1)} <= {tuple(corner) for corner in drawn.get_paths()[0].vertices}
    legend = epochs.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["at least 0.9 from epoch 2 on"]
    only = rank_stability(Rankings(by_epoch=by_epoch))
    assert len(only.figure.axes) == 1 and len(only.tips) == 3


def test_all_figures_of_a_complete_suite_are_drawn(drawings: Mapping[str, Drawing]) -> None:
    costs = ["error_vs_params", "error_vs_macs", "error_vs_seconds", "error_vs_memory"]
    assert list(drawings) == [*costs, "learning_curves", "error_bars", "ranks", "rank_stability"]
    for name in (*costs, "error_bars", "ranks", "learning_curves"):
        for variant in KNOWN:
            assert any(tip.startswith(f"{variant}: ") for tip in drawings[name].tips.values()), (name, variant)


def test_figures_without_data_are_left_out(one: Results, single: Mapping[str, Drawing], tmp_path: Path) -> None:
    assert "ranks" not in single and "error_bars" in single
    assert len(single["rank_stability"].figure.axes) == 1
    untimed = replace(one, summary=one.summary.assign(train_seconds_mean=math.nan, peak_memory_bytes_mean=None))
    costs = {name for name in draw_figures(untimed, fronts=ParetoFronts(), rankings=Rankings()) if "_vs_" in name}
    assert costs == {"error_vs_params", "error_vs_macs"}
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    bad = failed(make_record(plan.runs[0], wrong=1), status="oom", message="CUDA out of memory")
    save(tmp_path, plan, [bad])
    nothing = load_results(tmp_path)
    assert list(drawn(nothing)) == ["learning_curves"]
    assert drawn(replace(nothing, epochs=pd.DataFrame())) == {}


def test_functions_called_without_data_draw_empty_axes(tmp_path: Path) -> None:
    summary = pd.DataFrame([summary_row(top1_error_mean=math.nan)])
    points = error_against(summary, COSTS[0], fronts=ParetoFronts())
    empty = (points, error_bars(summary), learning_curves(pd.DataFrame()))
    for drawing in (*empty, ranks(Rankings()), rank_stability(Rankings())):
        assert drawing.tips == {}
        assert ElementTree.fromstring(to_svg(drawing, prefix="")).tag.endswith("svg")


def test_every_tip_is_the_title_of_the_element_that_it_is_about(drawings: Mapping[str, Drawing]) -> None:
    for name, drawing in drawings.items():
        root = ElementTree.fromstring(to_svg(drawing, prefix="x-"))
        titles = {element.attrib["id"]: element[0].text for element in root.iter() if element.find(TITLE) is not None}
        assert titles == {f"x-{gid}": tip for gid, tip in drawing.tips.items()}, name
        assert all(
            element[0].tag == TITLE for element in root.iter() if element.attrib.get("id", "")[2:] in drawing.tips
        )
        assert len(set(ids(root))) == len(ids(root))


def test_several_svgs_can_stand_in_one_page(drawings: Mapping[str, Drawing]) -> None:
    bars, points = drawings["error_bars"], drawings["error_vs_macs"]
    texts = [to_svg(bars, prefix="a-"), to_svg(bars, prefix="b-"), to_svg(points, prefix="c-")]
    page = ElementTree.fromstring(f"<div>{''.join(texts)}</div>")
    assert len(set(ids(page))) == len(ids(page))
    for text, prefix in zip(texts, ("a-", "b-", "c-"), strict=True):
        assert text.startswith("<svg ") and "<?xml" not in text and "<!DOCTYPE" not in text
        root = ElementTree.fromstring(text)
        own = set(ids(root))
        assert all(name.startswith(prefix) for name in own)
        values = [value for element in root.iter() for value in element.attrib.values()]
        urls = {name for value in values for name in re.findall(r"url\(#([^)]*)\)", value)}
        links = {element.attrib[HREF].removeprefix("#") for element in root.iter() if HREF in element.attrib}
        assert urls and links, "clip paths, hatches, markers and letters are referred to"
        assert urls | links <= own


def test_a_tip_is_shown_as_it_is_written(drawings: Mapping[str, Drawing]) -> None:
    drawing = drawings["error_vs_params"]
    gid = next(iter(drawing.tips))
    text = to_svg(Drawing(drawing.figure, {gid: "a < b & 'c' > \"d\""}), prefix="")
    (title,) = ElementTree.fromstring(text).iter(TITLE)
    assert title.text == "a < b & 'c' > \"d\""


def test_a_notebook_shows_a_drawing_as_svg_with_its_tips(drawings: Mapping[str, Drawing]) -> None:
    shown = [drawing._repr_html_() for drawing in drawings.values()]
    assert all(text.startswith("<svg ") and "<title>" in text for text in shown)
    every = [name for text in shown for name in ids(ElementTree.fromstring(text))]
    assert len(set(every)) == len(every), "cells of one notebook share no id"


def test_files_are_small_and_the_same_for_the_same_data(
    five: Results, drawings: Mapping[str, Drawing], tmp_path: Path
) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    to_svg(drawings["error_vs_params"], prefix="p")  # whatever was made of a drawing before
    write_drawings(drawings, folder=folders[0])
    write_drawings(drawn(five), folder=folders[1])
    names = sorted(path.name for path in folders[0].iterdir())
    assert len(names) == 16
    for name in names:
        content = (folders[0] / name).read_bytes()
        assert content == (folders[1] / name).read_bytes(), name
        assert len(content) < 150_000, name
        if name.endswith("png"):
            assert imread(folders[0] / name)[..., :3].std() > 0.02, "an empty canvas"
        else:
            assert ElementTree.fromstring(content).tag.endswith("svg")
