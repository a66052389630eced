"""Selection bias of choosing the epoch on test images, counted by hand from the diagnostic's records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ablations.analysis.epochs.selection_bias import measure_selection_bias
from ablations.analysis.results import load_results
from ablations.records.record import DiagnosedEpoch
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.plan import Plan
from tests.support.synthetic_suites import TEST_IMAGES, failed, make_plan, make_record, save, save_suite

# Wrong images after each of three epochs, by variant and seed; the last epoch's are the run's result.
NOTED = {
    "reduced": [[1500, 900, 1000], [1400, 1100, 1200]],
    "short": [[1300, 1200, 1100], [1250, 1150, 1150]],
}
FINAL = {variant: [noted[-1] for noted in runs] for variant, runs in NOTED.items()}


def made_plan(variants: tuple[str, ...] = ("reduced", "short"), *, seeds: int = 2) -> Plan:
    """A plan of three epochs a run."""
    plan = make_plan("cifar10", seeds=seeds, variants=variants)
    recipe = replace(plan.recipe, epochs=3)
    return replace(plan, recipe=recipe, runs=tuple(replace(run, recipe=recipe) for run in plan.runs))


def note(suite_dir: Path, plan: Plan, noted: Mapping[str, Sequence[Sequence[int]]]) -> None:
    """Write the diagnostic's records of these runs."""
    for run in plan.runs:
        folder = SuiteFolder(suite_dir).run(run)
        for epoch, wrong in enumerate(noted[run.architecture.name][run.seed - 1], start=1):
            folder.diagnosed.append(DiagnosedEpoch(epoch=epoch, images=TEST_IMAGES, top1_wrong=wrong))


def measured(suite_dir: Path) -> pd.DataFrame:
    return measure_selection_bias(load_results(suite_dir))


def test_the_bias_is_the_reported_error_less_the_least_over_epochs(tmp_path: Path) -> None:
    plan = made_plan()
    save_suite(tmp_path, plan, wrong=FINAL)
    note(tmp_path, plan, NOTED)
    reduced, short = measured(tmp_path).to_dict("records")
    assert (reduced["variant"], short["variant"]) == ("reduced", "short")
    # reduced: 1000 - 900 and 1200 - 1100 images of 10,000, both after the second epoch.
    assert reduced["n"] == 2
    assert reduced["reported_mean"] == pytest.approx(0.11)
    assert reduced["least_mean"] == pytest.approx(0.10)
    assert reduced["selection_bias_mean"] == pytest.approx(0.01)
    assert reduced["selection_bias_std"] == pytest.approx(0, abs=1e-12)
    assert reduced["epoch_mean"] == 2
    # short: the last epoch is the best, or as good as the second, of which the earlier counts.
    assert short["selection_bias_mean"] == 0
    assert short["epoch_mean"] == 2.5


def test_the_least_error_is_over_all_epochs_whichever_is_reported(tmp_path: Path) -> None:
    # As a recipe with held-out images does: the first epoch is reported, the third has the least test error.
    plan = made_plan(("reduced",))
    records = [make_record(run, wrong=wrong) for run, wrong in zip(plan.runs, (1500, 1400), strict=True)]
    save(tmp_path, plan, records)
    note(tmp_path, plan, {"reduced": [[1500, 1300, 1100], [1400, 1350, 1200]]})
    row = measured(tmp_path).iloc[0]
    assert row["selection_bias_mean"] == pytest.approx(0.03)
    # Of 0.04 and 0.02 with n - 1.
    assert row["selection_bias_std"] == pytest.approx(0.02 / math.sqrt(2))
    assert row["epoch_mean"] == 3


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    plan = made_plan(seeds=1)
    save_suite(tmp_path, plan, wrong=FINAL)
    note(tmp_path, plan, NOTED)
    table = measured(tmp_path)
    assert list(table["n"]) == [1, 1]
    assert table["selection_bias_std"].isna().all()
    assert list(table["selection_bias_mean"]) == pytest.approx([0.01, 0.0])


def test_runs_without_the_diagnostic_give_no_row(tmp_path: Path) -> None:
    save_suite(tmp_path, made_plan(), wrong=FINAL)
    assert measured(tmp_path).empty


def test_a_suite_that_never_ran_gives_no_row(tmp_path: Path) -> None:
    save(tmp_path, made_plan(), [])
    assert measured(tmp_path).empty


@pytest.mark.parametrize(
    "short",
    [[[1300, 1200, 1100], []], [[1300, 1200, 1100], [1250, 1150]], [[], []]],
    ids=["one run", "one epoch missing", "no run"],
)
def test_a_variant_without_the_diagnostic_in_every_epoch_is_left_out(tmp_path: Path, short: list[list[int]]) -> None:
    plan = made_plan()
    save_suite(tmp_path, plan, wrong=FINAL)
    note(tmp_path, plan, NOTED | {"short": short})
    table = measured(tmp_path)
    assert list(table["variant"]) == ["reduced"]
    assert table["selection_bias_mean"].iloc[0] == pytest.approx(0.01)


def test_a_suite_with_gaps_in_every_variant_gives_no_row(tmp_path: Path) -> None:
    plan = made_plan()
    save_suite(tmp_path, plan, wrong=FINAL)
    note(tmp_path, plan, {"reduced": [[1500], []], "short": [[], [1250]]})
    assert measured(tmp_path).empty


def test_failed_runs_do_not_count(tmp_path: Path) -> None:
    plan = made_plan()
    records = [make_record(run, wrong=FINAL[run.architecture.name][run.seed - 1]) for run in plan.runs]
    (failing,) = [
        record for record in records if record.config.architecture.name == "short" and record.config.seed == 2
    ]
    others = [record for record in records if record is not failing]
    save(tmp_path, plan, [*others, failed(failing, status="diverged", message="the loss was not finite")])
    note(tmp_path, plan, NOTED | {"short": [[1300, 1000, 1100], [1]]})
    table = measured(tmp_path).set_index("variant")
    assert list(table["n"]) == [2, 1]
    assert table.loc["short", "selection_bias_mean"] == pytest.approx(0.01)


def test_a_variant_may_have_its_own_number_of_epochs(tmp_path: Path) -> None:
    plan = made_plan()
    plan = replace(
        plan,
        declared=("recipe.epochs",),
        runs=tuple(
            replace(run, recipe=replace(run.recipe, epochs=2)) if run.architecture.name == "short" else run
            for run in plan.runs
        ),
    )
    noted = NOTED | {"short": [[1000, 1100], [1200, 1150]]}
    save_suite(tmp_path, plan, wrong=FINAL | {"short": [1100, 1150]})
    note(tmp_path, plan, noted)
    table = measured(tmp_path)
    assert list(table["variant"]) == ["reduced", "short"]
    assert list(table["selection_bias_mean"]) == pytest.approx([0.01, 0.005])
    assert list(table["epoch_mean"]) == [2, 1.5]
