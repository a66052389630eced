"""One run: train the configured network, test it once after the last epoch, and say what it took."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ablations.data.dataset import Dataset, SealedTest
from ablations.data.subsets import hold_out, limit
from ablations.errors import DataError, Diverged
from ablations.hardware.device import (
    clock,
    exact_kernels,
    peak_memory_bytes,
    release_cached_memory,
    reset_peak_memory,
)
from ablations.hardware.environment import Environment
from ablations.records.record import SCHEMA, Costs, Epoch, RunRecord, TestResult, Times
from ablations.records.run_folder import RunFolder
from ablations.seeding import derive_seed
from ablations.storage.serialization import from_plain, parse_json
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint, complexity
from ablations.training.complexity import Complexity
from ablations.training.evaluation import BestEpoch, better_epoch, diagnose, test_once, validate
from ablations.training.events import EpochDone, Event, StepDone, TrainingStarted, ignore
from ablations.training.loader import Loader
from ablations.training.options import ExecutionOptions
from ablations.training.step import TrainStep, batches_counted_apart
from googlenet import Architecture, GoogLeNet, build, initialise


class Setup(NamedTuple):
    """What a run trains with."""

    trainer: TrainStep
    cost: Complexity
    train_loader: Loader
    validation_loader: Loader | None


class EpochResult(NamedTuple):
    """Means over an epoch's images, and its seconds."""

    loss: float
    error: float
    seconds: float


def train(
    config: RunConfig,
    *,
    dataset: Dataset,
    folder: RunFolder,
    options: ExecutionOptions,
    sealed: SealedTest | None = None,
    on_event: Callable[[Event], None] = ignore,
) -> RunRecord:
    """Train from the last checkpoint in `folder`, or from the start, to the recipe's last epoch; then test.

    What is tested is the network after the last epoch or, if the recipe holds out validation images, that with the
    least validation error, the earliest of several. The test images come from `sealed` (by default the dataset's,
    sealed here), which counts how often.

    Reseeds torch's global generators. Writes into the run's folder only: a line of metrics and a checkpoint an epoch,
    the weights and the predictions. With `shares_device`, other work runs on the device, so that no time is valid.
    With `measure_selection_bias` the test error after every epoch goes into a file of its own, which no choice reads.
    With `deterministic` a run on the same machine gives the same bits (see `devices.exact_kernels`).

    Raises:
        DataError: if the dataset is not the configured one.
        Diverged: if the training loss or the trained network's outputs are not finite.
        torch.OutOfMemoryError: if the device's memory is too small.
    """
    if dataset.fingerprint != config.fingerprint:
        raise DataError(f"{config.run_id}: the data's fingerprint is {dataset.fingerprint}, not {config.fingerprint}")
    device = options.device
    release_cached_memory(device)
    reset_peak_memory(device)
    began = clock(device)
    setup = _set_up(config, dataset, options)
    trainer, train_loader = setup.trainer, setup.train_loader
    sealed = sealed or SealedTest(dataset.test)
    epochs, chosen = _resume(folder, trainer)
    finished_before = len(epochs)
    started = clock(device)
    with exact_kernels(device, deterministic=options.deterministic):
        if finished_before < config.recipe.epochs:
            trainer.warm_up(batch_sizes=train_loader.batch_sizes)
        prepared = clock(device)
        run_id = config.run_id
        on_event(TrainingStarted(run_id=run_id, finished_epochs=finished_before, train_images=len(train_loader)))

        def on_step(images: int, loss: float | None) -> None:
            on_event(StepDone(run_id=run_id, images=images, loss=loss))

        peak_memory = None
        for number in range(finished_before + 1, config.recipe.epochs + 1):
            epoch, peak = _train_and_validate(setup, seed=config.seed, number=number, on_step=on_step)
            peak_memory = max(peak_memory or 0, peak)
            epochs.append(epoch)
            chosen = better_epoch(chosen, trainer.model, epoch)
            if options.measure_selection_bias:
                diagnose(trainer, sealed, folder, epoch=number)
            folder.epochs.append(epoch)
            checkpoint.save(folder.checkpoints, _state(trainer, chosen), epoch=number)
            on_event(EpochDone(run_id=run_id, epoch=epoch))
        if chosen is not None:
            trainer.model.load_state_dict(chosen.model)
        test, test_seconds = test_once(trainer, sealed, folder, epoch=chosen.epoch if chosen else config.recipe.epochs)
        checkpoint.save_weights(folder.checkpoints, trainer.model)
    times = Times(
        startup_seconds=started - began,
        compile_seconds=prepared - started,
        train_seconds=sum(epoch.train_seconds for epoch in epochs),
        eval_seconds=test_seconds + sum(epoch.eval_seconds for epoch in epochs),
        timing_valid=finished_before == 0 and not options.shares_device,
    )
    return _record(
        config,
        setup,
        epochs=epochs,
        test=test,
        accesses=sealed.accesses,
        times=times,
        peak_memory=peak_memory,
        environment=options.environment(),
    )


def load_trained(run: Path) -> GoogLeNet:
    """The network that a finished run trained, from its folder, on the CPU in evaluation mode.

    Raises:
        FileNotFoundError: if the run has not finished.
        ValueError: if the file of weights is damaged.
        ConfigError: if the run's configuration is.
    """
    weights = checkpoint.load_weights(run / "checkpoint")
    where = run / "config.json"
    config = from_plain(RunConfig, parse_json(where.read_text(encoding="utf-8")), where=str(where))
    model = build(config.architecture, num_classes=config.num_classes)
    model.load_state_dict(weights)
    return model.eval()


