"""Suites that the tests of several sections read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ablations.analysis.analyse import Analysis, analyse
from ablations.records.suite_folder import SuiteFolder
from tests.support.synthetic_suites import failed, make_plan, make_record, save, save_predictions, save_suite

# Of 10,000 images, seeds 1 to 4: better, worse, within the margin of half a point, and too scattered to say.
WRONG = {
    "reduced": [800, 815, 790, 805],
    "short": [600, 617, 591, 603],
    "naive": [1000, 1012, 995, 1004],
    "long": [804, 817, 794, 806],
    "short2": [700, 930, 760, 891],
}


@pytest.fixture(scope="session")
def wrong() -> dict[str, list[int]]:
    """The wrong images of `complete` by variant and seed."""
    return WRONG


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """A complete suite with one variant for each verdict, without predictions."""
    suite_dir = tmp_path_factory.mktemp("complete")
    save_suite(suite_dir, make_plan("cifar10", seeds=4, variants=tuple(WRONG)), wrong=WRONG)
    return analyse(suite_dir)


@pytest.fixture(scope="session")
def incomplete(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """The same suite with one run that failed and one that is missing."""
    suite_dir = tmp_path_factory.mktemp("incomplete")
    plan = make_plan("cifar10", seeds=4, variants=tuple(WRONG))
    records = [make_record(run, wrong=WRONG[run.architecture.name][run.seed - 1]) for run in plan.runs[:-1]]
    records[3] = failed(records[3], status="oom", message="CUDA out of memory")
    save(suite_dir, plan, records)
    return analyse(suite_dir)


@pytest.fixture(scope="session")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """One seed with predictions: short gets 13 images wrong that reduced does not, and reduced 10 others."""
    suite_dir = tmp_path_factory.mktemp("one_seed")
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    save_suite(suite_dir, plan, wrong={"reduced": [800], "short": [803]})
    wrong = {"reduced": np.arange(800), "short": np.arange(10, 813)}
    for config in plan.runs:
        save_predictions(SuiteFolder(suite_dir).run(config), wrong=wrong[config.architecture.name])
    return analyse(suite_dir)


@pytest.fixture(scope="session")
def unread(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """One seed whose predictions are missing."""
    suite_dir: Path = tmp_path_factory.mktemp("unread")
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    save_suite(suite_dir, plan, wrong={"reduced": [800], "short": [803]})
    return analyse(suite_dir)
