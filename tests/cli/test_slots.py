"""How many runs train side by side, from the flags and what this machine has."""

from __future__ import annotations

import os

import pytest

from ablations.cli import slots
from ablations.cli.arguments import Arguments
from ablations.cli.slots import slots_of

RAY = "ray"


@pytest.mark.parametrize(
    ("arguments", "gpus", "expected"),
    [
        (Arguments(), 4, 1),
        (Arguments(executor=RAY), 0, 8),
        (Arguments(executor=RAY, cpus_per_run=3), 0, 2),
        (Arguments(executor=RAY, cpus_per_run=9), 0, 1),
        (Arguments(executor=RAY), 2, 2),
        (Arguments(executor=RAY, device="cpu"), 2, 8),
        (Arguments(runs_per_gpu=3), 2, 6),
        (Arguments(runs_per_gpu=3), 0, 3),
        (Arguments(executor=RAY, runs_per_gpu=3, cpus_per_run=2), 2, 4),
        (Arguments(executor=RAY, ray_address="auto"), 2, None),
        (Arguments(runs_per_gpu=3, ray_address="10.0.0.1:6379"), 0, None),
    ],
)
def test_runs_side_by_side_are_those_that_ray_has_room_for(
    arguments: Arguments, gpus: int, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(slots, "gpu_count", lambda: gpus)
    assert slots_of(arguments) == expected
