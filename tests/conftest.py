"""Fixtures that several test files share: small data, small runs, and ways to stop and compare them."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rich.logging import RichHandler

from ablations.data.dataset import Dataset
from ablations.data.digits import load_digits
from ablations.records.run_folder import RunFolder
from ablations.suites.recipe import DIGITS
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import Event
from googlenet import VARIANTS


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small gain nothing from threads, which on a busy machine spin for each other for minutes."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_log_of_an_earlier_command() -> None:
    """The command line logs to a console that belonged to the test which ran it, and may be closed."""
    for handler in logging.root.handlers[:]:
        if isinstance(handler, RichHandler):
            logging.root.removeHandler(handler)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """The real 1,437 + 360 digits."""
    return load_digits()


@pytest.fixture(scope="session")
def tiny_digits(digits: Dataset) -> Dataset:
    """150 + 60 of the digits: a run on them takes a fraction of a second."""
    return replace(
        digits,
        train=digits.train.take(np.arange(150)),
        test=digits.test.take(np.arange(60)),
        fingerprint=f"first-150-60-of-{digits.fingerprint}",
    )


@pytest.fixture(scope="session")
def make_config(tiny_digits: Dataset) -> Callable[..., RunConfig]:
    """Makes a small run on digits; keywords that are no parameter here change the recipe."""

    def make(
        *,
        variant: str = "short4",
        width: float = 0.125,
        dataset: Dataset = tiny_digits,
        seed: int = 1,
        limit_train: int | None = None,
        **recipe: Any,
    ) -> RunConfig:
        return RunConfig(
            architecture=replace(VARIANTS[variant], width=width, image_size=dataset.image_size),
            dataset=dataset.name,
            fingerprint=dataset.fingerprint,
            num_classes=dataset.num_classes,
            recipe=replace(DIGITS, **{"epochs": 3, "batch_size": 32, "precision": "fp32", **recipe}),
            seed=seed,
            limit_train=limit_train,
        )

    return make


@pytest.fixture(scope="session")
def stop_at() -> Callable[[type[Event], int], Callable[[Event], None]]:
    """Makes an observer that presses Ctrl-C at the given event of one kind, counted from 1."""

    def make(kind: type[Event], number: int) -> Callable[[Event], None]:
        seen = 0

        def observe(event: Event) -> None:
            nonlocal seen
            seen += isinstance(event, kind)
            if isinstance(event, kind) and seen == number:
                raise KeyboardInterrupt

        return observe

    return make


@pytest.fixture(scope="session")
def outcome_of() -> Callable[[RunFolder], dict[str, Any]]:
    """Reads what must not depend on when a run was stopped: weights, predictions, and epochs without seconds."""

    def read(folder: RunFolder) -> dict[str, Any]:
        with np.load(folder.path / "predictions.npz") as stored:
            predictions = {name: stored[name] for name in stored.files}
        epochs = [(e.epoch, e.train_loss, e.train_error, e.validation_error) for e in folder.epochs.read()]
        return {"weights": checkpoint.load_weights(folder.checkpoints), "predictions": predictions, "epochs": epochs}

    return read
