"""Answers: the word for each pair of verdicts, which control a variant has, and whether new images have the same."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from ablations.analysis.analyse import analyse
from ablations.analysis.answers import Answer, Answers, Word, answer_from
from ablations.analysis.comparisons import Comparison
from ablations.analysis.statistics.verdicts import Verdict
from googlenet.controls import Capacity
from tests.support.paired_suites import compare, results_of
from tests.support.synthetic_suites import make_plan, make_record, save, save_suite

MATTERS, WITHIN, CAPACITY, NO_DIFFERENCE, OPEN = get_args(Word)
# Wrong images of 10,000 in five seeds; the margin is half a point, 50 images.
BASE = [800, 815, 790, 805, 811]
SAME = [802, 816, 793, 805, 812]
WORSE = [1000, 1012, 995, 1004, 1013]
BETTER = [600, 617, 591, 603, 610]
SCATTERED = [700, 930, 760, 891, 805]


# The answer to a variant's verdict, a row, and its control's, a column: M matters, W matters within the margin, C only
# by its capacity, N makes no difference, and . is not settled.
VERDICTS = get_args(Verdict)
COLUMNS = ("better", "better, within the margin", "worse", "worse, within the margin", "equivalent", "inconclusive")
TABLE = {
    "better": "MWMWC.",
    "better, within the margin": "MWMWN.",
    "worse": "MWMWC.",
    "worse, within the margin": "MWMWN.",
    "equivalent": "MWMWN.",
    "inconclusive": "MWMW..",
}
WORDS: dict[str, Word] = {"M": MATTERS, "W": WITHIN, "C": CAPACITY, "N": NO_DIFFERENCE, ".": OPEN}


@pytest.mark.parametrize("variant", VERDICTS)
def test_the_two_verdicts_give_one_of_five_words(variant: Verdict) -> None:
    assert set(COLUMNS) == set(VERDICTS)
    found = {control: answer_from(variant, control=control) for control in VERDICTS}
    assert found == {control: WORDS[letter] for control, letter in zip(COLUMNS, TABLE[variant], strict=True)}


@pytest.mark.parametrize(
    ("variant", "control", "holds"),
    [
        (("worse", "worse"), ("equivalent", "equivalent"), True),
        (("worse", "inconclusive"), ("equivalent", "equivalent"), False),
        (("worse", "worse"), ("equivalent", "inconclusive"), False),
        (("worse", "inconclusive"), ("better", "better"), True),  # the control alone says that it matters
        (("worse", "worse"), ("worse, within the margin", "worse"), False),
        (("worse", "worse"), ("equivalent", None), False),
        (("worse", None), ("equivalent", "equivalent"), False),
        (("worse", "worse"), ("inconclusive", "inconclusive"), False),
    ],
)
def test_an_answer_holds_on_new_images_if_they_give_the_same_one(
    variant: tuple[Verdict, Verdict | None], control: tuple[Verdict, Verdict | None], holds: bool
) -> None:
    (compared,) = compare(results_of({"reduced": BASE, "short": WORSE})).comparisons

    def judged(verdict: Verdict, on_new: Verdict | None) -> Comparison:
        these = compared.these._replace(verdict=verdict)
        return replace(compared, these=these, new=these._replace(verdict=on_new) if on_new else None)

    answer = Answer(
        variant="short", capacity="params", comparison=judged(*variant), control=judged(*control), cost_changes={}
    )
    assert answer.holds_on_new_images == holds


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
    assert not row["holds_on_new_images"], "without predictions"
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
    assert found.reason == "1 of 15 planned runs is not done; run the suite again to finish them"


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
