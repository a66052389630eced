"""Seconds and peak memory of a report on many records; `python -m benchmarks.reporting --help` lists the options.

The records are made up, with predictions for 10,000 test images each, and stand in a temporary folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablations import tables
from ablations.config import RunConfig
from ablations.console import make_console, show_table
from ablations.plan import DataSummary, Plan, make
from ablations.record import SCHEMA, Costs, Environment, Epoch, RunFolder, RunRecord, TestResult, Times
from ablations.suites import ARCHITECTURE, SUITES, Suite, select
from googlenet.counts import count_macs, count_params
from googlenet.variants import ARCHITECTURES

from . import command

TEST_IMAGES = 10_000
CLASSES = 100
VARIANTS = 20
KINDS = 10  # of predictions, which are copied: making ten thousand takes longer than reporting them
# Run in a process of its own, so that its peak memory is the report's.
REPORT = (
    "import json, resource, sys, time; from pathlib import Path; began = time.perf_counter(); "
    "from ablations import report; report.write(Path(sys.argv[1])); "
    "print(json.dumps({'seconds': time.perf_counter() - began, "
    "'peak_bytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))"
)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Make records of 20 variants, report them, and say what it took."""

    records: tuple[int, ...] = (1_000, 10_000)
    """Numbers of records to report, each a multiple of 20."""
    output: Path = Path("results/benchmarks/reporting.csv")
    """The table as CSV."""


def main(arguments: Arguments) -> pd.DataFrame:
    """Measure, save and print; returns the table that was saved."""
    rows = []
    console = make_console()
    for count in arguments.records:
        with tempfile.TemporaryDirectory() as folder, console.status(f"{count:,} records"):
            suite_dir = Path(folder) / "cifar100"
            make_records(suite_dir, seeds=max(1, count // VARIANTS))
            finished = subprocess.run(
                [sys.executable, "-c", REPORT, str(suite_dir)], capture_output=True, text=True, check=True
            )
            rows.append({"records": count, **json.loads(finished.stdout)})
    table = pd.DataFrame(rows)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.output, index=False, lineterminator="\n")
    lines = [
        {
            "records": f"{row['records']:,.0f}",
            "seconds": f"{row['seconds']:.1f}",
            "peak MB": f"{row['peak_bytes'] / 1e6:,.0f}",
        }
        for _, row in table.iterrows()
    ]
    show_table(lines, console=console, title="report.write, with figures")
    console.print(f"saved: {arguments.output}", soft_wrap=True)
    return table


def make_records(suite_dir: Path, *, seeds: int) -> Plan:
    """A complete suite of 20 variants, as if it had been trained."""
    plan = make(_suite(seeds), data=_data(), command="python run_all.py --suite cifar100")
    tables.write_plan(suite_dir, plan)
    random = np.random.default_rng(0)
    templates: list[tuple[int, int, bytes]] = []
    for number, config in enumerate(plan.runs):
        folder = RunFolder(suite_dir / "runs", config)
        if len(templates) < KINDS:
            wrong, wrong5 = _write_predictions(folder, random)
            templates.append((wrong, wrong5, (folder.path / "predictions.npz").read_bytes()))
        wrong, wrong5, content = templates[number % KINDS]
        folder.path.mkdir(parents=True, exist_ok=True)
        (folder.path / "predictions.npz").write_bytes(content)
        folder.write_result(_record(config, wrong=wrong, wrong5=wrong5))
    return plan


def _suite(seeds: int) -> Suite:
    fitting = [arch for arch in ARCHITECTURES.values() if arch.image_size == 32 and arch.stem == "cifar"][:VARIANTS]
    suite = select(SUITES["cifar100"], seeds=seeds)
    return replace(suite, architectures=tuple(fitting), varies=(ARCHITECTURE,))


def _data() -> DataSummary:
    return DataSummary(
        name="cifar100",
        title="made-up images",
        fingerprint="ab" * 32,
        num_classes=CLASSES,
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        image_size=32,
        train_images=50_000,
        test_images=TEST_IMAGES,
    )


def _write_predictions(folder: RunFolder, random: np.random.Generator) -> tuple[int, int]:
    """Predictions of a network that is right on about two of three images; how many are wrong in top-1 and top-5."""
    labels = np.repeat(np.arange(CLASSES), TEST_IMAGES // CLASSES)
    places = random.choice(7, size=TEST_IMAGES, p=[0.66, 0.1, 0.08, 0.05, 0.04, 0.04, 0.03])
    classes = (labels[:, None] + np.arange(1, 6) * 7) % CLASSES
    found = places < 5
    classes[found, places[found]] = labels[found]
    arrays: dict[str, Any] = {
        "logits": np.sort(random.normal(5, 3, size=(TEST_IMAGES, 5)).astype(np.float32))[:, ::-1],
        "confidence": random.beta(5, 2, size=TEST_IMAGES).astype(np.float32),
        "true_probability": random.beta(3, 2, size=TEST_IMAGES).astype(np.float32),
    }
    folder.write_predictions(classes=classes, labels=labels, **arrays)
    return int((places != 0).sum()), int((~found).sum())


def _record(config: RunConfig, *, wrong: int, wrong5: int) -> RunRecord:
    params = count_params(config.architecture, num_classes=config.num_classes)
    macs = count_macs(config.architecture, num_classes=config.num_classes)
    epochs = tuple(
        Epoch(
            epoch=number,
            train_loss=3.0 / number + config.seed * 1e-4,
            train_error=0.9 / number + config.seed * 1e-5,
            validation_error=None,
            train_seconds=2.0,
            eval_seconds=0.0,
        )
        for number in range(1, config.recipe.epochs + 1)
    )
    return RunRecord(
        schema=SCHEMA,
        run_id=config.run_id,
        config=config,
        status="done",
        message="",
        epochs=epochs,
        train_images=50_000,
        test=TestResult(epoch=len(epochs), images=TEST_IMAGES, top1_wrong=wrong, top5_wrong=wrong5),
        test_accesses=1,
        costs=Costs(params=params, macs=macs, flops=2 * macs, activations=1, peak_memory_bytes=4 * 10**9),
        times=Times(startup_seconds=1.0, compile_seconds=4.0, train_seconds=28.0, eval_seconds=0.5, timing_valid=True),
        environment=Environment(
            device="made-up device",
            device_kind="cuda",
            engine="graph",
            deterministic=False,
            threads=8,
            platform="Linux x86_64",
            python="3.12.0",
            versions=("torch 2.11.0", "numpy 2.0.0"),
            commit="0123456789ab",
        ),
    )


if __name__ == "__main__":
    command.run(main, Arguments, name="reporting")
