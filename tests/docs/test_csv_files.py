"""docs/csv-files.md names every CSV file of a report with all of its columns, and every figure."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablations.records.suite_folder import SuiteFolder
from ablations.report.sections import figures
from ablations.report.write import write_report
from googlenet import VARIANTS
from tests.support.markdown import page, plain, section, tables
from tests.support.synthetic_suites import make_plan, save_predictions, save_suite

PAGE = page("docs/csv-files.md")


@pytest.fixture(scope="module")
def suite_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete suite of two seeds, with predictions and its report without figures."""
    suite_dir = tmp_path_factory.mktemp("suite")
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short3", "short4"))
    wrong = {name: [3000 + 10 * number, 3100] for number, name in enumerate(VARIANTS)}
    for record in save_suite(suite_dir, plan, wrong=wrong):
        assert record.test is not None
        save_predictions(SuiteFolder(suite_dir).run(record.config), wrong=np.arange(record.test.top1_wrong))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(figures, "FIGURES", ())
        write_report(suite_dir)
    return suite_dir


def test_files_and_columns(suite_dir: Path) -> None:
    said = {
        name: [plain(row["column"]) for row in tables(section(PAGE, name))[0]]
        for name in re.findall(r"^## (.*\.csv)$", PAGE, flags=re.MULTILINE)
    }
    assert said == {path.name: list(pd.read_csv(path).columns) for path in suite_dir.glob("*.csv")}


def test_figures() -> None:
    names = set(re.findall(r"`(\w+)`", section(PAGE, "Figures").partition(":")[2]))
    assert names == {figure.name for figure in figures.FIGURES}
