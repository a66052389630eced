"""The plan of a suite: its runs on one dataset, and which runs of an earlier plan belong in the same report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ablations.data.subsets import held_out_count
from ablations.data.summary import DataSummary
from ablations.storage.changes import changes
from ablations.suites.factors import FACTORS
from ablations.suites.fitting import fit_architectures, with_twins
from ablations.suites.recipe import Recipe
from ablations.suites.run_config import RunConfig
from ablations.suites.suite import Suite, check_looks
from googlenet.architecture import Architecture
from googlenet.counts import count_macs, count_params
from googlenet.validation import check_choice, check_count, check_range, shown

SCHEMA = 3
# What runs in one table have in common: settings, but not the sentence that describes the axis.
COMPARABLE = ("suite", "declared", "baseline", "recipe", "limit_train", "margin", "width", "data")


@dataclass(frozen=True, kw_only=True)
class FullSize:
    """Counts of a variant at full width and at its own image size, which the trained one may be a smaller copy of."""

    variant: str
    image_size: int
    params: int
    macs: int

    def __post_init__(self) -> None:
        for name in ("image_size", "params", "macs"):
            check_count(f"full_size of {shown(self.variant)}: {name}", getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The runs of a suite on its dataset, with the settings that its report states.

    `skipped` says of each variant that is too deep for the images why it is left out. `factors` are the fields whose
    levels the variants cross, of a factorial suite. `looks` are the numbers of seeds at which verdicts are to be read,
    where they were declared.

    Raises:
        ValueError: on construction, if a value is impossible.
    """

    schema: int
    suite: str
    axis: str
    varies: tuple[str, ...]
    declared: tuple[str, ...]
    baseline: str
    recipe: Recipe
    limit_train: int | None
    margin: float
    width: float
    commands: tuple[str, ...]
    data: DataSummary
    runs: tuple[RunConfig, ...]
    full_size: tuple[FullSize, ...]
    skipped: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    looks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        uncounted = {run.architecture.name for run in self.runs} - {size.variant for size in self.full_size}
        if not self.runs or uncounted:
            lacking = f"full_size of {', '.join(sorted(uncounted))}" if uncounted else "runs"
            raise ValueError(f"the plan has no {lacking}; run the suite again to replace it")
        for what, keys in (
            ("runs", [(run.architecture.name, run.seed) for run in self.runs]),
            ("full_size", [size.variant for size in self.full_size]),
        ):
            if len(set(keys)) < len(keys):
                raise ValueError(f"the plan has an entry of {what} twice; run the suite again to replace it")
        check_range("margin", self.margin, low=0, high=0.5, open_low=True)
        check_range("width", self.width, low=0, high=16, open_low=True)
        if self.limit_train is not None:
            check_count("limit_train", self.limit_train)
        for name in self.factors:
            check_choice("factor", name, FACTORS)
        check_looks("looks", self.looks)

    @property
    def shared_seeds(self) -> tuple[int, ...]:
        """The seeds that every variant is planned with, sorted: those that a report is about."""
        by_variant: dict[str, set[int]] = {}
        for run in self.runs:
            by_variant.setdefault(run.architecture.name, set()).add(run.seed)
        return tuple(sorted(set.intersection(*by_variant.values())))

    def changes_since(self, earlier: Plan) -> list[str]:
        """What keeps the two plans' runs out of one table, one line per value that differs."""
        then, now = (
            # The title of a folder of images is its name: the same images may be in another one.
            {name: getattr(plan, name) for name in COMPARABLE} | {"data": replace(plan.data, title="")}
            for plan in (earlier, self)
        )
        return [str(change) for change in changes(then, now)]

    def variant_changes_since(self, earlier: Plan) -> list[str]:
        """How architecture or recipe differ of the variants that both plans have, one line per value that differs."""
        before = _variants(earlier.runs)
        return [
            f"variant {name}: {change}"
            for name, now in _variants(self.runs).items()
            if name in before
            for change in changes(before[name], now)
        ]

    def joined(self, earlier: Plan) -> Plan:
        """This plan with the runs of an earlier one that belong in the same table.

        They do if data, recipe, subset, width, baseline and margin are the same; otherwise this plan stands alone.
        Runs of a variant whose architecture or own recipe has changed since are left out, and all if the baseline has.
        Looks that the earlier plan declares stay where this one declares none.
        """
        if self.changes_since(earlier):
            return self
        before, now = _variants(earlier.runs), _variants(self.runs)
        if self.baseline in now and self.baseline in before and now[self.baseline] != before[self.baseline]:
            return self
        own = set(self.runs)
        kept = [
            run for run in earlier.runs if run not in own and now.get(run.architecture.name) in (None, _trained(run))
        ]
        variants = {size.variant for size in self.full_size}
        kept_names = {run.architecture.name for run in kept}
        sizes = [size for size in earlier.full_size if size.variant in kept_names - variants]
        commands = (*(command for command in earlier.commands if command not in self.commands), *self.commands)
        return replace(
            self,
            varies=tuple(dict.fromkeys((*self.varies, *earlier.varies))),
            factors=self.factors or earlier.factors,
            looks=self.looks or earlier.looks,
            commands=commands,
            runs=(*self.runs, *kept),
            full_size=(*self.full_size, *sizes),
        )


