"""Every speed and accuracy figure that needs a GPU, held against its target: `python -m benchmarks.gpu_report`.

Takes under nine minutes on an H200. With `--data-dir DIR`, a folder of CIFAR-10 images as `--suite folder` reads them,
errors are measured too; without it random images are trained on and errors stay unmeasured. The table is saved after
each part, so that a stop keeps what was measured. The file is long because each figure stands beside its target.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from rich.console import Console

from ablations import DataSource, ExecutionOptions
from ablations.cli.console import make_console, show_table
from ablations.data.dataset import Dataset
from ablations.errors import ConfigError
from ablations.hardware import probe
from ablations.hardware.device import clock, describe_environment, resolve_device
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.report.document import Table
from ablations.suites.recipe import FAST, PUBLISHED, Precision, Recipe
from ablations.suites.run_config import RunConfig
from ablations.training.step import resolve_engine
from ablations.training.train import train
from benchmarks import agreement, command, overhead, throughput
from benchmarks.random_data import random_dataset
from benchmarks.timed_loops import Workload
from googlenet import VARIANTS

TRAIN_IMAGES, TEST_IMAGES = 50_000, 10_000  # CIFAR-10's
UNMEASURED = "unmeasured, needs --data-dir"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Measure this machine's GPU against the project's targets."""

    data_dir: Path | None = None
    """A folder of CIFAR-10 images with train/<class>/ and test/<class>/, for the figures about errors."""
    parts: tuple[str, ...] = ()
    """Measure these parts only; by default all: agreement, throughput, overhead, published, suite, gap, fast."""
    output: Path = Path("results/benchmarks/gpu_report.csv")
    """The table as CSV."""


class Figure(NamedTuple):
    """A measured figure and its target; `met` is None where nothing was measured."""

    figure: str
    target: str
    measured: str
    met: bool | None


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is trained for the figures; tests train less."""

    device: torch.device
    dataset: Dataset
    real_data: bool
    variants: tuple[str, ...] = tuple(VARIANTS)
    width: float = 1.0
    full_epochs: int = PUBLISHED.epochs
    suite_epochs: int = 2
    gap_epochs: int = 6
    gap_seeds: tuple[int, ...] = (1, 2, 3)
    fast_epochs: int = FAST.epochs
    long_epochs: int = 60
    agreement_steps: int = 20
    speed_steps: int = 200
    large_batch: int = 512
    speed: throughput.Arguments = throughput.Arguments(memory=False, rounds=3)

    def at_native_precision(self, recipe: Recipe) -> Recipe:
        """The recipe in the device's best precision."""
        return recipe.at_precision(probe.native_precision(self.device.type))

    def workload(self, recipe: Recipe, *, steps: int, variant: str = "reduced") -> Workload:
        """The work of these many steps."""
        return Workload(
            variant=variant,
            image_size=self.dataset.image_size,
            width=self.width,
            recipe=recipe,
            images=steps * recipe.batch_size,
            device=self.device.type,
        )


def main(arguments: Arguments) -> None:
    """Measure part by part; print one table at the end."""
    if not torch.cuda.is_available():
        raise ConfigError(f"this report needs a GPU, and torch {torch.__version__} finds none")
    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown:
        raise ConfigError(f"--parts {unknown[0]} is unknown; allowed: {', '.join(PARTS)}")
    if arguments.data_dir:
        dataset = DataSource(directory=arguments.data_dir).load("folder")
    else:
        dataset = random_dataset(train_images=TRAIN_IMAGES, test_images=TEST_IMAGES)
    scale = Scale(device=resolve_device("cuda"), dataset=dataset, real_data=arguments.data_dir is not None)
    report(scale, parts=arguments.parts or tuple(PARTS), output=arguments.output, console=make_console())


