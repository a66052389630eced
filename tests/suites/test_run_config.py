"""Run configurations: values that are refused, and run ids that cover everything that can change the numbers."""

import dataclasses
import hashlib
import json
import re
from typing import Any

import pytest

from ablations.suites.recipe import PUBLISHED, Recipe
from ablations.suites.run_config import MAX_SEED, RunConfig
from googlenet import VARIANTS, Architecture, Auxiliary

RECIPE = PUBLISHED.at_precision("fp32")
CONFIG = RunConfig(
    architecture=dataclasses.replace(VARIANTS["reduced"], width=0.5, image_size=8),
    dataset="digits",
    fingerprint="0123456789abcdef" * 4,
    num_classes=10,
    recipe=RECIPE,
    seed=1,
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "../digits"}, "dataset name '../digits' is not usable; use 1-64 of a-z, 0-9, '_' and '-'"),
        ({"num_classes": 1}, "num_classes is 1; it must be a whole number of at least 2"),
        ({"seed": -1}, "seed is -1; it must be a whole number of at least 0"),
        ({"seed": True}, "seed is True; it must be a whole number of at least 0"),
        ({"seed": MAX_SEED + 1}, "seed is 2147483648; it must be a whole number of at most 2147483647"),
        ({"limit_train": 9}, "limit_train is 9; it must be a whole number of at least 10"),
        (
            {"recipe": PUBLISHED},
            "recipe published: precision is 'auto', which depends on the device; a run's is 'fp32' or 'bf16'",
        ),
    ],
)
def test_a_run_refuses_by_value_and_by_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(CONFIG, **changes)


def test_a_run_id_names_dataset_variant_and_seed() -> None:
    config = dataclasses.replace(CONFIG, dataset="cifar100", architecture=VARIANTS["short2"], seed=12)
    assert re.fullmatch(r"cifar100-short2-s12-[0-9a-f]{8}", config.run_id)


def test_a_run_id_is_the_pinned_one() -> None:
    # Records are found by this name: if it changes, no finished run of an earlier version is recognised any more.
    assert CONFIG.run_id == "digits-reduced-s1-6145ed09"


def test_a_run_id_hashes_the_sorted_json_of_all_fields() -> None:
    values = dataclasses.asdict(CONFIG)
    # Settings that version 0.4 did not have, at their defaults, which change nothing.
    for name in ("bn_eps_5x5", "branches", "module_dropout", "extra_pools"):
        del values["architecture"][name]
    for name in ("resize", "grayscale", "flip_test", "keep_epochs"):
        del values["recipe"][name]
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert CONFIG.run_id.rpartition("-")[2] == hashlib.sha256(canonical.encode()).hexdigest()[:8]


ARCHITECTURE_CHANGES: dict[str, Any] = {
    "name": "other",
    "stages": VARIANTS["short"].stages,
    "stem": "imagenet",
    "stem_channels": 193,
    "width": 0.25,
    "reduction": False,
    "branches": ("1x1", "3x3", "5x5"),
    "branch5x5": "5x5",
    "batch_norm": False,
    "bn_eps": 1e-3,
    "bn_eps_5x5": "channels",
    "conv_bias": False,
    "pool": "ceil",
    "head": "flatten",
    "dropout": 0.5,
    "module_dropout": 0.2,
    "extra_pools": True,
    "aux": Auxiliary(),
    "init": "truncated-normal",
    "in_channels": 1,
    "image_size": 32,
}
RECIPE_CHANGES: dict[str, Any] = {
    "name": "other",
    "epochs": 15,
    "batch_size": 65,
    "optimizer": "sgd",
    "learning_rate": 0.9,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "constant",
    "step_gamma": 0.8,
    "label_smoothing": 0.1,
    "flip": 0.0,
    "crop_padding": 4,
    "cutout": 8,
    "precision": "bf16",
    "mean": 0.4,
    "std": 0.4,
    "validation_fraction": 0.1,
    "resize": 64,
    "grayscale": True,
    "flip_test": True,
    "keep_epochs": (7,),
}
RUN_CHANGES: dict[str, Any] = {
    "dataset": "cifar10",
    "fingerprint": "0123456789abcdef" * 3 + "0123456789abcdee",
    "num_classes": 11,
    "seed": 2,
    "limit_train": 1_000,
}


def test_every_field_changes_the_run_id() -> None:
    # A field that is added later has to be added above.
    assert set(ARCHITECTURE_CHANGES) == {field.name for field in dataclasses.fields(Architecture)}
    assert set(RECIPE_CHANGES) == {field.name for field in dataclasses.fields(Recipe)}
    assert {*RUN_CHANGES, "architecture", "recipe"} == {field.name for field in dataclasses.fields(RunConfig)}
    # 64 pixels and SGD allow every one of the changes.
    arch = dataclasses.replace(CONFIG.architecture, image_size=64)
    recipe = dataclasses.replace(CONFIG.recipe, optimizer="sgd")
    base = dataclasses.replace(CONFIG, architecture=arch, recipe=recipe)
    runs = [base, dataclasses.replace(base, recipe=RECIPE)]
    for field, value in ARCHITECTURE_CHANGES.items():
        runs.append(dataclasses.replace(base, architecture=dataclasses.replace(arch, **{field: value})))
    for field, value in RECIPE_CHANGES.items():
        if field != "optimizer":
            runs.append(dataclasses.replace(base, recipe=dataclasses.replace(recipe, **{field: value})))
    for field, value in RUN_CHANGES.items():
        runs.append(dataclasses.replace(base, **{field: value}))
    hashes = [run.run_id.rpartition("-")[2] for run in runs]
    assert len(set(hashes)) == len(hashes) == 1 + 21 + 21 + 5


def test_equal_runs_have_equal_ids() -> None:
    # Whole numbers are fine where a float is expected, and come back from a file as floats.
    whole = dataclasses.replace(CONFIG, recipe=dataclasses.replace(RECIPE, learning_rate=1, flip=0))
    decimal = dataclasses.replace(CONFIG, recipe=dataclasses.replace(RECIPE, learning_rate=1.0, flip=0.0))
    assert whole == decimal
    assert whole.run_id == decimal.run_id
