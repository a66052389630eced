"""The runs that a suite comes to, and which earlier ones belong in the same table."""

import csv
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ablations.data.registry import load_dataset
from ablations.data.summary import DataSummary
from ablations.storage.serialization import from_plain, to_plain
from ablations.suites.builtin import SUITES
from ablations.suites.plan import Plan, make_plan
from ablations.suites.recipe import PUBLISHED
from ablations.suites.suite import Suite, select
from googlenet import REFERENCES, VARIANTS, Architecture
from googlenet.variants import REDUCED

ROOT = Path(__file__).resolve().parents[2]
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
OTHER_REDUCTIONS = tuple(
    tuple(dataclasses.replace(row, ch3x3_reduce=7, ch5x5_reduce=7, pool_proj=7) for row in stage)
    for stage in REDUCED.stages
)
ONE_MODULE = (REDUCED.stages[0][:1], (), ())
PAIR = select(SUITES["folder"], variants=("reduced", "short"))


def make(suite: Suite, *, data: DataSummary = DATA) -> Plan:
    return make_plan(suite, data=data, command="python run_all.py")


def runs_of(planned: Plan) -> list[tuple[int, str]]:
    return [(run.seed, run.architecture.name) for run in planned.runs]


def sizes_of(planned: Plan) -> list[str]:
    return [size.variant for size in planned.full_size]


@pytest.fixture(scope="module")
def digits_plan() -> Plan:
    data = DataSummary.of(load_dataset("digits", Path("data")))
    return make(select(SUITES["digits"], seeds=3), data=data)


def test_runs_go_seed_by_seed(digits_plan: Plan) -> None:
    # An early stop then leaves whole comparisons.
    assert runs_of(digits_plan) == [(seed, variant) for seed in (1, 2, 3) for variant in VARIANTS]


def test_runs_are_at_the_datas_size_and_the_suites_width(digits_plan: Plan) -> None:
    for run in digits_plan.runs:
        full = VARIANTS[run.architecture.name]
        assert run.architecture == dataclasses.replace(full, width=0.125, image_size=8)
        assert (run.dataset, run.fingerprint, run.num_classes) == ("digits", digits_plan.data.fingerprint, 10)
        assert (run.recipe, run.limit_train) == (SUITES["digits"].recipe.at_precision("fp32"), 400)
    assert len({run.run_id for run in digits_plan.runs}) == 21


def test_a_plan_says_what_it_is_about(digits_plan: Plan) -> None:
    assert (digits_plan.suite, digits_plan.baseline, digits_plan.width) == ("digits", "reduced", 0.125)
    assert digits_plan.axis == SUITES["digits"].axis
    assert digits_plan.commands == ("python run_all.py",)
    data = digits_plan.data
    assert (data.name, data.num_classes, data.image_size) == ("digits", 10, 8)
    assert (data.train_images, data.test_images) == (1_437, 360)  # of scikit-learn's 1,797, one fifth for testing


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_full_size_counts_are_the_published_ones(name: str, digits_plan: Plan) -> None:
    with (ROOT / "ablations" / "analysis" / "published" / "published.csv").open(newline="") as file:
        published = {row["variant"]: int(row["params"]) for row in csv.DictReader(file) if row["dataset"] == name}
    of_archive = make(select(SUITES[name]), data=DataSummary.of_archive(name))
    for planned in [of_archive, digits_plan] if name == "cifar10" else [of_archive]:  # digits have ten classes too
        assert {size.variant: size.params for size in planned.full_size} == published
        assert {size.image_size for size in planned.full_size} == {32}


def test_full_size_macs_are_the_published_ones(digits_plan: Plan) -> None:
    # The 2020 CIFAR ablation gives these for 32x32 images, rounded; the runs on digits need far fewer.
    macs = {size.variant: size.macs for size in digits_plan.full_size}
    assert f"{macs['reduced'] / 1e9:.3f}" == "1.522"
    assert f"{macs['naive'] / 1e9:.2f}" == "11.16"


