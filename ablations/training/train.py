"""One run: train the configured network, test it once after the last epoch, and return its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ablations.data.dataset import Dataset, SealedTest
from ablations.errors import DataError
from ablations.hardware.device import (
    clock,
    exact_kernels,
    peak_memory_bytes,
    release_cached_memory,
    reset_peak_memory,
)
from ablations.records.record import SCHEMA, Costs, Epoch, RunRecord, TestResult, Times
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.epoch import EpochResult, train_epoch
from ablations.training.evaluation import Validated, better_epoch, diagnose, test_once, validate
from ablations.training.events import EpochDone, Event, StepDone, TrainingStarted, ignore
from ablations.training.options import ExecutionOptions
from ablations.training.resume import resume, save_state
from ablations.training.setup import Setup, set_up


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
    sealed here), which counts how often they are read.

    Reseeds torch's global generators. Writes into the run's folder only: a line of metrics and a checkpoint an epoch,
    the weights at the end and after the recipe's `keep_epochs`, and the predictions. With
    `options.measure_selection_bias` the test error after every epoch goes into a file of its own, which no choice
    reads. With `options.deterministic` a run on the same machine gives the same bits (see
    `hardware.device.exact_kernels`).

    Raises:
        DataError: if the dataset is not the configured one.
        Diverged: if the training loss or an output of the trained network is not finite.
        torch.OutOfMemoryError: if the device's memory is too small.
    """
    if dataset.fingerprint != config.fingerprint:
        raise DataError(f"{config.run_id}: the data's fingerprint is {dataset.fingerprint}, not {config.fingerprint}")
    run_id, device, last_epoch = config.run_id, options.device, config.recipe.epochs
    release_cached_memory(device)
    reset_peak_memory(device)
    began = clock(device)
    sealed = sealed or SealedTest(dataset.test)
    setup = set_up(config, dataset, options=options)
    train_step, train_loader = setup.train_step, setup.train_loader
    epochs, best = resume(folder, train_step)
    finished, peak_memory, started = len(epochs), None, clock(device)

    def on_step(images: int, loss: float | None) -> None:
        on_event(StepDone(run_id=run_id, images=images, loss=loss))

    with exact_kernels(device, deterministic=options.deterministic):
        if finished < last_epoch:
            train_step.warm_up(batch_sizes=train_loader.batch_sizes)
        warm = clock(device)
        on_event(TrainingStarted(run_id=run_id, finished_epochs=finished, train_images=len(train_loader)))
        for number in range(finished + 1, last_epoch + 1):
            trained = train_epoch(
                train_step, train_loader, seed=config.seed, epoch=number, log_every=options.log_every, on_step=on_step
            )
            peak_memory = max(peak_memory or 0, peak_memory_bytes(device))
            validated = validate(train_step, setup.validation_loader)
            epochs.append(_epoch(number, trained, validated))
            best = better_epoch(best, train_step.model, epochs[-1])
            if options.measure_selection_bias:
                diagnose(train_step, sealed, folder, epoch=number)
            if number in config.recipe.keep_epochs:
                checkpoint.save_weights(folder.checkpoints, train_step.model, epoch=number)
            folder.epochs.append(epochs[-1])
            save_state(folder, train_step, best, epoch=number)
            on_event(EpochDone(run_id=run_id, epoch=epochs[-1]))
        if best is not None:
            train_step.model.load_state_dict(best.model)
        test, test_seconds = test_once(train_step, sealed, folder, epoch=best.epoch if best else last_epoch)
        checkpoint.save_weights(folder.checkpoints, train_step.model)
    times = Times(
        startup_seconds=started - began,
        compile_seconds=warm - started,
        train_seconds=sum(epoch.train_seconds for epoch in epochs),
        eval_seconds=test_seconds + sum(epoch.eval_seconds for epoch in epochs),
        timing_valid=finished == 0 and not options.shares_device,
    )
    return _record(setup, epochs=epochs, test=test, test_accesses=sealed.accesses, peak_memory=peak_memory, times=times)


def _epoch(number: int, trained: EpochResult, validated: Validated) -> Epoch:
    return Epoch(
        epoch=number,
        train_loss=trained.loss,
        train_error=trained.error,
        validation_error=validated.error,
        train_seconds=trained.seconds,
        eval_seconds=validated.seconds,
        validation_loss=validated.loss,
        validation_top5_error=validated.top5_error,
    )


def _record(
    setup: Setup,
    *,
    epochs: list[Epoch],
    test: TestResult,
    test_accesses: int,
    peak_memory: int | None,
    times: Times,
) -> RunRecord:
    cost = setup.complexity
    return RunRecord(
        schema=SCHEMA,
        run_id=setup.config.run_id,
        config=setup.config,
        status="done",
        message="",
        epochs=tuple(epochs),
        train_images=len(setup.train_loader),
        test=test,
        test_accesses=test_accesses,
        costs=Costs(
            params=cost.params,
            macs=cost.macs,
            flops=cost.flops,
            activations=cost.activations,
            peak_memory_bytes=peak_memory,
        ),
        times=times,
        environment=replace(setup.options.environment(), engine=setup.train_step.engine),
    )