def _trained(run: RunConfig) -> dict[str, Any]:
    """What a variant's runs have in common."""
    return {"architecture": run.architecture, "recipe": run.recipe}


def _variants(runs: Iterable[RunConfig]) -> dict[str, dict[str, Any]]:
    return {run.architecture.name: _trained(run) for run in runs}


def make_plan(suite: Suite, *, data: DataSummary, command: str) -> Plan:
    """Every run of the suite on this data, seed by seed, so that an early stop leaves whole comparisons.

    Raises:
        ValueError: if an architecture does not fit the images, the last batch would have a single one, two variants
            are the same, or a variant has no twin of the baseline's capacity.
    """
    _check_batches(suite, data)
    full_size, trained, skipped = fit_architectures(suite, data)
    if suite.control is not None:
        full_size, trained = with_twins(suite, full_size, trained, num_classes=data.num_classes)
    recipes = {name: suite.recipe_of(name) for name in trained}
    _check_distinct(trained, recipes)
    return Plan(
        schema=SCHEMA,
        suite=suite.name,
        axis=suite.axis,
        varies=suite.varies,
        declared=suite.declared,
        baseline=suite.baseline,
        recipe=suite.recipe,
        limit_train=suite.limit_train,
        margin=suite.margin,
        width=suite.width,
        commands=(command,),
        data=data,
        runs=tuple(
            RunConfig(
                architecture=arch,
                dataset=data.name,
                fingerprint=data.fingerprint,
                num_classes=data.num_classes,
                recipe=recipes[name],
                seed=seed,
                limit_train=suite.limit_train,
            )
            for seed in suite.run_seeds
            for name, arch in trained.items()
        ),
        full_size=tuple(
            FullSize(
                variant=name,
                image_size=arch.image_size,
                params=count_params(arch, num_classes=data.num_classes),
                macs=count_macs(arch, num_classes=data.num_classes),
            )
            for name, arch in full_size.items()
        ),
        skipped=skipped,
        factors=suite.factors,
        looks=suite.looks,
    )


def _check_distinct(trained: Mapping[str, Architecture], recipes: Mapping[str, Recipe]) -> None:
    """Refuse variants that are the same network, trained in the same way, under two names."""
    names: dict[tuple[object, Recipe], str] = {}
    for name, arch in trained.items():
        same = names.setdefault((arch.layers(), replace(recipes[name], name="any")), name)
        if same != name:
            raise ValueError(
                f"variants {same} and {name} are the same network, trained in the same way; remove one of them or let "
                "them differ"
            )


def _check_batches(suite: Suite, data: DataSummary) -> None:
    """Batch norm cannot train on a batch of one image whose map is 1x1."""
    images = data.train_images if suite.limit_train is None else suite.limit_train
    if images > data.train_images:
        raise ValueError(f"--limit-train {images:,} is more than the {data.train_images:,} training images; use fewer")
    if suite.limit_train is not None and images < data.num_classes:
        raise ValueError(
            f"--limit-train {images:,} is less than the {data.num_classes:,} classes; use at least one image a class"
        )
    for recipe in dict.fromkeys(suite.recipe_of(arch.name) for arch in suite.architectures):
        _check_last_batch(images - held_out_count(images, recipe.validation_fraction), recipe.batch_size)


def _check_last_batch(images: int, batch: int) -> None:
    if images % batch == 1:
        raise ValueError(
            f"{images:,} training images in batches of {batch} leave a last batch of one image, which batch norm "
            "cannot train on; change --limit-train or the recipe's batch_size"
        )
