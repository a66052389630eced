"""Bytes on the disk: against what torch writes and against predictions in a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ablations.records import predictions
from ablations.records.disk import disk_use
from ablations.records.predictions import Predictions
from ablations.suites.recipe import DIGITS
from ablations.suites.run_config import RunConfig
from ablations.training.step import TrainStep
from googlenet.architecture import Auxiliary
from googlenet.model import build

IMAGES = 3000


def written(state: Any) -> int:
    file = io.BytesIO()
    torch.save(state, file)
    return file.tell()


@pytest.mark.parametrize(
    ("changes", "aux"),
    [
        ({"optimizer": "adam"}, None),
        ({"optimizer": "adadelta", "validation_fraction": 0.1}, None),
        ({"optimizer": "sgd", "momentum": 0.9}, Auxiliary(after=("3a",))),
        ({"optimizer": "sgd", "keep_epochs": (2, 5)}, None),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_run_takes_the_bytes_of_its_states_weights_and_predictions(
    make_config: Callable[..., RunConfig], tmp_path: Path, changes: dict[str, Any], aux: Auxiliary | None
) -> None:
    config = make_config()
    arch = replace(config.architecture, width=0.75, aux=aux)  # large beside the files' own structure
    config = replace(config, architecture=arch, recipe=replace(DIGITS, **{"precision": "fp32", **changes}))
    step = TrainStep(build(arch, num_classes=config.num_classes), config.recipe)
    step.step(torch.rand(2, 3, arch.image_size, arch.image_size), torch.zeros(2, dtype=torch.int64))
    weights = step.model.state_dict()
    best = weights if config.recipe.validation_fraction else None
    state = written({"model": weights, "optimizer": step.optimizer.state_dict(), "best": best and dict(best)})
    state += written(dict(weights)) if best else 0  # in one file, torch writes shared tensors once
    one, five = np.zeros(IMAGES, np.float32), np.zeros((IMAGES, 5), np.float32)
    stored = Predictions(classes=five, logits=five, confidence=one, labels=one, loss=one)
    predictions.write(tmp_path / "p.npz", stored, num_classes=config.num_classes)
    kept = written(weights) * len(config.recipe.keep_epochs)
    use = disk_use(config, test_images=IMAGES)
    assert use.training == pytest.approx(3 * state + kept, rel=0.02)
    assert use.done - disk_use(config, test_images=0).done == pytest.approx(
        (tmp_path / "p.npz").stat().st_size, rel=0.1
    )
    assert use.done == pytest.approx(written(weights) + kept + (tmp_path / "p.npz").stat().st_size, rel=0.02)
