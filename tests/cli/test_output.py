"""Output that nobody reads, that is read in part, or that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import ROOT, SMALL, start_main
from tests.support.records import records_of

pytestmark = pytest.mark.process


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    for given, status in ((("--help",), 0), (("--list",), 0), (("--plan", "--results", str(tmp_path)), 0)):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "run_all.py", *given]
        done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (status, ""), given


@pytest.mark.parametrize("given", [("--nosuch",), ("--suite", "nosuch")], ids=" ".join)
def test_an_error_that_nobody_reads_keeps_its_exit_status(given: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "run_all.py", *given], cwd=ROOT, stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 2


def test_a_suite_is_finished_although_nobody_reads_its_output(tmp_path: Path) -> None:
    with start_main(*SMALL, results=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("[1/2]")
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == ("", 0)
    assert [record["status"] for record in records_of(tmp_path / "digits")] == ["done", "done"]
    assert (tmp_path / "digits" / "report.md").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "run_all.py", "--plan", "--results", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("error: the output: No space left on device")
