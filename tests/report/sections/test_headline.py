"""What a report says of complete, incomplete and one-seed suites, of flattery, and of what it cannot use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.analyse import Analysis, analyse
from ablations.errors import ConfigError
from ablations.records.record import DiagnosedEpoch
from ablations.records.suite_folder import SuiteFolder
from ablations.report.document import Items
from ablations.report.sections.comparisons import verdict_section, verdict_table
from ablations.report.sections.headline import headline_section
from ablations.report.sections.per_class import evidence_section
from ablations.report.sections.selection_bias import selection_bias_section
from ablations.report.write import write_report
from ablations.suites.plan import Plan
from tests.support.synthetic_suites import (
    TEST_IMAGES,
    failed,
    make_plan,
    make_record,
    save,
    save_predictions,
    save_suite,
    tables_of,
    texts_of,
)

# Of 10,000 images, seeds 1 to 4: better, worse, within the margin of half a point, and too scattered to say.
WRONG = {
    "reduced": [800, 815, 790, 805],
    "short": [600, 617, 591, 603],
    "naive": [1000, 1012, 995, 1004],
    "long": [804, 817, 794, 806],
    "short2": [700, 930, 760, 891],
}
NO_VERDICT = "one seed tells nothing of the spread between seeds; `--seeds 3` or more does"


def saved(
    suite_dir: Path, wrong: Mapping[str, Sequence[int]] = WRONG, *, seeds: int = 4, suite: str = "cifar10"
) -> Plan:
    plan = make_plan(suite, seeds=seeds, variants=tuple(wrong))
    save_suite(suite_dir, plan, wrong=wrong)
    return plan


def analysed(suite_dir: Path, wrong: Mapping[str, Sequence[int]] = WRONG, *, seeds: int = 4) -> Analysis:
    saved(suite_dir, wrong, seeds=seeds)
    return analyse(suite_dir)


def one_seed(suite_dir: Path) -> Analysis:
    """A suite of one seed with its predictions: short gets 13 images wrong that reduced does not, and 10 less."""
    plan = saved(suite_dir, {"reduced": [800], "short": [803]}, seeds=1)
    wrong = {"reduced": np.arange(800), "short": np.arange(10, 813)}
    for config in plan.runs:
        save_predictions(SuiteFolder(suite_dir).run(config), wrong=wrong[config.architecture.name])
    return analyse(suite_dir)


def test_a_complete_suite_sorts_its_variants_by_verdict(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    section = headline_section(found.results, found.comparisons)
    (items,) = [block.items for block in section.blocks if isinstance(block, Items)]
    starts = {
        "short": "**Less top-1 error than reduced:** short -2.00 [",
        "naive": "**More top-1 error than reduced:** naive +2.00 [",
        "long": "**Equivalent to reduced within 0.5 points:** long +0.03 [",
        "short2": "**Not settled against reduced by these seeds:** short2 +0.18 [",
    }
    for item, (variant, start) in zip(items, starts.items(), strict=True):
        differences = np.subtract(WRONG[variant], WRONG["reduced"]) / 1e4
        interval = scipy_stats.ttest_1samp(differences, 0).confidence_interval()
        assert item.startswith(start)
        assert item.endswith(f" [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]")
    assert "over 4 seeds of each" in " ".join(texts_of(section))


def test_the_published_conclusions_stand_beside_the_headline(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    section = headline_section(found.results, found.comparisons)
    rows = tables_of(section)["conclusions"]
    assert [row["these runs"] for row in rows] == ["agree", "agree"]
    assert list(rows[0]) == ["published conclusion", "these runs", "evidence"]
    assert "held against these runs:" in texts_of(section)[-1]
    saved(tmp_path / "digits", {name: WRONG[name] for name in ("reduced", "naive")}, suite="digits")
    other = analyse(tmp_path / "digits")
    caveat = "held against these runs, which have other data or another recipe:"
    assert caveat in texts_of(headline_section(other.results, other.verdicts))[-1]


def test_an_incomplete_suite_has_no_headline_but_the_command_that_completes_it(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=4, variants=tuple(WRONG))
    records = [make_record(run, wrong=WRONG[run.architecture.name][run.seed - 1]) for run in plan.runs[:-1]]
    records[3] = failed(records[3], status="oom", message="CUDA out of memory")
    save(tmp_path, plan, records)
    found = analyse(tmp_path)
    section = headline_section(found.results, found.comparisons)
    why = "2 of 20 planned runs are not done; run the suite again to finish them"
    said = f"No headline: {why}: `python run_all.py --suite cifar10`"
    assert texts_of(section)[0] == said
    assert not [block for block in section.blocks if isinstance(block, Items)]
    assert [row["these runs"] for row in tables_of(section)["conclusions"]] == ["agree", "cannot say"]
    verdicts = verdict_section(found.results, found.comparisons)
    assert not tables_of(verdicts)
    assert texts_of(verdicts) == [f"No verdict: {why}."]
    assert found.fronts.reason == found.rankings.reason == why


def test_one_seed_is_compared_over_images_and_has_no_verdict(tmp_path: Path) -> None:
    found = one_seed(tmp_path)
    section = headline_section(found.results, found.comparisons)
    assert texts_of(section) == [f"No verdict: {NO_VERDICT}."]
    verdicts = verdict_section(found.results, found.comparisons)
    p = 2 * scipy_stats.binom.cdf(10, 23, 0.5)
    (row,) = tables_of(verdicts)["verdicts"]
    assert list(row.values()) == ["short", "13", "10", f"{p:.4f}"]
    (note,) = texts_of(verdicts)
    assert "another seed can turn it round" in note


def test_one_seed_without_predictions_says_which_file_cannot_be_read(tmp_path: Path) -> None:
    found = analysed(tmp_path, {"reduced": [800], "short": [803]}, seeds=1)
    (said,) = texts_of(verdict_section(found.results, found.comparisons))
    assert said.startswith("No verdict: ") and "predictions.npz is missing" in said
    assert "--fresh trains the run again" in said
    notes = texts_of(evidence_section(found.results, found.evidence))
    assert len(notes) == 2 and all("predictions.npz is missing" in note for note in notes)


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        (("short", "naive"), "No verdict: the baseline reduced is not among these runs; add it to --variants."),
        (("reduced",), "No verdict: there is no variant beside reduced; add one to --variants."),
    ],
)
def test_what_a_verdict_lacks_is_said_with_the_remedy(tmp_path: Path, variants: tuple[str, ...], said: str) -> None:
    found = analysed(tmp_path, {name: WRONG[name] for name in variants})
    assert texts_of(headline_section(found.results, found.comparisons))[0] == said
    assert texts_of(verdict_section(found.results, found.comparisons)) == [said]


def test_an_inconclusive_verdict_says_how_many_seeds_would_settle_it(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    rows = {row["variant"]: row for row in tables_of(verdict_section(found.results, found.comparisons))["verdicts"]}
    assert [rows[name]["verdict"] for name in ("short", "naive", "long")] == [
        *("**better**", "**worse**", "**equivalent**")
    ]
    (open_one,) = [comparison for comparison in found.comparisons.comparisons if comparison.variant == "short2"]
    assert rows["short2"]["verdict"] == f"inconclusive; about {open_one.seeds_needed} seeds would settle it"
    hopeless = replace(found.comparisons, comparisons=(replace(open_one, seeds_needed=None),))
    (row,) = verdict_table(hopeless)
    assert row["verdict"] == "inconclusive; more than 1,000 seeds would be needed"


def test_the_smallest_p_of_the_signs_is_named(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    notes = " ".join(texts_of(verdict_section(found.results, found.comparisons)))
    assert "with 4 seeds its p cannot go below 0.1250" in notes  # 2 of the 16 ways to flip four signs
    assert "A bootstrap interval is given from 8 seeds on" in notes
    assert "bootstrap 95 %" not in tables_of(verdict_section(found.results, found.comparisons))["verdicts"][0]


def test_checks_that_disagree_are_pointed_out(tmp_path: Path) -> None:
    # Seven seeds that all rise, one of them far: signs are sure (2 of 128), the t test is not.
    shifts = [2, 3, 2, 3, 2, 3, 400]
    base = [800, 815, 790, 805, 810, 795, 802]
    wrong = {"reduced": base, "short": [count + shift for count, shift in zip(base, shifts, strict=True)]}
    by_t_test: Any = scipy_stats.ttest_1samp(shifts, 0)
    assert by_t_test.pvalue > 0.05
    found = analysed(tmp_path, wrong, seeds=7)
    notes = texts_of(verdict_section(found.results, found.comparisons))
    assert notes[-1].startswith("For short the t test and an assumption-free check disagree")


def test_a_suite_is_not_compared_with_itself_or_with_nothing(tmp_path: Path) -> None:
    saved(tmp_path / "cifar10", {"reduced": [800], "short": [700]}, seeds=1)
    for same in (tmp_path / "cifar10", tmp_path / "cifar10" / ".." / "cifar10"):
        with pytest.raises(ConfigError, match="--compare-with cifar10 is the suite itself; name another one"):
            write_report(tmp_path / "cifar10", compare_with=same)
    with pytest.raises(ConfigError, match=r"absent/plan\.json is not there.*run the suite first"):
        write_report(tmp_path / "cifar10", compare_with=tmp_path / "absent")
    assert not (tmp_path / "cifar10" / "report.md").exists()


def test_flattery_is_shown_only_with_the_diagnostic(tmp_path: Path) -> None:
    plan = saved(tmp_path, {"reduced": [1000, 1200], "short": [1100, 1150]}, seeds=2)
    assert selection_bias_section(analyse(tmp_path).results) is None
    for run in plan.runs:
        last = {"reduced": [1000, 1200], "short": [1100, 1150]}[run.architecture.name][run.seed - 1]
        # Epoch 9 is better than the last by 100 images for reduced's first seed and by 60 for its second.
        best = last - {"reduced": [100, 60]}.get(run.architecture.name, [0, 0])[run.seed - 1]
        for epoch in range(1, 15):
            wrong = {9: best, 14: last}.get(epoch, 5000)
            entry = DiagnosedEpoch(epoch=epoch, images=TEST_IMAGES, top1_wrong=wrong)
            SuiteFolder(tmp_path).run(run).diagnosed.append(entry)
    section = selection_bias_section(analyse(tmp_path).results)
    first, second = tables_of(section)["selection"]
    # The mean of 1 and 0.6 points, and their standard deviation 0.4 / sqrt(2).
    assert list(first.values()) == ["reduced", "2", "11.00", "10.20", "0.80 ± 0.28", "9.0"]
    assert list(second.values()) == ["short", "2", "11.25", "11.25", "0.00 ± 0.00", "9.0"]


def test_predictions_give_calibration_and_the_classes_that_are_lost(tmp_path: Path) -> None:
    found = one_seed(tmp_path)
    section = evidence_section(found.results, found.evidence)
    (reduced, short) = tables_of(section)["calibration"]
    # Every confidence is one half, and 92 % are right.
    assert list(reduced.values()) == ["reduced", "1", "42.00", "50.00", "92.00"]
    assert short["mean accuracy %"] == "91.97"
    (loss,) = tables_of(section)["classes"]
    assert list(loss.values()) == ["short", "class 0", "10,000", "8.03", "+0.03", "–"]
    assert "recomputed from the predictions of 2 runs" in texts_of(section)[0]


def test_a_record_of_a_newer_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    plan = saved(tmp_path, {"reduced": [800], "short": [700]}, seeds=1)
    path = SuiteFolder(tmp_path).run(plan.runs[1]).path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"schema": 99}), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        analyse(tmp_path)
    assert raised.value.exit_status == 2
    for said in (str(path), "schema 99", "reads schema 3", "--fresh moves the run aside", "the version that wrote it"):
        assert said in str(raised.value)


def test_a_reason_in_the_evidence_does_not_break_the_table(tmp_path: Path) -> None:
    found = analysed(tmp_path, {"reduced": [800], "naive": [803]}, seeds=1)
    odd = replace(found.comparisons, reason="a|b *c*")
    rows = tables_of(headline_section(found.results, odd))["conclusions"]
    assert "a\\|b \\*c\\*" in rows[1]["evidence"]
