"""What a report says of the epochs whose weights are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations.analysis.analyse import Analysis
from ablations.analysis.results import load_results
from ablations.report.document import Section
from ablations.report.sections.epochs.kept_epochs import kept_epochs_section
from tests.support.synthetic_suites import (
    make_analysis,
    make_plan,
    save_suite,
    tables_of,
    texts_of,
    with_recipes,
)


def section_of(suite_dir: Path, **changes: Any) -> Section | None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    plan = with_recipes(plan, {"short": {"name": "kept", **changes}})
    save_suite(suite_dir, plan, wrong={"reduced": [1000, 1000], "short": [1000, 1000]})
    return kept_epochs_section(make_analysis(load_results(suite_dir)))


def test_errors_by_kept_epoch_and_how_to_load_the_networks(tmp_path: Path) -> None:
    section = section_of(tmp_path, keep_epochs=(2, 4))
    rows = tables_of(section)["kept_epochs"]
    # A synthetic record's training error is 0.8, and its loss 2, over the number of the epoch.
    assert [list(row.values()) for row in rows] == [
        ["short", "2", "2", "40.00 ± 0.00", "1 ± 0", "–"],
        ["short", "4", "2", "20.00 ± 0.00", "0.5 ± 0", "–"],
    ]
    load, choose = texts_of(section)
    assert "`load_trained(run, epoch=2)`" in load
    assert choose.startswith("For short no images were held out") and "`validation_fraction`" in choose


@pytest.mark.parametrize("fraction", [0.0, 0.1])
def test_only_without_held_out_images_the_remedy_is_said(tmp_path: Path, fraction: float) -> None:
    section = section_of(tmp_path, keep_epochs=(2,), validation_fraction=fraction)
    assert len(texts_of(section)) == (2 if fraction == 0 else 1)


def test_without_kept_epochs_there_is_no_section(complete: Analysis) -> None:
    assert kept_epochs_section(complete) is None
