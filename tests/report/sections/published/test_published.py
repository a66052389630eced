"""What a report says of the published results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ablations.analysis.results import Results, load_results
from ablations.report.document import Section
from ablations.report.sections.published.published import published_section
from tests.support.synthetic_suites import make_analysis, make_plan, save_suite, tables_of, texts_of


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    suite_dir: Path = tmp_path_factory.mktemp("cifar100")
    wrong = {"naive": [3000, 3120], "reduced": [3000, 3000]}
    save_suite(suite_dir, make_plan("cifar100", seeds=2, variants=tuple(wrong)), wrong=wrong)
    return load_results(suite_dir)


def section_of(results: Results) -> Section | None:
    return published_section(make_analysis(results))


def test_published_results_stand_beside_measured_ones(results: Results) -> None:
    row = tables_of(section_of(results))["published"][0]
    # The published table has 36 % and 9 % for naive on CIFAR-100, and 65,736,148 parameters.
    assert list(row.values())[:8] == [
        "naive",
        "2",
        "36",
        "30.60 ± 0.85",
        "9",
        "10.20 ± 0.28",
        "65,736,148",
        "6,258,500",
    ]
    (note,) = texts_of(section_of(results))
    for said in (
        "clock is unknown",
        "eps of nine batch norms",
        "flipped their test images",
        "all 14",
        "reconstructions",
    ):
        assert said in note


def test_runs_that_do_not_compare_are_not_shown_beside_the_published_ones(results: Results) -> None:
    section = section_of(replace(results, plan=replace(results.plan, limit_train=64)))
    assert not tables_of(section)
    assert texts_of(section) == [
        "Not shown, because these runs do not compare with the published ones: 64 training images instead of 50,000."
    ]


def test_other_data_and_suites_of_whole_recipes_have_no_such_section(results: Results) -> None:
    plan = results.plan
    assert section_of(replace(results, plan=replace(plan, data=replace(plan.data, name="folder")))) is None
    assert section_of(replace(results, plan=replace(plan, declared=("recipe",)))) is None
