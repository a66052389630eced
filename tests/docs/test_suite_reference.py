"""The tables of docs/suites.md hold every key of a suite file, with the type and default that the code has."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from ablations.suites.recipe import RECIPES, Recipe
from ablations.suites.suite import Suite
from ablations.suites.suite_file import FILE_KEYS
from googlenet.architecture import Architecture, Auxiliary, InceptionRow
from googlenet.variants import REDUCED
from tests.support.markdown import page, plain, section, tables

TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}
# Keys that a file writes in another form than the dataclass has.
OWN_TYPES = {"recipe": "string or table", "variants": "list of strings", "variant": "table of tables"}
OWN_TYPES |= {"factors": "table of lists", "base": "string", "resolution": '"full", "main"'}


def _rows(heading: str, *, number: int = 0) -> dict[str, dict[str, str]]:
    """The rows of a table below a heading by their key, without code marks."""
    table = tables(section(page("docs/suites.md"), heading))[number]
    cells = [{plain(name): plain(cell) for name, cell in row.items()} for row in table]
    return {row["key"]: row for row in cells}


def _type(hint: Any) -> str:
    """A type as the page writes it; of an optional value the type of the value."""
    if get_origin(hint) is Literal:
        return ", ".join(json.dumps(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        (item, *_) = get_args(hint)
        return f"list of {'string' if get_origin(item) is Literal else TYPES[item]}s"
    if get_origin(hint) in (Union, types.UnionType):
        (value,) = (part for part in get_args(hint) if part is not type(None))
        return _type(value)
    return TYPES[hint]


def _default(field: Field[Any]) -> str:
    return "" if field.default is MISSING else _written(field.default)


def _written(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    ("heading", "kind", "own"),
    [
        ("The suite", Suite, OWN_TYPES),
        ("The recipe", Recipe, {}),
        ("A variant", Architecture, {"stages": "list of three stages", "aux": 'table or "none"'}),
        ("Auxiliary heads", Auxiliary, {}),
    ],
)
def test_keys_and_types_are_those_of_the_code(heading: str, kind: type, own: Mapping[str, str]) -> None:
    found = {key: row["type"] for key, row in _rows(heading).items()}
    hints = get_type_hints(kind)
    keys = {Suite: FILE_KEYS, Architecture: [name for name in hints if name != "name"]}.get(kind, hints)
    assert found == {key: own.get(key) or _type(hints[key]) for key in keys}


def test_a_module_of_ones_own_has_the_keys_of_a_row() -> None:
    assert list(_rows("A variant", number=1)) == [field.name for field in fields(InceptionRow)]


def test_defaults_are_those_of_the_code() -> None:
    suite = {field.name: _default(field) for field in fields(Suite)}
    said = {key: row["default"] for key, row in _rows("The suite").items()}
    # What a file may leave out though the dataclass has no such default, or has another form of it.
    worded = {"recipe": '"published"', "baseline": "first of variants", "limit_train": "all images", "control": "none"}
    worded |= {
        "variants": "the [variant.*] tables",
        "variant": "none",
        "factors": "none",
        "base": '"reduced"',
        "resolution": '"full"',
    }
    assert said == {key: worded.get(key, suite.get(key, "")) for key in said}
    heads = {field.name: _default(field) for field in fields(Auxiliary)}
    assert {key: row["default"] for key, row in _rows("Auxiliary heads").items()} == heads


def test_values_of_recipes_and_of_the_baseline_are_those_of_the_code() -> None:
    rows = _rows("The recipe")
    own_columns = [name for name in RECIPES if name in next(iter(rows.values()))]
    assert own_columns == ["published", "fast", "digits"]
    for name in own_columns:
        recipe = RECIPES[name]
        values = {key: _written(getattr(recipe, key)) for key in rows} | (
            {"resize": "none"} if not recipe.resize else {}
        )
        assert {key: row[name] for key, row in rows.items()} == values
    others = {plain(row["recipe"]): row for row in tables(section(page("docs/suites.md"), "The recipe"))[1]}
    assert [*own_columns, *others] == list(RECIPES)
    for name, row in others.items():
        said = {plain(key): plain(cell) for key, cell in row.items() if key != "recipe"}
        values = {key: _written(getattr(RECIPES[name], key)) for key in said}
        assert said == values | ({"resize": "none"} if RECIPES[name].resize is None else {})
        plain_ones = {"schedule": "constant", "flip": 0, "crop_padding": 0, "cutout": 0, "precision": "fp32"}
        assert {key: getattr(RECIPES[name], key) for key in plain_ones} == plain_ones
    worded = {"stages": '["3a 3b", "4a 4b 4c 4d 4e", "5a 5b"]', "aux": '"none"'}
    rows = _rows("A variant")
    values = {key: worded.get(key) or _written(getattr(REDUCED, key)) for key in rows}
    assert {key: row["reduced"] for key, row in rows.items()} == values
