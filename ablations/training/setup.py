"""What one run trains with: its optimisation step and its loaders."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.data.dataset import Dataset
from ablations.data.subsets import hold_out, limit
from ablations.suites.run_config import RunConfig
from ablations.training import complexity
from ablations.training.complexity import Complexity
from ablations.training.inputs.loader import Loader
from ablations.training.model import make_model
from ablations.training.options import ExecutionOptions
from ablations.training.step import TrainStep


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What one run trains with; `validation_loader` is None where the recipe holds out no images."""

    config: RunConfig
    options: ExecutionOptions
    train_step: TrainStep
    complexity: Complexity
    train_loader: Loader
    validation_loader: Loader | None


def set_up(config: RunConfig, dataset: Dataset, *, options: ExecutionOptions) -> Setup:
    """Build the run's network on its device, measure its complexity, and load its training and validation images."""
    device = options.device
    model = make_model(config.architecture, num_classes=config.num_classes, seed=config.seed, device=device)
    measured = complexity.measure(model)
    subset = limit(dataset.train, config.limit_train)
    train_split, held_out = hold_out(subset, fraction=config.recipe.validation_fraction, seed=config.seed)
    return Setup(
        config=config,
        options=options,
        train_step=TrainStep(model, config.recipe, engine=options.engine, may_fall_back=options.engine_may_fall_back),
        complexity=measured,
        train_loader=Loader(train_split, recipe=config.recipe, device=device),
        validation_loader=Loader(held_out, recipe=config.recipe, device=device) if held_out else None,
    )
