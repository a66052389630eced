"""Answers: whether each part matters, or only its capacity."""

from __future__ import annotations

from collections.abc import Iterable

from ablations.analysis.analyse import Analysis
from ablations.analysis.answers import DIFFERS, Answer, Answers
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

    Differences are top-1 errors less the baseline's, in points, with 95 % intervals.
    """
    frame = answers.frame().assign(removes=[answer.removes for answer in answers.answers])
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
        Column("answer", ("answer", "control_verdict", "removes"), format=_answer, style=_answer_style),
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
    sentences = [
        sentence
        for capacity, answers in by_capacity.items()
        for sentence in _sentences(answers, capacity=CAPACITY_NAMES[capacity], margin=margin)
    ]
    without = analysis.answers.uncontrolled
    return [*sentences, *([f"Without a twin, so without an answer: {', '.join(without)}."] if without else [])]


def _sentences(answers: list[Answer], *, capacity: str, margin: str) -> Iterable[str]:
    by_word: dict[str, list[Answer]] = {}
    for answer in answers:
        by_word.setdefault(answer.answer, []).append(answer)
    start = f"At equal {capacity}"
    if found := by_word.get("matters"):
        verb = "matters" if len(found) == 1 else "matter"
        yield f"{start}, {_parts(found)} {verb}: {'; '.join(map(_effect, found))}."
    if found := by_word.get("matters only by its capacity"):
        verb, its = ("matters", "its") if len(found) == 1 else ("matter", "their")
        yield f"{start}, {_parts(found)} {verb} only by {its} capacity: no difference within {margin}."
    if found := by_word.get("makes no difference within the margin"):
        verb = "makes" if len(found) == 1 else "make"
        yield f"{_parts(found)} {verb} no difference within {margin}, as trained and at equal {capacity}."
    if found := by_word.get(OPEN):
        yield f"Not settled at equal {capacity}: {', '.join(answer.part for answer in found)}."


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


def _answer(answer: str, control_verdict: str, removes: bool) -> str:
    if control_verdict not in DIFFERS:
        return answer
    side = "higher" if control_verdict == "worse" else "lower"
    return f"{answer} (error is {side} {'without' if removes else 'with'} it)"


def _answer_style(answer: str, _: str, __: bool) -> Style:
    return "plain" if answer == OPEN else "strong"


def _change(fraction: float) -> str:
    return formatting.NONE if fraction != fraction else f"{100 * fraction:+.1f} %"


def _notes(analysis: Analysis) -> Iterable[str]:
    answers, plan = analysis.answers, analysis.results.plan
    yield (
        f"Differences are top-1 errors less those of {plan.baseline}, in points, with 95 % intervals. At equal "
        f"capacity stands the twin of the variant: the same architecture at the width that gives it the capacity of "
        f"{plan.baseline}. A variant whose own capacity is within 1 % of that is its own twin. Costs are those of the "
        f"variant, not of its twin, relative to {plan.baseline}."
    )
    yield _definitions(plan, comparisons=len(analysis.comparisons.comparisons))
    if answers.uncontrolled:
        yield f"Without a twin, so without an answer: {escape(', '.join(answers.uncontrolled))}."


def _definitions(plan: Plan, *, comparisons: int) -> str:
    return (
        "A part matters if the error differs at equal capacity. It matters only by its capacity if the variant "
        "differs and its twin is equivalent. It makes no difference if both are equivalent, within the margin of "
        f"{100 * plan.margin:g} points. Anything else is not settled. The tests are those of the comparisons, "
        f"Holm-adjusted for all {comparisons} of them, variants and twins."
    )
