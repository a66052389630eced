"""The command line in this process or in one of its own, without figures unless they are asked for."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from ablations.cli.main import main
from ablations.report.sections import figures as figures_of_the_report

ROOT = Path(__file__).resolve().parents[2]
# A suite of two runs that train in a second.
SMALL = ("--variants", "short3,short4", "--limit-train", "100", "--epochs", "1")
WITHOUT_FIGURES = """
import sys
from ablations.cli.main import main
from ablations.report.sections import figures as figures_of_the_report
figures_of_the_report.FIGURES = ()
sys.exit(main(sys.argv[1:]))
"""


class Outcome(NamedTuple):
    """What a command ended with."""

    status: int
    out: str
    err: str


Main = Callable[..., Outcome]


def run_main(*given: str, results: Path, figures: bool = False) -> Outcome:
    """Run the command line in this process on the CPU, on these results."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        if not figures:
            patched.setattr(figures_of_the_report, "FIGURES", ())
        with signal_handlers_kept():
            try:
                status = main([*given, *_usual(given, results=results)])
            except SystemExit as end:  # of an unknown flag
                status = int(end.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


def _usual(given: Sequence[str], *, results: Path) -> list[str]:
    """The flags that every test would give, where they have an effect."""
    if "--list" in given:
        return []
    if {"--report", "--describe", "--merge"} & {*given}:
        return ["--results", str(results)]
    # One seed is enough for most tests of the command line; the suite's own are four.
    seeds = [] if {"--seeds", "--seed-list", "--suite"} & {*given} else ["--seeds", "1"]
    return ["--results", str(results), "--device", "cpu", *seeds]


@contextlib.contextmanager
def signal_handlers_kept() -> Iterator[None]:
    """Inside, the command line may set its handler of SIGTERM."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def start_main(*given: str, results: Path, code: str = WITHOUT_FIGURES) -> subprocess.Popen[str]:
    """Start the command line as a process on one thread, so that it and the tests beside it do not slow each other."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *given, *_usual(given, results=results)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
