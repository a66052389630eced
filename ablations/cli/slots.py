"""How many runs a command trains side by side, without torch and before Ray is connected."""

from __future__ import annotations

import os

from ablations.cli.arguments import Arguments
from ablations.hardware.probe import gpu_count


def slots_of(arguments: Arguments) -> int | None:
    """How many runs train side by side; None with an address, as Ray's cluster decides it.

    Without a GPU here, --runs-per-gpu is taken to be of one GPU.
    """
    per_gpu = max(1, arguments.runs_per_gpu)
    if arguments.executor != "ray" and per_gpu == 1:
        return 1
    if arguments.ray_address is not None:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = 0 if arguments.device == "cpu" else gpu_count()
    if not gpus and per_gpu > 1:
        return per_gpu
    fitting = [gpus * per_gpu] if gpus else []
    if arguments.cpus_per_run or not gpus:  # else Ray reserves no cores for a run on a GPU
        fitting.append(cores // max(1, arguments.cpus_per_run or 1))
    return max(1, min(fitting))
