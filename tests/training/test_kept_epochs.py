"""Weights that a recipe keeps on the way: those after the epoch, verified, and read again by its number."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.data.subsets import hold_out
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training.evaluation import predict
from ablations.training.events import EpochDone
from ablations.training.inputs.loader import Loader
from ablations.training.model import load_trained
from ablations.training.options import ExecutionOptions
from ablations.training.train import train
from tests.support.training import CPU, StopAt


@pytest.fixture
def folder(make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, stop_at: StopAt) -> RunFolder:
    """A run that was stopped and went on, and keeps two of its three epochs."""
    folder = RunFolder(tmp_path, make_config(keep_epochs=(1, 2), validation_fraction=0.2))

    run = functools.partial(train, folder.config, dataset=tiny_digits, folder=folder, options=ExecutionOptions())
    with pytest.raises(KeyboardInterrupt):
        run(on_event=stop_at(EpochDone, 1))
    run()
    return folder


def test_kept_weights_give_the_validation_figures_of_their_epoch(folder: RunFolder, tiny_digits: Dataset) -> None:
    recipe = folder.config.recipe
    _, held_out = hold_out(tiny_digits.train, fraction=0.2, seed=folder.config.seed)
    assert held_out is not None
    epochs = folder.epochs.read()
    for number in (1, 2):
        model = load_trained(folder.path, epoch=number)
        found = predict(model, Loader(held_out, recipe=recipe, device=CPU).eval_batches())
        epoch = epochs[number - 1]
        assert found.wrong.mean() == pytest.approx(epoch.validation_error)
        assert found.loss.mean() == pytest.approx(epoch.validation_loss, rel=1e-5)
        assert found.top5_wrong is not None
        assert found.top5_wrong.mean() == pytest.approx(epoch.validation_top5_error)
    first, second = (load_trained(folder.path, epoch=number).state_dict() for number in (1, 2))
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_an_epoch_that_was_not_kept_is_an_error_that_names_those_that_were(folder: RunFolder) -> None:
    with pytest.raises(FileNotFoundError, match=r"kept epochs are 1, 2; the recipe's keep_epochs says"):
        load_trained(folder.path, epoch=3)
    assert load_trained(folder.path) is not None


def test_damaged_kept_weights_are_refused(folder: RunFolder) -> None:
    (path,) = folder.checkpoints.glob("kept-epoch-000001-*.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        load_trained(folder.path, epoch=1)


def test_keeping_epochs_changes_no_number(
    folder: RunFolder, make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    config = make_config(validation_fraction=0.2)
    plain = RunFolder(tmp_path / "plain", config)
    train(config, dataset=tiny_digits, folder=plain, options=ExecutionOptions())
    kept, without = (folder.epochs.read(), plain.epochs.read())
    timeless = [[replace(e, train_seconds=0, eval_seconds=0) for e in epochs] for epochs in (kept, without)]
    assert timeless[0] == timeless[1]
    assert not list(plain.checkpoints.glob("kept-*"))
