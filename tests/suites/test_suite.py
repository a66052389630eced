"""Built-in suites, and what a user may choose in their place."""

import dataclasses
import re
from typing import Any

import pytest

from ablations.data.summary import DataSummary
from ablations.suites.builtin import SUITES
from ablations.suites.confounds import check_confounds
from ablations.suites.plan import make_plan
from ablations.suites.recipe import DIGITS, FAST, PUBLISHED, Precision, Recipe
from ablations.suites.suite import Suite, select
from ablations.suites.suite_file import find_suite
from googlenet import REFERENCES, VARIANTS
from googlenet.axes import AXES

# The seven variants of the 2020 CIFAR ablation, in the order of its table.
PUBLISHED_VARIANTS = ("naive", "reduced", "long", "short", "short2", "short3", "short4")


def names(suite: Suite) -> tuple[str, ...]:
    return tuple(arch.name for arch in suite.architectures)


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100", "folder"])
def test_a_built_in_suite_compares_the_seven_variants(name: str) -> None:
    suite = find_suite(name)
    assert suite is SUITES[name]
    assert (suite.name, suite.dataset, suite.baseline) == (name, name, "reduced")
    assert suite.architectures == tuple(VARIANTS.values())
    assert set(PUBLISHED_VARIANTS) <= set(VARIANTS)
    assert (suite.limit_train, suite.seeds) == ((400, 4) if name == "digits" else (None, 1))
    axes = {"branches", "modules", "components", "width", "depth"}
    assert set(SUITES) == {"digits", "cifar10", "cifar100", "folder", "design", "references", "quirks", *axes}


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "folder"])
def test_colour_suites_follow_the_published_protocol(name: str) -> None:
    assert SUITES[name].recipe == PUBLISHED
    assert SUITES[name].width == 1.0


def test_the_digits_suite_is_an_eighth_as_wide_and_flips_nothing() -> None:
    # A mirrored digit is another sign.
    assert SUITES["digits"].width == 0.125
    assert SUITES["digits"].recipe.flip == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dataset": "cifar-10"},
            "dataset 'cifar-10' is unknown; allowed: digits, cifar10, cifar100, fashion-mnist, mnist, folder",
        ),
        ({"margin": 0.0}, "margin is 0.0; it must be a number in (0, 0.5]"),
        ({"margin": 0.6}, "margin is 0.6; it must be a number in (0, 0.5]"),
        ({"width": 0.0}, "width is 0.0; it must be a number in (0, 16]"),
        ({"width": float("nan")}, "width is nan; it must be a number in (0, 16]"),
        ({"seeds": True}, "seeds is True; it must be a whole number of at least 1"),
        ({"seeds": 10_001}, "seeds is 10001; it must be a whole number of at most 10000"),
        ({"limit_train": 1.5}, "limit_train is 1.5; it must be a whole number of at least 1"),
        ({"looks": (1, 3)}, "looks is 1; it must be a whole number of at least 2"),
        ({"looks": (3, 10_001)}, "looks is 10001; it must be a whole number of at most 10000"),
        ({"looks": (3, 3)}, "looks is [3, 3]; name increasing numbers of seeds, each once, as in 3,5,10"),
        ({"looks": (5, 3)}, "looks is [5, 3]; name increasing numbers of seeds"),
    ],
)
def test_a_suite_refuses_by_value_and_by_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"suite digits: {message}")):
        dataclasses.replace(SUITES["digits"], **changes)


def test_without_choices_a_suite_stays_as_it_is_but_for_its_precision() -> None:
    assert select(SUITES["cifar10"]) == dataclasses.replace(SUITES["cifar10"], recipe=PUBLISHED.at_precision("fp32"))


def test_choices_take_the_place_of_the_suites_own() -> None:
    chosen = select(SUITES["cifar10"], variants=("short4", "naive"), seeds=5, epochs=3, limit_train=1_000)
    assert names(chosen) == ("short4", "naive")
    assert (chosen.seeds, chosen.limit_train) == (5, 1_000)
    assert chosen.recipe == dataclasses.replace(PUBLISHED, epochs=3, precision="fp32")
    untouched = ("name", "axis", "dataset", "baseline", "width")
    assert [getattr(chosen, field) for field in untouched] == [getattr(SUITES["cifar10"], f) for f in untouched]


