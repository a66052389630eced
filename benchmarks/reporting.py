"""Seconds and peak memory of a report on many records; `python -m benchmarks.reporting --help` lists the options.

The records are synthetic, with predictions for 10,000 test images each, in a temporary folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ablations import Suite
from ablations.cli.console import make_console, show_table
from ablations.hardware.environment import REPOSITORY
from ablations.records.predictions import Predictions
from ablations.records.record import Costs
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.report.document import Table
from ablations.suites.builtin import SUITES
from ablations.suites.plan import Plan, make_plan
from ablations.suites.run_config import RunConfig
from ablations.suites.suite import ARCHITECTURE, select
from benchmarks import command
from benchmarks.synthetic_records import TEST_IMAGES, make_data, make_record
from googlenet.counts import count_macs, count_params
from googlenet.registry import ARCHITECTURES

CLASSES = 100
VARIANTS = 20
KINDS = 10  # of predictions, which are copied: making ten thousand takes longer than reporting them
# A process that only writes the report, so that seconds (imports included) and memory are the report's own.
WRITE_REPORT = """
import json, pathlib, sys, time
began = time.perf_counter()
from ablations import write_report
write_report(pathlib.Path(sys.argv[1]))
seconds = time.perf_counter() - began
from ablations.hardware.probe import peak_resident_bytes
print(json.dumps({"seconds": seconds, "peak_bytes": peak_resident_bytes()}))
"""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Write the report of synthetic records of 20 variants, and measure its seconds and memory."""

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
            rows.append({"records": count, **_time_report(suite_dir)})
    table = pd.DataFrame(rows)
    lines = [
        {
            "records": f"{row['records']:,.0f}",
            "seconds": f"{row['seconds']:.1f}",
            "peak MB": f"{row['peak_bytes'] / 1e6:,.0f}",
        }
        for _, row in table.iterrows()
    ]
    show_table(Table.of("reporting", pd.DataFrame(lines)), console=console, title="write_report, with figures")
    command.save(table, arguments.output, console=console)
    return table


def _time_report(suite_dir: Path) -> dict[str, float]:
    """Seconds and peak memory of the report in a process of its own."""
    command_line = [sys.executable, "-c", WRITE_REPORT, str(suite_dir)]
    finished = subprocess.run(command_line, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return json.loads(finished.stdout)


def make_records(suite_dir: Path, *, seeds: int) -> Plan:
    """Write a complete suite of 20 variants with these many seeds; return its plan."""
    data = make_data("cifar100", title="synthetic images", num_classes=CLASSES)
    plan = make_plan(_suite(seeds), data=data, command="python run_all.py --suite cifar100")
    SuiteFolder(suite_dir).write_plan(plan)
    rng = np.random.default_rng(0)
    templates: list[tuple[int, int, bytes]] = []
    for number, config in enumerate(plan.runs):
        folder = SuiteFolder(suite_dir).run(config)
        if len(templates) < KINDS:
            wrong, wrong5 = _write_predictions(folder, rng)
            templates.append((wrong, wrong5, (folder.path / "predictions.npz").read_bytes()))
        wrong, wrong5, content = templates[number % KINDS]
        folder.path.mkdir(parents=True, exist_ok=True)
        (folder.path / "predictions.npz").write_bytes(content)
        folder.write_result(make_record(config, wrong=wrong, top5_wrong=wrong5, costs=_costs(config)))
    return plan


def _suite(seeds: int) -> Suite:
    fitting = [arch for arch in ARCHITECTURES.values() if arch.image_size == 32 and arch.stem == "cifar"][:VARIANTS]
    suite = select(SUITES["cifar100"], seeds=seeds)
    return replace(suite, architectures=tuple(fitting), varies=(ARCHITECTURE,))


def _write_predictions(folder: RunFolder, rng: np.random.Generator) -> tuple[int, int]:
    """Write predictions of which about a third are wrong; return how many are wrong in top-1 and in top-5."""
    labels = np.repeat(np.arange(CLASSES), TEST_IMAGES // CLASSES)
    ranks = rng.choice(7, size=TEST_IMAGES, p=[0.66, 0.1, 0.08, 0.05, 0.04, 0.04, 0.03])  # of the label
    classes = (labels[:, None] + np.arange(1, 6) * 7) % CLASSES
    in_top5 = ranks < 5
    classes[in_top5, ranks[in_top5]] = labels[in_top5]
    found = Predictions(
        classes=classes,
        logits=np.sort(rng.normal(5, 3, size=(TEST_IMAGES, 5)).astype(np.float32))[:, ::-1],
        confidence=rng.beta(5, 2, size=TEST_IMAGES).astype(np.float32),
        labels=labels,
    )
    folder.write_predictions(found)
    return int((ranks != 0).sum()), int((~in_top5).sum())


def _costs(config: RunConfig) -> Costs:
    params = count_params(config.architecture, num_classes=config.num_classes)
    macs = count_macs(config.architecture, num_classes=config.num_classes)
    return Costs(params=params, macs=macs, flops=2 * macs, activations=1, peak_memory_bytes=4 * 10**9)


if __name__ == "__main__":
    command.run(main, Arguments, name="reporting")
