"""Train one run to its record, whatever the outcome."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ablations.data.dataset import Dataset, SealedTest
from ablations.errors import DeviceLost, Diverged, UserError, first_line
from ablations.hardware.device import clock
from ablations.records.record import SCHEMA, RunRecord, Status
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import Event
from ablations.training.options import ExecutionOptions
from ablations.training.train import train

# In messages of a bare RuntimeError: of torch's allocator on a CPU, of CUDA and its libraries.
OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def finished(folder: RunFolder) -> RunRecord | None:
    """The record of a run that is done, whose checkpoints of epochs are then deleted; None if it is to be trained."""
    record = folder.read_result()
    if record is None or record.status != "done":
        return None
    # Again, for a process may be killed between writing the record and deleting the checkpoints.
    checkpoint.discard_states(folder.checkpoints)
    return record


def train_to_record(
    config: RunConfig,
    *,
    dataset: Dataset,
    folder: RunFolder,
    options: ExecutionOptions,
    on_event: Callable[[Event], None],
) -> RunRecord:
    """Train one run and save its record, whatever the outcome.

    Raises:
        KeyboardInterrupt: passed on after the record was saved as "interrupted".
        DeviceLost: after the record was saved, if the GPU cannot be used any more.
        UserError: if the run cannot be trained as it is configured.
    """
    sealed = SealedTest(dataset.test)

    def unfinished(*, status: Status, message: str) -> RunRecord:
        return unfinished_record(folder, options=options, test_accesses=sealed.accesses, status=status, message=message)

    try:
        record = train(config, dataset=dataset, folder=folder, options=options, sealed=sealed, on_event=on_event)
    except KeyboardInterrupt:
        folder.write_result(unfinished(status="interrupted", message="stopped by a signal"))
        raise
    except UserError:
        raise
    except Diverged as error:
        record = unfinished(status="diverged", message=first_line(error))
    except Exception as error:  # whatever made the run fail, the suite goes on and the report names it
        if _is_out_of_memory(error):
            record = unfinished(status="oom", message=first_line(error))
        else:
            message = ": ".join(filter(None, (type(error).__name__, first_line(error))))
            record = unfinished(status="failed", message=message)
    folder.write_result(record)
    if record.status == "done":
        checkpoint.discard_states(folder.checkpoints)
    else:
        _check_device(options.device, after=record)
    return record


def _check_device(device: torch.device, *, after: RunRecord) -> None:
    try:
        clock(device)
    except RuntimeError as error:
        raise DeviceLost(
            f"{after.run_id}: {after.message}. Since then this process cannot use the GPU ({first_line(error)}), so "
            "the suite stops here; start again to go on"
        ) from error


def unfinished_record(
    folder: RunFolder, *, options: ExecutionOptions, test_accesses: int, status: Status, message: str
) -> RunRecord:
    """The record of a run that failed or was stopped: its finished epochs, and no results."""
    return RunRecord(
        schema=SCHEMA,
        run_id=folder.path.name,
        config=folder.config,
        status=status,
        message=message,
        epochs=folder.epochs.read(),
        train_images=None,
        test=None,
        test_accesses=test_accesses,
        costs=None,
        times=None,
        environment=options.environment(),
    )


def _is_out_of_memory(error: Exception) -> bool:
    named = isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or named