@pytest.mark.parametrize(
    ("own", "asked_for", "native", "expected"),
    [
        ("auto", "auto", "fp32", "fp32"),
        ("auto", "auto", "bf16", "bf16"),
        ("fp32", "auto", "bf16", "fp32"),
        ("bf16", "auto", "fp32", "bf16"),
        ("auto", "fp32", "bf16", "fp32"),
        ("auto", "bf16", "fp32", "bf16"),
        ("fp32", "bf16", "fp32", "bf16"),
        ("bf16", "fp32", "bf16", "fp32"),
    ],
)
def test_the_precision_is_the_users_or_else_the_recipes_or_else_the_devices(
    own: Precision, asked_for: Precision, native: Precision, expected: Precision
) -> None:
    suite = dataclasses.replace(SUITES["cifar10"], recipe=dataclasses.replace(PUBLISHED, precision=own))
    chosen = select(suite, precision=asked_for, native_precision=native)
    assert chosen == dataclasses.replace(suite, recipe=dataclasses.replace(PUBLISHED, precision=expected))


@pytest.mark.parametrize("recipe", [PUBLISHED, FAST, DIGITS], ids=lambda recipe: recipe.name)
def test_a_known_recipe_takes_the_place_of_the_suites_own(recipe: Recipe) -> None:
    for suite in SUITES.values():
        chosen = select(suite, recipe=recipe.name)
        # A whole recipe of a variant's own gives way, a single value of it stays.
        expected = dataclasses.replace(suite, recipe=recipe.at_precision("fp32"))
        if suite.name == "references":
            expected = dataclasses.replace(expected, recipe_changes={}, declared=())
        assert chosen == expected
    changed = select(SUITES["cifar10"], recipe=recipe.name, epochs=2, precision="bf16")
    assert changed.recipe == dataclasses.replace(recipe, epochs=2, precision="bf16")


def test_seeds_are_one_to_n_or_those_that_are_named() -> None:
    assert select(SUITES["cifar10"], seeds=3).run_seeds == (1, 2, 3)
    named = select(SUITES["cifar10"], seed_list=(80, 81))
    assert named.run_seeds == (80, 81)
    assert select(named, seeds=2).run_seeds == (1, 2)


def test_another_dataset_has_a_folder_of_its_own() -> None:
    chosen = select(SUITES["references"], dataset="cifar100")
    assert (chosen.name, chosen.dataset) == ("references-cifar100", "cifar100")
    assert select(SUITES["references"], dataset="cifar10") == select(SUITES["references"])


def test_epochs_apply_to_every_recipe_and_cut_those_that_are_kept() -> None:
    chosen = select(SUITES["references"], epochs=400)
    recipes = [chosen.recipe_of(arch.name) for arch in chosen.architectures]
    assert [recipe.epochs for recipe in recipes] == [400] * 5
    assert [recipe.keep_epochs for recipe in recipes] == [(), (), (300,), (), ()]
    kept = select(SUITES["references"], epochs=400, keep_epochs=(7, 400))
    assert [kept.recipe_of(name).keep_epochs for name in ("reduced", "plain-cifar")] == [(7, 400)] * 2


# The recipes of the write-ups, as they state them: batch, epochs, side and channels of the images, learning rate.
PUBLISHED_TRAININGS = {
    "reduced": (64, 14, 32, 3, "adadelta", 1.0),
    "bn-aux-224": (128, 100, 224, 3, "adam", 1e-3),
    "plain-cifar": (2048, 1000, 32, 3, "adam", 1e-4),
    "plain-gray": (16, 3, 224, 1, "adam", 1e-3),
}


