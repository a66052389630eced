"""Differences between two dataclasses or tables: which values, by which path, in which words."""

import dataclasses

from ablations.storage.changes import MISSING, Change, changes
from ablations.suites.recipe import DIGITS
from googlenet import VARIANTS, Auxiliary


def test_nested_fields_go_by_their_path_and_deeper_ones_are_compared_as_a_whole() -> None:
    short = VARIANTS["short"]
    heads, heavier = Auxiliary(after=("4b",)), Auxiliary(after=("4b",), weight=0.5)
    then = {"recipe": DIGITS, "architecture": dataclasses.replace(short, aux=heads), "seed": 1}
    now = {
        "recipe": dataclasses.replace(DIGITS, epochs=9),
        "architecture": dataclasses.replace(short, dropout=0.0, aux=heavier),
        "seed": 1,
    }
    assert changes(then, now) == [
        Change("recipe.epochs", DIGITS.epochs, 9),
        Change("architecture.dropout", short.dropout, 0.0),
        Change("architecture.aux", heads, heavier),
    ]
    assert changes(now, now) == []


def test_a_missing_key_differs_even_from_none_and_surplus_keys_do_not_count() -> None:
    found = changes({"seed": 7, "surplus": 1}, {"seed": 1, "limit_train": None})
    assert found == [Change("seed", 7, 1), Change("limit_train", MISSING, None)]
    assert [str(change) for change in found] == ["seed was 7 and is 1", "limit_train was missing and is None"]


def test_a_table_in_place_of_a_value_is_one_change() -> None:
    assert changes({"recipe": 5}, {"recipe": {"epochs": 3}}) == [Change("recipe", 5, {"epochs": 3})]
    assert [str(change) for change in changes([], {"text": "x" * 1_000})][0].startswith("text was missing and is 'xxx")
