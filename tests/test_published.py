"""The published table, and the four conclusions held against made-up and published results."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import make_plan, save_suite

from ablations import published, tables
from ablations.published import Answer, conclusions
from googlenet import VARIANTS
from googlenet.counts import count_params


@pytest.mark.parametrize(("dataset", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_published_table_names_the_seven_variants_with_their_counts(dataset: str, classes: int) -> None:
    table = published.load(dataset)
    assert len(table) == 7
    counted = {name: count_params(VARIANTS[str(name)], num_classes=classes) for name in table.index}
    assert table["params"].to_dict() == counted


def test_other_datasets_have_no_published_results() -> None:
    assert published.load("folder").empty


def answers(tmp_path: Path, wrong: dict[str, list[int]], *, dataset: str = "cifar100", seeds: int = 1) -> list[Answer]:
    save_suite(tmp_path, make_plan(dataset, seeds=seeds), wrong=wrong)
    summary = tables.load(tmp_path).summary
    # The made records all cost the same; the parameters are those of the real networks.
    summary["params"] = summary["full_size_params"]
    return [conclusion.answer for conclusion in conclusions(summary)]


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_the_published_results_agree_with_their_own_conclusions(tmp_path: Path, dataset: str) -> None:
    table = published.load(dataset)
    wrong = {str(variant): [round(10_000 * error)] for variant, error in table["top1_error"].items()}
    assert answers(tmp_path, wrong, dataset=dataset) == ["agree"] * 4


def test_each_conclusion_can_be_refuted(tmp_path: Path) -> None:
    wrong = {name: [3400] for name in VARIANTS} | {"naive": [3200], "short2": [3700], "short4": [3500]}
    assert answers(tmp_path, wrong) == ["agree", "disagree", "disagree", "disagree"]


def test_a_conclusion_without_its_runs_is_left_open(tmp_path: Path) -> None:
    wrong = {"reduced": [3400], "short4": [4400], "short": [3300]}
    assert answers(tmp_path, wrong) == ["cannot say", "cannot say", "cannot say", "agree"]


def test_evidence_names_n_and_the_spread(tmp_path: Path) -> None:
    wrong = {name: [3400, 3500] for name in VARIANTS}
    save_suite(tmp_path, make_plan("cifar100", seeds=2), wrong=wrong)
    evidence = conclusions(tables.load(tmp_path).summary)[3].evidence
    # Standard deviation of 34 and 35 with n - 1: 1 / sqrt(2).
    assert evidence == "reduced 34.50 ± 0.71 % (n = 2), short4 34.50 ± 0.71 % (n = 2)"
