"""What a report says of selection bias."""

from __future__ import annotations

from pathlib import Path

from ablations.analysis.results import load_results
from ablations.records.record import DiagnosedEpoch
from ablations.records.suite_folder import SuiteFolder
from ablations.report.sections.epochs.selection_bias import selection_bias_section
from tests.support.synthetic_suites import TEST_IMAGES, make_analysis, make_plan, save_suite, tables_of


def test_selection_bias_is_shown_only_with_the_diagnostic(tmp_path: Path) -> None:
    wrong = {"reduced": [1000, 1200], "short": [1100, 1150]}
    plan = make_plan("cifar10", seeds=2, variants=tuple(wrong))
    save_suite(tmp_path, plan, wrong=wrong)
    assert selection_bias_section(make_analysis(load_results(tmp_path))) is None
    for run in plan.runs:
        last = wrong[run.architecture.name][run.seed - 1]
        # Epoch 9 is better than the last by 100 images for reduced's first seed and by 60 for its second.
        best = last - {"reduced": [100, 60]}.get(run.architecture.name, [0, 0])[run.seed - 1]
        for epoch in range(1, 15):
            entry = DiagnosedEpoch(epoch=epoch, images=TEST_IMAGES, top1_wrong={9: best, 14: last}.get(epoch, 5000))
            SuiteFolder(tmp_path).run(run).diagnosed.append(entry)
    first, second = tables_of(selection_bias_section(make_analysis(load_results(tmp_path))))["selection_bias"]
    # The mean of 1 and 0.6 points, and their standard deviation 0.4 / sqrt(2).
    assert list(first.values()) == ["reduced", "2", "11.00", "10.20", "0.80 ± 0.28", "9.0"]
    assert list(second.values()) == ["short", "2", "11.25", "11.25", "0.00 ± 0.00", "9.0"]