def test_full_size_is_that_of_the_variant_itself() -> None:
    # torchvision's own count for 1000 classes; with 10 its three linear layers are smaller.
    suite = dataclasses.replace(select(SUITES["folder"], variants=("torchvision",)), width=0.5)
    planned = make(suite, data=dataclasses.replace(DATA, image_size=224))
    (size,) = planned.full_size
    assert size.image_size == 224
    assert size.params == 13_004_888 - 990 * (2 * (1024 + 1) + 1024 + 1)
    assert planned.runs[0].architecture == dataclasses.replace(REFERENCES["torchvision"], width=0.5)


def test_widths_multiply() -> None:
    suite = dataclasses.replace(select(SUITES["folder"], variants=("reduced", "half-width")), width=0.5)
    assert [run.architecture.width for run in make(suite).runs] == [0.5, 0.25]


def trained(variant: str, *, image_size: int = 32, channels: int = 3, **recipe: Any) -> Architecture:
    suite = select(SUITES["folder"], variants=(variant,))
    suite = dataclasses.replace(suite, recipe=dataclasses.replace(suite.recipe, **recipe))
    return make(suite, data=dataclasses.replace(DATA, image_size=image_size, channels=channels)).runs[0].architecture


def test_architectures_take_the_images_that_data_and_recipe_give() -> None:
    assert trained("reduced", image_size=28, channels=1) == dataclasses.replace(REDUCED, image_size=28, in_channels=1)
    assert trained("reduced", resize=48) == dataclasses.replace(REDUCED, image_size=48)
    assert trained("reduced", grayscale=True) == dataclasses.replace(REDUCED, in_channels=1)
    assert trained("bn-aux-224", resize=224) == REFERENCES["bn-aux-224"]
    for image_size, channels in ((32, 1), (224, 1), (32, 3)):
        given = trained("plain-gray", image_size=image_size, channels=channels, resize=224, grayscale=True)
        assert given == REFERENCES["plain-gray"]


@pytest.mark.parametrize(
    ("variant", "images", "message"),
    [
        (
            "bn-aux-224",
            {},
            "variant bn-aux-224 is for images of 224x224, and these are 32x32; set resize = 224 in the recipe or train "
            "it with --recipe bn-aux-adam or gray-adam",
        ),
        ("bn-aux-224", {"resize": 225}, "and these are 225x225"),
        (
            "plain-gray",
            {"resize": 224},
            "variant plain-gray has in_channels 1, and these images have 3; set grayscale = true in the recipe or "
            "train it with --recipe gray-adam",
        ),
    ],
)
def test_an_input_that_the_data_cannot_give_is_refused(variant: str, images: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        trained(variant, **images)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({"width": 0.001}, {"width": 0.002}),  # one channel everywhere
        ({"reduction": False}, {"reduction": False, "stages": OTHER_REDUCTIONS}),
        ({"batch_norm": False}, {"batch_norm": False, "bn_eps": 1e-3}),
        ({"branches": ("1x1", "3x3")}, {"branches": ("1x1", "3x3"), "branch5x5": "5x5"}),
        ({"branches": ("1x1",)}, {"branches": ("1x1",), "reduction": False}),
        ({"stages": ONE_MODULE}, {"stages": ONE_MODULE, "extra_pools": True, "module_dropout": 0.2}),
    ],
)
def test_variants_that_are_the_same_network_are_refused(first: dict[str, Any], second: dict[str, Any]) -> None:
    pair = (dataclasses.replace(REDUCED, name="one", **first), dataclasses.replace(REDUCED, name="two", **second))
    suite = dataclasses.replace(SUITES["folder"], architectures=pair, recipe=RECIPE)
    with pytest.raises(ValueError, match="variants one and two are the same network, trained in the same way"):
        make(suite)
    make(dataclasses.replace(suite, recipe_changes={"two": {"flip": 0.0}}))


