"""The suite file that chooses the recipe `fast`: one network, trained with several learning rates and decays."""

from __future__ import annotations

from dataclasses import replace

from ablations import find_suite
from ablations.experiment import plan_suite
from ablations.hardware.environment import REPOSITORY
from ablations.suites.recipe import FAST
from ablations.suites.suite import select
from benchmarks.synthetic_records import make_data
from googlenet.variants import REDUCED

SUITE_FILE = REPOSITORY / "benchmarks" / "fast_recipe.toml"


def test_the_suite_trains_one_network_by_variants_of_the_fast_recipe() -> None:
    suite = select(find_suite(str(SUITE_FILE)), native_precision="bf16")
    plan = plan_suite(suite, make_data("folder", title="", num_classes=10), command="")
    assert {replace(run.architecture, name=REDUCED.name) for run in plan.runs} == {REDUCED}
    recipes = {run.architecture.name: run.recipe for run in plan.runs}
    held_out = replace(FAST, name="fast-validated", validation_fraction=0.2, precision="bf16")
    expected = {"reduced": held_out, "fourfold-decay": replace(held_out, weight_decay=0.002)}
    for name, rate in {"quarter": 0.1, "half": 0.2, "double": 0.8, "fourfold": 1.6}.items():
        expected[f"{name}-rate"] = replace(held_out, learning_rate=rate)
    assert recipes == expected


def test_the_tuned_values_are_those_with_the_least_validation_error_that_was_measured() -> None:
    lines = (REPOSITORY / "results" / "reference" / "tuning-cpu" / "tuning.csv").read_text().splitlines()
    head, *rows = (line.split(",") for line in lines)
    runs = [dict(zip(head, row, strict=True)) for row in rows]
    by_rate = {
        float(run["learning_rate"]) * FAST.batch_size / int(run["batch_size"]): float(run["validation_error"])
        for run in runs
        if run["train_images"] == "5000" and float(run["weight_decay"]) == FAST.weight_decay
    }
    assert min(by_rate, key=by_rate.__getitem__) == FAST.learning_rate
