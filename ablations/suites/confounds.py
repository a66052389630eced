"""Confounds: differences between a variant and the baseline beside the axis that a suite varies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ablations.errors import ConfigError
from ablations.storage.changes import changes
from ablations.suites.plan import Plan
from ablations.suites.run_config import RunConfig
from ablations.suites.suite import ARCHITECTURE, DECLARABLE
from ablations.suites.values import in_words
from googlenet.controls import original_of

# Labels: they do not change what is trained.
NAMES = ("architecture.name", "recipe.name", "seed")


class Difference(NamedTuple):
    """A field of the configuration in which a variant differs from the baseline, with both values in words."""

    variant: str
    path: str
    baseline_value: str
    value: str

    @property
    def field(self) -> str:
        """The name under which a suite varies or declares it."""
        return self.path.removeprefix(f"{ARCHITECTURE}.")

    def __str__(self) -> str:
        return f"{self.variant}: {self.field} is {self.value}, the baseline's is {self.baseline_value}"


def differences(plan: Plan) -> list[Difference]:
    """All differences of the plan's variants from its baseline, or from its first variant where that is not planned."""
    by_variant: dict[str, dict[RunConfig, None]] = {}
    for run in plan.runs:
        by_variant.setdefault(run.architecture.name, {})[replace(run, seed=0)] = None
    baseline = next(iter(by_variant.get(plan.baseline) or next(iter(by_variant.values()))))
    found = [
        Difference(variant, change.path, in_words(change.then), in_words(change.now))
        for variant, configs in by_variant.items()
        for config in configs  # one, unless runs of the variant differ among themselves
        for change in changes(baseline, config)
        if change.path not in (*NAMES, *_controlled(config, by_variant))
    ]
    return list(dict.fromkeys(found))


def _controlled(config: RunConfig, by_variant: Mapping[str, Collection[RunConfig]]) -> tuple[str, ...]:
    """What a control may differ in: the width of a twin that is otherwise its variant."""
    own = config.architecture
    for variant in by_variant.get(original_of(own.name) or "", ()):
        if replace(own, name=variant.architecture.name, width=variant.architecture.width) == variant.architecture:
            return (f"{ARCHITECTURE}.width",)
    return ()


def declared_differences(plan: Plan) -> list[Difference]:
    """The differences that are not of the axis but that the suite declares: footnotes of its report."""
    return [each for each in differences(plan) if not _covered(each.path, plan.varies)]


def check_confounds(plan: Plan) -> None:
    """Refuse a plan whose variants differ in what its suite neither varies nor declares.

    Raises:
        ConfigError: listing every such difference.
    """
    confounds = [each for each in declared_differences(plan) if not _covered(each.path, plan.declared)]
    if confounds:
        listed = "; ".join(map(str, confounds))
        named = dict.fromkeys((*plan.declared, *(each.field for each in confounds)))
        names = ", ".join(f'"{name}"' for name in named)
        can_be_declared = set(named) <= set(DECLARABLE)
        remedy = f", or declare it in the suite file: declared = [{names}]" if can_be_declared else ""
        raise ConfigError(
            f"suite {plan.suite} varies {', '.join(plan.varies) or 'nothing'}, but more than that differs: {listed}. "
            f"Make it equal, name it in varies if it is the axis{remedy or '; data and subset can be neither'}"
        )


def _covered(path: str, names: Iterable[str]) -> bool:
    """Whether one of the names, as a suite gives them, is that of the path or of the whole that it belongs to."""
    own_fields = {f"{ARCHITECTURE}.{name}" for name in names}
    return path in own_fields or path in names or path.partition(".")[0] in names