def test_an_archive_that_is_not_there_has_the_official_numbers() -> None:
    # https://www.cs.toronto.edu/~kriz/cifar.html
    for name, title, classes in (("cifar10", "CIFAR-10", 10), ("cifar100", "CIFAR-100", 100)):
        data = DataSummary.of_archive(name)
        assert (data.name, data.title, data.num_classes, data.image_size) == (name, title, classes, 32)
        assert (data.train_images, data.test_images) == (50_000, 10_000)
        assert data.fingerprint == ""


def test_an_architecture_that_does_not_fit_the_images_is_refused() -> None:
    suite = select(SUITES["folder"], variants=("reduced", "imagenet-stem"))
    with pytest.raises(ValueError, match=r"imagenet-stem: .*too small"):
        make(suite, data=dataclasses.replace(DATA, image_size=8))


@pytest.mark.parametrize(
    ("train_images", "limit_train", "fraction"),
    [
        (129, None, 0.0),  # 2 x 64 + 1
        (1_000, 65, 0.0),
        (1_000, 961, 0.0),
        (1_000, 401, 0.2),  # 401 - 80 = 5 x 64 + 1
        (161, None, 0.2),  # 161 - 32 = 2 x 64 + 1
    ],
)
def test_a_last_batch_of_one_image_is_refused(train_images: int, limit_train: int | None, fraction: float) -> None:
    recipe = dataclasses.replace(RECIPE, validation_fraction=fraction)
    suite = dataclasses.replace(PAIR, recipe=recipe, limit_train=limit_train)
    data = dataclasses.replace(DATA, train_images=train_images)
    with pytest.raises(ValueError, match=r"batches of 64 .*one image.*; change --limit-train or .*batch_size"):
        make(suite, data=data)


@pytest.mark.parametrize(
    ("limit_train", "fraction"),
    [(64, 0.0), (66, 0.0), (127, 0.0), (128, 0.0), (1_000, 0.0), (None, 0.0), (65, 0.2), (400, 0.2), (402, 0.2)],
)
def test_other_last_batches_are_fine(limit_train: int | None, fraction: float) -> None:
    recipe = dataclasses.replace(RECIPE, validation_fraction=fraction)
    planned = make(dataclasses.replace(PAIR, recipe=recipe, limit_train=limit_train))
    assert [run.limit_train for run in planned.runs] == [limit_train, limit_train]


def test_a_plan_needs_a_precision() -> None:
    # The run ids would otherwise not say what was trained.
    with pytest.raises(ValueError, match=r"recipe published: precision is 'auto'"):
        make(SUITES["folder"])


def test_a_subset_of_more_images_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--limit-train 1,001 is more than the 1,000 training images"):
        make(dataclasses.replace(PAIR, limit_train=1_001))


def test_a_subset_of_fewer_images_than_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--limit-train 9 is less than the 10 classes; use at least one"):
        make(dataclasses.replace(PAIR, limit_train=9))


def test_comparable_runs_are_joined() -> None:
    earlier = make(select(SUITES["folder"], variants=("reduced", "short", "naive"), seeds=2))
    now = make(select(SUITES["folder"], variants=("long", "reduced"), seeds=1))
    joined = now.joined(earlier)
    assert runs_of(joined)[:2] == [(1, "long"), (1, "reduced")]
    assert sorted(runs_of(joined)) == sorted(
        [(1, "long"), (1, "reduced"), (2, "reduced"), (1, "short"), (2, "short"), (1, "naive"), (2, "naive")]
    )
    assert sorted(sizes_of(joined)) == ["long", "naive", "reduced", "short"]
    assert set(joined.runs) == set(now.runs) | set(earlier.runs)
    assert set(joined.full_size) == set(now.full_size) | set(earlier.full_size)
    # What stands in the head is the newest.
    assert (joined.commands, joined.data, joined.baseline) == (now.commands, now.data, now.baseline)


