"""Fixtures for the tests of training: a run to compare others with, and validation errors made up."""

from collections.abc import Callable

import pytest

from ablations.data.dataset import Dataset
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training.evaluation import Validated
from ablations.training.events import Event
from ablations.training.inputs.loader import Loader
from ablations.training.options import ExecutionOptions
from ablations.training.step import TrainStep
from ablations.training.train import train
from tests.support.training import Run


@pytest.fixture(scope="session")
def undisturbed(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Three epochs with all augmentation, dropout, a moving learning rate and a validation split, never stopped."""
    config = make_config(flip=0.5, crop_padding=1, cutout=2, label_smoothing=0.1, validation_fraction=0.2)
    folder = RunFolder(tmp_path_factory.mktemp("undisturbed"), config)
    events: list[Event] = []
    record = train(config, dataset=tiny_digits, folder=folder, on_event=events.append, options=ExecutionOptions())
    return Run(config, folder, record, events)


@pytest.fixture
def validation_errors(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Put errors in here for the epochs to come, in place of those on the validation images."""
    errors: list[float] = []

    def validate(train_step: TrainStep, loader: Loader | None) -> Validated:
        return Validated(error=errors.pop(0) if loader else None)

    monkeypatch.setattr("ablations.training.train.validate", validate)
    return errors
