"""Locks of a suite's folder: one holder at a time, free as soon as a process is killed, and who else trains."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ablations.errors import ConfigError, HeldElsewhere
from ablations.records import locks
from ablations.records.locks import Locks

HOLDER = """
import pathlib, sys
from ablations.locks import Locks
locks = Locks(pathlib.Path(sys.argv[1]))
with {"run": lambda: locks.run("a"), "suite": locks.suite, "training": locks.training}[sys.argv[2]]():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(suite_dir: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    """Killed on leaving, with no chance to give anything back."""
    command = [sys.executable, "-c", HOLDER, str(suite_dir), what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def test_a_run_has_one_process_and_is_free_when_that_is_killed(tmp_path: Path) -> None:
    ours = Locks(tmp_path / "results" / "suite")
    with held_by_another_process(tmp_path / "results" / "suite", "run"):
        with ours.run("a") as mine:
            assert not mine
        assert ours.is_taken("a")
        with ours.run("b") as mine:
            assert mine
        with Locks(tmp_path / "results" / "other").run("a") as mine:
            assert mine
    for _ in range(2):
        with ours.run("a") as mine:
            assert mine
    assert not ours.is_taken("a")


def test_the_suite_is_waited_for_and_then_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "REPORT_PATIENCE_SECONDS", 0.2)
    with held_by_another_process(tmp_path, "suite"), pytest.raises(HeldElsewhere) as raised, Locks(tmp_path).suite():
        pass
    assert raised.value.exit_status == 5 and str(tmp_path) in str(raised.value)
    monkeypatch.setattr(locks, "REPORT_PATIENCE_SECONDS", 60.0)
    with Locks(tmp_path).suite():
        pass


def test_others_that_train_are_seen_until_they_are_killed(tmp_path: Path) -> None:
    ours = Locks(tmp_path)
    assert not ours.others_train()
    with ours.training():
        assert not ours.others_train(), "this process is no other"
        with held_by_another_process(tmp_path, "training"):
            assert ours.others_train()
        assert not ours.others_train()
    assert list((tmp_path / "locks").glob("process-*")) == [], "nothing is left of either"


def test_a_process_of_the_same_number_on_another_host_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_by_another_process(tmp_path, "training") as holder:
        monkeypatch.setattr(os, "getpid", lambda: holder.pid)
        ours = Locks(tmp_path)
        assert ours.others_train()
        with ours.training():  # without waiting for the other
            assert ours.others_train()
    with ours.training():
        assert not Locks(tmp_path).others_train(), "all locks of a process know what is its own"


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for hold in (Locks(tmp_path / "file" / "suite").suite, lambda: Locks(tmp_path / "file" / "suite").run("a")):
        with pytest.raises(ConfigError, match="--results") as raised, hold():
            pass
        assert str(tmp_path / "file" / "suite") in str(raised.value)
