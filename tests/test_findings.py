"""What a report says of complete, incomplete and one-seed suites, of orders and flattery, and of what it cannot use."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import TEST_IMAGES, failed, make_plan, make_record, save, save_predictions, save_suite
from scipy import stats as scipy_stats

from ablations import findings, ordering, report
from ablations.document import Items, Section, Table, Text
from ablations.errors import ConfigError
from ablations.plan import Plan
from ablations.record import DiagnosedEpoch, RunFolder
from ablations.report import Analysis

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
    return report.analyse(suite_dir)


def one_seed(suite_dir: Path) -> Analysis:
    """A suite of one seed with its predictions: short gets 13 images wrong that reduced does not, and 10 less."""
    plan = saved(suite_dir, {"reduced": [800], "short": [803]}, seeds=1)
    wrong = {"reduced": np.arange(800), "short": np.arange(10, 813)}
    for config in plan.runs:
        save_predictions(RunFolder(suite_dir / "runs", config), wrong=wrong[config.architecture.name])
    return report.analyse(suite_dir)


def texts(section: Section | None) -> list[str]:
    assert section is not None
    return [block.text for block in section.blocks if isinstance(block, Text)]


def tables(section: Section | None) -> dict[str, list[dict[str, str]]]:
    assert section is not None
    return {block.name: [dict(row) for row in block.rows] for block in section.blocks if isinstance(block, Table)}


def test_a_complete_suite_sorts_its_variants_by_verdict(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    section = findings.shown(found.results, found.judged)
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
    assert "over 4 seeds of each" in " ".join(texts(section))


def test_the_published_conclusions_stand_beside_the_headline(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    section = findings.shown(found.results, found.judged)
    rows = tables(section)["conclusions"]
    assert [row["these runs"] for row in rows] == ["agree", "agree"]
    assert list(rows[0]) == ["published conclusion", "these runs", "evidence"]
    assert "held against these runs:" in texts(section)[-1]
    saved(tmp_path / "digits", {name: WRONG[name] for name in ("reduced", "naive")}, suite="digits")
    other = report.analyse(tmp_path / "digits")
    caveat = "held against these runs, which have other data or another recipe:"
    assert caveat in texts(findings.shown(other.results, other.judged))[-1]


def test_an_incomplete_suite_has_no_headline_but_the_command_that_completes_it(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=4, variants=tuple(WRONG))
    records = [make_record(run, wrong=WRONG[run.architecture.name][run.seed - 1]) for run in plan.runs[:-1]]
    records[3] = failed(records[3], status="oom", message="CUDA out of memory")
    save(tmp_path, plan, records)
    found = report.analyse(tmp_path)
    section = findings.shown(found.results, found.judged)
    said = "No headline: 2 of 20 planned runs are not done. To train them: `python run_all.py --suite cifar10`"
    assert texts(section)[0] == said
    assert not [block for block in section.blocks if isinstance(block, Items)]
    assert [row["these runs"] for row in tables(section)["conclusions"]] == ["agree", "cannot say"]
    verdicts = findings.verdict_section(found.results, found.judged)
    assert not tables(verdicts)
    assert texts(verdicts) == ["No verdict: 2 of 20 planned runs are not done; they are listed below."]
    (no_front,) = texts(ordering.tradeoff_section(found.weighed))
    assert no_front.startswith("No front: 2 of 20 planned runs are not done; ")
    assert ordering.order_section(found.weighed, None) is None


def test_one_seed_is_compared_over_images_and_has_no_verdict(tmp_path: Path) -> None:
    found = one_seed(tmp_path)
    section = findings.shown(found.results, found.judged)
    assert texts(section) == [f"No verdict: {NO_VERDICT}."]
    verdicts = findings.verdict_section(found.results, found.judged)
    p = 2 * scipy_stats.binom.cdf(10, 23, 0.5)
    (row,) = tables(verdicts)["verdicts"]
    assert list(row.values()) == ["short", "13", "10", f"{p:.4f}"]
    (note,) = texts(verdicts)
    assert "another seed can turn it round" in note
    tradeoffs = ordering.tradeoff_section(found.weighed)
    assert "With one seed there is nothing to resample" in texts(tradeoffs)[0]
    assert {row["front: error, params"] for row in tables(tradeoffs)["fronts"]} == {"yes", "no"}
    (by_rank, *said) = [tables(ordering.order_section(found.weighed, None))["ranks"]]
    assert [(row["variant"], row["rank"], row["best in"]) for row in by_rank] == [
        ("reduced", "1", "–"),
        ("short", "2", "–"),
    ]
    assert not said


def test_one_seed_without_predictions_says_which_file_cannot_be_read(tmp_path: Path) -> None:
    found = analysed(tmp_path, {"reduced": [800], "short": [803]}, seeds=1)
    (said,) = texts(findings.verdict_section(found.results, found.judged))
    assert said.startswith("No verdict: ") and "predictions.npz cannot be read" in said
    assert "--fresh trains the run again" in said
    notes = texts(findings.evidence_section(found.results, found.found))
    assert len(notes) == 2 and all("predictions.npz is missing; --fresh" in note for note in notes)


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        (("short", "naive"), "No verdict: the baseline reduced is not among these runs; add it to --variants."),
        (("reduced",), "No verdict: there is no variant beside the baseline reduced; add one to --variants."),
    ],
)
def test_what_a_verdict_lacks_is_said_with_the_remedy(tmp_path: Path, variants: tuple[str, ...], said: str) -> None:
    found = analysed(tmp_path, {name: WRONG[name] for name in variants})
    assert texts(findings.shown(found.results, found.judged))[0] == said
    assert texts(findings.verdict_section(found.results, found.judged)) == [said]


def test_a_single_variant_has_no_front_and_no_order(tmp_path: Path) -> None:
    found = analysed(tmp_path, {"reduced": WRONG["reduced"]})
    said = "No front: there is no variant beside reduced; add one to --variants."
    assert texts(ordering.tradeoff_section(found.weighed)) == [said]
    assert ordering.order_section(found.weighed, None) is None


def test_an_inconclusive_verdict_says_how_many_seeds_would_settle_it(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    rows = {row["variant"]: row for row in tables(findings.verdict_section(found.results, found.judged))["verdicts"]}
    assert [rows[name]["verdict"] for name in ("short", "naive", "long")] == [
        *("**better**", "**worse**", "**equivalent**")
    ]
    (open_one,) = [comparison for comparison in found.judged.comparisons if comparison.variant == "short2"]
    assert rows["short2"]["verdict"] == f"inconclusive; about {open_one.seeds_needed} seeds would settle it"
    hopeless = replace(found.judged, comparisons=(replace(open_one, seeds_needed=None),))
    (row,) = findings.verdict_table(hopeless)
    assert row["verdict"] == "inconclusive; more than 1,000 seeds would be needed"


def test_the_smallest_p_of_the_signs_is_named(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    notes = " ".join(texts(findings.verdict_section(found.results, found.judged)))
    assert "with 4 seeds its p cannot go below 0.1250" in notes  # 2 of the 16 ways to flip four signs
    assert "A bootstrap interval is given from 8 seeds on" in notes
    assert "bootstrap 95 %" not in tables(findings.verdict_section(found.results, found.judged))["verdicts"][0]


def test_checks_that_disagree_are_pointed_out(tmp_path: Path) -> None:
    # Seven seeds that all rise, one of them far: signs are sure (2 of 128), the t test is not.
    shifts = [2, 3, 2, 3, 2, 3, 400]
    base = [800, 815, 790, 805, 810, 795, 802]
    wrong = {"reduced": base, "short": [count + shift for count, shift in zip(base, shifts, strict=True)]}
    by_t_test: Any = scipy_stats.ttest_1samp(shifts, 0)
    assert by_t_test.pvalue > 0.05
    found = analysed(tmp_path, wrong, seeds=7)
    notes = texts(findings.verdict_section(found.results, found.judged))
    assert notes[-1].startswith("For short the t test and an assumption-free check disagree")


def test_fronts_are_named_by_their_cost_and_leave_out_times_that_do_not_compare(tmp_path: Path) -> None:
    found = analysed(tmp_path / "whole")
    (row, *_) = tables(ordering.tradeoff_section(found.weighed))["fronts"]
    costs = ("params", "MACs", "training seconds", "peak memory")
    assert list(row) == ["variant", "n", *(f"front: error, {cost}" for cost in costs)]
    assert row["n"] == "4"
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    records = [make_record(run, wrong=900) for run in plan.runs]
    times = records[0].times
    assert times is not None
    save(tmp_path / "shared", plan, [replace(records[0], times=replace(times, timing_valid=False)), records[1]])
    section = ordering.tradeoff_section(report.analyse(tmp_path / "shared").weighed)
    assert "front: error, training seconds" not in tables(section)["fronts"][0]
    assert "Times of these runs do not compare" in texts(section)[0]


def test_variants_are_listed_in_the_order_of_their_error(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    section = ordering.order_section(found.weighed, None)
    means = {variant: sum(counts) / 4 for variant, counts in WRONG.items()}
    rows = tables(section)["ranks"]
    assert [row["variant"] for row in rows] == sorted(means, key=lambda variant: means[variant])
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0]["best in"] == "100 %" and rows[0]["95 % of resamples"] == "[1, 1]"
    (seeds, *_) = [text for text in texts(section) if text.startswith("**Seeds.**")]
    assert "that by all 4, as a mean over subsets: " in seeds


def test_the_order_at_epochs_is_said_to_rest_on_training_errors(tmp_path: Path) -> None:
    plan = saved(tmp_path)
    # Made records have the same training error for all, which has no order.
    assert not [text for text in texts(order_of(tmp_path)) if "**Epochs.**" in text]
    for run in plan.runs:
        wrong = WRONG[run.architecture.name][run.seed - 1]
        record = make_record(run, wrong=wrong)
        # In the first ten epochs the order is the other way round.
        epochs = tuple(
            replace(epoch, train_error=wrong / 1e4 if epoch.epoch > 10 else 1 - wrong / 1e4) for epoch in record.epochs
        )
        RunFolder(tmp_path / "runs", run).write_result(replace(record, epochs=epochs))
    (said,) = [text for text in texts(order_of(tmp_path)) if "**Epochs.**" in text]
    assert "by training error, which says little of unseen images" in said
    assert "0.9 or above from epoch 11 of 14 on: the order was settled by then" in said


def order_of(suite_dir: Path) -> Section | None:
    return ordering.order_section(report.analyse(suite_dir).weighed, None)


def test_another_suites_order_is_compared_by_kendalls_tau(tmp_path: Path) -> None:
    saved(tmp_path / "here")
    there = {"naive": [900, 905], "short": [800, 805], "reduced": [850, 840], "long": [700, 710], "short3": [1, 2]}
    saved(tmp_path / "there", there, seeds=2, suite="cifar100")
    found = report.analyse(tmp_path / "here", compare_with=tmp_path / "there")
    shared = [variant for variant in WRONG if variant in there]
    expected: Any = scipy_stats.kendalltau(*([np.mean(wrong[name]) for name in shared] for wrong in (WRONG, there)))
    (said,) = [text for text in texts(ordering.order_section(found.weighed, found.agreement)) if "Other data" in text]
    assert said.startswith(
        "**Other data.** Kendall's tau between the orders of 4 variants in this suite and in cifar100"
    )
    assert f"cifar100: {expected.statistic:+.2f}, 95 % interval [" in said
    assert f"over 4 and 2 seeds, p {expected.pvalue:.4f}." in said
    assert -1 < expected.statistic < 1 and not math.isnan(expected.pvalue)


def test_a_suite_that_cannot_be_compared_with_says_why(tmp_path: Path) -> None:
    saved(tmp_path / "here")
    saved(tmp_path / "there", {"reduced": [800], "short": [700]}, seeds=1, suite="cifar100")
    found = report.analyse(tmp_path / "here", compare_with=tmp_path / "there")
    said = texts(ordering.order_section(found.weighed, found.agreement))[-1]
    assert said.startswith("**Other data.** No comparison with the order of cifar100: ")
    assert "share 2 variants; an order needs at least 3, so add some to --variants" in said


def test_a_suite_is_not_compared_with_itself_or_with_nothing(tmp_path: Path) -> None:
    saved(tmp_path / "cifar10", {"reduced": [800], "short": [700]}, seeds=1)
    for same in (tmp_path / "cifar10", tmp_path / "cifar10" / ".." / "cifar10"):
        with pytest.raises(ConfigError, match="--compare-with cifar10 is the suite itself; name another one"):
            report.write(tmp_path / "cifar10", compare_with=same)
    with pytest.raises(ConfigError, match=r"absent/plan\.json is not there.*run the suite first"):
        report.write(tmp_path / "cifar10", compare_with=tmp_path / "absent")
    assert not (tmp_path / "cifar10" / "report.md").exists()


def test_flattery_is_shown_only_with_the_diagnostic(tmp_path: Path) -> None:
    plan = saved(tmp_path, {"reduced": [1000, 1200], "short": [1100, 1150]}, seeds=2)
    assert findings.selection_section(report.analyse(tmp_path).results) is None
    for run in plan.runs:
        last = {"reduced": [1000, 1200], "short": [1100, 1150]}[run.architecture.name][run.seed - 1]
        # Epoch 9 is better than the last by 100 images for reduced's first seed and by 60 for its second.
        best = last - {"reduced": [100, 60]}.get(run.architecture.name, [0, 0])[run.seed - 1]
        for epoch in range(1, 15):
            wrong = {9: best, 14: last}.get(epoch, 5000)
            entry = DiagnosedEpoch(epoch=epoch, images=TEST_IMAGES, top1_wrong=wrong)
            RunFolder(tmp_path / "runs", run).diagnosed.append(entry)
    section = findings.selection_section(report.analyse(tmp_path).results)
    first, second = tables(section)["selection"]
    # The mean of 1 and 0.6 points, and their standard deviation 0.4 / sqrt(2).
    assert list(first.values()) == ["reduced", "2", "11.00", "10.20", "0.80 ± 0.28", "9.0"]
    assert list(second.values()) == ["short", "2", "11.25", "11.25", "0.00 ± 0.00", "9.0"]


def test_predictions_give_calibration_and_the_classes_that_are_lost(tmp_path: Path) -> None:
    found = one_seed(tmp_path)
    section = findings.evidence_section(found.results, found.found)
    (reduced, short) = tables(section)["calibration"]
    # Every confidence is one half, and 92 % are right.
    assert list(reduced.values()) == ["reduced", "1", "42.00", "50.00", "92.00"]
    assert short["mean accuracy %"] == "91.97"
    (loss,) = tables(section)["classes"]
    assert list(loss.values()) == ["short", "class 0", "10,000", "8.03", "+0.03", "–"]
    assert "recomputed from the predictions of 2 runs" in texts(section)[0]


def test_a_record_of_a_newer_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    plan = saved(tmp_path, {"reduced": [800], "short": [700]}, seeds=1)
    path = RunFolder(tmp_path / "runs", plan.runs[1]).path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"schema": 99}), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        report.analyse(tmp_path)
    assert raised.value.exit_status == 2
    for said in (str(path), "schema 99", "reads schema 3", "--fresh moves the run aside", "the version that wrote it"):
        assert said in str(raised.value)


def test_a_path_in_the_evidence_does_not_break_the_table(tmp_path: Path) -> None:
    found = analysed(tmp_path / "a|b *c*", {"reduced": [800], "naive": [803]}, seeds=1)
    rows = tables(findings.shown(found.results, found.judged))["conclusions"]
    assert "a\\|b \\*c\\*" in rows[1]["evidence"]


def test_suites_in_which_all_tie_are_said_to_have_no_order(tmp_path: Path) -> None:
    variants = ("reduced", "short", "naive")
    saved(tmp_path / "here", {name: [800] for name in variants}, seeds=1)
    saved(tmp_path / "there", {name: WRONG[name][:1] for name in variants}, seeds=1, suite="cifar100")
    found = report.analyse(tmp_path / "here", compare_with=tmp_path / "there")
    said = texts(ordering.order_section(found.weighed, found.agreement))[-1]
    assert said == "**Other data.** No comparison with the order of cifar100: in one suite all tie."