def report(scale: Scale, *, parts: tuple[str, ...], output: Path, console: Console) -> pd.DataFrame:
    """Measure the parts, save after each, and print the table; returns it."""
    environment = describe_environment(scale.device, engine="")
    rows: list[dict[str, object]] = []
    table = pd.DataFrame()
    for part in parts:
        began = time.perf_counter()
        rows += [{"part": part, **figure._asdict()} for figure in PARTS[part](scale)]
        console.print(f"{part}: {time.perf_counter() - began:,.0f} s", soft_wrap=True)
        table = pd.DataFrame(rows).assign(
            device=environment.device, versions="; ".join(environment.versions), commit=environment.commit
        )
        command.save(table, output)
    verdicts = {None: "-", True: "yes", False: "NO"}
    shown = [
        {name: str(row[name]) for name in ("figure", "target", "measured")} | {"met": verdicts[row["met"]]}
        for row in rows
    ]
    lines = Table.of("gpu_report", pd.DataFrame(shown))
    show_table(lines, console=console, title=f"{environment.device}, commit {environment.commit}")
    command.save(table, output, console=console)
    return table


def _agreement(scale: Scale) -> Iterator[Figure]:
    recipe = PUBLISHED.at_precision("fp32")
    workload = agreement.at_small_rate(scale.workload(recipe, steps=scale.agreement_steps))
    precisions: tuple[Precision, ...] = ("fp32", "bf16") if scale.device.type == "cuda" else ()
    compare = functools.partial(agreement.eager_to_reference, workload)
    checks = [("eager against the reference loop, fp32", 1e-4, compare)]
    for precision in precisions:
        compare = functools.partial(agreement.graph_to_eager, workload, precision)
        checks.append((f"graph against eager, {precision}", 1e-5, compare))
    for name, limit, compare in checks:
        found = compare()
        figure = f"{name}, rate 0.001: largest relative difference of {scale.agreement_steps} losses"
        yield Figure(figure, f"<= {limit:g}", f"{found:.1e}", found <= limit)


