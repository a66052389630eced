"""What a suite's runs are said to show: against scipy on the records' own errors, and where nothing may be said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from ablations.analysis.comparisons import Comparisons, compare_with_baseline
from ablations.analysis.paired_tests import ImageTest
from ablations.analysis.results import load_results
from ablations.records.suite_folder import SuiteFolder
from ablations.report.write import write_report
from ablations.suites.plan import Plan
from tests.support.synthetic_suites import make_plan, make_record, save, save_predictions, save_suite

# Of 10,000 images, seeds 1 to 4: clearly worse than reduced, hardly different, and too scattered to say.
WRONG = {
    "reduced": [800, 815, 790, 805],
    "naive": [1000, 1012, 995, 1004],
    "short": [803, 817, 794, 806],
    "short2": [700, 930, 760, 890],
}


def judged(suite_dir: Path) -> Comparisons:
    return compare_with_baseline(load_results(suite_dir), SuiteFolder(suite_dir), rng=np.random.default_rng(0))


def saved(suite_dir: Path, wrong: dict[str, list[int]], *, seeds: int) -> Plan:
    plan = make_plan("cifar10", seeds=seeds, variants=tuple(wrong))
    save_suite(suite_dir, plan, wrong=wrong)
    return plan


def test_variants_are_compared_seed_by_seed_with_the_baseline(tmp_path: Path) -> None:
    saved(tmp_path, WRONG, seeds=4)
    found = {comparison.variant: comparison for comparison in judged(tmp_path).comparisons}
    assert list(found) == ["naive", "short", "short2"]
    for variant, comparison in found.items():
        expected = scipy_stats.ttest_rel(np.array(WRONG[variant]) / 1e4, np.array(WRONG["reduced"]) / 1e4)
        interval = expected.confidence_interval()
        assert comparison.p == pytest.approx(expected.pvalue)
        assert comparison.interval == pytest.approx((interval.low, interval.high))
    assert [comparison.verdict for comparison in found.values()] == ["worse", "equivalent", "inconclusive"]


def test_the_order_of_records_does_not_matter(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=4, variants=tuple(WRONG))
    backwards = replace(plan, runs=plan.runs[::-1])
    for folder, shown in ((tmp_path / "a", plan), (tmp_path / "b", backwards)):
        records = [make_record(run, wrong=WRONG[run.architecture.name][run.seed - 1]) for run in plan.runs]
        save(folder, shown, records)
    forth, back = ({c.variant: c for c in judged(tmp_path / name).comparisons} for name in "ab")
    assert forth == back


def test_a_wider_margin_makes_more_variants_equivalent(tmp_path: Path) -> None:
    plan = replace(make_plan("cifar10", seeds=4, variants=("reduced", "short2")), margin=0.03)
    save_suite(tmp_path, plan, wrong=WRONG)
    (comparison,) = judged(tmp_path).comparisons
    assert (comparison.margin, comparison.verdict) == (0.03, "equivalent")


def test_an_incomplete_suite_gets_no_verdict(tmp_path: Path) -> None:
    saved(tmp_path, WRONG | {"short": [803, 817]}, seeds=4)
    found = judged(tmp_path)
    assert not found.comparisons
    assert "2 of 16 planned runs are not done" in found.reason
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert f"No verdict: {found.reason}" in text


@pytest.mark.parametrize(
    ("variants", "said"), [(("short", "short2"), "baseline reduced is not among"), (("reduced",), "no variant beside")]
)
def test_what_cannot_be_compared_is_said_with_the_remedy(tmp_path: Path, variants: tuple[str, ...], said: str) -> None:
    saved(tmp_path, {name: WRONG[name] for name in variants}, seeds=4)
    assert said in judged(tmp_path).reason
    assert "--variants" in judged(tmp_path).reason


def test_one_seed_is_tested_over_images_and_says_nothing_of_architectures(tmp_path: Path) -> None:
    plan = saved(tmp_path, {"reduced": [800], "short": [803]}, seeds=1)
    # reduced gets the first 800 images wrong; short all but 10 of these and 13 others.
    wrong = {"reduced": np.arange(800), "short": np.arange(10, 813)}
    for config in plan.runs:
        save_predictions(SuiteFolder(tmp_path).run(config), wrong=wrong[config.architecture.name])
    found = judged(tmp_path)
    assert found.image_tests is not None and not found.comparisons
    # Twice the binomial probability of at most 10 of 23.
    p = 2 * scipy_stats.binom.cdf(10, 23, 0.5)
    assert found.image_tests == {"short": pytest.approx((13, 10, p))}
    text = write_report(tmp_path).path.read_text(encoding="utf-8")
    assert f"| short | 13 | 10 | {p:.4f} |" in text
    assert "With one seed there is no verdict on architectures" in text


def test_only_runs_of_the_table_are_tested_over_images(tmp_path: Path) -> None:
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
    assert len(load_results(tmp_path).left_out) == 1
    assert judged(tmp_path).image_tests == {"short": ImageTest(0, 0, 1.0)}


@pytest.mark.parametrize(
    "damage",
    [
        {},
        {"labels": np.full(10_000, 10)},
        {"labels": np.zeros(5_000, int)},
        {"classes": np.zeros((10_000, 0), int)},
        {"confidence": np.full(10_000, 2.0)},
    ],
    ids=["none-there", "labels-out-of-range", "too-few", "no-class", "no-confidence"],
)
def test_predictions_that_the_report_cannot_use_stop_neither_it_nor_make_a_verdict(
    tmp_path: Path, damage: dict[str, NDArray[Any]]
) -> None:
    texts = []
    for name in ("one", "other"):
        suite_dir = tmp_path / name / "cifar10"
        plan = saved(suite_dir, {"reduced": [800], "short": [803]}, seeds=1)
        if damage:
            ours, theirs = (SuiteFolder(suite_dir).run(config) for config in plan.runs)
            save_predictions(ours, wrong=np.arange(800))
            save_predictions(theirs, wrong=np.arange(803))
            arrays: dict[str, Any] = theirs.read_predictions()._asdict() | damage
            np.savez(theirs.path / "predictions.npz", **arrays)
        written = write_report(suite_dir)
        assert written.comparisons.image_tests is None and "predictions.npz" in written.comparisons.reason
        texts.append(written.path.read_text(encoding="utf-8"))
    # What it says does not depend on where the suite lies.
    assert texts[0] == texts[1] and str(tmp_path) not in texts[0]


def test_the_report_shows_intervals_adjusted_p_and_what_would_settle_it(tmp_path: Path) -> None:
    saved(tmp_path, WRONG, seeds=4)
    written = write_report(tmp_path)
    text = written.path.read_text(encoding="utf-8")
    for comparison in written.comparisons.comparisons:
        low, high = (100 * bound for bound in comparison.interval)
        assert f"| {comparison.variant} | 4 | {100 * comparison.difference:+.2f} | [{low:+.2f}, {high:+.2f}] |" in text
    assert "**worse**" in text and "**equivalent**" in text
    needed = written.comparisons.comparisons[2].seeds_needed
    assert needed is not None and needed > 4
    assert f"inconclusive; about {needed} seeds would settle it" in text
    assert "its p cannot go below 0.1250" in text  # 2 of the 16 ways to flip 4 signs


def test_the_same_records_give_the_same_verdicts_in_csv(tmp_path: Path) -> None:
    wrong = {name: [count + shift for shift in (0, 3, 7) for count in counts] for name, counts in WRONG.items()}
    saved(tmp_path, wrong, seeds=12)  # enough for the bootstrap, which draws at random
    files = [write_report(tmp_path).path.with_name("verdicts.csv").read_bytes() for _ in range(2)]
    assert files[0] == files[1]
    frame = pd.read_csv(tmp_path / "verdicts.csv")
    assert list(frame["variant"]) == ["naive", "short", "short2"]
    assert frame[["bootstrap_low", "bootstrap_high", "interval_low"]].notna().all(axis=None)


def test_without_verdicts_the_csv_has_its_columns_and_no_row(tmp_path: Path) -> None:
    saved(tmp_path / "one", {"reduced": WRONG["reduced"]}, seeds=4)
    saved(tmp_path / "four", WRONG, seeds=4)
    none, some = (pd.read_csv(write_report(tmp_path / name).path.with_name("verdicts.csv")) for name in ("one", "four"))
    assert none.empty
    assert list(none.columns) == list(some.columns)
