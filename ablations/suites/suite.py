"""A suite: the architectures to compare, baseline, axis, dataset, recipe and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any

from ablations.data.registry import DATASETS
from ablations.storage.serialization import from_plain, to_plain
from ablations.suites.factors import FACTORS
from ablations.suites.recipe import RECIPES, Precision, Recipe
from ablations.suites.run_config import MAX_SEED
from googlenet.architecture import Architecture
from googlenet.controls import CAPACITIES, Capacity, original_of
from googlenet.registry import architecture
from googlenet.validation import TWIN_MARK, check_choice, check_count, check_flag, check_name, check_range
from googlenet.variants import REDUCED

# Fields in which variants may differ, or the whole architecture; and what else a suite may declare.
ARCHITECTURE = "architecture"
VARYING = (ARCHITECTURE, *(part.name for part in fields(Architecture) if part.name != "name"))
VERSIONS = "versions"
DECLARABLE = (*VARYING, "recipe", *(f"recipe.{field.name}" for field in fields(Recipe)), VERSIONS)
MAX_SEEDS = 10_000
MIN_LOOK = 2  # seeds; one has no spread
MARGIN = 0.005  # half a point: about three times the standard deviation over seeds on CIFAR-10


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Architectures at full size, of which `baseline` is the one to compare with, that differ along `axis`.

    `varies` names the architecture's fields that make up the axis. Any other difference from the baseline has to be
    `declared`, as "recipe.learning_rate" or "versions", and is then a footnote of the report. `recipe_changes` are a
    variant's own values of the recipe, by variant and field.

    `width` multiplies the width of all of them, for a suite that has to be small. Seeds are those of `seed_list` or,
    where it is empty, 1 to `seeds`. `looks` are the numbers of seeds at which verdicts are to be read, if they are
    declared. A difference in top-1 error of less than `margin`, a fraction, counts as none.

    With `control` every variant gets a twin whose parameters or MACs equal the baseline's (see `googlenet.controls`).
    `skip_unfit` leaves out the variants that are too deep for the data's image size, instead of refusing the suite.
    `factors` are the fields whose levels the architectures cross (see `suites.factors`), of a suite that is factorial.

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
    seed_list: tuple[int, ...] = ()
    looks: tuple[int, ...] = ()
    margin: float = MARGIN
    width: float = 1.0
    limit_train: int | None = None
    declared: tuple[str, ...] = ()
    recipe_changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    control: Capacity | None = None
    skip_unfit: bool = False
    factors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name("suite", self.name)
        for name in self.varies:
            check_choice(f"suite {self.name}: varies", name, VARYING)
        for name in self.declared:
            check_choice(f"suite {self.name}: declared", name, DECLARABLE)
        for name in self.factors:
            check_choice(f"suite {self.name}: factor", name, FACTORS)
        check_choice(f"suite {self.name}: dataset", self.dataset, DATASETS)
        check_count(f"suite {self.name}: seeds", self.seeds, high=MAX_SEEDS)
        for seed in self.seed_list:
            check_count(f"suite {self.name}: seed_list", seed, low=0, high=MAX_SEED)
        if len(set(self.seed_list)) < len(self.seed_list):
            raise ValueError(f"suite {self.name}: seed_list is {list(self.seed_list)}; name each seed once")
        check_looks(f"suite {self.name}: looks", self.looks)
        check_range(f"suite {self.name}: margin", self.margin, low=0, high=0.5, open_low=True)
        check_range(f"suite {self.name}: width", self.width, low=0, high=16, open_low=True)
        if self.limit_train is not None:
            check_count(f"suite {self.name}: limit_train", self.limit_train)
        if self.control is not None:
            check_choice(f"suite {self.name}: control", self.control, CAPACITIES)
        check_flag(f"suite {self.name}: skip_unfit", self.skip_unfit)
        names = [arch.name for arch in self.architectures]
        marked = [name for name in names if TWIN_MARK in name]
        if marked:
            raise ValueError(
                f"suite {self.name}: variant {marked[0]} has the name of a twin, which control makes; leave out the "
                f"part from {TWIN_MARK!r} on"
            )
        if not names:
            raise ValueError(f"suite {self.name}: it has no variant; name at least one")
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"suite {self.name}: variant {', '.join(sorted(doubled))} is named twice; name it once")

    @property
    def run_seeds(self) -> tuple[int, ...]:
        """The seeds that every variant is trained with."""
        return self.seed_list or tuple(range(1, self.seeds + 1))

    def recipe_of(self, variant: str) -> Recipe:
        """The recipe that a variant or its twin is trained with: the suite's, or a copy with the variant's own values.

        Raises:
            ConfigError: if one of these values is not allowed.
        """
        changes = self.recipe_changes.get(original_of(variant) or variant)
        if not changes:
            return self.recipe
        return from_plain(Recipe, {**to_plain(self.recipe), **changes}, where=f"variant {variant}: recipe")


def check_looks(what: str, looks: Sequence[int]) -> None:
    """Raise ValueError unless these are increasing numbers of seeds, each of at least two; there may be none."""
    for seeds in looks:
        check_count(what, seeds, low=MIN_LOOK, high=MAX_SEEDS)
    if any(later <= earlier for earlier, later in pairwise(looks)):
        raise ValueError(f"{what} is {list(looks)}; name increasing numbers of seeds, each once, as in 3,5,10")


def select(
    suite: Suite,
    *,
    variants: tuple[str, ...] | None = None,
    dataset: str | None = None,
    seeds: int | None = None,
    seed_list: tuple[int, ...] | None = None,
    looks: tuple[int, ...] | None = None,
    epochs: int | None = None,
    keep_epochs: tuple[int, ...] | None = None,
    limit_train: int | None = None,
    width: float | None = None,
    control: Capacity | None = None,
    recipe: str | None = None,
    precision: Precision = "auto",
    native_precision: Precision = "fp32",
) -> Suite:
    """The suite with what the user chose in place of its own settings.

    Variants may come from outside of it: naming one declares that it may differ in all of its architecture. A factorial
    suite of other variants than its own cells is not factorial any more. With another dataset than its own the suite is
    named after both, and its results have a folder of their own. A recipe, a number of epochs and epochs to keep apply
    to all variants, also to those that have their own.

    A precision that neither the user nor the recipe settles becomes `native_precision`, the device's.

    Raises:
        ValueError: if a choice is out of range or unknown.
    """
    chosen = suite
    if variants is not None:
        own = {arch.name: arch for arch in suite.architectures}
        named = tuple(own.get(name) or architecture(name) for name in variants)
        factors = suite.factors if set(named) == set(suite.architectures) else ()
        chosen = replace(chosen, architectures=named, skip_unfit=False, factors=factors)
        if set(variants) - set(own):
            chosen = replace(chosen, varies=(ARCHITECTURE,))
    if dataset is not None and dataset != suite.dataset:
        check_choice("dataset", dataset, DATASETS)
        chosen = replace(chosen, name=f"{suite.name}-{dataset}", dataset=dataset)
    if seeds is not None and seed_list is not None:
        raise ValueError("--seeds and --seed-list exclude each other; give one of them")
    if seeds is not None:
        chosen = replace(chosen, seeds=seeds, seed_list=())
    if seed_list is not None:
        chosen = replace(chosen, seed_list=seed_list)
    if looks is not None:
        chosen = replace(chosen, looks=looks)
    if recipe is not None:
        check_choice("recipe", recipe, RECIPES)
        # A whole recipe of a variant's own gives way, a single value of it stays.
        single = {name: changes for name, changes in chosen.recipe_changes.items() if "name" not in changes}
        declared = chosen.declared
        if single != chosen.recipe_changes:
            declared = tuple(name for name in declared if name != "recipe")
        chosen = replace(chosen, recipe=RECIPES[recipe], recipe_changes=single, declared=declared)
    if precision != "auto":
        chosen = replace(chosen, recipe=replace(chosen.recipe, precision=precision))
    chosen = replace(chosen, recipe=chosen.recipe.at_precision(native_precision))
    if epochs is not None:
        check_count("--epochs", epochs)
        chosen = _with_recipe_values(chosen, epochs=epochs)
    if keep_epochs is not None:
        chosen = _with_recipe_values(chosen, keep_epochs=keep_epochs)
    if limit_train is not None:
        chosen = replace(chosen, limit_train=limit_train)
    if width is not None:
        chosen = replace(chosen, width=width)
    if control is not None:
        chosen = replace(chosen, control=control)
    return chosen


def _with_recipe_values(
    suite: Suite, *, epochs: int | None = None, keep_epochs: tuple[int, ...] | None = None
) -> Suite:
    """The suite with these values in all of its recipes; epochs that are to be kept end where the training does."""

    def changed(values: Mapping[str, Any]) -> dict[str, Any]:
        kept = values.get("keep_epochs", ()) if keep_epochs is None else keep_epochs
        if epochs is not None and keep_epochs is None:
            kept = [epoch for epoch in kept if epoch <= epochs]
        new = {"epochs": epochs, "keep_epochs": tuple(kept)}
        return {name: new[name] if new.get(name) is not None else value for name, value in values.items()}

    return replace(
        suite,
        recipe=Recipe(**changed({field.name: getattr(suite.recipe, field.name) for field in fields(Recipe)})),
        recipe_changes={name: changed(own) for name, own in suite.recipe_changes.items()},
    )
