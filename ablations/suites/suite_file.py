"""Find a suite by name, or read one from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ablations.data.registry import DATASETS
from ablations.errors import ConfigError
from ablations.storage.serialization import check_keys, from_plain, to_plain
from ablations.suites.builtin import SUITES, axis_settings
from ablations.suites.factors import FACTORS, check_factors, factor_settings
from ablations.suites.recipe import PUBLISHED, RECIPES, Recipe
from ablations.suites.suite import Suite
from googlenet.architecture import ANY_CHANNELS, ANY_SIZE, Architecture
from googlenet.axes import AXES
from googlenet.registry import ARCHITECTURES
from googlenet.validation import MAX_NAME, check_choice, shown
from googlenet.variants import REDUCED, rows

SAVE_AS_UTF8 = "save it as UTF-8, which editors offer under Save As, Encoding"
NO_AUX = "none"  # how a suite file removes auxiliary heads; TOML has no null
# Fields of a suite that its file gives as a list of names and a table of the file's own variants.
_MADE = ("architectures", "recipe_changes")
# What a factorial suite has beside its factors, and what follows from the factors.
_OF_FACTORS, _FROM_FACTORS = ("base", "resolution"), ("varies", "baseline", "variants", "variant")
FILE_KEYS = (*(part.name for part in fields(Suite) if part.name not in _MADE), *_OF_FACTORS, "variants", "variant")
RECIPE_KEYS = tuple(part.name for part in fields(Recipe) if part.name not in ("name", "precision"))  # of a variant


def find_suite(name: str, *, many_cells: bool = False) -> Suite:
    """The built-in suite of that name, or the one in the TOML file at that path.

    A factorial suite of more than 64 cells is refused without `many_cells`.

    Raises:
        ConfigError: if there is none, or its file cannot be used.
    """
    if name.endswith(".toml"):
        return read_suite_file(Path(name), many_cells=many_cells)
    try:
        check_choice("suite", name, SUITES)
    except ValueError as error:
        raise ConfigError(f"{error} (the path of a suite file ends in .toml)") from error
    return SUITES[name]


def read_suite_file(path: Path, *, many_cells: bool = False) -> Suite:
    """Read a suite from TOML; the documentation of suites gives the format.

    A factorial suite of more than 64 cells is refused without `many_cells`.

    Raises:
        ConfigError: if the file is missing or malformed, or a key or value is not allowed.
    """
    where = f"suite file {path}"
    try:
        # Windows' editors begin UTF-8 with a byte order mark, which TOML does not allow.
        text = path.expanduser().read_text(encoding="utf-8-sig")
        if "\0" in text[:2]:  # a letter in UTF-16 without a mark
            raise ConfigError(f"{where}: its encoding seems to be UTF-16; {SAVE_AS_UTF8}")
        data = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: it is not UTF-8 ({error}), perhaps UTF-16; {SAVE_AS_UTF8}") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: it is nested too deeply") from error
    except RuntimeError as error:  # of expanduser
        raise ConfigError(f"{where}: this user has no home folder here; give the whole path") from error
    check_keys(data, known=FILE_KEYS, where=where)
    taken = {*SUITES, *(f"{suite}-{dataset}" for suite in SUITES for dataset in DATASETS)}  # as `select` names them
    if data.get("name") in tuple(taken):
        raise ConfigError(f"{where}: name {data['name']!r} belongs to a built-in suite, whose results it would share")
    if "factors" in data:
        return _factorial_suite(data, where=where, many_cells=many_cells)
    for key in _OF_FACTORS:
        if key in data:
            raise ConfigError(f"{where}: {key} has no effect without factors; remove it or add [factors]")
    own = _table(data.pop("variant", {}), where=f"{where}: variant")
    if "variants" not in data and not own:
        return _axis_suite(data, where=where)
    names = data.pop("variants", list(own))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{where}: variants is {shown(names)}; give a list with at least one name")
    unused = sorted(set(own) - set(names))
    if unused:
        raise ConfigError(
            f"{where}: [variant.{_shown_name(unused[0])}] is not among variants; add it there or remove it"
        )
    changes = {
        name: table.pop("recipe") for name, table in own.items() if isinstance(table, dict) and "recipe" in table
    }
    architectures = [
        _read_variant(name, own.get(name), where=f"{where}: variant {_shown_name(name)}") for name in names
    ]
    recipe = _read_recipe(data.pop("recipe", PUBLISHED.name), where=f"{where}: recipe")
    _choose("baseline", data.setdefault("baseline", names[0]), names, where=where)
    plain = {**data, "recipe": to_plain(recipe), "architectures": to_plain(architectures)}
    suite = from_plain(Suite, plain, where=where)
    for name, table in changes.items():
        inside = f"{where}: variant {_shown_name(name)}: recipe"
        check_keys(_table(table, where=inside), known=RECIPE_KEYS, where=inside)
    suite = replace(suite, recipe_changes=changes)
    for name in changes:
        try:
            suite.recipe_of(name)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    return suite


def _axis_suite(data: dict[str, Any], *, where: str) -> Suite:
    """The suite of a file without variants, whose axis is one of those that are known."""
    if "axis" not in data:
        raise ConfigError(
            f"{where}: it has neither variants nor an axis; list variants, or name an axis: {', '.join(AXES)}"
        )
    axis = _choose("without variants: axis", data.pop("axis"), AXES, where=where)
    settings = axis_settings(axis)
    names = [arch.name for arch in settings["architectures"]]
    _choose("baseline", data.setdefault("baseline", REDUCED.name), names, where=where)
    recipe = _read_recipe(data.pop("recipe", PUBLISHED.name), where=f"{where}: recipe")
    plain = {name: to_plain(value) for name, value in {**settings, "recipe": recipe}.items()}
    return from_plain(Suite, {**plain, **data}, where=where)


def _factorial_suite(data: dict[str, Any], *, where: str, many_cells: bool) -> Suite:
    """The suite of a file with factors, whose variants are the cells that these make of its `base`."""
    for key in _FROM_FACTORS:
        if key in data:
            raise ConfigError(
                f"{where}: {key} cannot stand beside factors, whose cells are the variants and whose first levels are "
                f"the baseline; remove {key} or factors"
            )
    inside = f"{where}: factors"
    table = _table(data.pop("factors"), where=inside)
    base = ARCHITECTURES[_choose("base", data.pop("base", REDUCED.name), ARCHITECTURES, where=where)]
    resolution = data.pop("resolution", "full")
    check_keys(table, known=FACTORS, where=inside)
    for name, own in table.items():
        if not isinstance(own, list):
            raise ConfigError(f"{inside}: {name} is {shown(own)}; give a list of at least two levels")
    recipe = _read_recipe(data.pop("recipe", PUBLISHED.name), where=f"{where}: recipe")
    try:
        check_factors(table, resolution=resolution, many_cells=many_cells)
        levels = {
            name: [getattr(_read_variant(base.name, {name: level}, where=inside), name) for level in own]
            for name, own in table.items()
        }
        settings = factor_settings(base, levels, resolution=resolution)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    return from_plain(Suite, {**settings, "recipe": recipe, **data}, where=where)


def _shown_name(name: str) -> str:
    """A name that may not be usable, in an error message."""
    return name if len(name) <= MAX_NAME and name.isprintable() else shown(name)


def _choose(what: str, value: object, allowed: Iterable[str], *, where: str) -> str:
    try:
        check_choice(what, value, allowed)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    return str(value)


def _table(value: object, *, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a table, found {shown(value)}")
    return value


def _read_variant(name: str, changes: object, *, where: str) -> Architecture:
    """A known architecture, or one of the file's own: `base` with changes.

    Without `base` the changes are to the known architecture of that name, or to `reduced`.
    """
    if changes is None:
        return ARCHITECTURES[_choose("architecture", name, ARCHITECTURES, where=where)]
    table = dict(_table(changes, where=where))
    base_name = table.pop("base", name if name in ARCHITECTURES else REDUCED.name)
    base = ARCHITECTURES[_choose("base", base_name, ARCHITECTURES, where=where)]
    check_keys(table, known=tuple(key for key in to_plain(base) if key != "name"), where=where)
    for key, any_value, setting in (("image_size", ANY_SIZE, "resize"), ("in_channels", ANY_CHANNELS, "grayscale")):
        if table.get(key) == any_value == getattr(base, key):
            raise ConfigError(
                f"{where}: {key} is {any_value}, the default, which takes what the data has; leave it out (the "
                f"recipe's {setting} changes the data's)"
            )
    if table.get("aux") == NO_AUX:
        table["aux"] = None
    elif isinstance(table.get("aux"), dict) and base.aux:
        table["aux"] = {**to_plain(base.aux), **table["aux"]}
    if isinstance(table.get("stages"), list):
        table["stages"] = [_read_stage(stage, where=f"{where}: stages") for stage in table["stages"]]
    return from_plain(Architecture, {**to_plain(base), **table, "name": name}, where=where)


def _read_stage(stage: object, *, where: str) -> object:
    """A stage given as names of Table 1's rows; any other form is left to the architecture."""
    if not isinstance(stage, str):
        return stage
    try:
        return to_plain(rows(stage))
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _read_recipe(value: object, *, where: str) -> Recipe:
    """A known recipe by name, or a table with a name of its own and `base` (by default the published) with changes."""
    if isinstance(value, str):
        return RECIPES[_choose("recipe", value, RECIPES, where=where)]
    table = dict(_table(value, where=where))
    base = RECIPES[_choose("base", table.pop("base", PUBLISHED.name), RECIPES, where=where)]
    return from_plain(Recipe, {**to_plain(base), "name": "custom", **table}, where=where)
