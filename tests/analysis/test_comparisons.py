"""Comparisons of a suite: against scipy on the records' own errors, and where a suite allows none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.comparisons import Comparisons, compare_with_baseline
from ablations.analysis.paired_tests import Comparison, ImageTest
from ablations.analysis.results import Results, load_results
from ablations.errors import ConfigError
from ablations.records.suite_folder import SuiteFolder
from tests.support.synthetic_suites import make_plan, make_record, make_results, save, save_predictions, save_suite

# Of 10,000 images, seeds 1 to 4: clearly worse than reduced, hardly different, and too scattered to say.
WRONG = {
    "reduced": [800, 815, 790, 805],
    "naive": [1000, 1012, 995, 1004],
    "short": [803, 817, 794, 806],
    "short2": [700, 930, 760, 890],
}
ABSENT = SuiteFolder(Path("absent"))  # comparisons over seeds need no predictions


def results_of(wrong: Mapping[str, Sequence[int]]) -> Results:
    return make_results(np.array(list(wrong.values())).T / 1e4, names=list(wrong))


def compared(results: Results, folder: SuiteFolder = ABSENT, *, unread: Sequence[str] = ()) -> Comparisons:
    return compare_with_baseline(results, folder, unread=unread, rng=np.random.default_rng(0))


def test_variants_are_compared_with_the_baseline_paired_by_seed() -> None:
    found = {comparison.variant: comparison for comparison in compared(results_of(WRONG)).comparisons}
    assert list(found) == ["naive", "short", "short2"]
    for variant, comparison in found.items():
        expected = scipy_stats.ttest_rel(np.array(WRONG[variant]) / 1e4, np.array(WRONG["reduced"]) / 1e4)
        interval = expected.confidence_interval()
        assert comparison.p == pytest.approx(expected.pvalue)
        assert comparison.interval == pytest.approx((interval.low, interval.high))
    assert [comparison.verdict for comparison in found.values()] == ["worse", "equivalent", "inconclusive"]


def test_the_order_of_runs_does_not_matter() -> None:
    results = results_of(WRONG)
    backwards = replace(results, runs=results.runs[::-1])
    forth, back = ({c.variant: c for c in compared(found).comparisons} for found in (results, backwards))
    assert forth == back


def test_the_plans_margin_is_the_one_of_equivalence() -> None:
    results = results_of({name: WRONG[name] for name in ("reduced", "short2")})
    (comparison,) = compared(replace(results, plan=replace(results.plan, margin=0.03))).comparisons
    assert (comparison.margin, comparison.verdict) == (0.03, "equivalent")


def test_an_incomplete_suite_has_no_comparison() -> None:
    results = results_of(WRONG)
    results.runs.loc[[2, 6], "status"] = "oom"
    found = compared(results)
    assert not found.comparisons and found.image_tests is None
    assert "2 of 16 planned runs are not done" in found.reason


@pytest.mark.parametrize(
    ("variants", "said"), [(("short", "short2"), "baseline reduced is not among"), (("reduced",), "no variant beside")]
)
def test_a_suite_without_a_pair_says_so_with_the_remedy(variants: tuple[str, ...], said: str) -> None:
    found = compared(results_of({name: WRONG[name] for name in variants}))
    assert said in found.reason and "--variants" in found.reason


def test_one_seed_is_compared_over_images_only(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    save_suite(tmp_path, plan, wrong={"reduced": [800], "short": [803]})
    results, folder = load_results(tmp_path), SuiteFolder(tmp_path)
    with pytest.raises(ConfigError, match=r"predictions\.npz"):
        compared(results, folder)
    assert compared(results, folder, unread=["one reason", "another"]) == Comparisons(reason="one reason")
    # reduced gets the first 800 images wrong; short all but 10 of these and 13 others.
    wrong = {"reduced": np.arange(800), "short": np.arange(10, 813)}
    for config in plan.runs:
        save_predictions(folder.run(config), wrong=wrong[config.architecture.name])
    found = compared(results, folder)
    # Twice the binomial probability of at most 10 of 23.
    p = 2 * scipy_stats.binom.cdf(10, 23, 0.5)
    assert found.image_tests == {"short": pytest.approx((13, 10, p))}
    assert not found.comparisons and found.reason == ""


def test_only_runs_of_the_table_are_compared_over_images(tmp_path: Path) -> None:
    # With the same images wrong in seed 1; reduced was trained with a second seed too, which short does not have.
    wrong = {("reduced", 1): 1000, ("short", 1): 1000, ("reduced", 2): 3000}
    for plan in (
        make_plan("cifar10", seeds=2, variants=("reduced",)),
        make_plan("cifar10", seeds=1, variants=("reduced", "short")),
    ):
        for config in plan.runs:
            images = np.arange(wrong[config.architecture.name, config.seed])
            save_predictions(SuiteFolder(tmp_path).run(config), wrong=images)
        records = [make_record(run, wrong=wrong[run.architecture.name, run.seed]) for run in plan.runs]
        save(tmp_path, plan, records)
    results = load_results(tmp_path)
    assert len(results.left_out) == 1
    assert compared(results, SuiteFolder(tmp_path)).image_tests == {"short": ImageTest(0, 0, 1.0)}


def test_the_frame_has_a_row_a_comparison_and_its_columns_without_any() -> None:
    twelve = {name: [count + shift for shift in (0, 3, 7) for count in counts] for name, counts in WRONG.items()}
    found = compared(results_of(twelve))  # enough seeds for the bootstrap
    frame = found.frame()
    for (_, row), comparison in zip(frame.iterrows(), found.comparisons, strict=True):
        assert comparison.bootstrap is not None
        assert (row["interval_low"], row["interval_high"]) == comparison.interval
        assert (row["bootstrap_low"], row["bootstrap_high"]) == comparison.bootstrap
        plain = {field.name for field in fields(Comparison)} - {"interval", "bootstrap", "seeds_needed"}
        assert {name: row[name] for name in plain} == {name: getattr(comparison, name) for name in plain}
        assert row["checks_disagree"] == comparison.checks_disagree
    without_bootstrap = compared(results_of(WRONG)).frame()
    assert without_bootstrap[["bootstrap_low", "bootstrap_high"]].isna().all(axis=None)
    none = Comparisons(reason="no runs").frame()
    assert none.empty and list(none.columns) == list(frame.columns) == list(without_bootstrap.columns)
    assert pd.notna(frame["seeds_needed"]).tolist() == [row == "inconclusive" for row in frame["verdict"]]