def _throughput(scale: Scale) -> Iterator[Figure]:
    recipe = scale.at_native_precision(PUBLISHED)
    table = throughput.measure(scale.workload(recipe, steps=scale.speed_steps), scale.speed, scale.device)
    fastest = table.iloc[1:].sort_values("images_per_second").iloc[-1]
    times = float(fastest["times_reference"])
    yield Figure(
        f"reduced, batch {PUBLISHED.batch_size}, {fastest['loop']}, {fastest['precision']}: times the reference loop, "
        f"which does {table['images_per_second'][0]:,.0f} images/s",
        ">= 3",
        f"{times:.2f} ({_speed(fastest)})",
        times >= 3,
    )
    recipe = replace(recipe, batch_size=scale.large_batch)
    alone = replace(scale.speed, engines=(resolve_engine("auto", scale.device),), reference=False)
    for variant, limit in (("reduced", 0.5), ("naive", 0.6)):
        workload = scale.workload(recipe, steps=max(1, scale.speed_steps // 8), variant=variant)
        row = throughput.measure(workload, alone, scale.device).iloc[0]
        share = float(row["roofline_share"])
        figure = f"{variant}, batch {scale.large_batch}, {row['loop']}, {row['precision']}: share of the roofline"
        yield Figure(figure, f">= {100 * limit:.0f} %", f"{100 * share:.0f} % ({_speed(row)})", share >= limit)


def _speed(row: pd.Series) -> str:
    return f"{row['images_per_second']:,.0f} images/s, MFU {100 * row['mfu']:.0f} %"


def _overhead(scale: Scale) -> Iterator[Figure]:
    images, limit = len(scale.dataset.train), 0.02
    arguments = overhead.Arguments(
        images=images,
        epoch_images=images,
        epochs=2,
        image_size=scale.dataset.image_size,
        width=scale.width,
        device="cuda" if scale.device.type == "cuda" else "cpu",
    )
    share = float(overhead.measure(arguments).set_index("cost")["share"]["all"])
    figure = f"reduced: recording, checkpoints and progress, share of an epoch of {images:,} images"
    yield Figure(figure, f"<= {100 * limit:.0f} %", f"{100 * share:.2f} %", share <= limit)


def _published(scale: Scale) -> Iterator[Figure]:
    run = _run(scale, "reduced", replace(scale.at_native_precision(PUBLISHED), epochs=scale.full_epochs))
    recipe = run.record.config.recipe
    error = f"; test error {100 * run.test_error:.2f} %" if scale.real_data else ""
    yield Figure(
        f"reduced, published recipe, {recipe.precision}, {recipe.epochs} epochs: training seconds",
        "<= 45",
        f"{run.train_seconds:.1f} (with start-up, capture, test: {run.seconds:.1f}{error})",
        run.train_seconds <= 45,
    )


def _suite(scale: Scale) -> Iterator[Figure]:
    """All variants for a few epochs each; the seconds of training are scaled to the full number of epochs."""
    recipe = replace(scale.at_native_precision(PUBLISHED), epochs=scale.suite_epochs)
    runs = [_run(scale, variant, recipe) for variant in scale.variants]
    longer = scale.full_epochs / scale.suite_epochs
    total = sum(run.seconds - run.train_seconds + longer * run.train_seconds for run in runs)
    figure = f"{len(runs)} variants, published recipe, one seed: minutes in all"
    part = f"from {scale.suite_epochs} of {scale.full_epochs} epochs each"
    yield Figure(f"{figure}, {part}", "<= 8", f"{total / 60:.1f}", total <= 8 * 60)


def _gap(scale: Scale) -> Iterator[Figure]:
    recipe = replace(FAST, epochs=scale.gap_epochs)
    seeds = len(scale.gap_seeds)
    figure = f"short3, fast recipe, {recipe.epochs} epochs: mean test error of bf16 less fp32, {seeds} seeds"
    target = "within 0.5 points"
    if not scale.real_data:
        yield Figure(figure, target, UNMEASURED, None)
        return
    ours, exact = (
        [_run(scale, "short3", recipe.at_precision(precision), seed=seed).test_error for seed in scale.gap_seeds]
        for precision in ("bf16", "fp32")
    )
    gaps = [100 * (a - b) for a, b in zip(ours, exact, strict=True)]
    mean, spread = statistics.mean(gaps), statistics.stdev(gaps)
    yield Figure(figure, target, f"{mean:+.2f} ± {spread:.2f} points", abs(mean) <= 0.5)


def _fast(scale: Scale) -> Iterator[Figure]:
    for epochs, max_error, max_seconds in ((scale.fast_epochs, 0.10, 30), (scale.long_epochs, 0.06, 180)):
        figure = f"reduced, fast recipe, {epochs} epochs: test error and training seconds"
        target = f"<= {100 * max_error:.0f} % in <= {max_seconds} s"
        trained = epochs if scale.real_data else 2
        run = _run(scale, "reduced", replace(scale.at_native_precision(FAST), epochs=trained))
        seconds = run.train_seconds * epochs / trained
        if scale.real_data:
            met = run.test_error <= max_error and seconds <= max_seconds
            yield Figure(figure, target, f"{100 * run.test_error:.2f} % in {seconds:.1f} s", met)
        else:
            yield Figure(figure, target, f"{seconds:.1f} s from {trained} epochs; error {UNMEASURED}", None)


PARTS: dict[str, Callable[[Scale], Iterator[Figure]]] = {
    "agreement": _agreement,
    "throughput": _throughput,
    "overhead": _overhead,
    "published": _published,
    "suite": _suite,
    "gap": _gap,
    "fast": _fast,
}


class TimedRun(NamedTuple):
    """A finished run and the seconds that all of it took."""

    record: RunRecord
    seconds: float

    @property
    def train_seconds(self) -> float:
        """Seconds of training alone."""
        assert self.record.times is not None
        return self.record.times.train_seconds

    @property
    def test_error(self) -> float:
        """Top-1 error on the test images."""
        assert self.record.test is not None
        return self.record.test.top1_error


def _run(scale: Scale, variant: str, recipe: Recipe, *, seed: int = 1) -> TimedRun:
    dataset = scale.dataset
    config = RunConfig(
        architecture=VARIANTS[variant].at_size(dataset.image_size, width=scale.width),
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        num_classes=dataset.num_classes,
        recipe=recipe,
        seed=seed,
    )
    options = ExecutionOptions.resolve(device=scale.device.type)
    with tempfile.TemporaryDirectory() as folder:
        began = clock(scale.device)
        record = train(config, dataset=dataset, folder=RunFolder(Path(folder), config), options=options)
        return TimedRun(record, clock(scale.device) - began)


if __name__ == "__main__":
    command.run(main, Arguments, name="gpu_report")
