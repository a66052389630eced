"""--dry-run: the first steps of each variant, no results, and the test images not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations.data.dataset import SealedTest
from ablations.execution import dry_run
from ablations.suites.run_config import RunConfig
from ablations.training.setup import Setup
from tests.support.command_line import run_main

pytestmark = pytest.mark.process


def test_each_variant_is_timed_and_no_result_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: SealedTest) -> None:
        raise AssertionError("the test images were read")

    monkeypatch.setattr(SealedTest, "open", refuse)
    monkeypatch.setattr(SealedTest, "peek", refuse)
    given = ("--dry-run", "--variants", "short3,short4", "--seeds", "3")
    status, out, err = run_main(*given, results=tmp_path / "results")
    assert (status, err) == (0, "")
    first, *lines, last = out.splitlines()
    assert first.startswith("Dry run of suite digits") and "no results" in first
    assert [line.partition(":")[0] for line in lines] == ["- short3", "- short4"]
    # 400 training images in batches of 64 are 7 steps an epoch.
    assert all("batch 64 of 3x8x8" in line and "56 steps a run" in line for line in lines)
    files = {path.name: path for path in (tmp_path / "results").rglob("*") if path.is_file()}
    assert set(files) == {"dry_run.md", "calibration.jsonl"}
    assert last == f"report of the dry run: {files['dry_run.md']}; its times, for --plan: {files['calibration.jsonl']}"
    said = files["dry_run.md"].read_text(encoding="utf-8").splitlines()
    assert said[0] == f"# {first}" and said[-2:] == lines
    # What it timed is what --plan shows of these variants.
    status, out, _ = run_main("--plan", *given[1:3], results=tmp_path / "results")
    assert status == 0 and "n = 0 is a dry run" in out and "2 of 2 runs are left: " in out
    status, out, _ = run_main("--plan", "--variants", "short3,short", results=tmp_path / "results")
    assert status == 0 and "No time is known of short:" in out


def test_a_variant_that_fails_is_named_and_the_others_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up = dry_run.set_up

    def fail_for_short3(config: RunConfig, *given: Any, **named: Any) -> Setup:
        if config.architecture.name == "short3":
            raise RuntimeError("no memory\nfor this")
        return set_up(config, *given, **named)

    monkeypatch.setattr(dry_run, "set_up", fail_for_short3)
    status, out, _ = run_main("--dry-run", "--variants", "short3,short4", results=tmp_path)
    assert status == 3
    assert "short3" in out and "FAILED: RuntimeError: no memory\n" in out
    assert "short4: " in out.splitlines()[-2] and "loss" in out.splitlines()[-2]
