"""Who works on what in a suite's folder: locks that the system frees as soon as their process ends."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import filelock

from .errors import ConfigError, HeldElsewhere
from .events import EpochDone, Event

REPORT_PATIENCE_SECONDS = 300.0  # for another process to write its plan or report, which takes seconds


@cache
def _name_of(process: int) -> str:
    """This process's name among all that share the file system; a number alone is another's too on another host."""
    return uuid.uuid4().hex


class Locks:
    """The locks of one suite, in ``<suite>/locks/``."""

    def __init__(self, suite_dir: Path) -> None:
        self._suite_dir = suite_dir
        self._folder = suite_dir / "locks"
        self._own = self._folder / f"process-{_name_of(os.getpid())}.lock"

    @contextmanager
    def suite(self) -> Iterator[None]:
        """Inside, no other process writes the suite's plan and report; waits for one that does.

        Raises:
            HeldElsewhere: if that takes minutes.
            ConfigError: if the folder cannot be written.
        """
        lock = self._lock(self._folder / "suite.lock")
        try:
            lock.acquire(timeout=REPORT_PATIENCE_SECONDS)
        except filelock.Timeout as error:
            raise HeldElsewhere(
                f"another process holds the plan and report in {self._suite_dir}; wait for it, or pass another folder "
                "with --results"
            ) from error
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def run(self, run_id: str) -> Iterator[bool]:
        """Whether the run is this process's inside; False if another process has it."""
        lock = self._lock(self._folder / f"run-{run_id}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            yield False
            return
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield True
        finally:
            lock.release()

    def is_taken(self, run_id: str) -> bool:
        """Whether another process has the run at this moment."""
        with self.run(run_id) as mine:
            return not mine

    @contextmanager
    def training(self) -> Iterator[None]:
        """Inside, other processes can see that this one trains in the folder."""
        with self._lock(self._own):
            yield
        self._own.unlink(missing_ok=True)

    def others_train(self) -> bool:
        """Whether another process trains in the folder at this moment."""
        return any(self._is_held(path) for path in self._folder.glob("process-*.lock") if path != self._own)

    def _is_held(self, path: Path) -> bool:
        lock = self._lock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return True
        path.unlink(missing_ok=True)  # its process was killed
        lock.release()
        return False

    def _lock(self, path: Path) -> filelock.BaseFileLock:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        return filelock.FileLock(path, thread_local=False)

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self._suite_dir} cannot be written ({error}); pass another folder with --results")


class Company:
    """Observer that notes whether another process trained in the folder while a run did; then no time is valid."""

    def __init__(self, locks: Locks) -> None:
        self._locks = locks
        self.met = locks.others_train()

    def on_event(self, event: Event) -> None:
        """Look once more at the end of an epoch."""
        if isinstance(event, EpochDone):
            self.look()

    def look(self) -> None:
        """Look once more."""
        self.met = self.met or self._locks.others_train()
