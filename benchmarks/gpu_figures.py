"""The figures of the report on a GPU, part by part, each with its bar."""

from __future__ import annotations

import functools
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from ablations.data.dataset import Dataset
from ablations.hardware import probe
from ablations.hardware.device import clock
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.suites.recipe import FAST, PUBLISHED, Precision, Recipe
from ablations.suites.run_config import RunConfig
from ablations.training.options import ExecutionOptions
from ablations.training.step import resolve_engine
from ablations.training.train import train
from benchmarks import agreement, overhead, throughput
from benchmarks.contestants import Contest
from googlenet import VARIANTS

LARGE_BATCH = 512
GAP_SEEDS = (1, 2, 3)


class Figure(NamedTuple):
    """A measured figure and the bar that it is held against; `met` is None where nothing was measured."""

    part: str
    figure: str
    bar: str
    measured: str
    met: bool | None


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much work the figures are measured on; smaller only in tests."""

    device: torch.device
    dataset: Dataset
    real_data: bool
    full_epochs: int = PUBLISHED.epochs
    suite_epochs: int = 2
    gap_epochs: int = 6
    fast_epochs: int = FAST.epochs
    long_epochs: int = 60
    steps: int = 20
    speed_steps: int = 200
    width: float = 1.0
    speed: throughput.Arguments = throughput.Arguments(memory=False, rounds=3)


def _agreement(scale: Scale) -> Iterator[Figure]:
    contest = _contest(scale, PUBLISHED.at_precision("fp32"), steps=scale.steps)
    checks: dict[str, tuple[float, Callable[[], float]]] = {
        "eager against the reference loop, fp32, rate 0.001": (
            1e-4,
            lambda: agreement.eager_to_reference(agreement.at_small_rate(contest)),
        )
    }
    if scale.device.type == "cuda":
        precisions: tuple[Precision, ...] = ("fp32", "bf16")
        for precision in precisions:
            checks[f"graph against eager, {precision}, rate 0.001"] = (
                1e-5,
                functools.partial(agreement.graph_to_eager, agreement.at_small_rate(contest), precision),
            )
    for name, (bar, measure) in checks.items():
        found = measure()
        figure = f"{name}: largest relative difference of {scale.steps} losses"
        yield Figure("agreement", figure, f"<= {bar:g}", f"{found:.1e}", found <= bar)


def _throughput(scale: Scale) -> Iterator[Figure]:
    small = throughput.measure(
        _contest(scale, _native(PUBLISHED, scale), steps=scale.speed_steps), scale.speed, scale.device
    )
    fastest = small.iloc[1:].sort_values("images_per_second").iloc[-1]
    times = float(fastest["times_reference"])
    yield Figure(
        "throughput",
        f"reduced, batch {PUBLISHED.batch_size}, {fastest['loop']}, {fastest['precision']}: times the reference loop, "
        f"which does {small['images_per_second'][0]:,.0f} images/s",
        ">= 3",
        f"{times:.2f} ({fastest['images_per_second']:,.0f} images/s, MFU {100 * fastest['mfu']:.0f} %)",
        times >= 3,
    )
    for variant, bar in (("reduced", 0.5), ("naive", 0.6)):
        recipe = replace(_native(PUBLISHED, scale), batch_size=LARGE_BATCH)
        contest = replace(_contest(scale, recipe, steps=max(1, scale.speed_steps // 8)), variant=variant)
        alone = replace(scale.speed, engines=(resolve_engine("auto", scale.device),), reference=False)
        row = throughput.measure(contest, alone, scale.device).iloc[0]
        share = float(row["roofline_share"])
        yield Figure(
            "throughput",
            f"{variant}, batch {LARGE_BATCH}, {row['loop']}, {row['precision']}: share of the roofline",
            f">= {100 * bar:.0f} %",
            f"{100 * share:.0f} % ({row['images_per_second']:,.0f} images/s, MFU {100 * row['mfu']:.0f} %)",
            share >= bar,
        )


def _overhead(scale: Scale) -> Iterator[Figure]:
    images = len(scale.dataset.train)
    arguments = overhead.Arguments(
        images=images,
        epoch_images=images,
        epochs=2,
        image_size=scale.dataset.image_size,
        width=scale.width,
        device="cuda" if scale.device.type == "cuda" else "cpu",
    )
    table = overhead.measure(arguments).set_index("cost")
    share = float(table["share"]["all"])
    bar = 0.02
    figure = f"reduced: recording, checkpointing and progress, share of an epoch of {images:,} images"
    yield Figure("overhead", figure, f"<= {100 * bar:.0f} %", f"{100 * share:.2f} %", share <= bar)


def _published(scale: Scale) -> Iterator[Figure]:
    record, seconds = _run(scale, "reduced", replace(_native(PUBLISHED, scale), epochs=scale.full_epochs))
    assert record.times is not None
    trained = record.times.train_seconds
    yield Figure(
        "published",
        f"reduced, published recipe, {record.config.recipe.precision}, {scale.full_epochs} epochs: training seconds",
        "<= 45",
        f"{trained:.1f} (with start-up, capture, test: {seconds:.1f}{_error(record, scale)})",
        trained <= 45,
    )


def _suite(scale: Scale) -> Iterator[Figure]:
    """All variants for a few epochs; epochs are alike, so the whole is start-ups and tests plus so many of them."""
    total = 0.0
    for variant in VARIANTS:
        record, seconds = _run(scale, variant, replace(_native(PUBLISHED, scale), epochs=scale.suite_epochs))
        assert record.times is not None
        once = seconds - record.times.train_seconds
        total += once + record.times.train_seconds * scale.full_epochs / scale.suite_epochs
    yield Figure(
        "suite",
        f"seven variants, published recipe, one seed: minutes in all, from {scale.suite_epochs} of "
        f"{scale.full_epochs} epochs each",
        "<= 8",
        f"{total / 60:.1f}",
        total <= 8 * 60,
    )


def _gap(scale: Scale) -> Iterator[Figure]:
    figure = (
        f"short3, fast recipe, {scale.gap_epochs} epochs: mean test error of bf16 less fp32, {len(GAP_SEEDS)} seeds"
    )
    bar = "within 0.5 points"
    if not scale.real_data:
        yield Figure("gap", figure, bar, "unmeasured, needs --data-dir", None)
        return
    errors: dict[Precision, list[float]] = {}
    precisions: tuple[Precision, ...] = ("bf16", "fp32")
    for precision in precisions:
        recipe = replace(FAST, epochs=scale.gap_epochs, precision=precision)
        errors[precision] = [_test_error(_run(scale, "short3", recipe, seed=seed)[0]) for seed in GAP_SEEDS]
    gaps = [100 * (ours - exact) for ours, exact in zip(errors["bf16"], errors["fp32"], strict=True)]
    mean, spread = statistics.mean(gaps), statistics.stdev(gaps)
    yield Figure("gap", figure, bar, f"{mean:+.2f} ± {spread:.2f} points", abs(mean) <= 0.5)


def _fast(scale: Scale) -> Iterator[Figure]:
    for epochs, bar, limit in ((scale.fast_epochs, 0.10, 30), (scale.long_epochs, 0.06, 180)):
        figure = f"reduced, fast recipe, {epochs} epochs: test error and training seconds"
        wanted = f"<= {100 * bar:.0f} % in <= {limit} s"
        recipe = replace(_native(FAST, scale), epochs=epochs)
        record, _ = _run(scale, "reduced", recipe if scale.real_data else replace(recipe, epochs=2))
        assert record.times is not None
        seconds = record.times.train_seconds * epochs / record.config.recipe.epochs
        if scale.real_data:
            error = _test_error(record)
            met = error <= bar and seconds <= limit
            yield Figure("fast", figure, wanted, f"{100 * error:.2f} % in {seconds:.1f} s", met)
        else:
            measured = f"{seconds:.1f} s from 2 epochs; error unmeasured, needs --data-dir"
            yield Figure("fast", figure, wanted, measured, None)


PARTS: dict[str, Callable[[Scale], Iterator[Figure]]] = {
    "agreement": _agreement,
    "throughput": _throughput,
    "overhead": _overhead,
    "published": _published,
    "suite": _suite,
    "gap": _gap,
    "fast": _fast,
}


def _native(recipe: Recipe, scale: Scale) -> Recipe:
    return recipe.at_precision(probe.native_precision(scale.device.type))


def _contest(scale: Scale, recipe: Recipe, *, steps: int) -> Contest:
    return Contest(
        variant="reduced",
        image_size=scale.dataset.image_size,
        width=scale.width,
        recipe=recipe,
        images=steps * recipe.batch_size,
        device=scale.device.type,
    )


def _run(scale: Scale, variant: str, recipe: Recipe, *, seed: int = 1) -> tuple[RunRecord, float]:
    """Train and test a variant on the scale's data; returns its record and the seconds that all of it took."""
    dataset = scale.dataset
    config = RunConfig(
        architecture=VARIANTS[variant].at_size(dataset.image_size, width=scale.width),
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        num_classes=dataset.num_classes,
        recipe=recipe,
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        began = clock(scale.device)
        record = train(
            config,
            dataset=dataset,
            folder=RunFolder(Path(folder), config),
            options=ExecutionOptions(device=scale.device, engine=resolve_engine("auto", scale.device)),
        )
        return record, clock(scale.device) - began


def _test_error(record: RunRecord) -> float:
    assert record.test is not None
    return record.test.top1_error


def _error(record: RunRecord, scale: Scale) -> str:
    return f"; test error {100 * _test_error(record):.2f} %" if scale.real_data else ""
