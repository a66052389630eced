"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Main, Outcome, run_main


@pytest.fixture
def main(tmp_path: Path) -> Main:
    """Runs the command line on an empty folder of results."""

    def call(*given: str) -> Outcome:
        return run_main(*given, results=tmp_path)

    return call
