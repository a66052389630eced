"""What a suite compares: its architectures, baseline, axis, data, recipe and seeds; built in, or from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from googlenet.arch import Architecture
from googlenet.checks import MAX_NAME, check_choice, check_count, check_name, check_range, shown
from googlenet.variants import ARCHITECTURES, REDUCED, VARIANTS, architecture, rows

from .config import DIGITS, PUBLISHED, RECIPES, Precision, Recipe
from .datasets import DATASETS
from .errors import ConfigError
from .schema import check_keys, from_plain, to_plain

NO_AUX = "none"  # how a suite file removes auxiliary heads; TOML has no null
FILE_KEYS = (
    "name",
    "axis",
    "varies",
    "declared",
    "dataset",
    "recipe",
    "baseline",
    "variants",
    "variant",
    "seeds",
    "margin",
    "width",
    "limit_train",
)
# What variants may differ in: fields of an architecture, or all of them at once; what else a suite may declare.
ARCHITECTURE = "architecture"
VARYING = (ARCHITECTURE, *(field.name for field in fields(Architecture) if field.name != "name"))
VERSIONS = "versions"
RECIPE_KEYS = tuple(field.name for field in fields(Recipe) if field.name not in ("name", "precision"))
DECLARABLE = (*VARYING, "recipe", *(f"recipe.{field.name}" for field in fields(Recipe)), VERSIONS)
MAX_SEEDS = 10_000
MARGIN = 0.005  # half a point: about three times the spread that seeds bring about on CIFAR-10


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Architectures at full size, of which `baseline` is the one to compare with, that differ along `axis`.

    `varies` names the architecture's fields that make up the axis. Any other difference from the baseline has to be
    `declared`, as "recipe.learning_rate" or "versions", and is then a footnote of the report. `recipe_changes` are a
    variant's own values of the recipe, by variant and field.

    `width` multiplies the width of all of them, for a suite that has to be small. Seeds are 1 to `seeds`. A difference
    in top-1 error of less than `margin`, a fraction, counts as none.

    Raises:
        ValueError: on construction, naming the value, what is allowed and the remedy.
    """

    name: str
    axis: str
    varies: tuple[str, ...]
    dataset: str
    recipe: Recipe
    architectures: tuple[Architecture, ...]
    baseline: str = REDUCED.name
    seeds: int = 1
    margin: float = MARGIN
    width: float = 1.0
    limit_train: int | None = None
    declared: tuple[str, ...] = ()
    recipe_changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("suite", self.name)
        for name in self.varies:
            check_choice(f"suite {self.name}: varies", name, VARYING)
        for name in self.declared:
            check_choice(f"suite {self.name}: declared", name, DECLARABLE)
        check_choice(f"suite {self.name}: dataset", self.dataset, DATASETS)
        check_count(f"suite {self.name}: seeds", self.seeds)
        check_range(f"suite {self.name}: seeds", self.seeds, low=1, high=MAX_SEEDS)
        check_range(f"suite {self.name}: margin", self.margin, low=0, high=0.5, open_low=True)
        check_range(f"suite {self.name}: width", self.width, low=0, high=16, open_low=True)
        if self.limit_train is not None:
            check_count(f"suite {self.name}: limit_train", self.limit_train)
        names = [arch.name for arch in self.architectures]
        if not names:
            raise ValueError(f"suite {self.name}: it has no variant; name at least one")
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"suite {self.name}: variant {', '.join(sorted(doubled))} is named twice; name it once")

    def recipe_of(self, variant: str) -> Recipe:
        """The recipe that a variant is trained with: the suite's, or a copy with the variant's own values.

        Raises:
            ConfigError: if one of these values is not allowed.
        """
        changes = self.recipe_changes.get(variant)
        if not changes:
            return self.recipe
        return from_plain(Recipe, {**to_plain(self.recipe), **changes}, where=f"variant {variant}: recipe")


# How the seven variants differ: naive in its modules' design, the others in which modules there are.
DESIGN_AND_DEPTH = ("stages", "stem_channels", "reduction", "branch5x5")
SUITES: dict[str, Suite] = {
    "digits": Suite(
        name="digits",
        axis="module design and depth",
        varies=DESIGN_AND_DEPTH,
        dataset="digits",
        recipe=DIGITS,
        architectures=tuple(VARIANTS.values()),
        width=0.5,
    ),
    **{
        name: Suite(
            name=name,
            axis="module design and depth",
            varies=DESIGN_AND_DEPTH,
            dataset=name,
            recipe=PUBLISHED,
            architectures=tuple(VARIANTS.values()),
        )
        for name in ("cifar10", "cifar100", "folder")
    },
}


def find(name: str) -> Suite:
    """The built-in suite of that name, or the one in the TOML file at that path.

    Raises:
        ConfigError: if there is none, or its file cannot be used.
    """
    if name.endswith(".toml"):
        return read_suite_file(Path(name))
    try:
        check_choice("suite", name, SUITES)
    except ValueError as error:
        raise ConfigError(f"{error} (the path of a suite file ends in .toml)") from error
    return SUITES[name]


def select(
    suite: Suite,
    *,
    variants: tuple[str, ...] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    limit_train: int | None = None,
    recipe: str | None = None,
    precision: Precision = "auto",
    native_precision: Precision = "fp32",
) -> Suite:
    """The suite with what the user chose in place of its own settings.

    Variants may come from outside of it: naming one declares that it may differ in all of its architecture.

    A precision that neither the user nor the recipe settles becomes `native_precision`, the device's.

    Raises:
        ValueError: if a choice is out of range or unknown.
    """
    chosen = suite
    if variants is not None:
        own = {arch.name: arch for arch in suite.architectures}
        chosen = replace(chosen, architectures=tuple(own.get(name) or architecture(name) for name in variants))
        if set(variants) - set(own):
            chosen = replace(chosen, varies=(ARCHITECTURE,))
    if seeds is not None:
        chosen = replace(chosen, seeds=seeds)
    if recipe is not None:
        check_choice("recipe", recipe, RECIPES)
        chosen = replace(chosen, recipe=RECIPES[recipe])
    if precision != "auto":
        chosen = replace(chosen, recipe=replace(chosen.recipe, precision=precision))
    chosen = replace(chosen, recipe=chosen.recipe.at_precision(native_precision))
    if epochs is not None:
        chosen = replace(chosen, recipe=replace(chosen.recipe, epochs=epochs))
    if limit_train is not None:
        chosen = replace(chosen, limit_train=limit_train)
    return chosen


def read_suite_file(path: Path) -> Suite:
    """Read a suite from TOML; README shows the format.

    Raises:
        ConfigError: if the file is missing or malformed, or a key or value is not allowed.
    """
    where = f"suite file {path}"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: it is nested too deeply") from error
    check_keys(data, known=FILE_KEYS, where=where)
    if data.get("name") in tuple(SUITES):
        raise ConfigError(f"{where}: name {data['name']!r} belongs to a built-in suite, whose results it would share")
    own = _table(data.pop("variant", {}), where=f"{where}: variant")
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