def test_the_published_networks_are_trained_as_published() -> None:
    suite = select(SUITES["references"], native_precision="bf16")
    planned = make_plan(suite, data=DataSummary.of_archive("cifar10"), command="")
    check_confounds(planned)
    found = {
        run.architecture.name: (
            run.recipe.batch_size,
            run.recipe.epochs,
            run.architecture.image_size,
            run.architecture.in_channels,
            run.recipe.optimizer,
            run.recipe.learning_rate,
        )
        for run in planned.runs
    }
    inception = found.pop("inception-v1")
    assert found == PUBLISHED_TRAININGS
    assert inception == PUBLISHED_TRAININGS["bn-aux-224"], "no training of it is published"
    assert {run.recipe.precision for run in planned.runs} == {"fp32"}
    for run in planned.runs:
        if run.architecture.name != "reduced":
            assert (run.recipe.mean, run.recipe.std, run.recipe.flip, run.recipe.schedule) == (0, 1, 0, "constant")


def test_variants_may_come_from_outside_of_the_suite() -> None:
    chosen = select(SUITES["digits"], variants=("reduced", "torchvision", "half-width"))
    assert chosen.architectures == (VARIANTS["reduced"], REFERENCES["torchvision"], AXES["width"][1])


def test_a_suites_own_variant_comes_before_a_known_one_of_that_name() -> None:
    own = dataclasses.replace(VARIANTS["naive"], dropout=0.0)
    suite = dataclasses.replace(SUITES["digits"], architectures=(VARIANTS["reduced"], own))
    assert select(suite, variants=("naive",)).architectures == (own,)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"variants": ("naiv",)}, r"'naiv' is unknown; allowed: naive, .*did you mean 'naive'\?"),
        ({"variants": ("reduced", "Naive")}, r"'Naive' is unknown"),
        ({"variants": ()}, r"no variant; name at least one"),
        ({"variants": ("naive", "reduced", "naive")}, r"variant naive is named twice; name it once"),
        ({"seeds": 0}, r"seeds is 0; it must be a whole number of at least 1"),
        ({"seeds": -1}, r"seeds is -1; it must be a whole number of at least 1"),
        ({"seeds": 10_001}, r"seeds is 10001; it must be a whole number of at most 10000"),
        ({"epochs": 0}, r"epochs is 0; it must be a whole number of at least 1"),
        ({"epochs": -3}, r"epochs is -3; it must be a whole number of at least 1"),
        ({"limit_train": 0}, r"limit_train is 0; it must be a whole number of at least 1"),
        ({"limit_train": -10}, r"limit_train is -10; it must be a whole number of at least 1"),
        ({"recipe": "fsat"}, r"recipe 'fsat' is unknown; allowed: published, fast, .*; did you mean 'fast'\?"),
        ({"recipe": ""}, r"recipe '' is unknown; allowed: published, fast, digits"),
        ({"seeds": 2, "seed_list": (80, 81)}, r"--seeds and --seed-list exclude each other; give one of them"),
        ({"seed_list": (80, 80)}, r"seed_list is \[80, 80\]; name each seed once"),
        ({"seed_list": (80, -1)}, r"seed_list is -1; it must be a whole number of at least 0"),
        ({"keep_epochs": (1, 20)}, r"keep_epochs is 20; it must be a whole number of at most 8"),
        ({"keep_epochs": (2, 1)}, r"keep_epochs is \[2, 1\]; give each epoch once, in rising order"),
        ({"dataset": "cifar"}, r"dataset 'cifar' is unknown; allowed: digits, .*did you mean 'cifar10'"),
        ({"precision": "fp16"}, r"precision 'fp16' is unknown; allowed: auto, fp32, bf16"),
    ],
)
def test_an_unusable_choice_is_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select(SUITES["digits"], **choices)


@pytest.mark.parametrize(
    ("variants", "varies"),
    [
        (("reduced", "short4"), SUITES["digits"].varies),
        (("short3",), SUITES["digits"].varies),
        (("reduced", "half-width"), ("architecture",)),
        (("torchvision",), ("architecture",)),
    ],
)
def test_variants_from_outside_may_differ_in_all_of_their_architecture(
    variants: tuple[str, ...], varies: tuple[str, ...]
) -> None:
    assert select(SUITES["digits"], variants=variants).varies == varies
