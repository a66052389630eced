"""The runs that a suite comes to on its data: what the runner works through and a report is about."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from ablations.data.subsets import held_out_count
from ablations.data.summary import DataSummary
from ablations.suites.recipe import Recipe
from ablations.suites.run_config import RunConfig
from ablations.suites.suite import Suite
from googlenet.counts import count_macs, count_params
from googlenet.validation import check_count, check_range, shown

SCHEMA = 3
# What runs in one table have in common.
COMPARABLE = ("suite", "axis", "declared", "baseline", "recipe", "limit_train", "margin", "width", "data")


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
    """The runs that make up a suite's report, and what its head says of them."""

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

    def changes_since(self, earlier: Plan) -> list[str]:
        """What keeps the two plans' runs out of one table, a line a value that differs."""
        changes = []
        for field in COMPARABLE:
            then, now = getattr(earlier, field), getattr(self, field)
            if is_dataclass(now):
                changes += [f"{field}.{change}" for change in _field_changes(then, now)]
            elif then != now:
                changes.append(f"{field} was {shown(then)} and is {shown(now)}")
        return changes

    def variant_changes_since(self, earlier: Plan) -> list[str]:
        """What another architecture or recipe is behind the name of a variant of both plans, a line a value."""
        before = {run.architecture.name: run for run in earlier.runs}
        changes = []
        for name, run in {run.architecture.name: run for run in self.runs}.items():
            if name in before:
                parts = _field_changes(before[name].architecture, run.architecture)
                parts += [f"recipe.{change}" for change in _field_changes(before[name].recipe, run.recipe)]
                changes += [f"variant {name}: {change}" for change in parts]
        return changes

    def joined(self, earlier: Plan) -> Plan:
        """This plan with the runs of an earlier one that belong in the same table.

        They do if data, recipe, subset, width, baseline and margin are the same; otherwise this plan stands alone.
        Runs of a variant whose architecture or own recipe has changed since are left out, and all if the baseline has.
        """
        if self.changes_since(earlier):
            return self
        before = {run.architecture.name: (run.architecture, run.recipe) for run in earlier.runs}
        now = {run.architecture.name: (run.architecture, run.recipe) for run in self.runs}
        if self.baseline in now and self.baseline in before and now[self.baseline] != before[self.baseline]:
            return self
        own = set(self.runs)
        kept = [
            run
            for run in earlier.runs
            if run not in own and now.get(run.architecture.name) in (None, (run.architecture, run.recipe))
        ]
        variants = {size.variant for size in self.full_size}
        kept_names = {run.architecture.name for run in kept}
        sizes = [size for size in earlier.full_size if size.variant in kept_names - variants]
        commands = (*(command for command in earlier.commands if command not in self.commands), *self.commands)
        return replace(
            self,
            varies=tuple(dict.fromkeys((*self.varies, *earlier.varies))),
            commands=commands,
            runs=(*self.runs, *kept),
            full_size=(*self.full_size, *sizes),
        )


def _field_changes(then: Any, now: Any) -> list[str]:
    """The fields that differ between two of a dataclass, with both values."""
    pairs = ((part.name, getattr(then, part.name), getattr(now, part.name)) for part in fields(now))
    return [f"{name} was {shown(old)} and is {shown(new)}" for name, old, new in pairs if old != new]


def make_plan(suite: Suite, *, data: DataSummary, command: str) -> Plan:
    """Every run of the suite on this data, seed by seed, so that an early stop leaves whole comparisons.

    Raises:
        ValueError: if an architecture does not fit the images, or the last batch would have a single one.
    """
    _check_batches(suite, data)
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
                architecture=arch.at_size(data.image_size, width=suite.width),
                dataset=data.name,
                fingerprint=data.fingerprint,
                num_classes=data.num_classes,
                recipe=suite.recipe_of(arch.name),
                seed=seed,
                limit_train=suite.limit_train,
            )
            for seed in range(1, suite.seeds + 1)
            for arch in suite.architectures
        ),
        full_size=tuple(
            FullSize(
                variant=arch.name,
                image_size=arch.image_size,
                params=count_params(arch, num_classes=data.num_classes),
                macs=count_macs(arch, num_classes=data.num_classes),
            )
            for arch in suite.architectures
        ),
    )


def _check_batches(suite: Suite, data: DataSummary) -> None:
    """Batch norm cannot train on a batch of one image whose map is 1x1."""
    images = data.train_images if suite.limit_train is None else suite.limit_train
    if images > data.train_images:
        raise ValueError(f"--limit-train {images:,} is more than the {data.train_images:,} training images; use fewer")
    for recipe in dict.fromkeys(suite.recipe_of(arch.name) for arch in suite.architectures):
        _check_last_batch(images - held_out_count(images, recipe.validation_fraction), recipe.batch_size)


def _check_last_batch(images: int, batch: int) -> None:
    if images % batch == 1:
        raise ValueError(
            f"{images:,} training images in batches of {batch} leave a last batch of one image, which batch norm "
            "cannot train on; change --limit-train or the recipe's batch_size"
        )
