"""The four published conclusions, each held against made runs that bear it out, refute it or leave it open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.comparisons import compare_with_baseline
from ablations.analysis.published_claims import Claim, check_claims
from ablations.analysis.results import load_results
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.plan import Plan
from googlenet import VARIANTS
from tests.support.synthetic_suites import make_plan, save_predictions, save_suite

# Wrong images of 10,000 by seed. The margin is half a point, 50 images.
BASE = [3400, 3412, 3391, 3405, 3396]
SAME = [3401, 3410, 3393, 3404, 3397]
SLIGHTLY_WORSE = [3420, 3431, 3412, 3425, 3415]  # by 19 to 21 images, so both shown to differ and within the margin
WORSE = [4400, 4421, 4385, 4409, 4390]
BETTER = [3100, 3120, 3085, 3109, 3095]
SCATTERED = [3700, 3150, 3600, 3050, 3450]
COMPLETE = {name: SAME for name in VARIANTS} | {"reduced": BASE, "naive": WORSE, "short4": WORSE}


def drawn(suite_dir: Path, wrong: Mapping[str, list[int]], *, plan: Plan | None = None) -> list[Claim]:
    """The conclusions of a suite of these variants with five seeds."""
    save_suite(suite_dir, plan or make_plan("cifar100", seeds=5, variants=tuple(wrong)), wrong=wrong)
    results = load_results(suite_dir)
    judged = compare_with_baseline(results, SuiteFolder(suite_dir), rng=np.random.default_rng(0))
    return check_claims(results, judged)


def answers(found: list[Claim]) -> list[str]:
    return [conclusion.answer for conclusion in found]


def test_runs_that_bear_out_all_four_agree(tmp_path: Path) -> None:
    found = drawn(tmp_path, COMPLETE)
    assert answers(found) == ["agree"] * 4
    starts = [
        "naive has about 10 times the parameters of reduced",
        "the error of naive is no lower than that of reduced",
        "error hardly depends on depth down to short2 and short3 (no loss beyond 0.5 points)",
        "short4 is clearly worse than reduced (not equivalent within 0.5 points)",
    ]
    assert [conclusion.claim for conclusion in found] == starts


def test_the_parameters_are_counted_at_full_size(tmp_path: Path) -> None:
    # Every made record costs the same; these are the published counts.
    first = drawn(tmp_path, {"reduced": BASE, "naive": WORSE})[0]
    assert first.evidence == "10.5 times: 65,736,148 and 6,258,500"


def test_fewer_than_ten_times_the_parameters_disagree(tmp_path: Path) -> None:
    plan = make_plan("cifar100", seeds=5, variants=("reduced", "naive"))
    sizes = tuple(replace(size, params=62_584_999) if size.variant == "naive" else size for size in plan.full_size)
    found = drawn(tmp_path, {"reduced": BASE, "naive": WORSE}, plan=replace(plan, full_size=sizes))
    assert answers(found) == ["disagree", "agree"]


@pytest.mark.parametrize(
    ("naive", "answer"),
    [
        (WORSE, "agree"),
        (SAME, "agree"),
        (SLIGHTLY_WORSE, "agree"),
        (BETTER, "disagree"),
        (SCATTERED, "cannot say"),
    ],
)
def test_naive_is_no_better_unless_it_is_shown_to_be(tmp_path: Path, naive: list[int], answer: str) -> None:
    assert answers(drawn(tmp_path, {"reduced": BASE, "naive": naive})) == ["agree", answer]


@pytest.mark.parametrize(
    ("short", "short2", "short3", "answer"),
    [
        (SAME, SAME, SAME, "agree"),
        (SAME, BETTER, SLIGHTLY_WORSE, "agree"),
        (SAME, SAME, WORSE, "disagree"),
        (SCATTERED, WORSE, SAME, "disagree"),
        (SAME, SAME, SCATTERED, "cannot say"),
    ],
)
def test_depth_hardly_matters_while_every_loss_is_within_the_margin(
    tmp_path: Path, short: list[int], short2: list[int], short3: list[int], answer: str
) -> None:
    wrong = {"reduced": BASE, "short": short, "short2": short2, "short3": short3}
    assert answers(drawn(tmp_path, wrong)) == [answer]


@pytest.mark.parametrize(
    ("short4", "answer"),
    [
        (WORSE, "agree"),
        (SAME, "disagree"),
        (BETTER, "disagree"),
        (SLIGHTLY_WORSE, "disagree"),
        (SCATTERED, "cannot say"),
    ],
)
def test_short4_is_clearly_worse_only_beyond_the_margin(tmp_path: Path, short4: list[int], answer: str) -> None:
    assert answers(drawn(tmp_path, {"reduced": BASE, "short4": short4})) == [answer]


def test_a_wider_margin_turns_a_clear_loss_into_a_small_one(tmp_path: Path) -> None:
    plan = replace(make_plan("cifar100", seeds=5, variants=("reduced", "short4")), margin=0.12)
    (found,) = drawn(tmp_path, {"reduced": BASE, "short4": WORSE}, plan=plan)
    assert found.answer == "disagree"
    assert "within 12 points" in found.claim


def test_evidence_is_that_of_scipys_paired_tests(tmp_path: Path) -> None:
    (found,) = drawn(tmp_path, {"reduced": BASE, "short4": SCATTERED})
    differences = (np.array(SCATTERED) - np.array(BASE)) / 1e4
    two_sided: Any = scipy_stats.ttest_1samp(differences, 0)
    low, high = (100 * bound for bound in two_sided.confidence_interval())
    above: Any = scipy_stats.ttest_1samp(differences, -0.005, alternative="greater")
    below: Any = scipy_stats.ttest_1samp(differences, 0.005, alternative="less")
    assert found.evidence == (
        f"short4 {100 * differences.mean():+.2f} points [{low:+.2f}, {high:+.2f}], p (Holm) {two_sided.pvalue:.4f}, "
        f"p of equivalence (Holm) {max(above.pvalue, below.pvalue):.4f}, n = 5"
    )


def test_the_evidence_on_depth_names_all_three_variants(tmp_path: Path) -> None:
    (found,) = drawn(tmp_path, {"reduced": BASE, "short": SAME, "short2": SAME, "short3": SAME})
    assert [part.split()[0] for part in found.evidence.split("; ")] == ["short", "short2", "short3"]


def test_one_seed_settles_nothing_but_the_count(tmp_path: Path) -> None:
    wrong = {name: counts[:1] for name, counts in COMPLETE.items()}
    plan = make_plan("cifar100", seeds=1)
    for run in plan.runs:
        save_predictions(SuiteFolder(tmp_path).run(run), wrong=np.arange(wrong[run.architecture.name][0]))
    found = drawn(tmp_path, wrong, plan=plan)
    assert answers(found) == ["agree", *["cannot say"] * 3]
    assert {conclusion.evidence for conclusion in found[1:]} == {"one seed tells nothing of the spread between seeds"}


def test_an_incomplete_grid_settles_nothing_but_the_count(tmp_path: Path) -> None:
    found = drawn(tmp_path, COMPLETE | {"long": SAME[:4]})
    assert answers(found) == ["agree", *["cannot say"] * 3]
    assert all("1 of 35 planned runs are not done" in conclusion.evidence for conclusion in found[1:])


@pytest.mark.parametrize(
    ("variants", "claims"),
    [
        (("reduced", "naive"), ["naive has about", "the error of naive"]),
        (("reduced", "short", "short2", "short3"), ["error hardly depends"]),
        (("reduced", "short", "short3"), []),
        (("reduced", "long"), []),
        (("reduced", "short4", "naive"), ["naive has about", "the error of naive", "short4 is clearly"]),
        (("naive", "short", "short2", "short3", "short4"), []),
        (("reduced", "half-width"), []),
    ],
)
def test_only_conclusions_on_the_suites_own_variants_are_drawn(
    tmp_path: Path, variants: tuple[str, ...], claims: list[str]
) -> None:
    found = drawn(tmp_path, {name: COMPLETE.get(name, SAME) for name in variants})
    assert [claim for claim, conclusion in zip(claims, found, strict=True) if claim in conclusion.claim] == claims


def test_against_another_baseline_there_are_none(tmp_path: Path) -> None:
    plan = replace(make_plan("cifar100", seeds=5), baseline="short")
    assert drawn(tmp_path, COMPLETE, plan=plan) == []
