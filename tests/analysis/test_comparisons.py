"""Comparisons of a suite: against scipy on the records' own errors, over looks, and where a suite allows none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from ablations.analysis import comparisons
from ablations.analysis.comparisons import COLUMNS, Comparison, Comparisons
from ablations.analysis.images.per_image import PerImageErrors, read_per_image_errors
from ablations.analysis.looks import Looks
from ablations.analysis.results import Results, load_results
from ablations.analysis.statistics.paired_tests import ImageTest
from ablations.records.suite_folder import SuiteFolder
from tests.support.paired_suites import compare, looks_of, predicted, results_of
from tests.support.synthetic_suites import make_plan, make_record, make_results, save, save_predictions, save_suite

# Of 10,000 images, seeds 1 to 4: clearly worse than reduced, hardly different, and too scattered to say.
WRONG = {
    "reduced": [800, 815, 790, 805],
    "naive": [1000, 1012, 995, 1004],
    "short": [803, 817, 790, 804],
    "short2": [700, 930, 760, 890],
}


def by_variant(found: Comparisons) -> dict[str, Comparison]:
    return {comparison.variant: comparison for comparison in found.comparisons}


def with_images(results: Results, test_images: int) -> Results:
    data = replace(results.plan.data, test_images=test_images)
    return replace(results, plan=replace(results.plan, data=data))


def test_variants_are_compared_with_the_baseline_paired_by_seed() -> None:
    found = by_variant(compare(results_of(WRONG), level=0.04))
    assert list(found) == ["naive", "short", "short2"]
    for variant, comparison in found.items():
        errors, base = np.array(WRONG[variant]) / 1e4, np.array(WRONG["reduced"]) / 1e4
        expected = scipy_stats.ttest_rel(errors, base)
        assert (comparison.n, comparison.p) == (4, pytest.approx(expected.pvalue))
        assert comparison.std == pytest.approx((errors - base).std(ddof=1))
        assert comparison.correlation == pytest.approx(scipy_stats.pearsonr(errors, base)[0])
        assert comparison.interval == pytest.approx(tuple(expected.confidence_interval(0.96)))
        assert comparison.these.interval_95 == pytest.approx(tuple(expected.confidence_interval(0.95)))
        assert comparison.new is None, "without predictions"
    assert [comparison.verdict for comparison in found.values()] == ["worse", "equivalent", "inconclusive"]
    # naive is settled and leaves the count; of the equivalent one no difference is shown.
    assert {comparison.level for comparison in found.values()} == {0.04 / 2}
    assert [comparison.verdict_seeds for comparison in found.values()] == [4, 4, None]


def test_only_open_comparisons_have_advice_while_another_look_may_be_taken() -> None:
    found = compare(results_of(WRONG)).comparisons
    assert [each.seeds_needed is None for each in found] == [True, True, False]
    last = replace(looks_of(4), declared=(4,), level_of_next=0.0)
    assert not any(each.seeds_needed for each in compare(results_of(WRONG), looks=last).comparisons)


def test_the_order_of_runs_does_not_matter() -> None:
    results = results_of(WRONG)
    backwards = replace(results, runs=results.runs[::-1])
    assert by_variant(compare(results)) == by_variant(compare(backwards))


def test_the_plans_margin_is_the_one_of_equivalence() -> None:
    results = results_of({name: WRONG[name] for name in ("reduced", "short2")})
    (comparison,) = compare(replace(results, plan=replace(results.plan, margin=0.03))).comparisons
    assert (comparison.margin, comparison.verdict) == (0.03, "equivalent")


def test_signs_that_disagree_with_the_t_test_are_found() -> None:
    base = [800, 815, 790, 805, 812, 798]
    shifts = {
        # Six of one sign, p 2/64, of which one is far out: no difference by the t test.
        "naive": ([1, 1, 1, 1, 1, 30], True),
        # A difference by the t test; by signs p 4/64, as the negative one might as well be positive.
        "short": ([-1, 10, 11, 12, 10, 11], True),
        "short2": ([-9, -10, -11, -12, -10, -11], False),
        "short3": ([-5, 5, -4, 4, 1, 0], False),
    }
    wrong = {name: [count + by for count, by in zip(base, of, strict=True)] for name, (of, _) in shifts.items()}
    found = compare(results_of({"reduced": base} | wrong)).comparisons
    assert [each.signs_disagree for each in found] == [disagree for _, disagree in shifts.values()]
    # Five of one sign are never enough for the signs, p 2/32.
    five = {"reduced": base[:5], "short": [801, 816, 791, 806, 842]}
    assert not compare(results_of(five)).comparisons[0].signs_disagree


# Looks


def test_a_verdict_of_an_earlier_look_stays_with_its_number_of_seeds() -> None:
    # naive is worse by 2 points in three seeds, and the fourth one is an outlier.
    results = results_of({"reduced": [800, 815, 790, 805], "naive": [1000, 1014, 991, 700]})
    (alone,) = compare(results).comparisons
    (later,) = compare(results, looks=looks_of(3, 4)).comparisons
    assert (alone.verdict, alone.verdict_seeds) == ("inconclusive", None)
    assert (later.verdict, later.verdict_seeds) == ("worse", 3)
    assert (later.p, later.interval) == (alone.p, alone.interval), "those are of all seeds"


def test_between_declared_numbers_of_seeds_the_next_ones_are_said() -> None:
    found = compare(results_of(WRONG), looks=Looks(declared=(5, 10)))
    assert not found.comparisons
    assert found.reason == "verdicts were declared to be read at 5, 10 seeds, and there are 4"


# New images


def test_a_verdict_on_new_images_takes_more_than_one_on_these() -> None:
    # Of 1,000 images each seed gets the same ones wrong, naive 40 more and short 3 more. That is beyond doubt on these
    # images; numbers of images that are drawn anew are Poisson numbers, so that it is about 6 and 2 standard errors.
    base = np.tile(np.arange(1_000) < 200, (5, 1))
    wrong = {"reduced": base, "naive": base.copy(), "short": base.copy()}
    wrong["naive"][:, 200:240], wrong["short"][:, 200:203] = True, True
    errors = np.stack([rows.mean(axis=1) for rows in wrong.values()], axis=1)
    results = with_images(make_results(errors, names=list(wrong)), 1_000)
    naive, short = compare(results, per_image=predicted(wrong)).comparisons
    assert naive.new is not None and short.new is not None
    assert (naive.verdict, naive.new.verdict) == ("worse", "worse")
    assert (short.verdict, short.new.verdict) == ("worse, within the margin", "inconclusive")
    reach = 1.96 * np.sqrt(0.003 / 1_000)
    assert short.new.interval_95 == pytest.approx((0.003 - reach, 0.003 + reach), rel=0.01)
    assert short.these.interval_95.high < short.new.interval_95.high


# Equivalence


def test_a_margin_of_few_test_images_shows_no_equivalence_and_says_how_many_there_need_to_be() -> None:
    results = make_results(np.full((4, 2), 0.1), names=["reduced", "short"])
    for images, enough in ((999, False), (1_000, True)):
        (found,) = compare(with_images(results, images)).comparisons
        assert found.verdict == ("equivalent" if enough else "inconclusive")
        assert bool(found.why_not_equivalent) != enough
    (found,) = compare(with_images(results, 360)).comparisons
    assert found.why_not_equivalent == (
        "the margin of 0.5 points is 1.8 of 360 test images, and equivalence needs 5: with 1,000 test images, or a "
        "margin of 1.39 points"
    )
    for points, images in ((1.39, 360), (0.5, 1_000)):
        plan = replace(results.plan, margin=points / 100)
        (found,) = compare(with_images(replace(results, plan=plan), images)).comparisons
        assert found.verdict == "equivalent", "as advised"


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        ({"short": 1}, "1 of 4 runs of short failed to train"),
        ({"reduced": 2}, "2 of 4 runs of reduced failed to train"),
        ({"short": 1, "reduced": 2}, "1 of 4 runs of short and 2 of 4 runs of reduced failed to train"),
    ],
)
def test_variants_with_runs_that_failed_to_train_are_not_equivalent(
    monkeypatch: pytest.MonkeyPatch, failed: dict[str, int], said: str
) -> None:
    monkeypatch.setattr(comparisons, "failed_by_variant", lambda _: failed)
    found = by_variant(compare(results_of(WRONG)))
    assert (found["short"].verdict, found["short"].why_not_equivalent) == ("inconclusive", said)
    assert found["short"].failed == (failed.get("short", 0), failed.get("reduced", 0))
    assert found["naive"].verdict == "worse"
    assert bool(found["naive"].why_not_equivalent) == ("reduced" in failed)


# Suites without a comparison


def test_an_incomplete_suite_has_no_comparison() -> None:
    results = results_of(WRONG)
    results.runs.loc[[2, 6], "status"] = "oom"
    found = compare(results)
    assert not found.comparisons and found.image_tests is None
    assert "2 of 16 planned runs are not done" in found.reason


@pytest.mark.parametrize(
    ("variants", "said"), [(("short", "short2"), "baseline reduced is not among"), (("reduced",), "no variant beside")]
)
def test_a_suite_without_a_pair_says_so_with_the_remedy(variants: tuple[str, ...], said: str) -> None:
    found = compare(results_of({name: WRONG[name] for name in variants}))
    assert said in found.reason and "--variants" in found.reason


def compared_in(suite_dir: Path, *, unread: Sequence[str] = ()) -> Comparisons:
    results = load_results(suite_dir)
    if unread:
        return compare(results, per_image=PerImageErrors(unread=tuple(unread)))
    return compare(results, per_image=read_per_image_errors(results, SuiteFolder(suite_dir)))


def test_one_seed_is_compared_over_images_only(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    save_suite(tmp_path, plan, wrong={"reduced": [800], "short": [803]})
    assert compared_in(tmp_path, unread=["one reason", "another"]) == Comparisons(reason="one reason")
    # reduced gets the first 800 images wrong; short all but 10 of these and 13 others.
    wrong = {"reduced": np.arange(800), "short": np.arange(10, 813)}
    for config in plan.runs:
        save_predictions(SuiteFolder(tmp_path).run(config), wrong=wrong[config.architecture.name])
    found = compared_in(tmp_path)
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
    assert len(load_results(tmp_path).left_out) == 1
    assert compared_in(tmp_path).image_tests == {"short": ImageTest(0, 0, 1.0)}


# The table


def test_the_frame_has_a_row_a_comparison_and_its_columns_without_any() -> None:
    same = np.tile(np.arange(10_000) < 800, (4, 1))
    found = compare(results_of(WRONG), per_image=predicted({"reduced": same, "short": same}))
    frame = found.frame()
    rows = {str(row["variant"]): row for row in frame.to_dict("records")}
    for name, comparison in by_variant(found).items():
        row = rows[name]
        assert (row["interval_low"], row["interval_high"]) == comparison.these.interval_95
        assert (row["variant_failed"], row["baseline_failed"]) == comparison.failed
        for column in ("n", "difference", "p", "p_beyond", "smallest_p", "level", "verdict", "signs_disagree"):
            assert row[column] == getattr(comparison, column)
        if comparison.new:
            assert (row["new_images_low"], row["new_images_high"]) == comparison.new.interval_95
            assert row["verdict_new_images"] == comparison.new.verdict
    assert frame["new_images_low"].notna().tolist() == [False, True, False]
    assert frame["seeds_likely"].notna().tolist() == [False, False, True]
    assert pd.isna(rows["short2"]["verdict_seeds"]) and rows["short"]["verdict_seeds"] == 4
    none = Comparisons(reason="no runs").frame()
    assert none.empty and list(none.columns) == list(frame.columns) == list(COLUMNS)