@pytest.mark.parametrize(
    ("suite_changes", "data_changes"),
    [({"axis": "the same axis in other words"}, {}), ({}, {"title": "image folder of another name"})],
)
def test_words_are_no_settings(suite_changes: dict[str, Any], data_changes: dict[str, Any]) -> None:
    suite = select(SUITES["folder"], variants=("reduced", "naive"), seeds=2)
    earlier = make(dataclasses.replace(suite, **suite_changes), data=dataclasses.replace(DATA, **data_changes))
    now = make(PAIR)
    assert now.changes_since(earlier) == []
    joined = now.joined(earlier)
    assert sorted(runs_of(joined)) == [(1, "naive"), (1, "reduced"), (1, "short"), (2, "naive"), (2, "reduced")]
    assert (joined.axis, joined.data.title) == (now.axis, now.data.title), "the newest"


def test_joining_the_same_plan_changes_nothing() -> None:
    planned = make(dataclasses.replace(PAIR, seeds=2))
    assert planned.joined(planned) == planned
    assert planned.joined(make(PAIR)) == planned


def test_three_plans_are_joined_one_after_the_other() -> None:
    first, second, third = (make(select(SUITES["folder"], variants=(name,))) for name in ("naive", "long", "short"))
    joined = third.joined(second.joined(first))
    assert sorted(runs_of(joined)) == [(1, "long"), (1, "naive"), (1, "short")]
    assert sorted(sizes_of(joined)) == ["long", "naive", "short"]


@pytest.mark.parametrize(
    ("suite_changes", "data_changes"),
    [
        ({"recipe": dataclasses.replace(RECIPE, epochs=15)}, {}),
        ({"recipe": dataclasses.replace(RECIPE, name="other")}, {}),
        ({"recipe": dataclasses.replace(RECIPE, precision="bf16")}, {}),
        ({"recipe": dataclasses.replace(RECIPE, cutout=8)}, {}),
        ({"limit_train": 500}, {}),
        ({"width": 0.5}, {}),
        ({"margin": 0.01}, {}),
        ({"baseline": "short"}, {}),
        ({"name": "other"}, {}),
        ({"declared": ("versions",)}, {}),
        ({}, {"fingerprint": "cd" * 32}),
        ({}, {"name": "cifar10"}),
        ({}, {"train_images": 999}),
        ({}, {"test_images": 199}),
        ({}, {"image_size": 64}),
        ({}, {"num_classes": 11, "class_names": tuple("0123456789x")}),
    ],
)
def test_runs_that_cannot_be_compared_are_left_out(suite_changes: dict[str, Any], data_changes: dict[str, Any]) -> None:
    suite = select(SUITES["folder"], variants=("reduced", "naive"), seeds=2)
    earlier = make(dataclasses.replace(suite, **suite_changes), data=dataclasses.replace(DATA, **data_changes))
    now = make(PAIR)
    assert now.joined(earlier) == now
    assert earlier.joined(now) == earlier


def test_a_changed_variant_drops_its_own_earlier_runs_only() -> None:
    earlier = make(select(SUITES["folder"], variants=("reduced", "short", "naive"), seeds=2))
    changed = dataclasses.replace(VARIANTS["short"], dropout=0.0)
    now = make(dataclasses.replace(PAIR, architectures=(VARIANTS["reduced"], changed)))
    joined = now.joined(earlier)
    assert [run.architecture.dropout for run in joined.runs if run.architecture.name == "short"] == [0.0]
    assert sorted(runs_of(joined)) == [(1, "naive"), (1, "reduced"), (1, "short"), (2, "naive"), (2, "reduced")]
    assert sorted(sizes_of(joined)) == ["naive", "reduced", "short"]


def test_a_plan_comes_back_from_json_equal(digits_plan: Plan) -> None:
    text = json.dumps(to_plain(digits_plan), allow_nan=False)
    back = from_plain(Plan, json.loads(text), where="plan")
    assert back == digits_plan
    assert [run.run_id for run in back.runs] == [run.run_id for run in digits_plan.runs]


def with_own_recipe(variant: str, **changes: Any) -> Suite:
    suite = select(SUITES["folder"], variants=("reduced", variant), seeds=2)
    return dataclasses.replace(suite, recipe_changes={variant: changes}, declared=("recipe",))


