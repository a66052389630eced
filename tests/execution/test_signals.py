"""Signals while runs train: the step ends first, a second signal and a long step do not wait."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from ablations.errors import Terminated
from ablations.execution import signals
from ablations.execution.signals import Stopper
from ablations.records.record import Epoch
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, RunStarted, StepDone, TrainingStarted


def send(number: int) -> None:
    """A signal to this process, handled before this returns."""
    os.kill(os.getpid(), number)


@pytest.fixture
def config(make_config: Callable[..., RunConfig]) -> RunConfig:
    return make_config(epochs=2)


def begin_training(stopper: Stopper, config: RunConfig) -> StepDone:
    stopper.on_event(RunStarted(config=config, position=1, total=1))
    stopper.on_event(TrainingStarted(run_id=config.run_id, finished_epochs=0, train_images=10))
    return StepDone(run_id=config.run_id, images=1, loss=None)


def epoch_done(config: RunConfig, number: int) -> EpochDone:
    epoch = Epoch(
        epoch=number, train_loss=1.0, train_error=0.5, validation_error=None, train_seconds=1.0, eval_seconds=0.0
    )
    return EpochDone(run_id=config.run_id, epoch=epoch)


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_the_step_at_hand_ends_before_the_run_stops(config: RunConfig, number: int, kind: type[BaseException]) -> None:
    with Stopper() as stopper:
        step = begin_training(stopper, config)
        send(number)  # in the middle of a step: nothing happens yet
        with pytest.raises(KeyboardInterrupt) as raised:
            stopper.on_event(step)
    assert raised.type is kind


def test_a_second_signal_stops_at_once(config: RunConfig) -> None:
    with Stopper() as stopper:
        begin_training(stopper, config)
        send(signal.SIGTERM)
        with pytest.raises(Terminated):
            send(signal.SIGINT)


def test_outside_of_training_a_signal_stops_at_once(config: RunConfig) -> None:
    with Stopper() as stopper:
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        begin_training(stopper, config)
        stopper.on_event(epoch_done(config, 1))
        send(signal.SIGTERM)  # another epoch follows, so this is in its first step
        with pytest.raises(Terminated):
            stopper.on_event(StepDone(run_id=config.run_id, images=1, loss=None))
    with Stopper() as stopper:
        begin_training(stopper, config)
        stopper.on_event(epoch_done(config, 2))  # the last one; now it is tested
        with pytest.raises(Terminated):
            send(signal.SIGTERM)


def test_a_step_that_takes_too_long_is_not_waited_for(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PATIENCE_SECONDS", 0.05)
    with Stopper() as stopper:
        begin_training(stopper, config)
        send(signal.SIGTERM)
        began = time.monotonic()
        with pytest.raises(Terminated):
            signal.pause()  # a step that does not end
    assert time.monotonic() - began < 10


def test_afterwards_signals_do_what_they_did_before(config: RunConfig) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with Stopper() as stopper:
        begin_training(stopper, replace(config, seed=2))
        send(signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_sigterm_stays_one_where_a_library_raises_its_own_interrupt() -> None:
    with pytest.raises(Terminated), Stopper():
        try:
            send(signal.SIGTERM)
        except Terminated:
            raise KeyboardInterrupt from None
    with pytest.raises(KeyboardInterrupt) as raised, Stopper():
        send(signal.SIGINT)
    assert raised.type is KeyboardInterrupt
