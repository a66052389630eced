"""Plans that say something else than their own runs."""

import dataclasses
from typing import Any

import pytest

from ablations.data.summary import DataSummary
from ablations.suites.builtin import SUITES
from ablations.suites.plan import Plan, make_plan
from ablations.suites.plan_checks import check_against_runs
from ablations.suites.recipe import PUBLISHED
from ablations.suites.suite import Suite, select
from googlenet import VARIANTS

DATA = DataSummary(
    name="folder",
    title="image folder photos",
    fingerprint="ab" * 32,
    num_classes=10,
    class_names=tuple("0123456789"),
    image_size=32,
    train_images=1_000,
    test_images=200,
)
RECIPE = PUBLISHED.at_precision("fp32")
PAIR = select(SUITES["folder"], variants=("reduced", "short"))
OWN_RECIPE = dataclasses.replace(PAIR, recipe_changes={"short": {"learning_rate": 0.5}}, declared=("recipe",))


def make(suite: Suite) -> Plan:
    return make_plan(suite, data=DATA, command="python run_all.py")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("recipe", dataclasses.replace(RECIPE, epochs=15), "recipe.epochs is 15, and that of reduced's runs is 14"),
        ("recipe", dataclasses.replace(RECIPE, learning_rate=0.5), "recipe.learning_rate is 0.5"),
        ("limit_train", 500, "limit_train is 500, and that of reduced's runs is None; run the suite again"),
        ("width", 0.5, "full_size of reduced: params"),
        ("data", dataclasses.replace(DATA, name="cifar10"), "data: name is 'cifar10'"),
        ("data", dataclasses.replace(DATA, fingerprint="cd"), "data: fingerprint is 'cd'"),
        ("data", dataclasses.replace(DATA, num_classes=11, class_names=()), "data: num_classes is 11"),
        ("data", dataclasses.replace(DATA, image_size=64), "data: image_size, or the recipe's resize, is 64"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_plan_that_says_something_else_than_its_runs_is_refused(field: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=".*; run the suite again") as caught:
        check_against_runs(dataclasses.replace(make(PAIR), **{field: value}))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["params", "macs", "image_size"])
@pytest.mark.parametrize("place", [0, 1])
def test_full_size_counts_that_are_not_the_runs_are_refused(field: str, place: int) -> None:
    planned = make(dataclasses.replace(PAIR, width=0.3))
    sizes = list(planned.full_size)
    sizes[place] = dataclasses.replace(sizes[place], **{field: getattr(sizes[place], field) + 1})
    with pytest.raises(ValueError, match=f"full_size of {sizes[place].variant}: .*; run the suite again"):
        check_against_runs(dataclasses.replace(planned, full_size=tuple(sizes)))


@pytest.mark.parametrize("width", [0.1, 0.3, 1 / 3, 0.5, 0.7, 1.1, 2.0])
def test_full_size_counts_of_any_width_are_the_runs(width: float) -> None:
    suite = select(SUITES["folder"], variants=(*VARIANTS, "half-width"))
    check_against_runs(make(dataclasses.replace(suite, width=width)))


def test_a_variants_own_recipe_has_to_be_declared() -> None:
    alone = dataclasses.replace(OWN_RECIPE, architectures=(VARIANTS["short"],))
    check_against_runs(make(alone))
    with pytest.raises(ValueError, match=r'declare it in the suite file: declared = \["recipe.learning_rate"\]'):
        check_against_runs(make(dataclasses.replace(alone, declared=("recipe.epochs",))))