def test_runs_have_their_variants_own_recipe() -> None:
    planned = make(with_own_recipe("short", learning_rate=0.5))
    rates = {run.architecture.name: run.recipe.learning_rate for run in planned.runs}
    assert rates == {"reduced": PUBLISHED.learning_rate, "short": 0.5}
    assert planned.recipe == RECIPE, "that of the suite"


def test_a_last_batch_of_one_image_is_refused_in_a_variants_own_recipe() -> None:
    make(with_own_recipe("short", batch_size=36))
    with pytest.raises(ValueError, match="batches of 37 "):
        make(with_own_recipe("short", batch_size=37))  # 27 x 37 + 1 = 1,000


def test_a_changed_recipe_of_its_own_drops_a_variants_earlier_runs_only() -> None:
    earlier = make(with_own_recipe("short", learning_rate=0.5))
    same = make(dataclasses.replace(with_own_recipe("short", learning_rate=0.5), seeds=1)).joined(earlier)
    assert sorted(runs_of(same)) == sorted(runs_of(earlier))
    other = make(dataclasses.replace(with_own_recipe("short", learning_rate=0.25), seeds=1)).joined(earlier)
    assert sorted(runs_of(other)) == [(1, "reduced"), (1, "short"), (2, "reduced")]
    assert [run.recipe.learning_rate for run in other.runs if run.architecture.name == "short"] == [0.25]


def test_another_variants_earlier_runs_keep_the_recipe_they_had() -> None:
    earlier = make(with_own_recipe("short", learning_rate=0.5))
    joined = make(with_own_recipe("long", learning_rate=0.25)).joined(earlier)
    rates = {run.architecture.name: run.recipe.learning_rate for run in joined.runs}
    assert rates == {"reduced": 1.0, "long": 0.25, "short": 0.5}


def test_joined_plans_vary_what_either_varied() -> None:
    own = make(PAIR)
    foreign = make(select(SUITES["folder"], variants=("reduced", "half-width")))
    assert foreign.varies == ("architecture",)
    assert own.joined(foreign).varies == (*own.varies, "architecture")
    assert foreign.joined(own).varies == ("architecture", *own.varies)
    assert own.joined(own).varies == own.varies
    assert dataclasses.replace(own, margin=0.01).joined(foreign).varies == own.varies, "it stands alone"


def test_declared_looks_stay_until_others_are_declared() -> None:
    undeclared, first, other = (make(select(PAIR, looks=looks)) for looks in ((), (3, 10), (5,)))
    assert (undeclared.looks, first.looks) == ((), (3, 10))
    assert undeclared.joined(first).looks == first.joined(undeclared).looks == (3, 10)
    assert other.joined(first).looks == (5,)
    assert {run.run_id for run in first.runs} == {run.run_id for run in undeclared.runs}
    with pytest.raises(ValueError, match=re.escape("looks is [10, 3]; name increasing numbers of seeds")):
        dataclasses.replace(first, looks=(10, 3))


def test_shared_seeds_are_those_of_every_variant() -> None:
    earlier, now = make(select(PAIR, seeds=3)), make(select(PAIR, variants=("reduced", "long"), seed_list=(2, 9, 3)))
    assert earlier.shared_seeds == (1, 2, 3)
    assert now.joined(earlier).shared_seeds == (2, 3)


def test_a_plan_without_runs_or_their_full_size_counts_is_refused() -> None:
    planned = make(PAIR)
    with pytest.raises(ValueError, match="no runs; run the suite again"):
        dataclasses.replace(planned, runs=())
    with pytest.raises(ValueError, match="no full_size of short; run the suite again"):
        dataclasses.replace(planned, full_size=planned.full_size[:1])


def test_a_changed_baseline_drops_all_earlier_runs() -> None:
    earlier = make(select(SUITES["folder"], variants=("reduced", "short", "naive"), seeds=2))
    changed = dataclasses.replace(VARIANTS["reduced"], dropout=0.0)
    now = make(dataclasses.replace(PAIR, architectures=(changed, VARIANTS["short"])))
    assert now.joined(earlier) == now
