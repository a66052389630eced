"""Steps that cannot be captured as a CUDA graph: eager ones instead, or the end of the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training import step as step_module
from ablations.training.options import ExecutionOptions
from ablations.training.step import TrainStep
from ablations.training.train import train
from tests.support.training import SGD, SHORT4, assert_same, make_step, random_batch, seeded_model, state_of


class Uncapturable:
    """A step that cannot be captured, for the reason given."""

    def __init__(self, reason: RuntimeError) -> None:
        self.reason = reason

    def __call__(self, *_: object) -> NoReturn:
        raise self.reason


def test_where_a_step_cannot_be_captured_it_runs_eagerly_and_says_why_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reason = RuntimeError("operation not permitted when stream is capturing\nmore")
    monkeypatch.setattr(step_module, "_Graph", Uncapturable(reason))
    for _ in range(2):
        train_step = TrainStep(seeded_model(SHORT4), SGD, engine="graph", may_fall_back=True)
        eager = make_step(SGD)
        train_step.warm_up(batch_sizes=(SGD.batch_size,))
        assert train_step.engine == "eager"
        for one in (train_step, eager):
            one.set_learning_rate(0.1)
            torch.manual_seed(1)  # of dropout
            one.step(*random_batch(SGD.batch_size))
        assert_same(state_of(train_step), state_of(eager))
    assert caplog.messages == [
        "capturing a CUDA graph failed (operation not permitted when stream is capturing); steps run with the eager "
        "engine"
    ]


@pytest.mark.parametrize(
    ("reason", "may_fall_back"), [(RuntimeError("capture"), False), (torch.OutOfMemoryError("full"), True)]
)
def test_a_failed_capture_ends_the_run_if_graphs_were_asked_for_or_memory_is_short(
    reason: RuntimeError, may_fall_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_module, "_Graph", Uncapturable(reason))
    train_step = TrainStep(seeded_model(SHORT4), SGD, engine="graph", may_fall_back=may_fall_back)
    with pytest.raises(type(reason), match=str(reason)):
        train_step.warm_up(batch_sizes=(SGD.batch_size,))


def test_the_record_names_the_engine_that_ran(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_module, "_Graph", Uncapturable(RuntimeError("capture")))
    config = make_config(epochs=1)
    options = ExecutionOptions(engine="graph", engine_may_fall_back=True)
    record = train(config, dataset=tiny_digits, folder=SuiteFolder(tmp_path).run(config), options=options)
    assert record.environment.engine == "eager"
