"""Locks of a suite's folder: one holder at a time, released as soon as its process is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ablations.errors import ConfigError, HeldElsewhere
from ablations.records import locks
from ablations.records.locks import Locks

HOLDER = """
import pathlib, sys
from ablations.records.locks import Locks
locks = Locks(pathlib.Path(sys.argv[1]))
with locks.suite(), locks.run("a"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.process
def test_locks_have_one_process_and_are_released_when_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    suite_dir = tmp_path / "results" / "suite"
    ours = Locks(suite_dir)
    command = [sys.executable, "-c", HOLDER, str(suite_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            with ours.run("a") as mine:
                assert not mine
            assert ours.is_taken("a") and not ours.is_taken("b")
            assert not Locks(tmp_path / "results" / "other").is_taken("a")
            monkeypatch.setattr(locks, "QUIET_SECONDS", 0.1)
            monkeypatch.setattr(locks, "REPORT_PATIENCE_SECONDS", 0.2)
            with pytest.raises(HeldElsewhere) as raised, ours.suite():
                pass
            assert raised.value.exit_status == 5 and str(suite_dir) in str(raised.value)
            (line,) = caplog.messages
            assert line.startswith(f"waiting up to 0 s for {suite_dir / 'locks' / 'suite.lock'}: another process")
        finally:
            holder.kill()
    monkeypatch.setattr(locks, "REPORT_PATIENCE_SECONDS", 60.0)
    with ours.suite(), ours.run("a") as mine:
        assert mine
    assert len(caplog.messages) == 1, "nothing waits for a free lock"
    assert not ours.is_taken("a")


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for hold in (Locks(tmp_path / "file" / "suite").suite, lambda: Locks(tmp_path / "file" / "suite").run("a")):
        with pytest.raises(ConfigError, match="--results") as raised, hold():
            pass
        assert str(tmp_path / "file" / "suite") in str(raised.value)
