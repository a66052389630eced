"""Twins in the plan of a suite: which variants get one, at which size, and that their width is no confound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ablations.data.summary import DataSummary
from ablations.errors import ConfigError
from ablations.experiment import plan_suite
from ablations.suites.builtin import SUITES
from ablations.suites.confounds import check_confounds, differences
from ablations.suites.plan import Plan, make_plan
from ablations.suites.plan_checks import check_against_runs
from ablations.suites.suite import Suite, select
from googlenet.counts import count_params
from googlenet.variants import REDUCED

DATA = DataSummary(
    name="folder",
    title="image folder photos",
    fingerprint="ab" * 32,
    num_classes=100,
    class_names=tuple(map(str, range(100))),
    image_size=32,
    train_images=1_000,
    test_images=200,
)
BRANCHES = select(SUITES["branches"], dataset="folder", control="params", width=0.25, seeds=2)


def planned(suite: Suite, *, data: DataSummary = DATA) -> Plan:
    return make_plan(suite, data=data, command="python run_all.py")


def refusal(suite: Suite, *, data: DataSummary = DATA) -> str:
    with pytest.raises(ConfigError) as raised:
        plan_suite(suite, data, command="python run_all.py")
    assert raised.value.exit_status == 2
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_every_branch_and_its_twin_are_trained_at_the_suites_width() -> None:
    plan = planned(BRANCHES)
    removed = ("1x1", "3x3", "5x5", "pool")
    names = ["reduced", *(name for branch in removed for name in (f"without-{branch}", f"without-{branch}@params"))]
    assert [(run.seed, run.architecture.name) for run in plan.runs] == [
        (seed, name) for seed in (1, 2) for name in names
    ]
    counts = {run.architecture.name: count_params(run.architecture, num_classes=100) for run in plan.runs}
    baseline = count_params(replace(REDUCED, width=0.25), num_classes=100)
    assert counts["reduced"] == baseline
    for branch in removed:
        assert counts[f"without-{branch}"] < 0.99 * baseline
        assert abs(counts[f"without-{branch}@params"] - baseline) <= 0.01 * baseline


def test_twins_are_no_confound_and_have_counts_at_full_size() -> None:
    plan = planned(BRANCHES)
    check_confounds(plan)
    check_against_runs(plan)
    assert {each.field for each in differences(plan)} == {"branches"}
    sizes = {size.variant: size for size in plan.full_size}
    for name, size in sizes.items():
        if "@" in name:
            assert abs(size.params / sizes["reduced"].params - 1) <= 0.01, name


def test_a_twin_that_differs_in_more_than_its_width_is_a_confound() -> None:
    plan = planned(BRANCHES)
    runs = tuple(
        replace(run, architecture=replace(run.architecture, dropout=0.1))
        if run.architecture.name == "without-5x5@params"
        else run
        for run in plan.runs
    )
    with pytest.raises(ConfigError, match=r"without-5x5@params: (width|dropout) is"):
        check_confounds(replace(plan, runs=runs))


def test_a_variant_with_the_baselines_capacity_is_its_own_control() -> None:
    variants = ("reduced", "no-dropout", "no-conv-bias", "flatten-head")
    plan = planned(select(SUITES["components"], dataset="folder", variants=variants, control="params"))
    names = [run.architecture.name for run in plan.runs]
    assert names == ["reduced", "no-dropout", "no-conv-bias", "flatten-head", "flatten-head@params"]


def test_a_twin_is_trained_with_its_variants_recipe() -> None:
    suite = replace(
        SUITES["branches"],
        dataset="folder",
        recipe_changes={"without-5x5": {"epochs": 3}},
        declared=("recipe.epochs",),
        control="macs",
    )
    epochs = {run.architecture.name: run.recipe.epochs for run in planned(select(suite)).runs}
    assert {name for name, count in epochs.items() if count == 3} == {"without-5x5", "without-5x5@macs"}


def test_a_control_without_any_twin_is_refused() -> None:
    suite = select(SUITES["components"], dataset="folder", variants=("reduced", "no-dropout"), control="macs")
    assert "no variant differs from reduced in its macs, so control = 'macs' has no effect" in refusal(suite)


def test_only_a_control_makes_names_of_twins() -> None:
    twin = replace(REDUCED, name="short@params")
    with pytest.raises(ValueError, match="variant short@params has the name of a twin, which control makes"):
        replace(SUITES["branches"], architectures=(REDUCED, twin))
    with pytest.raises(ValueError, match="'short@params' is a twin, which a suite's control makes; name short instead"):
        select(SUITES["branches"], variants=("reduced", "short@params"))


def test_a_width_cannot_be_controlled_by_width() -> None:
    message = refusal(select(SUITES["width"], dataset="folder", control="params"))
    assert "quarter-width differs from reduced in width alone, which control = 'params' would undo" in message


def test_a_control_needs_the_baseline() -> None:
    suite = select(SUITES["branches"], dataset="folder", variants=("without-5x5",), control="params")
    assert "control needs the baseline reduced, which is not among the variants; add it" in refusal(suite)


def test_a_control_that_no_width_reaches_names_the_two_nearest() -> None:
    message = refusal(select(SUITES["depth"], dataset="folder", control="params", width=0.01))
    assert "no width has within 1% of reduced's" in message
    assert "leave long out, or match by macs" in message


def test_variants_that_do_not_fit_the_images_are_left_out_and_named() -> None:
    plan = planned(select(SUITES["components"], dataset="folder"), data=replace(DATA, image_size=8))
    names = {run.architecture.name for run in plan.runs}
    assert names == {arch.name for arch in SUITES["components"].architectures} - {"aux-weight-03", "imagenet-stem"}
    assert [reason.partition(":")[0] for reason in plan.skipped] == ["aux-weight-03", "imagenet-stem"]
    assert set(names) == {size.variant for size in plan.full_size}


def test_variants_that_the_user_names_have_to_fit() -> None:
    suite = select(SUITES["components"], dataset="folder", variants=("reduced", "no-dropout", "imagenet-stem"))
    message = refusal(suite, data=replace(DATA, image_size=8))
    assert "imagenet-stem: image_size 8 is too small" in message


def test_an_axis_of_which_nothing_fits_is_refused() -> None:
    stems = replace(SUITES["components"], architectures=(REDUCED, *SUITES["components"].architectures[-3:-2]))
    message = refusal(select(stems, dataset="folder"), data=replace(DATA, image_size=8))
    assert "no variant of suite components-folder fits these images: imagenet-stem: image_size 8" in message
