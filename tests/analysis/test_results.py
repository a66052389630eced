"""Results of a suite: means and spreads against the standard library's, and runs that are missing or failed."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

from ablations.analysis.results import load_results, with_floors
from ablations.errors import ConfigError
from ablations.records import suite_folder
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from benchmarks.synthetic_records import ENVIRONMENT
from googlenet import VARIANTS
from tests.support.synthetic_suites import failed, make_plan, make_record, save, save_suite

WRONG = {name: [1000 + 10 * place, 1100 + 7 * place, 900] for place, name in enumerate(VARIANTS)}


def test_one_row_a_run_and_one_a_variant(tmp_path: Path) -> None:
    save_suite(tmp_path, make_plan("cifar10", seeds=3), wrong=WRONG)
    results = load_results(tmp_path)
    assert len(results.runs) == 21
    assert list(results.summary["variant"]) == list(VARIANTS)
    assert len(results.epochs) == 21 * 14
    assert results.variants == list(VARIANTS) and results.complete and results.why_incomplete == ""
    for row in results.summary.to_dict("records"):
        errors = [wrong / 10_000 for wrong in WRONG[row["variant"]]]
        assert row["n"] == 3
        assert row["top1_error_mean"] == pytest.approx(statistics.mean(errors))
        assert row["top1_error_std"] == pytest.approx(statistics.stdev(errors))
        assert row["flops"] == 2 * row["macs"]
        assert (row["train_seconds_mean"], row["compile_seconds_mean"]) == (100.0, 4.0)
    for run in results.runs.to_dict("records"):
        assert run["top1_wrong"] == WRONG[run["variant"]][run["seed"] - 1]
        assert (run["precision"], run["engine"], run["compile_seconds"]) == ("fp32", "graph", 4.0)


def test_the_interval_of_an_error_stays_within_its_range(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    save_suite(tmp_path, plan, wrong={"reduced": [0, 100], "short": [9900, 10_000]})
    best, worst = load_results(tmp_path).summary.to_dict("records")
    # 12.7062 is the 97.5 % point of Student's t with one degree of freedom; the standard error is half a point.
    assert (best["top1_error_low"], best["top1_error_high"]) == pytest.approx((0, 0.005 + 12.7062 * 0.005))
    assert (worst["top1_error_low"], worst["top1_error_high"]) == pytest.approx((0.995 - 12.7062 * 0.005, 1))


def test_an_interval_is_never_narrower_than_its_floor(tmp_path: Path) -> None:
    save_suite(tmp_path, make_plan("cifar10", seeds=2, variants=("reduced",)), wrong={"reduced": [1000, 1000]})
    results = load_results(tmp_path)
    # 12.7062 is the 97.5 % point of t with one degree of freedom; the spreads are of rounding and one point.
    (rounded,) = results.summary.to_dict("records")
    assert rounded["top1_error_high"] == pytest.approx(0.1 + 12.7062 * math.sqrt(1 / 12 / 2) / 10_000)
    (floored,) = with_floors(results, {"reduced": 0.01}).summary.to_dict("records")
    assert floored["top1_error_low"] == pytest.approx(0.1 - 12.7062 * 0.01 / math.sqrt(2), rel=1e-5)
    assert floored["top1_error_std"] == 0 and floored["top5_error_high"] == rounded["top5_error_high"]


def test_runs_that_failed_to_train_are_marked_and_counted(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=4, variants=("reduced", "short"))
    save_suite(tmp_path, plan, wrong={"reduced": [1000, 1010, 1020], "short": [1100, 3000, 1110, 1120]})
    results = load_results(tmp_path)
    marked = results.runs[results.runs["failed_to_train"]]
    assert list(marked["variant"]) == ["short"] and list(marked["top1_wrong"]) == [3000]
    reduced, short = results.summary.to_dict("records")
    assert (reduced["failed_to_train"], short["failed_to_train"]) == (0, 1)
    assert short["top1_error_trained_mean"] == pytest.approx(0.111)
    assert reduced["top1_error_trained_mean"] == reduced["top1_error_mean"]


def test_one_run_has_no_spread(tmp_path: Path) -> None:
    save_suite(tmp_path, make_plan("cifar10", seeds=1), wrong={"reduced": [1000]})
    summary = load_results(tmp_path).summary.set_index("variant")
    assert summary.loc["reduced", "n"] == 1
    assert pd.isna(summary["top1_error_std"]).all()


def test_missing_and_failed_runs_have_a_row_without_values(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short3"))
    good = make_record(plan.runs[0], wrong=1000)
    bad = failed(make_record(plan.runs[1], wrong=10), status="diverged", message="the loss was not finite")
    save(tmp_path, plan, [good, bad])
    results = load_results(tmp_path)
    assert list(results.runs["status"]) == ["done", "diverged", "missing", "missing"]
    assert results.runs["top1_error"].notna().sum() == 1
    assert list(results.done["run_id"]) == [good.run_id] and not results.complete
    assert results.why_incomplete == "3 of 4 planned runs are not done; run the suite again to finish them"
    summary = results.summary.set_index("variant")
    assert list(summary["n"]) == [1, 0]
    assert list(summary["top1_error_mean"].isna()) == [False, True]
    assert summary.loc["reduced", "top1_error_mean"] == pytest.approx(0.1)


def test_epochs_are_those_of_every_run_also_of_one_that_is_not_done(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short3"))
    good = make_record(plan.runs[0], wrong=1000)
    measured = replace(good.epochs[0], validation_error=0.5, validation_top5_error=0.25, validation_loss=1.5)
    bad = failed(make_record(plan.runs[1], wrong=10), status="diverged", message="the loss was not finite")
    save(tmp_path, plan, [replace(good, epochs=(measured, *good.epochs[1:])), bad])
    unfinished = SuiteFolder(tmp_path).run(plan.runs[2])
    unfinished.claim()
    for epoch in good.epochs[:2]:
        unfinished.epochs.append(epoch)
    results = load_results(tmp_path)
    assert list(results.runs["status"]) == ["done", "diverged", "unfinished", "missing"]
    assert results.epochs.groupby("run_id", sort=False).size().to_dict() == {
        good.run_id: 14,
        bad.run_id: 1,
        plan.runs[2].run_id: 2,
    }
    first, second = results.epochs.iloc[0], results.epochs.iloc[1]
    assert (first["variant"], first["seed"], first["epoch"], first["train_error"]) == ("reduced", 1, 1, 0.8)
    assert first["train_accuracy"] == pytest.approx(0.2) and second["train_accuracy"] == pytest.approx(0.6)
    assert (first["validation_error"], first["validation_top5_error"], first["validation_loss"]) == (0.5, 0.25, 1.5)
    assert pd.isna(second["validation_loss"]) and pd.isna(first["test_error"])


def test_losses_of_a_run_are_those_of_its_test_and_last_epoch(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced",))
    records = []
    for run in plan.runs:
        record = make_record(run, wrong=1000)
        last = replace(record.epochs[-1], validation_error=0.5, validation_top5_error=0.25, validation_loss=1.5)
        assert record.test is not None
        test = replace(record.test, loss=0.25 * run.seed)
        records.append(replace(record, epochs=(*record.epochs[:-1], last), test=test))
    save(tmp_path, plan, records)
    results = load_results(tmp_path)
    assert list(results.runs["test_loss"]) == [0.25, 0.5]
    assert set(results.runs["validation_loss"]) == {1.5} and set(results.runs["validation_top5_error"]) == {0.25}
    row = results.summary.iloc[0]
    assert row["test_loss_mean"] == 0.375
    assert row["test_loss_std"] == pytest.approx(statistics.stdev([0.25, 0.5]))


def test_times_come_from_runs_whose_timing_compares(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced",))
    first, second = (make_record(config, wrong=1000, seconds=100.0 * config.seed) for config in plan.runs)
    assert second.times is not None
    resumed = replace(second, times=replace(second.times, timing_valid=False))
    save(tmp_path, plan, [first, resumed])
    row = load_results(tmp_path).summary.iloc[0]
    assert (row["n"], row["n_timed"], row["train_seconds_mean"]) == (2, 1, pytest.approx(100.0))
    elsewhere = replace(second, environment=replace(ENVIRONMENT, device="Another GPU"))
    save(tmp_path, plan, [first, elsewhere])
    row = load_results(tmp_path).summary.iloc[0]
    assert (row["n"], row["n_timed"]) == (2, 0)
    assert pd.isna(row["train_seconds_mean"]) and pd.isna(row["compile_seconds_mean"])


def with_peak(record: RunRecord, peak: int | None, *, device_kind: Literal["cpu", "cuda"] = "cuda") -> RunRecord:
    assert record.costs is not None
    return replace(
        record,
        costs=replace(record.costs, peak_memory_bytes=peak),
        environment=replace(ENVIRONMENT, device_kind=device_kind),
    )


def test_peak_memory_is_a_mean_with_its_spread(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=3, variants=("reduced",))
    peaks = [10, 14, 18]
    save(tmp_path, plan, [with_peak(make_record(run, wrong=1), peaks[run.seed - 1]) for run in plan.runs])
    row = load_results(tmp_path).summary.iloc[0]
    assert row["peak_memory_bytes_mean"] == statistics.mean(peaks)
    assert row["peak_memory_bytes_std"] == pytest.approx(statistics.stdev(peaks))
    assert "peak_memory_bytes" not in row


def test_memory_of_a_cpu_and_of_a_gpu_is_not_compared(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    first, second = (make_record(run, wrong=1) for run in plan.runs)
    save(tmp_path, plan, [with_peak(first, 10), with_peak(second, 20, device_kind="cpu")])
    summary = load_results(tmp_path).summary
    assert summary[["peak_memory_bytes_mean", "peak_memory_bytes_std"]].isna().all(axis=None)
    # One that has failed is in no mean, so where it ran does not matter.
    save(tmp_path, plan, [failed(with_peak(second, None, device_kind="cpu"), status="oom", message="no memory")])
    assert list(load_results(tmp_path).summary["peak_memory_bytes_mean"].dropna()) == [10]


def test_a_plan_grows_by_later_runs_of_the_same_kind(tmp_path: Path) -> None:
    save_suite(tmp_path, make_plan("cifar10", seeds=1, variants=("short3",)), wrong={"short3": [1100]})
    save_suite(tmp_path, make_plan("cifar10", seeds=1, variants=("reduced",)), wrong={"reduced": [1000]})
    assert set(load_results(tmp_path).summary["variant"]) == {"reduced", "short3"}
    other_kind = make_plan("cifar10", seeds=1, variants=("reduced",), limit_train=500)
    save(tmp_path, other_kind, [make_record(config, wrong=5000) for config in other_kind.runs])
    assert list(load_results(tmp_path).summary["variant"]) == ["reduced"]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "run the suite first"), ("{", "not valid JSON"), ('{"schema": 99}', "schema")]
)
def test_a_plan_that_cannot_be_read_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / suite_folder.PLAN_FILE).write_text(content)
    with pytest.raises(ConfigError, match=said) as error:
        load_results(tmp_path)
    assert str(tmp_path / suite_folder.PLAN_FILE) in str(error.value)
