"""What runs cost: from records and dry runs of the same work on one machine."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from ablations.analysis.planning.run_costs import RunCost, makespan, other_records, run_costs
from ablations.records.calibration import Calibration
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from benchmarks.synthetic_records import ENVIRONMENT, TRAIN_IMAGES, make_record
from tests.support.synthetic_suites import make_plan, save

PLAN = make_plan("cifar10", seeds=3, variants=("reduced", "short", "short2"))
RECORDS = [make_record(run, wrong=1000, seconds=100.0 * run.seed) for run in PLAN.runs]
OTHER = replace(ENVIRONMENT, device="Other GPU")


def of(*names: str) -> list[RunRecord]:
    return [record for record in RECORDS if record.config.architecture.name in names]


def calibrated(
    variant: str, *, seconds: float, device: str = "Some GPU", train_images: int = TRAIN_IMAGES
) -> Calibration:
    (config, *_) = (run for run in PLAN.runs if run.architecture.name == variant)
    return Calibration(
        config=config,
        environment=ENVIRONMENT,
        train_images=train_images,
        timed_steps=20,
        seconds=seconds,
        peak_memory_bytes=7,
    )


def test_a_variant_costs_the_mean_of_its_timed_runs_or_else_its_last_dry_run() -> None:
    dry = [calibrated(name, seconds=seconds) for name, seconds in (("reduced", 9), ("short", 50), ("short", 60))]
    found = run_costs(PLAN, records=of("reduced"), calibrations=dry, device="Some GPU")
    # Runs of 100, 200 and 300 s, each with 1 s to start, 4 s to compile and 2 s to evaluate.
    assert found.by_variant == {"reduced": RunCost(207.0, 10**9, runs=3), "short": RunCost(60, 7, runs=0)}
    assert found.machine is not None and found.machine[:3] == ("Some GPU", "cuda", "graph")


def test_runs_of_other_work_or_without_a_valid_time_do_not_count() -> None:
    (record, *_) = of("short")
    assert record.times is not None
    config, recipe = record.config, record.config.recipe
    others = [
        replace(record, times=replace(record.times, timing_valid=False)),
        replace(record, train_images=40_000),
        replace(record, config=replace(config, recipe=replace(recipe, batch_size=32))),
        replace(record, config=replace(config, architecture=replace(config.architecture, width=2.0))),
    ]
    dry = [calibrated("short", seconds=5, train_images=40_000)]
    assert not run_costs(PLAN, records=others, calibrations=dry, device="Some GPU").by_variant
    # Neither the name of a recipe nor the epochs whose weights it keeps change the time.
    same = replace(record, config=replace(config, recipe=replace(recipe, name="mine", keep_epochs=(1,))))
    assert set(run_costs(PLAN, records=[same], calibrations=(), device="Some GPU").by_variant) == {"short"}


def test_times_are_of_this_device_or_else_of_the_machine_with_most_variants() -> None:
    moved = [replace(record, environment=OTHER) for record in of("short")]
    here = run_costs(PLAN, records=[*RECORDS, *moved], calibrations=(), device="Other GPU")
    assert here.machine is not None and here.machine.device == "Other GPU" and set(here.by_variant) == {"short"}
    elsewhere = run_costs(PLAN, records=[*moved, *RECORDS], calibrations=(), device="a CPU")
    assert elsewhere.machine is not None and elsewhere.machine.device == "Some GPU"
    assert set(elsewhere.by_variant) == {"reduced", "short", "short2"}
    threads = [replace(record, environment=replace(ENVIRONMENT, threads=1)) for record in of("short")]
    found = run_costs(PLAN, records=[*of("short", "reduced"), *threads], calibrations=(), device="Some GPU")
    assert found.by_variant["short"].runs == 3, "runs on one thread are not averaged with others"


def test_records_of_the_same_variants_are_found_in_every_suite(tmp_path: Path) -> None:
    own = SuiteFolder(tmp_path / "own")
    save(own.path, PLAN, of("reduced"))
    other = make_plan("branches", seeds=1)
    save(tmp_path / "other", other, [make_record(run, wrong=1) for run in other.runs])
    first, second, _ = (record.run_id for record in of("reduced"))
    found = other_records(PLAN, own, known=(first, second))
    # A run that both suites have has the same name in them.
    assert [record.run_id for record in found] == [first, of("reduced")[2].run_id]
    (tmp_path / "other" / "runs" / first / "result.json").write_text("{")
    assert other_records(PLAN, own, known=(first, second)) == found[1:], "one that is damaged is left out"


@pytest.mark.parametrize("slots", [1, 2, 3, 9])
def test_the_makespan_is_within_a_third_of_the_shortest_possible(slots: int) -> None:
    seconds = [7.0, 7.0, 6.0, 6.0, 5.0, 4.0, 4.0]
    loads = (
        [sum(one for one, at in zip(seconds, places, strict=True) if at == slot) for slot in range(slots)]
        for places in itertools.product(range(min(slots, 3)), repeat=len(seconds))
    )
    shortest = max(seconds) if slots > len(seconds) else min(map(max, loads))
    assert shortest <= makespan(seconds, slots) <= shortest * 4 / 3
    assert makespan([], slots) == 0
