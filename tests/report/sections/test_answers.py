"""What a report says of parts: the table of answers, the words for a sign, the sentences, and why there are none."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ablations.analysis.analyse import Analysis, analyse
from ablations.analysis.comparisons import Comparison
from ablations.cli.console import show_table
from ablations.report.sections.answers import answer_sentences, answers_section, answers_table
from ablations.report.sections.headline import headline_section
from tests.support.synthetic_suites import make_plan, save_suite, tables_of, texts_of

BASE, SAME = [800, 815, 790, 805], [802, 816, 793, 805]
WORSE, BETTER, SCATTERED = [1000, 1012, 995, 1004], [600, 617, 591, 603], [700, 930, 760, 891]
WRONG = {
    "reduced": BASE,
    "no-reduction": WORSE,
    "no-reduction@params": BETTER,
    "branch-3x3": WORSE,
    "branch-3x3@params": SAME,
    "no-dropout": SAME,
    "no-conv-bias": SCATTERED,
    "flatten-head": WORSE,
    "flatten-head@params": WORSE,
}


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """A suite with one part for each answer, and two that matter."""
    suite_dir = tmp_path_factory.mktemp("answered")
    variants = tuple(name for name in WRONG if "@" not in name)
    save_suite(suite_dir, make_plan("components", seeds=4, variants=variants, control="params"), wrong=WRONG)
    return analyse(suite_dir)


def test_a_part_that_matters_is_said_with_its_sign(answered: Analysis) -> None:
    rows = tables_of(answers_section(answered))["answers"]
    assert {row["part"]: row["answer"] for row in rows} == {
        "reduction": "matters (error is lower without it), on these images",
        "branch-3x3": "matters only by its capacity, on these images",
        "dropout": "makes no difference within the margin, on these images",
        "conv-bias": "not settled",
        "flatten-head": "matters (error is higher with it), on these images",
    }
    assert rows[0]["with the change"].startswith("+2.00 [") and rows[0]["at equal parameters"].startswith("-2.00 [")
    assert rows[0]["training time"] == "+0.0 %"


def test_the_notes_state_the_margin_and_the_number_of_comparisons(answered: Analysis) -> None:
    notes = " ".join(texts_of(answers_section(answered)))
    assert "within the margin of 0.5 points" in notes and "share their level among all 8, variants and twins" in notes


def on_new_images(analysis: Analysis, *parts: str) -> Analysis:
    """The analysis with the same answers for these parts on new images."""
    known = tuple(
        replace(each, comparison=_known(each.comparison), control=_known(each.control)) if each.part in parts else each
        for each in analysis.answers.answers
    )
    return replace(analysis, answers=replace(analysis.answers, answers=known))


def _known(comparison: Comparison) -> Comparison:
    return replace(comparison, new=comparison.these)


def test_each_answer_is_one_sentence(answered: Analysis) -> None:
    every = [each.part for each in answered.answers.answers]
    matters, *others = answer_sentences(on_new_images(answered, *every))
    assert matters.startswith("At equal parameters, reduction and flatten-head matter: -2.00 points [-2.")
    assert "] without reduction; +2.00 points [" in matters and matters.endswith("] with flatten-head.")
    assert others == [
        "At equal parameters, branch-3x3 matters only by its capacity: no difference within 0.5 points.",
        "At equal parameters and as trained, dropout makes no difference within 0.5 points.",
        "Not settled at equal parameters: conv-bias.",
    ]


def test_answers_that_new_images_do_not_have_are_said_to_be_about_these(answered: Analysis) -> None:
    some = on_new_images(answered, "branch-3x3")
    here = "On these 10,000 test images, at equal parameters"
    starts = [sentence.partition(",")[0] + "," for sentence in answer_sentences(some) if "settled" not in sentence]
    assert starts == ["At equal parameters,", *["On these 10,"] * 2]
    assert f"{here} and as trained, dropout makes no difference within 0.5 points." in answer_sentences(some)
    assert sum(sentence.startswith(f"{here}, reduction and flatten-head") for sentence in answer_sentences(some)) == 1
    rows = tables_of(answers_section(some))["answers"]
    assert ["on these images" in row["answer"] for row in rows] == [True, False, True, False, True]


def test_a_part_that_matters_within_the_margin_says_so(answered: Analysis) -> None:
    first = answered.answers.answers[0]
    within = first.control.these._replace(verdict="worse, within the margin")
    answer = replace(first, control=replace(first.control, these=within, new=within, difference=0.001))
    one = replace(answered, answers=replace(answered.answers, answers=(answer,)))
    (said,) = answer_sentences(one)
    assert said.startswith(
        "On these 10,000 test images, at equal parameters, reduction matters, but by less than 0.5 points: +0.10 "
    )
    (row,) = tables_of(answers_section(one))["answers"]
    assert row["answer"] == "matters, but within the margin (error is higher without it), on these images"


def test_the_table_fits_a_terminal_of_80_columns(answered: Analysis) -> None:
    console = Console(file=io.StringIO(), width=80)
    show_table(answers_table(answered.answers, costs=False), console=console, title="answers")
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and lines[1].startswith("┏")


def test_a_suite_without_twins_has_no_section_and_one_without_comparisons_a_reason(
    complete: Analysis, answered: Analysis, tmp_path: Path
) -> None:
    assert answers_section(complete) is None and answer_sentences(complete) == []
    variants = ("reduced", "no-reduction")
    plan = make_plan("components", seeds=4, variants=variants, control="params")
    save_suite(tmp_path, plan, wrong={name: WRONG[name] for name in variants})
    said = "No answer: 4 of 12 planned runs are not done; run the suite again to finish them."
    assert texts_of(answers_section(analyse(tmp_path))) == [said]
    uncontrolled = replace(answered, answers=replace(answered.answers, uncontrolled=("short",)))
    assert texts_of(answers_section(uncontrolled))[-1] == "Without a twin, so without an answer: short."


def test_they_are_what_the_report_says_first(answered: Analysis) -> None:
    assert texts_of(headline_section(answered))[-1] == " ".join(answer_sentences(answered))
