"""Answers: the word for each pair of verdicts, which control a variant has, and rates of false and right answers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from ablations.analysis.analyse import analyse
from ablations.analysis.answers import Answers, Word, answer_from
from ablations.analysis.paired_tests import Verdict
from googlenet.controls import Capacity
from tests.support.paired_suites import compare_wrong, leave_out_checks
from tests.support.synthetic_suites import make_plan, make_record, save, save_suite

MATTERS, CAPACITY, NO_DIFFERENCE, OPEN = get_args(Word)
# Wrong images of 10,000 in five seeds; the margin is half a point, 50 images.
BASE = [800, 815, 790, 805, 811]
SAME = [802, 816, 793, 805, 812]
WORSE = [1000, 1012, 995, 1004, 1013]
BETTER = [600, 617, 591, 603, 610]
SCATTERED = [700, 930, 760, 891, 805]


@pytest.mark.parametrize(
    ("variant", "control", "word"),
    [
        ("worse", "worse", MATTERS),
        ("worse", "equivalent", CAPACITY),
        ("worse", "inconclusive", OPEN),
        ("equivalent", "worse", MATTERS),
        ("equivalent", "equivalent", NO_DIFFERENCE),
        ("equivalent", "inconclusive", OPEN),
        ("inconclusive", "worse", MATTERS),
        ("inconclusive", "equivalent", OPEN),
        ("inconclusive", "inconclusive", OPEN),
    ],
)
def test_the_two_verdicts_give_one_of_four_words(variant: Verdict, control: Verdict, word: Word) -> None:
    assert answer_from(variant, control=control) == word
    flipped: dict[Verdict, Verdict] = {"worse": "better", "equivalent": "equivalent", "inconclusive": "inconclusive"}
    assert answer_from(flipped[variant], control=flipped[control]) == word


def answered(suite_dir: Path, wrong: dict[str, list[int]], *, control: Capacity | None = "params") -> Answers:
    """The answers of a suite of components with these wrong images, joined with what its folder has."""
    variants = tuple(name for name in wrong if "@" not in name)
    plan = make_plan("components", seeds=len(BASE), variants=variants, control=control)
    save_suite(suite_dir, plan, wrong=wrong)
    return analyse(suite_dir).answers


def test_a_variant_is_judged_with_its_twin_or_by_itself_if_it_has_the_baselines_capacity(tmp_path: Path) -> None:
    # Neither dropout nor a pool has parameters.
    wrong = {
        "reduced": BASE,
        "no-reduction": WORSE,
        "no-reduction@params": SAME,
        "no-dropout": BETTER,
        "extra-pools": SCATTERED,
        "flatten-head": SCATTERED,
        "flatten-head@params": WORSE,
    }
    found = answered(tmp_path, wrong)
    assert [(each.variant, each.control.variant, each.answer) for each in found.answers] == [
        ("no-reduction", "no-reduction@params", CAPACITY),
        ("no-dropout", "no-dropout", MATTERS),
        ("extra-pools", "extra-pools", OPEN),
        ("flatten-head", "flatten-head@params", MATTERS),
    ]
    assert [(each.part, each.removes) for each in found.answers] == [
        ("reduction", True),
        ("dropout", True),
        ("extra-pools", False),
        ("flatten-head", False),
    ]
    assert (found.uncontrolled, found.reason) == ((), "")


def test_a_row_has_both_differences_with_their_intervals(tmp_path: Path) -> None:
    wrong = {"reduced": BASE, "no-reduction": WORSE, "no-reduction@params": SAME}
    (row,) = answered(tmp_path, wrong).frame().to_dict("records")
    # By hand: the differences of the twin are 2, 1, 3, 0 and 1 images, with variance 1.3; t(0.975, 4) is 2.7764.
    reach = 2.7764 * math.sqrt(1.3 / 5) / 1e4
    assert (row["n"], row["verdict"], row["control_verdict"]) == (5, "worse", "equivalent")
    assert row["difference"] == pytest.approx((200 + 197 + 205 + 199 + 202) / 5e4)
    assert row["control_difference"] == pytest.approx(1.4e-4)
    assert row["control_interval_low"] == pytest.approx(1.4e-4 - reach, abs=1e-8)
    assert row["control_interval_high"] == pytest.approx(1.4e-4 + reach, abs=1e-8)


def test_costs_are_relative_to_the_baseline_where_they_compare(tmp_path: Path) -> None:
    wrong = {"reduced": BASE, "no-reduction": WORSE, "no-reduction@params": SAME}
    plan = make_plan("components", seeds=5, variants=("reduced", "no-reduction"), control="params")
    records = []
    for run in plan.runs:
        name = run.architecture.name
        record = make_record(run, wrong=wrong[name][run.seed - 1], seconds=150 if name == "no-reduction" else 100)
        assert record.costs is not None
        changed = {"params": 5_000_000, "peak_memory_bytes": 2 * 10**9} if name == "no-reduction" else {}
        records.append(replace(record, costs=replace(record.costs, **changed)))
    save(tmp_path / "one", plan, records)
    (row,) = analyse(tmp_path / "one").answers.frame().to_dict("records")
    assert row["params_change"] == pytest.approx(5_000_000 / 6_258_500 - 1)
    assert (row["macs_change"], row["train_seconds_change"], row["peak_memory_bytes_change"]) == (0, 0.5, 1)
    elsewhere = replace(records[0], environment=replace(records[0].environment, device="Other GPU"))
    save(tmp_path / "two", plan, [elsewhere, *records[1:]])
    (row,) = analyse(tmp_path / "two").answers.frame().to_dict("records")
    assert math.isnan(row["train_seconds_change"]) and row["peak_memory_bytes_change"] == 1


def test_without_twins_the_remedy_is_said(tmp_path: Path) -> None:
    found = answered(tmp_path, {"reduced": BASE, "no-reduction": WORSE}, control=None)
    assert not found.controlled and found.frame().empty
    assert found.reason.endswith("run the suite with --control params")


def test_without_comparisons_their_reason_is_said(tmp_path: Path) -> None:
    wrong = {"reduced": BASE, "no-reduction": WORSE, "no-reduction@params": SAME[:4]}
    found = answered(tmp_path, wrong)
    assert found.controlled and not found.answers
    assert found.reason == "1 of 15 planned runs are not done; run the suite again to finish them"


def test_twins_of_both_capacities_give_one_answer_for_each(tmp_path: Path) -> None:
    wrong = {"reduced": BASE, "no-reduction": WORSE, "no-reduction@params": SAME, "no-reduction@macs": WORSE}
    answered(tmp_path, wrong)
    found = answered(tmp_path, wrong, control="macs")
    assert [(each.capacity, each.answer) for each in found.answers] == [("params", CAPACITY), ("macs", MATTERS)]


def test_a_variant_of_another_capacity_without_a_twin_has_no_answer(tmp_path: Path) -> None:
    answered(tmp_path, {"reduced": BASE, "flatten-head": SAME}, control=None)
    found = answered(tmp_path, {"reduced": BASE, "no-reduction": WORSE, "no-reduction@params": SAME})
    assert [each.variant for each in found.answers] == ["no-reduction"]
    assert found.uncontrolled == ("flatten-head",)


# Five parts, each with the true differences in images of the variant and of its twin, and its answer. The last lies
# at the margin, so that no difference within it would be false.
TRUTHS: list[tuple[int, int, Word]] = [
    (200, 200, MATTERS),
    (0, -200, MATTERS),
    (200, 0, CAPACITY),
    (0, 0, NO_DIFFERENCE),
    (50, 50, MATTERS),
]


@pytest.mark.parametrize("suites", [100, pytest.param(2_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("seeds", "std"), [(5, 6), (10, 15), (10, 60)])
def test_false_answers_are_rare_and_right_ones_frequent(
    monkeypatch: pytest.MonkeyPatch, seeds: int, std: int, suites: int
) -> None:
    leave_out_checks(monkeypatch, planning=False)
    rng = np.random.default_rng(seeds)
    truth = np.array([0, *(difference for pair in TRUTHS for difference in pair[:2])])[:, None]
    false, right = 0, np.zeros(len(TRUTHS))
    for _ in range(suites):
        verdicts: list[Verdict] = [
            each.verdict for each in compare_wrong(np.round(rng.normal(1000 + truth, std, (11, seeds))))
        ]
        words = [
            answer_from(variant, control=twin) for variant, twin in zip(verdicts[::2], verdicts[1::2], strict=True)
        ]
        is_right = np.array([word == true for word, (_, _, true) in zip(words, TRUTHS, strict=True)])
        right += is_right
        false += any(word not in (true, OPEN) for word, (_, _, true) in zip(words, TRUTHS, strict=True))
    assert false / suites <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / suites)
    if std < 60:
        assert (right[:4] / suites >= 0.9).all()
