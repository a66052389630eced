"""What a report says of each variant's errors and costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ablations.analysis import costs, results
from ablations.analysis.results import load_results
from ablations.records.record import RunRecord
from ablations.report.document import Section
from ablations.report.sections import summary
from ablations.report.sections.summary import summary_section
from ablations.suites.plan import Plan
from benchmarks.synthetic_records import ENVIRONMENT
from tests.support.synthetic_suites import make_analysis, make_plan, make_record, save, save_suite, tables_of, texts_of


def section_of(suite_dir: Path) -> Section:
    return summary_section(make_analysis(load_results(suite_dir)))


def rows_of(suite_dir: Path) -> list[dict[str, str]]:
    return tables_of(section_of(suite_dir))["summary"]


def pair(seeds: int = 1) -> tuple[Plan, list[RunRecord]]:
    """A plan of two variants with its finished runs."""
    plan = make_plan("cifar10", seeds=seeds, variants=("reduced", "short"))
    return plan, [make_record(run, wrong=1000) for run in plan.runs]


def test_a_row_has_mean_spread_and_costs_of_a_variant(tmp_path: Path) -> None:
    plan = make_plan("cifar100", seeds=2, variants=("naive", "short"))
    save_suite(tmp_path, plan, wrong={"naive": [3000, 3120], "short": [3000, 3000]})
    # 30.0 and 31.2 % wrong, so a sample standard deviation of 1.2 / sqrt(2); a third of that in top-5. The 97.5 % point
    # of Student's t with one degree of freedom is 12.7062, so the interval reaches 0.6 x 12.7062 far.
    assert rows_of(tmp_path)[0] == {
        "variant": "naive",
        "n": "2",
        "top-1 error %": "30.60 ± 0.85",
        "95 % interval": "[22.98, 38.22]",
        "top-5 error %": "10.20 ± 0.28",
        "params": "6,258,500",
        "MACs": "1.522 G",
        "FLOPs": "3.044 G",
        "train s": "100.0 ± 0.0",
        "memory MB": "1,000 ± 0",
    }


def test_gaps_are_dashes_and_incomplete_rows_say_so(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short", "long"))
    save_suite(tmp_path, plan, wrong={"reduced": [1000, 1100], "short": [900]})
    reduced, short, long = rows_of(tmp_path)
    assert [row["n"] for row in (reduced, short, long)] == ["2", "1 of 2", "0 of 2"]
    assert short["95 % interval"] == "–" and set(list(long.values())[2:]) == {"–"}
    assert "so the row is incomplete" in texts_of(section_of(tmp_path))[0]


def test_a_scaled_suite_has_the_costs_at_both_sizes(tmp_path: Path) -> None:
    plan = make_plan("digits", seeds=1, variants=("reduced", "short4"))
    save(tmp_path, plan, [make_record(run, wrong=1000) for run in plan.runs])
    rows = rows_of(tmp_path)
    assert list(rows[0])[4:9] == [
        "trained params",
        "trained MACs",
        "trained FLOPs",
        "full-size params",
        "full-size MACs",
    ]
    # The full-size counts at 10 classes are the published ones.
    assert [row["full-size params"] for row in rows] == ["6,166,250", "1,557,834"]
    scaled = '"Trained" is the network that was trained here, at 0.125 times the width'
    assert any(scaled in text for text in texts_of(section_of(tmp_path)))


def test_failures_to_train_have_columns_and_are_named(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=3, variants=("reduced", "short"))
    records = save_suite(tmp_path, plan, wrong={"reduced": [1000, 9000, 1020], "short": [1100, 1110, 1120]})
    reduced, short = rows_of(tmp_path)
    columns = "failed to train", "error % of those that trained", "top-1 error %"
    assert [reduced[name] for name in columns] == ["1 of 3", "10.10", "36.73 ± 46.13"]
    assert [short[name] for name in columns] == ["0 of 3", "11.10", "11.10 ± 0.10"]
    (run_id,) = (record.run_id for record in records if record.test is not None and record.test.top1_wrong == 9000)
    said = texts_of(section_of(tmp_path))[1]
    assert said.startswith("Failed to train") and f": {run_id}. The errors of those that trained" in said


def test_without_a_failure_it_is_said_how_many_may_fail(tmp_path: Path) -> None:
    plan, records = pair(seeds=10)
    save(tmp_path, plan, records)
    # 0.95 = 1 - 0.7411^10.
    assert "n = 10 cannot exclude failures in up to 26 % of a variant's seeds" in texts_of(section_of(tmp_path))[1]
    assert "failed to train" not in rows_of(tmp_path)[0]


def test_memory_has_its_spread_and_its_kind(tmp_path: Path) -> None:
    plan, records = pair(seeds=2)
    first = records[0]
    assert first.costs is not None
    more = replace(first, costs=replace(first.costs, peak_memory_bytes=1_100_000_000))
    save(tmp_path, plan, [more, *records[1:]])
    assert rows_of(tmp_path)[0]["memory MB"] == "1,050 ± 71"  # of 1,000 and 1,100 MB
    assert texts_of(section_of(tmp_path))[-1].endswith(
        "Memory is the peak during training: that of the GPU's allocator."
    )


def test_memory_that_does_not_compare_is_said_to_be_left_out(tmp_path: Path) -> None:
    plan, (first, second) = pair()
    save(tmp_path, plan, [first, replace(second, environment=replace(ENVIRONMENT, device_kind="cpu"))])
    assert [row["memory MB"] for row in rows_of(tmp_path)] == ["–", "–"]
    said = "Memory is left out: some runs used a CPU and some a GPU"
    assert said in texts_of(section_of(tmp_path))[-1]


def test_times_that_do_not_compare_are_gaps(tmp_path: Path) -> None:
    plan, (first, second) = pair()
    assert second.times is not None
    save(tmp_path, plan, [first, replace(second, times=replace(second.times, timing_valid=False))])
    assert [row["train s"] for row in rows_of(tmp_path)] == ["100.0", "–"]


def test_a_further_cost_has_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (macs,) = (cost for cost in costs.COSTS if cost.name == "macs")
    extended = (*costs.COSTS, replace(macs, name="activations", heading="activations"))
    for module in (results, summary):
        monkeypatch.setattr(module, "COSTS", extended)
    plan, records = pair()
    save(tmp_path, plan, records)
    assert [row["activations"] for row in rows_of(tmp_path)] == ["9", "9"]
