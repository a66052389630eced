"""Suites of records made by hand, for tests of what is derived from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ablations import tables
from ablations.config import RunConfig
from ablations.plan import DataSummary, Plan, make
from ablations.record import SCHEMA, Costs, Environment, Epoch, RunFolder, RunRecord, Status, TestResult, Times
from ablations.suites import SUITES, select

TEST_IMAGES = 10_000
ENVIRONMENT = Environment(
    device="Some GPU",
    device_kind="cuda",
    engine="graph",
    deterministic=False,
    threads=8,
    platform="Linux x86_64",
    python="3.12.0",
    versions=("torch 2.11.0", "numpy 2.0.0"),
    commit="0123456789ab",
)


def make_plan(
    suite: str,
    *,
    seeds: int,
    variants: tuple[str, ...] | None = None,
    limit_train: int | None = None,
    recipe: str | None = None,
) -> Plan:
    """A plan on data that nobody has to load."""
    classes = {"cifar100": 100, "digits": 10, "cifar10": 10, "folder": 10}[suite]
    data = DataSummary(
        name=SUITES[suite].dataset,
        title=f"made {suite}",
        fingerprint="ab" * 32,
        num_classes=classes,
        class_names=tuple(f"class {number}" for number in range(classes)),
        image_size=8 if suite == "digits" else 32,
        train_images=50_000,
        test_images=TEST_IMAGES,
    )
    chosen = select(SUITES[suite], seeds=seeds, variants=variants, limit_train=limit_train, recipe=recipe)
    return make(chosen, data=data, command=f"python run_all.py --suite {suite}")


def make_record(config: RunConfig, *, wrong: int, seconds: float = 100.0) -> RunRecord:
    """A finished run with `wrong` of 10,000 test images wrong, a third of them in top-5 too."""
    epochs = tuple(
        Epoch(
            epoch=number,
            train_loss=2.0 / number,
            train_error=0.8 / number,
            validation_error=None,
            train_seconds=seconds / config.recipe.epochs,
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
        train_images=config.limit_train or 50_000,
        test=TestResult(epoch=config.recipe.epochs, images=TEST_IMAGES, top1_wrong=wrong, top5_wrong=wrong // 3),
        test_accesses=1,
        costs=Costs(params=6_258_500, macs=1_521_848_320, flops=3_043_696_640, activations=9, peak_memory_bytes=10**9),
        times=Times(
            startup_seconds=1.0, compile_seconds=4.0, train_seconds=seconds, eval_seconds=2.0, timing_valid=True
        ),
        environment=ENVIRONMENT,
    )


def failed(record: RunRecord, *, status: Status, message: str) -> RunRecord:
    """The record as if the run had ended with this status after its first epoch."""
    return replace(
        record,
        status=status,
        message=message,
        epochs=record.epochs[:1],
        train_images=None,
        test=None,
        costs=None,
        times=None,
    )


def save(suite_dir: Path, plan: Plan, records: Sequence[RunRecord]) -> None:
    """Write the plan and the records to where a suite keeps them."""
    earlier = tables.earlier_plan(suite_dir)
    tables.write_plan(suite_dir, plan.joined(earlier) if earlier else plan)
    for record in records:
        RunFolder(suite_dir / "runs", record.config).write_result(record)


def save_predictions(folder: RunFolder, *, wrong: NDArray[np.int64]) -> None:
    """Predictions that get these of 10,000 images wrong, the first third of them in top-5 too; every label is 0."""
    classes = np.tile(np.arange(5), (TEST_IMAGES, 1))
    classes[wrong] = [1, 0, 2, 3, 4]
    classes[wrong[: len(wrong) // 3]] = [1, 2, 3, 4, 5]
    folder.write_predictions(
        classes=classes,
        logits=np.zeros(classes.shape, np.float32),
        confidence=np.full(TEST_IMAGES, 0.5, np.float32),
        true_probability=np.full(TEST_IMAGES, 0.5, np.float32),
        labels=np.zeros(TEST_IMAGES, np.int64),
    )


def save_suite(suite_dir: Path, plan: Plan, *, wrong: Mapping[str, Sequence[int]]) -> list[RunRecord]:
    """Save finished runs with `wrong[variant][seed - 1]` wrong images; runs that it does not name are missing."""
    records = [
        make_record(config, wrong=wrong[config.architecture.name][config.seed - 1])
        for config in plan.runs
        if config.seed <= len(wrong.get(config.architecture.name, ()))
    ]
    save(suite_dir, plan, records)
    return records
