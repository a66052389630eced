"""The published figures of five GoogLeNets, held against the architectures that reproduce them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablations.analysis.analyse import analyse
from ablations.analysis.published.references import compare_with_references, load_references
from ablations.analysis.rankings import correlate_rankings
from ablations.analysis.results import load_results
from ablations.records.suite_folder import SuiteFolder
from ablations.report.formatting import si
from googlenet.counts import count_macs, count_params
from googlenet.registry import ARCHITECTURES
from tests.support.synthetic_suites import make_plan, save_predictions, save_suite, with_recipes

TABLE = load_references()


@pytest.mark.parametrize("variant", TABLE.index)
def test_published_counts_are_those_of_the_architecture(variant: str) -> None:
    arch = ARCHITECTURES[variant]
    row: dict[Any, Any] = TABLE.loc[[variant]].to_dict("records")[0]
    assert row["image_size"] == arch.image_size
    assert row["params"] == count_params(arch, num_classes=row["classes"])
    assert si(row["macs"]) == si(count_macs(arch, num_classes=row["classes"]))


def test_what_was_not_trained_has_neither_data_nor_epochs() -> None:
    untrained = TABLE[TABLE["epochs"].isna()]
    assert list(untrained.index) == ["inception-v1"] and untrained["data"].isna().all()


VARIANTS = ("reduced", "short", "plain-cifar")
WRONG = {"reduced": [800, 810], "short": [1600, 1610], "plain-cifar": [2400, 2420]}
REASON = (
    "the suite declares that its variants differ in their whole recipe, so no difference is due to the architecture "
    "alone"
)


@pytest.fixture(scope="module")
def suite_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete suite of two seeds whose variants have their own recipes."""
    suite_dir = tmp_path_factory.mktemp("references")
    recipes = {"plain-cifar": {"name": "plain-adam", "epochs": 20, "optimizer": "adam", "schedule": "constant"}}
    plan = with_recipes(make_plan("cifar10", seeds=2, variants=VARIANTS), recipes)
    for record in save_suite(suite_dir, plan, wrong=WRONG):
        assert record.test is not None
        save_predictions(SuiteFolder(suite_dir).run(record.config), wrong=np.arange(record.test.top1_wrong))
    return suite_dir


def test_variants_with_their_own_recipes_are_not_compared(suite_dir: Path) -> None:
    found = analyse(suite_dir)
    assert (found.comparisons.reason, found.pareto.reason, found.rankings.reason) == (REASON,) * 3
    assert not found.comparisons.comparisons and found.comparisons.image_tests is None
    assert found.pareto.table.empty and found.rankings.ranks.empty
    # Every image is of class 0, on which the variants differ by 8 and 16 points.
    assert found.per_class["difference"].isna().all() and found.per_class["p"].isna().all()
    assert found.per_class["error_mean"].notna().any()


def test_without_the_baseline_the_reason_is_the_same(tmp_path: Path) -> None:
    plan = with_recipes(make_plan("cifar10", seeds=1, variants=("short", "plain-cifar")), {})
    save_suite(tmp_path, plan, wrong=WRONG)
    assert analyse(tmp_path).comparisons.reason == REASON


def test_no_ranking_of_another_suite_is_compared_with_theirs(suite_dir: Path, tmp_path: Path) -> None:
    save_suite(tmp_path, make_plan("cifar10", seeds=2, variants=VARIANTS), wrong=WRONG)
    pair = load_results(tmp_path), load_results(suite_dir)
    assert correlate_rankings(*pair).reason == f"suite cifar10: {REASON}"


def test_published_figures_stand_beside_measured_ones(suite_dir: Path) -> None:
    reduced, row = compare_with_references(load_results(suite_dir)).to_dict("records")
    assert (reduced["variant"], row["variant"]) == ("reduced", "plain-cifar"), "short is no published system"
    assert (row["published_params"], row["published_epochs"], row["planned_epochs"]) == (3_494_346, 1000, 20)
    assert row["top1_error_mean"] == pytest.approx(0.241)


def test_under_one_recipe_they_are_no_systems(tmp_path: Path) -> None:
    save_suite(tmp_path, make_plan("cifar10", seeds=2, variants=VARIANTS), wrong=WRONG)
    assert compare_with_references(load_results(tmp_path)).empty
