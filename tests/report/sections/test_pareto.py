"""What a report says of Pareto fronts: a column for each cost, shares of draws, and why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ablations.analysis.pareto import find_fronts
from ablations.analysis.results import Results
from ablations.report.document import Section
from ablations.report.sections.pareto import pareto_section
from tests.support.synthetic_suites import make_analysis, make_results, tables_of, texts_of

# Seeds are rows. The cheap one and the dear one have the same mean.
ERRORS = np.array([[0.10, 0.09, 0.3], [0.10, 0.11, 0.3], [0.09, 0.10, 0.3], [0.11, 0.10, 0.3], [0.10, 0.10, 0.3]])
NAMES = ["cheap", "dear", "worst"]


def section_of(results: Results) -> Section:
    section = pareto_section(make_analysis(results, pareto=find_fronts(results, rng=np.random.default_rng(7))))
    assert section is not None
    return section


def test_a_variant_has_a_column_a_cost_with_the_share_of_draws() -> None:
    section = section_of(make_results(ERRORS, names=NAMES))
    rows = {row["variant"]: row for row in tables_of(section)["pareto"]}
    costs = ("parameters", "multiply-adds", "training time", "peak memory")
    assert list(rows["cheap"]) == ["variant", "n", *(f"error vs. {cost}" for cost in costs)]
    assert rows["cheap"]["n"] == "5"
    assert rows["cheap"]["error vs. parameters"] == "yes, > 99 %"
    answer, share = rows["dear"]["error vs. parameters"].split(", ")
    # 2,000 draws of one in two come within five standard deviations, 6 points.
    assert answer == "no" and float(share.removesuffix(" %")) == pytest.approx(50, abs=6)
    assert rows["worst"]["error vs. parameters"] == "no, < 1 %"
    (text,) = texts_of(section)
    assert "the share of 2,000 draws of the true means" in text and "There is no front for" not in text


@pytest.mark.parametrize(
    ("change", "without"),
    [
        ({"timing_valid": [True, True, False]}, ["training time"]),
        ({"device": ["A", "B", "B"], "device_kind": ["cpu", "cuda", "cuda"]}, ["training time", "peak memory"]),
    ],
)
def test_costs_that_do_not_compare_are_named(change: dict[str, Any], without: list[str]) -> None:
    section = section_of(make_results(ERRORS, names=NAMES, **change))
    for title in ("parameters", "multiply-adds", "training time", "peak memory"):
        assert (f"error vs. {title}" in tables_of(section)["pareto"][0]) == (title not in without)
    said = f"There is no front for {' and '.join(without)}: not all of these runs have comparable values."
    assert texts_of(section)[0].endswith(said)


def test_fewer_than_five_seeds_say_nothing_of_how_sure_a_front_is() -> None:
    section = section_of(make_results(ERRORS[:1], names=NAMES))
    shown = [row["error vs. parameters"] for row in tables_of(section)["pareto"]]
    assert shown == ["yes", "yes", "no"]
    assert texts_of(section)[0].endswith("Fewer than 5 seeds are too few to say how sure that is.")


def test_without_a_front_the_reason_is_said() -> None:
    broken = make_results(ERRORS, names=NAMES)
    broken.runs.loc[0, "status"] = "oom"
    cases = {
        "1 of 15 planned runs is not done; run the suite again to finish them": broken,
        "there is no variant beside cheap; add one to --variants": make_results(ERRORS[:, :1], names=["cheap"]),
    }
    for reason, results in cases.items():
        section = section_of(results)
        assert texts_of(section) == [f"No front: {reason}."] and not tables_of(section)
