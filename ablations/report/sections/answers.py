"""Answers: whether each part matters, or only its capacity."""

from __future__ import annotations

from collections.abc import Iterable

from ablations.analysis.analyse import Analysis
from ablations.analysis.answers import Answer, Answers
from ablations.analysis.statistics.verdicts import DIFFERS
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Style, Table, Text
from ablations.report.formats.markdown import escape
from ablations.suites.plan import Plan
from googlenet.controls import Capacity

CAPACITY_NAMES: dict[Capacity, str] = {"params": "parameters", "macs": "MACs"}
OPEN = "not settled"
COST_TITLES = {
    "params": "params",
    "macs": "MACs",
    "peak_memory_bytes": "peak memory",
    "train_seconds": "training time",
}


def answers_section(analysis: Analysis) -> Section | None:
    """The answers and how they are defined, or why there are none; None for a suite without twins."""
    answers = analysis.answers
    if not answers.controlled:
        return None
    if not answers.answers:
        return Section("Answers", [Text(f"No answer: {escape(answers.reason)}.")])
    blocks: list[Block] = [answers_table(answers)]
    return Section("Answers", [*blocks, *(Text(note) for note in _notes(analysis))])


def answers_table(answers: Answers, *, costs: bool = True) -> Table:
    """A row an answer; with `costs` also how the costs change.

    Differences are top-1 errors less the baseline's, in points, with intervals at the level of the last look.
    """
    frame = answers.frame().assign(removes=[answer.removes for answer in answers.answers])
    for prefix, comparisons in (
        ("", [answer.comparison for answer in answers.answers]),
        ("control_", [answer.control for answer in answers.answers]),
    ):
        for end in ("low", "high"):
            frame[f"{prefix}interval_{end}"] = [getattr(comparison.interval, end) for comparison in comparisons]
    capacities = frame["capacity"].unique()
    equal = CAPACITY_NAMES[capacities[0]] if len(capacities) == 1 else "capacity"
    columns = [
        Column("part", ("part",)),
        *([Column("capacity", ("capacity",), format=CAPACITY_NAMES.__getitem__)] if len(capacities) > 1 else []),
        Column(_changed(answers.answers), ("difference", "interval_low", "interval_high"), format=_difference),
        Column(
            f"at equal {equal}",
            ("control_difference", "control_interval_low", "control_interval_high"),
            format=_difference,
        ),
        Column(
            "answer",
            ("answer", "control_verdict", "removes", "holds_on_new_images"),
            format=_answer,
            style=_answer_style,
        ),
    ]
    if costs:
        columns += [Column(title, (f"{name}_change",), format=_change) for name, title in COST_TITLES.items()]
    caption = "Whether each part matters: top-1 error less the baseline's in points, as it is and at equal capacity."
    return Table("answers", frame, columns=columns, caption=caption)


def answer_sentences(analysis: Analysis) -> list[str]:
    """The answers in a few plain sentences, in inline Markdown; empty if there are none."""
    by_capacity: dict[Capacity, list[Answer]] = {}
    for answer in analysis.answers.answers:
        by_capacity.setdefault(answer.capacity, []).append(answer)
    margin = f"{100 * analysis.results.plan.margin:g} points"
    images = f"On these {analysis.results.plan.data.test_images:,} test images, at equal"
    sentences: list[str] = []
    for capacity, answers in by_capacity.items():
        name = CAPACITY_NAMES[capacity]
        settled = [answer for answer in answers if answer.answer != OPEN]
        sentences += _sentences([each for each in settled if each.holds_on_new_images], f"At equal {name}", margin)
        sentences += _sentences([each for each in settled if not each.holds_on_new_images], f"{images} {name}", margin)
        if unsettled := [answer.part for answer in answers if answer.answer == OPEN]:
            sentences.append(f"Not settled at equal {name}: {', '.join(unsettled)}.")
    without = analysis.answers.uncontrolled
    return [*sentences, *([f"Without a twin, so without an answer: {', '.join(without)}."] if without else [])]


def _sentences(answers: list[Answer], start: str, margin: str) -> Iterable[str]:
    by_word: dict[str, list[Answer]] = {}
    for answer in answers:
        by_word.setdefault(answer.answer, []).append(answer)
    if found := by_word.get("matters"):
        verb = "matters" if len(found) == 1 else "matter"
        yield f"{start}, {_parts(found)} {verb}: {'; '.join(map(_effect, found))}."
    if found := by_word.get("matters, but within the margin"):
        verb = "matters" if len(found) == 1 else "matter"
        yield f"{start}, {_parts(found)} {verb}, but by less than {margin}: {'; '.join(map(_effect, found))}."
    if found := by_word.get("matters only by its capacity"):
        verb, its = ("matters", "its") if len(found) == 1 else ("matter", "their")
        yield f"{start}, {_parts(found)} {verb} only by {its} capacity: no difference within {margin}."
    if found := by_word.get("makes no difference within the margin"):
        verb = "makes" if len(found) == 1 else "make"
        yield f"{start} and as trained, {_parts(found)} {verb} no difference within {margin}."


def _parts(answers: list[Answer]) -> str:
    *others, last = (answer.part for answer in answers)
    return f"{', '.join(others)} and {last}" if others else last


def _effect(answer: Answer) -> str:
    control = answer.control
    difference = f"{formatting.points(control.difference)} points {formatting.interval(control.interval)}"
    return f"{difference} {'without' if answer.removes else 'with'} {answer.part}"


def _changed(answers: Iterable[Answer]) -> str:
    """The title of the differences: what the variants do to the part."""
    return "without it" if all(answer.removes for answer in answers) else "with the change"


def _difference(difference: float, low: float, high: float) -> str:
    return f"{formatting.points(difference)} {formatting.interval((low, high))}"


def _answer(answer: str, control_verdict: str, removes: bool, holds_on_new_images: bool) -> str:
    where = "" if holds_on_new_images or answer == OPEN else ", on these images"
    if control_verdict not in DIFFERS:
        return f"{answer}{where}"
    side = "higher" if control_verdict.startswith("worse") else "lower"
    return f"{answer} (error is {side} {'without' if removes else 'with'} it){where}"


def _answer_style(answer: str, *_: object) -> Style:
    return "plain" if answer == OPEN else "strong"


def _change(fraction: float) -> str:
    return formatting.NONE if fraction != fraction else f"{100 * fraction:+.1f} %"


def _notes(analysis: Analysis) -> Iterable[str]:
    answers, plan = analysis.answers, analysis.results.plan
    yield (
        f"Differences are top-1 errors less those of {plan.baseline}, in points, with the intervals of the comparisons "
        "on these test images. An answer *on these images* is not shown on new images of the same kind. At equal "
        f"capacity stands the twin of the variant: the same architecture at the width that gives it the capacity of "
        f"{plan.baseline}. A variant whose own capacity is within 1 % of that is its own twin. Costs are those of the "
        f"variant, not of its twin, relative to {plan.baseline}."
    )
    yield _definitions(plan, comparisons=len(analysis.comparisons.comparisons))
    if answers.uncontrolled:
        yield f"Without a twin, so without an answer: {escape(', '.join(answers.uncontrolled))}."


def _definitions(plan: Plan, *, comparisons: int) -> str:
    return (
        "A part matters if the error differs at equal capacity, within the margin or not. It matters only by its "
        "capacity if the variant differs and its twin is equivalent. It makes no difference if both are equivalent, "
        f"within the margin of {100 * plan.margin:g} points. Anything else is not settled. The tests are those of the "
        f"comparisons, which share their level among all {comparisons}, variants and twins."
    )
