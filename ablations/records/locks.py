"""File locks of a suite and of its runs; the system releases them when their process ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from ablations.errors import ConfigError, HeldElsewhere

logger = logging.getLogger(__name__)

QUIET_SECONDS = 1.0  # of waiting before it is logged
REPORT_PATIENCE_SECONDS = 300.0  # for another process to write its plan or report, which takes seconds


class Locks:
    """The locks of one suite, in ``<suite>/locks/``."""

    def __init__(self, suite_dir: Path) -> None:
        self._suite_dir = suite_dir
        self._folder = suite_dir / "locks"

    @contextmanager
    def suite(self) -> Iterator[None]:
        """Lock the suite's plan and report against other processes; waits for one that holds them.

        Raises:
            HeldElsewhere: if another process holds them for minutes.
            ConfigError: if the folder cannot be written.
        """
        path = self._folder / "suite.lock"
        lock = self._lock(path)
        try:
            try:
                lock.acquire(timeout=QUIET_SECONDS)
            except filelock.Timeout:
                logger.warning(
                    "waiting up to %.0f s for %s: another process writes the plan or report; if it hangs, stop it",
                    REPORT_PATIENCE_SECONDS,
                    path,
                )
                lock.acquire(timeout=REPORT_PATIENCE_SECONDS)
        except filelock.Timeout as error:
            raise HeldElsewhere(
                f"another process holds {path}, the lock of the suite's plan and report; wait for it or stop it, then "
                "start again"
            ) from error
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def run(self, run_id: str) -> Iterator[bool]:
        """Lock a run; yields False if another process has it."""
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
        """Whether another process has locked the run at this moment."""
        with self.run(run_id) as mine:
            return not mine

    def _lock(self, path: Path) -> filelock.BaseFileLock:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        return filelock.FileLock(path, thread_local=False)

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"{self._suite_dir} cannot be written ({error}); make it writable or pass another folder with --results, "
            "with a copy of the suite's folder in it to report or continue its runs"
        )
