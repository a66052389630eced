"""The guard of an ablation: nothing but the axis differs between its variants, or it is declared and shown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations.analysis.results import load_results
from ablations.data.summary import DataSummary
from ablations.errors import ConfigError
from ablations.records.suite_folder import SuiteFolder
from ablations.suites import plan as plans
from ablations.suites.builtin import SUITES
from ablations.suites.confounds import check_confounds, declared_differences, differences
from ablations.suites.plan import Plan
from ablations.suites.recipe import DIGITS
from ablations.suites.suite import Suite, select
from ablations.suites.suite_file import read_suite_file
from benchmarks.synthetic_records import ENVIRONMENT
from googlenet.registry import ARCHITECTURES
from googlenet.variants import REDUCED
from tests.support.synthetic_suites import make_plan, make_record, report_text, save, save_suite

DATA = make_plan("cifar10", seeds=1).data
FILE = """
name = "mine"
axis = "width"
varies = ["width"]
dataset = "cifar10"
variants = ["reduced", "thin"]
{declared}

[variant.thin]
{fields}
"""


def planned(suite: Suite, *, data: DataSummary = DATA) -> Plan:
    return plans.make_plan(select(suite), data=data, command="python run_all.py --suite mine.toml")


def from_file(folder: Path, fields: str, *, declared: str = "", varies: str = '["width"]') -> Plan:
    """The plan of a suite file in which the variant thin has these lines."""
    path = folder / "mine.toml"
    text = FILE.format(fields=fields, declared=declared)
    path.write_text(text.replace('varies = ["width"]', f"varies = {varies}"), encoding="utf-8")
    return planned(read_suite_file(path))


def refusal(checked: Plan) -> str:
    with pytest.raises(ConfigError) as raised:
        check_confounds(checked)
    assert raised.value.exit_status == 2
    return str(raised.value)


def changed(original: Plan, *, recipe: dict[str, Any] | None = None, **changes: Any) -> Plan:
    """The plan with other values in the runs of its second variant."""
    second = original.runs[1].architecture.name
    runs = tuple(
        replace(run, recipe=replace(run.recipe, **(recipe or {})), **changes)
        if run.architecture.name == second
        else run
        for run in original.runs
    )
    return replace(original, runs=runs)


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100", "folder"])
def test_the_built_in_suites_vary_nothing_but_their_axis(name: str) -> None:
    built_in = make_plan(name, seeds=2)
    check_confounds(built_in)
    assert not declared_differences(built_in)
    varied = {difference.field for difference in differences(built_in)}
    assert varied == {"stages", "stem_channels", "reduction", "branch5x5"}


def test_the_slips_of_the_published_code_are_an_axis_and_a_declared_difference() -> None:
    planned_quirks = make_plan("quirks", seeds=2)
    check_confounds(planned_quirks)
    assert {each.field for each in differences(planned_quirks)} == {"bn_eps_5x5", "recipe.flip_test"}
    assert {(each.variant, each.field) for each in declared_differences(planned_quirks)} == {
        ("test-flip", "recipe.flip_test"),
        ("bn-eps-channels-test-flip", "recipe.flip_test"),
    }


def test_any_architecture_may_be_brought_in_by_name() -> None:
    data = replace(DATA, image_size=224)
    names = tuple(name for name in ARCHITECTURES if name != "plain-gray")  # which takes no colour images
    everything = select(SUITES["cifar10"], variants=names)
    check_confounds(planned(everything, data=data))
    fields = {difference.field for difference in differences(planned(everything, data=data))}
    assert {"width", "aux", "head", "bn_eps"} <= fields
    assert not fields & {"name", "image_size", "in_channels"}, "which the data settle for all of them"


def test_another_field_of_the_architecture_is_refused_with_both_values(tmp_path: Path) -> None:
    message = refusal(from_file(tmp_path, "width = 0.5\ndropout = 0.0"))
    assert "suite mine varies width, but more than that differs" in message
    assert "thin: dropout is 0, the baseline's is 0.4" in message
    assert "width is" not in message, "the axis itself is no confound"


def test_a_variants_own_recipe_is_refused_and_every_difference_listed(tmp_path: Path) -> None:
    fields = 'width = 0.5\nhead = "flatten"\n[variant.thin.recipe]\nlearning_rate = 0.25\nepochs = 20'
    message = refusal(from_file(tmp_path, fields))
    for difference in (
        "thin: head is flatten, the baseline's is gap",
        "thin: recipe.learning_rate is 0.25, the baseline's is 1",
        "thin: recipe.epochs is 20, the baseline's is 14",
    ):
        assert difference in message


def test_the_line_that_a_refusal_asks_for_is_the_remedy(tmp_path: Path) -> None:
    fields = "width = 0.5\ndropout = 0.0\n[variant.thin.recipe]\nlearning_rate = 0.25"
    found = re.search(r"declared = \[.*\]", refusal(from_file(tmp_path, fields)))
    assert found is not None
    check_confounds(from_file(tmp_path, fields, declared=found[0]))


@pytest.mark.parametrize(
    ("varies", "declared", "passes"),
    [
        ('["width"]', "[]", False),
        ('["width"]', '["dropout"]', False),
        ('["width"]', '["recipe"]', False),
        ('["width"]', '["dropout", "recipe.flip"]', False),
        ('["width"]', '["dropout", "recipe.learning_rate"]', True),
        ('["width"]', '["dropout", "recipe"]', True),
        ('["width"]', '["architecture", "recipe"]', True),
        ('["width", "dropout"]', '["recipe"]', True),
        ('["architecture"]', '["recipe.learning_rate"]', True),
        ("[]", '["architecture", "recipe"]', True),
    ],
)
def test_what_differs_has_to_be_named_as_a_field_or_as_its_whole(
    tmp_path: Path, varies: str, declared: str, passes: bool
) -> None:
    fields = "width = 0.5\ndropout = 0.0\n[variant.thin.recipe]\nlearning_rate = 0.25"
    checked = from_file(tmp_path, fields, varies=varies, declared=f"declared = {declared}")
    if passes:
        check_confounds(checked)
    else:
        refusal(checked)


def test_a_declared_difference_is_a_footnote_of_the_report(tmp_path: Path) -> None:
    declared = 'declared = ["recipe.learning_rate"]'
    shown = from_file(tmp_path, "width = 0.5\n[variant.thin.recipe]\nlearning_rate = 0.25", declared=declared)
    save_suite(tmp_path / "mine", shown, wrong={"reduced": [1000], "thin": [1100]})
    text = report_text(tmp_path / "mine")
    said = "thin: recipe.learning\\_rate is 0.25, the baseline's is 1"
    assert f"> **Declared difference.** {said}. A verdict on such a variant is about both" in text
    assert "| thin | `recipe.learning_rate` | 1 | 0.25 | no, declared |" in text
    assert "| thin | `width` | 1 | 0.5 |" in text
    save_suite(tmp_path / "pure", from_file(tmp_path, "width = 0.5"), wrong={"reduced": [1000], "thin": [1100]})
    assert "Declared difference" not in report_text(tmp_path / "pure")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fingerprint": "cd" * 32}, f"fingerprint is {'cd' * 32}, the baseline's is {'ab' * 32}"),
        ({"limit_train": 500}, "limit_train is 500, the baseline's is None"),
        ({"num_classes": 11}, "num_classes is 11, the baseline's is 10"),
        ({"dataset": "cifar100"}, "dataset is cifar100, the baseline's is cifar10"),
        ({"recipe": {"precision": "bf16"}}, "recipe.precision is bf16, the baseline's is fp32"),
        ({"recipe": {"weight_decay": 5e-4}}, "recipe.weight_decay is 0.0005, the baseline's is 0"),
        ({"recipe": {"validation_fraction": 0.1}}, "recipe.validation_fraction is 0.1, the baseline's is 0"),
    ],
    ids=str,
)
def test_a_plan_that_mixes_data_or_recipes_is_neither_run_nor_reported(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    mixed = changed(make_plan("cifar10", seeds=2, variants=("reduced", "short")), **changes)
    assert f"short: {said}" in refusal(mixed)
    SuiteFolder(tmp_path).write_plan(mixed)
    with pytest.raises(ConfigError, match="more than that differs"):
        load_results(tmp_path)


def test_names_and_seeds_are_no_difference() -> None:
    original = planned(replace(SUITES["cifar10"], architectures=(REDUCED,), seeds=3))
    twins = tuple(replace(run, architecture=replace(run.architecture, name="twin")) for run in original.runs)
    sizes = (*original.full_size, replace(original.full_size[0], variant="twin"))
    both = replace(original, runs=(*original.runs, *twins), full_size=sizes)
    assert not differences(both)
    assert not differences(changed(both, recipe={"name": "other"}))


def test_stages_are_written_as_the_rows_of_table_1() -> None:
    suite = select(SUITES["cifar10"], variants=("long", "reduced", "short4"))
    found = {each.variant: each for each in differences(planned(suite)) if each.field == "stages"}
    assert found["long"].baseline_value == "3a 3b / 4a 4b 4c 4d 4e / 5a 5b"
    # 4e and 5a have the same channels, and a row goes by the name that its own stage has for them.
    assert found["long"].value == "3a 3b / 4a 4b 4c 4d 4e 4e / 5a 5a 5a 5b"
    assert found["short4"].value == "(256, 96, 128, 16, 96, 32) / none / 5b"


def test_without_the_baseline_variants_are_held_against_the_first() -> None:
    suite = select(SUITES["cifar10"], variants=("short", "short2"))
    (difference,) = differences(planned(suite))
    assert difference[:2] == ("short2", "architecture.stages")
    assert difference.baseline_value == "3a 3b / 4a 4d 4e / 5a 5b"


def test_variants_without_a_common_seed_are_no_table(tmp_path: Path) -> None:
    whole = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    SuiteFolder(tmp_path).write_plan(replace(whole, runs=(whole.runs[0], whole.runs[3])))
    with pytest.raises(ConfigError, match=r"no seed in common \(reduced: \[1\], short: \[2\]\).* same --seeds"):
        load_results(tmp_path)


def test_reports_of_runs_of_several_versions_name_them_all(tmp_path: Path) -> None:
    shown = replace(make_plan("cifar10", seeds=1, variants=("reduced", "short")), declared=("versions",))
    first, second = (make_record(run, wrong=1000) for run in shown.runs)
    save(tmp_path, shown, [first, replace(second, environment=replace(ENVIRONMENT, versions=("torch 2.10.0",)))])
    text = report_text(tmp_path)
    assert "- **Versions:** Python 3.12.0; torch 2.11.0; numpy 2.0.0; Python 3.12.0; torch 2.10.0\n" in text


def test_footnotes_of_a_declared_recipe_name_each_field_of_it() -> None:
    suite = replace(
        select(SUITES["cifar10"], variants=("reduced", "short")),
        recipe=DIGITS,
        declared=("recipe",),
        recipe_changes={"short": {"optimizer": "sgd", "momentum": 0.9}},
    )
    footnotes = declared_differences(planned(suite))
    assert [(each.field, each.baseline_value, each.value) for each in footnotes] == [
        ("recipe.optimizer", "adam", "sgd"),
        ("recipe.momentum", "0", "0.9"),
    ]


def test_runs_of_one_variant_that_differ_are_refused_too() -> None:
    whole = make_plan("cifar10", seeds=3, variants=("reduced", "short"))
    for variant in ("reduced", "short"):
        runs = [
            replace(run, recipe=replace(run.recipe, precision="bf16"))
            if (run.architecture.name, run.seed) == (variant, 2)
            else run
            for run in whole.runs
        ]
        message = refusal(replace(whole, runs=tuple(runs)))
        assert message.count("recipe.precision is bf16, the baseline's is fp32") == 1


def test_a_refusal_asks_for_no_line_that_a_suite_file_may_not_have() -> None:
    whole = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    message = refusal(changed(whole, fingerprint="cd" * 32))
    assert "declared = " not in message and "data and subset can be neither" in message


def test_the_line_that_a_refusal_asks_for_keeps_what_is_declared(tmp_path: Path) -> None:
    fields = "width = 0.5\ndropout = 0.0\n[variant.thin.recipe]\nlearning_rate = 0.25"
    message = refusal(from_file(tmp_path, fields, declared='declared = ["dropout"]'))
    assert message.endswith('declared = ["dropout", "recipe.learning_rate"]')
