"""Pool of worker processes, each with a pipe to it; an interrupt stops all of them."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from types import TracebackType

from ablations.execution.worker import STOP_SIGNALS, Message, WorkerDied, WorkerSettings, train_runs
from ablations.suites.run_config import RunConfig

STOP_SECONDS = 20.0  # that a worker has, once told to stop, to write its record


class Worker:
    """The parent's side of a process that trains the runs it is given, one after the other."""

    def __init__(self, settings: WorkerSettings) -> None:
        context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=train_runs, args=(theirs, settings), daemon=True)
        self.process.start()
        theirs.close()

    def train(self, config: RunConfig) -> None:
        """Tell the worker to train a run."""
        with suppress(OSError):  # a dead worker is noticed on receiving
            self.connection.send(config)

    def receive(self) -> Message:
        """The worker's next message; WorkerDied if its process ended."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return WorkerDied()


class WorkerPool:
    """Workers that are started when they are first needed, and stopped on leaving the context."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._idle: list[Worker] = []
        self._workers: list[Worker] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            worker.process.join(timeout=max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()

    def take(self) -> Worker:
        """An idle worker, or a new one."""
        if self._idle:
            return self._idle.pop()
        with _signals_deferred():  # also between a worker's start and its entry in the list
            self._workers.append(Worker(self._settings))
        return self._workers[-1]

    def give_back(self, worker: Worker) -> None:
        """Take back a worker that can train another run."""
        self._idle.append(worker)


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Defer the signals that stop a suite to the end of the block; a process started inside begins with them blocked.

    So no signal is lost, no process is half started, and none is killed before it can handle a signal.
    """
    resource_tracker.ensure_running()  # its own start would unblock the signals
    received: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # the only one where handlers can be set
        # A signal that this thread blocks still reaches the others, and Python then calls the handler in this one.
        handlers = {
            number: signal.signal(number, lambda number, frame: received.append(number)) for number in STOP_SIGNALS
        }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)  # pending, like those that this thread received
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
