"""Synthetic records: finished runs with chosen errors that were never trained, for benchmarks and tests of reports."""

from __future__ import annotations

from ablations.data.subsets import held_out_count
from ablations.data.summary import DataSummary
from ablations.hardware.environment import Environment
from ablations.records.record import SCHEMA, Costs, Epoch, RunRecord, TestResult, Times
from ablations.suites.run_config import RunConfig

TRAIN_IMAGES, TEST_IMAGES = 50_000, 10_000
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
COSTS = Costs(params=6_258_500, macs=1_521_848_320, flops=3_043_696_640, activations=9, peak_memory_bytes=10**9)


def make_data(name: str, *, title: str, num_classes: int, image_size: int = 32) -> DataSummary:
    """The summary of a dataset of 50,000 and 10,000 images that does not exist."""
    return DataSummary(
        name=name,
        title=title,
        fingerprint="ab" * 32,
        num_classes=num_classes,
        class_names=tuple(f"class {number}" for number in range(num_classes)),
        image_size=image_size,
        train_images=TRAIN_IMAGES,
        test_images=TEST_IMAGES,
    )


def make_record(
    config: RunConfig, *, wrong: int, top5_wrong: int | None = None, costs: Costs = COSTS, seconds: float = 100.0
) -> RunRecord:
    """A finished run that got `wrong` of 10,000 test images wrong, by default a third of them in top-5 too."""
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
    top5_wrong = wrong // 3 if top5_wrong is None else top5_wrong
    images = config.limit_train or TRAIN_IMAGES
    return RunRecord(
        schema=SCHEMA,
        run_id=config.run_id,
        config=config,
        status="done",
        message="",
        epochs=epochs,
        train_images=images - held_out_count(images, config.recipe.validation_fraction),
        test=TestResult(epoch=len(epochs), images=TEST_IMAGES, top1_wrong=wrong, top5_wrong=top5_wrong),
        test_accesses=1,
        costs=costs,
        times=Times(
            startup_seconds=1.0, compile_seconds=4.0, train_seconds=seconds, eval_seconds=2.0, timing_valid=True
        ),
        environment=ENVIRONMENT,
    )