def make_model(arch: Architecture, *, num_classes: int, seed: int, device: torch.device) -> GoogLeNet:
    """The network that a run with this seed begins with, on its device, in channels-last memory.

    Networks of one seed start alike in every layer that they share, so that their differences pair by seed.
    """
    model = build(arch, num_classes=num_classes)
    initialise(model, seed_at=lambda place: derive_seed(seed, purpose="init", place=place))
    return model.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _set_up(config: RunConfig, dataset: Dataset, options: ExecutionOptions) -> Setup:
    device = options.device
    model = make_model(config.architecture, num_classes=config.num_classes, seed=config.seed, device=device)
    cost = complexity.measure(model)
    subset = limit(dataset.train, config.limit_train)
    train_split, held_out = hold_out(subset, fraction=config.recipe.validation_fraction, seed=config.seed)
    return Setup(
        trainer=TrainStep(model, config.recipe, engine=options.engine),
        cost=cost,
        train_loader=Loader(train_split, recipe=config.recipe, device=device),
        validation_loader=Loader(held_out, recipe=config.recipe, device=device) if held_out else None,
    )


def _record(
    config: RunConfig,
    setup: Setup,
    *,
    epochs: list[Epoch],
    test: TestResult,
    accesses: int,
    times: Times,
    peak_memory: int | None,
    environment: Environment,
) -> RunRecord:
    return RunRecord(
        schema=SCHEMA,
        run_id=config.run_id,
        config=config,
        status="done",
        message="",
        epochs=tuple(epochs),
        train_images=len(setup.train_loader),
        test=test,
        test_accesses=accesses,
        costs=Costs(
            params=setup.cost.params,
            macs=setup.cost.macs,
            flops=setup.cost.flops,
            activations=setup.cost.activations,
            peak_memory_bytes=peak_memory,
        ),
        times=times,
        environment=environment,
    )


def _train_and_validate(
    setup: Setup, *, seed: int, number: int, on_step: Callable[[int, float | None], None]
) -> tuple[Epoch, int]:
    """One epoch, and the peak of memory in its training."""
    trained = train_epoch(setup.trainer, setup.train_loader, seed=seed, epoch=number, on_step=on_step)
    peak_memory = peak_memory_bytes(setup.trainer.device)
    validation_error, eval_seconds = validate(setup.trainer, setup.validation_loader)
    epoch = Epoch(
        epoch=number,
        train_loss=trained.loss,
        train_error=trained.error,
        validation_error=validation_error,
        train_seconds=trained.seconds,
        eval_seconds=eval_seconds,
    )
    return epoch, peak_memory


def train_epoch(
    trainer: TrainStep,
    loader: Loader,
    *,
    seed: int,
    epoch: int,
    on_step: Callable[[int, float | None], None],
) -> EpochResult:
    """Train on every image of the loader once; `epoch` counts from 1.

    After each step `on_step` gets its number of images and, where reading it costs no device sync, the epoch's mean
    loss so far.

    Raises:
        Diverged: if the loss of a step was not finite; on a GPU at the epoch's end, as looking costs a device sync.
    """
    recipe, device = trainer.recipe, trainer.device
    trainer.model.train()
    torch.manual_seed(derive_seed(seed, purpose="dropout", epoch=epoch))
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    wrong = torch.zeros((), dtype=torch.int64, device=device)
    began, seen = clock(device), 0
    with batches_counted_apart(trainer.model, batches=loader.steps):
        for step, (images, labels) in enumerate(loader.train_batches(seed=seed, epoch=epoch)):
            progress = (epoch - 1 + step / loader.steps) / recipe.epochs
            trainer.set_learning_rate(recipe.learning_rate_at(epoch=epoch - 1, progress=progress))
            try:
                result = trainer.step(images, labels)
            except Diverged as error:
                raise Diverged(
                    f"the training loss stopped being finite in step {step + 1} of epoch {epoch} of {recipe.epochs}"
                ) from error
            loss_sum += result.loss * len(labels)
            wrong += result.wrong
            seen += len(labels)
            on_step(len(labels), float(loss_sum) / seen if device.type == "cpu" else None)
    seconds = clock(device) - began
    if not torch.isfinite(loss_sum):
        raise Diverged(f"the training loss stopped being finite in epoch {epoch} of {recipe.epochs}")
    return EpochResult(float(loss_sum) / seen, int(wrong) / seen, seconds)


def _resume(folder: RunFolder, trainer: TrainStep) -> tuple[list[Epoch], BestEpoch | None]:
    """Load the newest checkpoint whose epochs were recorded, and return them; the run's folder then says the same."""
    folder.claim()
    recorded = folder.epochs.read()
    keys = ("model", "optimizer", "chosen")
    found = checkpoint.load_newest(folder.checkpoints, at_most=len(recorded), keys=keys)
    number, state = found or (0, None)
    folder.rewind(epochs=number, finished=number == trainer.recipe.epochs)
    if state is None:
        return [], None
    trainer.load_state(state["model"], state["optimizer"])
    return list(recorded[:number]), BestEpoch(**state["chosen"]) if state["chosen"] else None


def _state(trainer: TrainStep, chosen: BestEpoch | None) -> dict[str, Any]:
    """What a run needs to go on after the epoch that has just ended."""
    return {
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "chosen": chosen and chosen._asdict(),
    }
