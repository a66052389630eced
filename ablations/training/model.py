"""The network of a run: as its seed initialises it, and as a finished run trained it."""

from __future__ import annotations

from pathlib import Path

import torch

from ablations.seeding import derive_seed
from ablations.storage.serialization import from_plain, parse_json
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from googlenet import Architecture, GoogLeNet, build, initialise


def make_model(arch: Architecture, *, num_classes: int, seed: int, device: torch.device) -> GoogLeNet:
    """The untrained network of a run with this seed, on its device, in channels-last memory.

    Networks of one seed start with the same weights in every layer that they share, so that their differences pair by
    seed. Reseeds torch's global generators.
    """
    model = build(arch, num_classes=num_classes)
    initialise(model, seed_at=lambda layer: derive_seed(seed, purpose="init", layer=layer))
    return model.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def load_trained(run: Path, *, epoch: int | None = None) -> GoogLeNet:
    """The network that a finished run trained, from the run's folder, on the CPU and in evaluation mode.

    With `epoch` it is that after one of the recipe's `keep_epochs`, also of a run that has not finished.

    Raises:
        FileNotFoundError: if the run has not finished, or has not kept that epoch.
        ValueError: if the file of weights is damaged.
        ConfigError: if the run's configuration is damaged.
    """
    weights = checkpoint.load_weights(run / "checkpoint", epoch=epoch)
    where = run / "config.json"
    config = from_plain(RunConfig, parse_json(where.read_text(encoding="utf-8")), where=str(where))
    model = build(config.architecture, num_classes=config.num_classes)
    model.load_state_dict(weights)
    return model.eval()
