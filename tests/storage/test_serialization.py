"""Dataclasses to plain data and back, and errors that name the key."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ablations.errors import ConfigError
from ablations.storage.serialization import check_keys, from_plain, to_plain
from ablations.suites.recipe import PUBLISHED, RECIPES, Recipe
from ablations.suites.run_config import RunConfig
from googlenet.architecture import Architecture
from googlenet.references import REFERENCES
from googlenet.registry import ARCHITECTURES

RECIPE = PUBLISHED.at_precision("fp32")

# Has auxiliary heads, so that every kind of field is there.
CONFIG = RunConfig(
    architecture=REFERENCES["torchvision"],
    dataset="cifar100",
    fingerprint="0f" * 32,
    num_classes=100,
    recipe=RECIPE,
    seed=3,
    limit_train=5_000,
)


def plain_config() -> dict[str, Any]:
    """CONFIG as it comes out of a file: dicts and lists of its own that a test may spoil."""
    return json.loads(json.dumps(to_plain(CONFIG)))


@pytest.mark.parametrize("limit_train", [None, 1_000])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_run_comes_back_from_json_equal(name: str, limit_train: int | None) -> None:
    config = RunConfig(
        architecture=ARCHITECTURES[name],
        dataset="folder",
        fingerprint="ab" * 32,
        num_classes=10,
        recipe=RECIPE,
        seed=1,
        limit_train=limit_train,
    )
    text = json.dumps(to_plain(config), allow_nan=False)
    back = from_plain(RunConfig, json.loads(text), where="run")
    assert back == config
    assert back.run_id == config.run_id
    assert json.dumps(to_plain(back)) == text


def test_json_has_an_object_for_a_dataclass_and_null_for_none() -> None:
    plain = json.loads(json.dumps(to_plain(CONFIG)))
    assert plain["architecture"]["aux"]["after"] == ["4a", "4d"]
    assert plain["architecture"]["stages"][2][1]["ch3x3"] == 384  # Table 1 of arXiv:1409.4842, 5b
    assert plain["limit_train"] == 5_000
    reduced = json.loads(json.dumps(to_plain(ARCHITECTURES["reduced"])))
    assert reduced["aux"] is None


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_comes_back_from_json_equal(recipe: Recipe) -> None:
    assert from_plain(Recipe, json.loads(json.dumps(to_plain(recipe))), where="recipe") == recipe


def test_a_key_with_a_default_may_be_absent() -> None:
    plain = plain_config()
    del plain["limit_train"], plain["recipe"]["momentum"], plain["architecture"]["aux"]
    config = from_plain(RunConfig, plain, where="run")
    assert config.limit_train is None
    assert config.architecture.aux is None
    assert config.recipe == RECIPE


def test_an_integer_is_accepted_for_a_float() -> None:
    plain = plain_config()
    plain["architecture"]["width"] = 2
    width = from_plain(RunConfig, plain, where="run").architecture.width
    assert (width, type(width)) == (2.0, float)


def test_an_integer_beyond_the_range_of_floats_is_refused() -> None:
    # TOML and JSON integers have no bounds in Python; this one is above the largest float.
    plain = plain_config()
    plain["recipe"]["learning_rate"] = 10**400
    with pytest.raises(ConfigError, match=r"^run: recipe: learning_rate: "):
        from_plain(RunConfig, plain, where="run")


def test_plain_data_is_not_changed_by_reading_it() -> None:
    plain = plain_config()
    from_plain(RunConfig, plain, where="run")
    assert plain == plain_config()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda c: c.update(sead=1), "run: unknown key 'sead'; allowed: ", id="unknown"),
        pytest.param(lambda c: c.update(sead=1), "did you mean 'seed'?", id="nearest"),
        pytest.param(
            lambda c: c["recipe"].update(epoch=1), "run: recipe: unknown key 'epoch'; allowed: ", id="unknown-nested"
        ),
        pytest.param(lambda c: c["recipe"].update(epoch=1), "did you mean 'epochs'?", id="nearest-nested"),
        pytest.param(lambda c: c.pop("seed"), "run: the key 'seed' is missing", id="missing"),
        pytest.param(
            lambda c: c["architecture"].pop("stages"), "run: architecture: the key 'stages' is missing", id="nested"
        ),
        pytest.param(
            lambda c: c["architecture"]["stages"][1][3].pop("ch5x5"),
            "run: architecture: stages[1][3]: the key 'ch5x5' is missing",
            id="missing-in-a-row",
        ),
        pytest.param(lambda c: c.update(seed=True), "run: seed: expected int, found True", id="bool-for-int"),
        pytest.param(lambda c: c.update(seed=1.0), "run: seed: expected int, found 1.0", id="float-for-int"),
        pytest.param(lambda c: c.update(seed=None), "run: seed: expected int, found None", id="null-for-int"),
        pytest.param(lambda c: c.update(limit_train="all"), "run: limit_train: expected int, found 'all'", id="option"),
        pytest.param(lambda c: c.update(dataset=["a"]), "run: dataset: expected str, found ['a']", id="list-for-str"),
        pytest.param(lambda c: c.update(recipe="published"), "run: recipe: ", id="string-for-table"),
        pytest.param(lambda c: c.update(architecture=None), "run: architecture: ", id="null-for-table"),
        pytest.param(
            lambda c: c["recipe"].update(learning_rate="1.0"),
            "run: recipe: learning_rate: expected float, found '1.0'",
            id="string-for-float",
        ),
        pytest.param(
            lambda c: c["recipe"].update(learning_rate=True),
            "run: recipe: learning_rate: expected float, found True",
            id="bool-for-float",
        ),
        pytest.param(
            lambda c: c["architecture"].update(reduction=1),
            "run: architecture: reduction: expected bool, found 1",
            id="int-for-bool",
        ),
        pytest.param(
            lambda c: c["architecture"].update(stages="3a"),
            "run: architecture: stages: expected a list, found '3a'",
            id="string-for-list",
        ),
        pytest.param(
            lambda c: c["architecture"]["stages"][0][1].update(ch3x3="192"),
            "run: architecture: stages[0][1]: ch3x3: expected int, found '192'",
            id="in-a-row",
        ),
        pytest.param(
            lambda c: c["architecture"]["aux"].update(after=["4a", 4]),
            "run: architecture: aux: after[1]: expected str, found 4",
            id="in-a-list",
        ),
    ],
)
def test_an_error_says_where_and_what(spoil: Callable[[dict[str, Any]], object], message: str) -> None:
    plain = plain_config()
    spoil(plain)
    with pytest.raises(ConfigError) as caught:
        from_plain(RunConfig, plain, where="run")
    assert message in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda c: c.update(seed=-1), "run: seed is -1", id="range"),
        pytest.param(lambda c: c["recipe"].update(optimizer="adm"), "run: recipe: ", id="choice"),
        pytest.param(lambda c: c["recipe"].update(optimizer="adm"), "did you mean 'adam'?", id="nearest-choice"),
        pytest.param(lambda c: c["recipe"].update(optimizer=["adam"]), "['adam']", id="choice-type"),
        pytest.param(lambda c: c["architecture"].update(dropout=1.0), "run: architecture: ", id="nested"),
        pytest.param(
            lambda c: c["architecture"]["stages"][0][0].update(ch1x1=0), "run: architecture: stages[0][0]: ", id="row"
        ),
        pytest.param(lambda c: c["architecture"]["aux"].update(weight=-1.0), "run: architecture: aux: ", id="aux"),
        pytest.param(lambda c: c["recipe"].update(flip=float("nan")), "run: recipe: ", id="nan"),
    ],
)
def test_a_value_that_the_class_refuses_is_a_config_error(
    spoil: Callable[[dict[str, Any]], object], message: str
) -> None:
    plain = plain_config()
    spoil(plain)
    with pytest.raises(ConfigError) as caught:
        from_plain(RunConfig, plain, where="run")
    assert str(caught.value).startswith("run: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "reduced", 3])
def test_anything_but_a_table_is_refused(data: object) -> None:
    with pytest.raises(ConfigError, match=r"^suite file x.toml: .*Architecture"):
        from_plain(Architecture, data, where="suite file x.toml")


def test_keys_are_checked_against_names_alone() -> None:
    check_keys({"name": 1}, known=("name", "axis"), where="file")
    with pytest.raises(ConfigError, match=r"^file: unknown key 'axes'; allowed: name, axis; did you mean 'axis'\?$"):
        check_keys({"name": 1, "axes": 2}, known=("name", "axis"), where="file")
    with pytest.raises(ConfigError, match=r"^file: unknown key 7; "):
        check_keys({7: 1}, known=("name", "axis"), where="file")
