"""What a report says of the fields in which variants differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ablations.analysis.results import load_results
from ablations.report.document import Section
from ablations.report.sections.differences import differences_section
from ablations.suites.plan import Plan
from tests.support.synthetic_suites import make_analysis, make_plan, save, tables_of, texts_of


def section_of(plan: Plan, folder: Path) -> Section:
    save(folder, plan, [])
    return differences_section(make_analysis(load_results(folder)))


def test_differences_are_listed_field_by_field_with_both_values(tmp_path: Path) -> None:
    section = section_of(make_plan("cifar10", seeds=1, variants=("naive", "reduced", "short3")), tmp_path)
    assert [list(row.values()) for row in tables_of(section)["differences"]] == [
        ["naive", "reduction", "True", "False"],
        ["naive", "branch5x5", "3x3+3x3", "3x3"],
        ["short3", "stages", "3a 3b / 4a 4b 4c 4d 4e / 5a 5b", "3a / 4a / 5b"],
        ["short3", "stem_channels", "192", "832"],
    ]
    assert texts_of(section) == []


def test_a_declared_difference_is_marked_and_noted(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short3"))
    section = section_of(replace(plan, varies=("stages",), declared=("stem_channels",)), tmp_path)
    rows = tables_of(section)["differences"]
    assert [(row["field"], row["part of the axis"]) for row in rows] == [
        ("stages", "yes"),
        ("stem_channels", "no, declared"),
    ]
    (note,) = texts_of(section)
    assert note.startswith("**Declared difference.** short3: stem\\_channels is 832, the baseline's is 192. ")


def test_a_single_variant_differs_from_nothing(tmp_path: Path) -> None:
    section = section_of(make_plan("cifar10", seeds=1, variants=("reduced",)), tmp_path)
    assert texts_of(section) == ["The variants do not differ."] and not tables_of(section)


def test_without_the_baseline_the_variant_in_its_place_is_named(tmp_path: Path) -> None:
    section = section_of(make_plan("cifar10", seeds=1, variants=("short", "short2")), tmp_path)
    assert texts_of(section) == ["reduced is not among these runs; differences are from short."]
