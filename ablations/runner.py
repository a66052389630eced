"""The way through a suite: lock it, then for each planned run skip it or train it, and save its record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from . import checkpoint, devices
from .config import RunConfig
from .engine import Engine
from .environment import Environment
from .errors import DeviceLost, Diverged, UserError
from .events import Event, RunEnded, RunStarted, ignore, to_all
from .locks import Company, Locks
from .record import SCHEMA, RunRecord, Status
from .run_folder import RunFolder
from .splits import Dataset, SealedTest
from .train import train

# Where torch raises a bare RuntimeError: of its allocator on a CPU, of CUDA and its libraries.
OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
LOOKS = 2  # at a run that another process has: in passing, and once all others are done


def run(
    configs: Sequence[RunConfig],
    *,
    dataset: Dataset,
    device: torch.device,
    suite_dir: Path,
    engine: Engine = "eager",
    measure_selection_bias: bool = False,
    deterministic: bool = False,
    on_event: Callable[[Event], None] = ignore,
) -> list[RunRecord]:
    """Bring every planned run to its record, one after the other on one device.

    A run whose record says "done" is skipped; any other is trained from its last checkpoint. A run that fails
    leaves a record with its status and message, and the next one begins. A run that another process trains is passed
    over, and looked at once more at the end; one that is still being trained then has no record here.

    Raises:
        KeyboardInterrupt: passed on after the record of the run at hand was saved as "interrupted".
        UserError: if nothing of this suite can be run.
    """
    locks = Locks(suite_dir)

    def train_now(folder: RunFolder, *, position: int) -> RunRecord:
        on_event(RunStarted(config=folder.config, position=position, total=len(configs)))
        return train_to_record(
            folder.config,
            dataset=dataset,
            device=device,
            folder=folder,
            engine=engine,
            company=Company(locks),
            measure_selection_bias=measure_selection_bias,
            deterministic=deterministic,
            on_event=on_event,
        )

    records: dict[int, RunRecord] = {}
    waiting = list(enumerate(configs, start=1))
    with locks.training():
        for _ in range(LOOKS):
            for position, config in waiting:
                folder = RunFolder(suite_dir / "runs", config)
                found = _record_or_train(folder, locks=locks, train=partial(train_now, position=position))
                if found is not None:
                    records[position], skipped = found
                    on_event(RunEnded(record=found[0], position=position, total=len(configs), skipped=skipped))
            waiting = [(position, config) for position, config in waiting if position not in records]
    return [records[position] for position in sorted(records)]


def _record_or_train(
    folder: RunFolder, *, locks: Locks, train: Callable[[RunFolder], RunRecord]
) -> tuple[RunRecord, bool] | None:
    """A run's record and whether it was there already; None if another process has the run."""
    record = finished(folder)
    if record is not None:
        return record, True
    with locks.run(folder.path.name) as mine:
        if not mine:
            return None
        record = finished(folder)  # another process may have finished it since
        return (record, True) if record is not None else (train(folder), False)


def finished(folder: RunFolder) -> RunRecord | None:
    """The record of a run that is done, and so is not trained again."""
    record = folder.read_result()
    if record is None or record.status != "done":
        return None
    # A process killed between its record and this would leave them for good.
    checkpoint.discard_states(folder.checkpoints)
    return record


def train_to_record(
    config: RunConfig,
    *,
    dataset: Dataset,
    device: torch.device,
    folder: RunFolder,
    engine: Engine,
    company: Company | None = None,
    shares_device: bool = False,
    measure_selection_bias: bool = False,
    deterministic: bool = False,
    on_event: Callable[[Event], None],
) -> RunRecord:
    """Train one run and save its record, whatever the outcome.

    Its times are not valid if it shares the device with runs of this process, or had `company` of another one.

    Raises:
        KeyboardInterrupt: passed on after the record was saved as "interrupted".
        DeviceLost: after the record was saved, if the GPU cannot be used any more.
        UserError: if the run cannot be trained as it is configured.
    """
    sealed = SealedTest(dataset.test)

    def unfinished(*, status: Status, message: str) -> RunRecord:
        return unfinished_record(
            config,
            folder=folder,
            environment=devices.environment(device, engine=engine, deterministic=deterministic),
            test_accesses=sealed.accesses,
            status=status,
            message=message,
        )

    try:
        record = train(
            config,
            dataset=dataset,
            device=device,
            folder=folder,
            engine=engine,
            shares_device=shares_device,
            sealed=sealed,
            measure_selection_bias=measure_selection_bias,
            deterministic=deterministic,
            on_event=to_all(company.on_event, on_event) if company else on_event,
        )
        record = _timed_alone(record, company)
    except KeyboardInterrupt:
        folder.write_result(unfinished(status="interrupted", message="stopped by a signal"))
        raise
    except UserError:
        raise
    except Diverged as error:
        record = unfinished(status="diverged", message=_first_line(error))
    except Exception as error:  # whatever a run dies of, the suite goes on and the report names it
        if _is_out_of_memory(error):
            record = unfinished(status="oom", message=_first_line(error))
        else:
            message = ": ".join(filter(None, (type(error).__name__, _first_line(error))))
            record = unfinished(status="failed", message=message)
    folder.write_result(record)
    if record.status == "done":
        checkpoint.discard_states(folder.checkpoints)
    else:
        _check_device(device, after=record)
    return record


def _check_device(device: torch.device, *, after: RunRecord) -> None:
    try:
        devices.clock(device)
    except RuntimeError as error:
        raise DeviceLost(
            f"{after.run_id}: {after.message}. Since then this process cannot use the GPU ({_first_line(error)}), so "
            "the suite stops here; start again to go on"
        ) from error


def _timed_alone(record: RunRecord, company: Company | None) -> RunRecord:
    """The record, without valid times if another process trained in the same folder at the same time."""
    if company is None or record.times is None:
        return record
    company.look()
    times = replace(record.times, timing_valid=record.times.timing_valid and not company.met)
    return replace(record, times=times)


def unfinished_record(
    config: RunConfig,
    *,
    folder: RunFolder,
    environment: Environment,
    test_accesses: int,
    status: Status,
    message: str,
) -> RunRecord:
    """The record of a run that did not end well: the epochs it got through, and no results."""
    return RunRecord(
        schema=SCHEMA,
        run_id=config.run_id,
        config=config,
        status=status,
        message=message,
        epochs=folder.epochs.read(),
        train_images=None,
        test=None,
        test_accesses=test_accesses,
        costs=None,
        times=None,
        environment=environment,
    )


def _is_out_of_memory(error: Exception) -> bool:
    told = isinstance(error, RuntimeError) and any(sign in str(error) for sign in OUT_OF_MEMORY)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or told


def _first_line(error: Exception) -> str:
    # A path that is not UTF-8 comes with lone surrogates, which no file of text can hold.
    text = str(error).encode("utf-8", "backslashreplace").decode("utf-8")
    return next(iter(text.splitlines()), "")
