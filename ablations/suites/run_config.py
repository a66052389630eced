"""The configuration of one run, and the run id that is derived from it."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from ablations.storage.serialization import from_plain, to_plain
from ablations.suites.recipe import Recipe
from googlenet.architecture import BRANCHES, Architecture
from googlenet.validation import check_count, check_name

MAX_SEED = 2**31 - 1
# Fields that version 0.4 did not have: run ids leave them out at their default, so that its runs keep their ids.
LATER_FIELDS = {
    "resize": None,
    "grayscale": False,
    "flip_test": False,
    "keep_epochs": [],
    "bn_eps_5x5": "same",
    "branches": list(BRANCHES),
    "module_dropout": 0.0,
    "extra_pools": False,
}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training: an architecture at the data's size, a dataset by name and fingerprint, a recipe and a seed.

    `limit_train` trains on a stratified subset of that many images; None on all.

    Raises:
        ValueError: on construction, naming the value, what is allowed and the remedy.
    """

    architecture: Architecture
    dataset: str
    fingerprint: str
    num_classes: int
    recipe: Recipe
    seed: int
    limit_train: int | None = None

    def __post_init__(self) -> None:
        check_name("dataset", self.dataset)
        check_count("num_classes", self.num_classes, low=2)
        check_count("seed", self.seed, low=0, high=MAX_SEED)
        if self.recipe.precision == "auto":
            raise ValueError(
                f"recipe {self.recipe.name}: precision is 'auto', which depends on the device; a run's is 'fp32' or "
                "'bf16' (see Recipe.at_precision)"
            )
        if self.limit_train is not None:
            check_count("limit_train", self.limit_train, low=self.num_classes)

    @property
    def run_id(self) -> str:
        """``<dataset>-<variant>-s<seed>-<hash8>``; the hash covers all that can change the numbers."""
        values = sorted((part.name, getattr(self, part.name)) for part in fields(self))
        canonical = ",".join(f'"{name}":{_canonical(value)}' for name, value in values)
        digest = hashlib.sha256(f"{{{canonical}}}".encode()).hexdigest()
        return f"{self.dataset}-{self.architecture.name}-s{self.seed}-{digest[:8]}"


@functools.lru_cache(maxsize=1024)  # thousands of runs share a few architectures and recipes
def _canonical(value: Any) -> str:
    """Part of a configuration as JSON, the same text for equal values."""
    if is_dataclass(value):
        # Through plain data and back, so that a learning rate of 1 and one of 1.0 give the same text.
        plain = to_plain(from_plain(type(value), to_plain(value), where="configuration"))
        value = {name: item for name, item in plain.items() if name not in LATER_FIELDS or item != LATER_FIELDS[name]}
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
