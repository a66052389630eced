"""The way through a suite: lock it, then for each planned run skip it or train it, and save its record."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock
import torch

from . import checkpoint, devices
from .config import RunConfig
from .engine import Engine
from .errors import ConfigError, Diverged, SuiteLocked, UserError
from .events import Event, RunEnded, RunStarted, ignore
from .record import SCHEMA, RunFolder, RunRecord, Status
from .splits import Dataset, SealedTest
from .train import train


def run(
    configs: Sequence[RunConfig],
    *,
    dataset: Dataset,
    device: torch.device,
    suite_dir: Path,
    engine: Engine = "eager",
    measure_selection_bias: bool = False,
    on_event: Callable[[Event], None] = ignore,
) -> list[RunRecord]:
    """Bring every planned run to its record, one after the other on one device.

    A run whose record says "done" is skipped; any other is trained from its last checkpoint. A run that fails
    leaves a record with its status and message, and the next one begins.

    Raises:
        KeyboardInterrupt: passed on after the record of the run at hand was saved as "interrupted".
        UserError: if nothing of this suite can be run.
    """
    records: list[RunRecord] = []
    for position, config in enumerate(configs, start=1):
        folder = RunFolder(suite_dir / "runs", config)
        record = finished(folder)
        skipped = record is not None
        if record is None:
            on_event(RunStarted(config=config, position=position, total=len(configs)))
            record = train_to_record(
                config,
                dataset=dataset,
                device=device,
                folder=folder,
                engine=engine,
                measure_selection_bias=measure_selection_bias,
                on_event=on_event,
            )
        records.append(record)
        on_event(RunEnded(record=record, position=position, total=len(configs), skipped=skipped))
    return records


def finished(folder: RunFolder) -> RunRecord | None:
    """The record of a run that is done, and so is not trained again."""
    record = folder.read_result()
    if record is None or record.status != "done":
        return None
    # A process killed between its record and this would leave them for good.
    checkpoint.discard_states(folder.checkpoints)
    return record


def read_records(configs: Sequence[RunConfig], *, suite_dir: Path) -> list[RunRecord]:
    """The records that there are of these runs."""
    found = (RunFolder(suite_dir / "runs", config).read_result() for config in configs)
    return [record for record in found if record is not None]


def hold(suite_dir: Path) -> filelock.BaseFileLock:
    """The suite's lock, held; use it as a context manager. The system frees it when the process ends.

    Raises:
        SuiteLocked: if another process holds it.
        ConfigError: if the folder cannot be written.
    """
    lock = filelock.FileLock(suite_dir / ".lock")
    try:
        suite_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise SuiteLocked(
            f"another process is running the suite in {suite_dir}; wait for it, or pass another folder with --results"
        ) from error
    except OSError as error:
        raise ConfigError(f"{suite_dir} cannot be written ({error}); pass another folder with --results") from error
    return lock


def set_aside(configs: Sequence[RunConfig], *, suite_dir: Path) -> list[Path]:
    """Move the planned runs' folders out of the way, to ``superseded/<time>-<n>/``, so that they start afresh."""
    now = time.strftime("%Y%m%dT%H%M%S")
    candidates = (suite_dir / "superseded" / f"{now}-{number}" for number in itertools.count(1))
    target = next(path for path in candidates if not path.exists())
    moved = []
    for config in configs:
        folder = RunFolder(suite_dir / "runs", config).path
        if folder.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            moved.append(folder.rename(target / folder.name))
    return moved


def train_to_record(
    config: RunConfig,
    *,
    dataset: Dataset,
    device: torch.device,
    folder: RunFolder,
    engine: Engine,
    shares_device: bool = False,
    measure_selection_bias: bool = False,
    on_event: Callable[[Event], None],
) -> RunRecord:
    """Train one run and save its record, whatever the outcome.

    Raises:
        KeyboardInterrupt: passed on after the record was saved as "interrupted".
        UserError: if the run cannot be trained as it is configured.
    """
    sealed = SealedTest(dataset.test)

    def unfinished(*, status: Status, message: str) -> RunRecord:
        return unfinished_record(
            config,
            folder=folder,
            device=device,
            engine=engine,
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
            on_event=on_event,
        )
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
    return record


def unfinished_record(
    config: RunConfig,
    *,
    folder: RunFolder,
    device: torch.device,
    engine: Engine,
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
        environment=devices.environment(device, engine=engine),
    )


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU torch raises a bare RuntimeError.
    on_cpu = isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or on_cpu


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
