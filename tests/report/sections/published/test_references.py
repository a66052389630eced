"""What a report says of variants with their own recipes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ablations.analysis.analyse import Analysis, analyse
from ablations.report.contents import compose
from ablations.report.sections.differences import differences_section
from ablations.report.sections.figures import figures_of
from ablations.report.sections.headline import headline_section
from ablations.report.sections.provenance import provenance_section
from ablations.report.sections.published.references import references_section
from tests.support.synthetic_suites import (
    items_of,
    make_plan,
    make_record,
    save,
    tables_of,
    texts_of,
)

WRONG = {"reduced": 800, "bn-aux-224": 1000, "plain-cifar": 2400, "inception-v1": 900, "plain-gray": 2000}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """The suite of the published networks with two seeds, complete."""
    suite_dir: Path = tmp_path_factory.mktemp("references")
    plan = make_plan("references", seeds=2)
    records = []
    for run in plan.runs:
        record = make_record(run, wrong=WRONG[run.architecture.name])
        assert record.test is not None
        records.append(replace(record, test=replace(record.test, loss=0.5)))
    save(suite_dir, plan, records)
    return analyse(suite_dir)


def test_published_figures_stand_beside_measured_ones(found: Analysis) -> None:
    rows = {row["variant"]: row for row in tables_of(references_section(found))["references"]}
    assert list(rows) == list(WRONG)
    row = rows["plain-cifar"]
    # Its write-up: 3,494,346 parameters, 29.8 million multiply-adds, 0.997 of training images right after 1,000 epochs.
    assert row["published for"] == "CIFAR-10: 10 classes, 32x32 pixels"
    assert (row["params published"], row["MACs published"], row["epochs published"]) == (
        "3,494,346",
        "29.80 M",
        "1,000",
    )
    assert row["results published"] == "training accuracy 0.997; never tested"
    assert (row["epochs measured"], row["top-1 error %"], row["test loss"]) == ("1,000", "24.00 ± 0.00", "0.5 ± 0")


def test_the_report_compares_nothing(found: Analysis) -> None:
    reason = "the suite declares that its variants differ in their whole recipe"
    assert texts_of(headline_section(found))[-1].startswith(f"No verdict: {reason}")
    titles = [section.title for section in compose(found).sections]
    assert "Published systems" in titles
    assert not {"Pareto fronts", "Rankings", "Published results"} & set(titles)
    assert [figure.name for figure in figures_of(found)] == ["learning_curves", "error_bars", "modules"]
    assert texts_of(differences_section(found)) == [
        "**Declared difference.** The whole recipe. No difference in error is due to the architecture alone."
    ]


def test_the_head_describes_the_recipe_of_each_variant(found: Analysis) -> None:
    (recipe,) = [item for item in items_of(provenance_section(found)) if item.startswith("**Recipe:**")]
    (axis,) = [item for item in items_of(provenance_section(found)) if item.startswith("**Axis:**")]
    assert "against" not in axis
    assert recipe.startswith("**Recipe:** reduced: `published`, 14 epochs, ")
    assert "; plain-cifar: `plain-adam`, 1000 epochs, batch 2048, adam, " in recipe
    assert "; plain-gray: `gray-adam`, 3 epochs, " in recipe


def test_with_one_recipe_there_is_no_such_section(complete: Analysis) -> None:
    assert references_section(complete) is None
