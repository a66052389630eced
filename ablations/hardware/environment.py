"""The environment of a run: device, package versions and git commit."""

from __future__ import annotations

import functools
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

VERSIONED = ("torch", "torchvision", "numpy", "fvcore")
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Hardware and software of a run.

    `device` is the name of the CPU or GPU, `device_kind` "cpu" or "cuda", `engine` how optimisation steps ran,
    `deterministic` whether only deterministic kernels were used, `threads` torch's number of CPU threads, and
    `versions` are "package version" pairs.
    """

    device: str
    device_kind: str
    engine: str
    deterministic: bool
    threads: int
    platform: str
    python: str
    versions: tuple[str, ...]
    commit: str


def package_versions() -> tuple[str, ...]:
    """Installed versions of the packages that can change a result, as "package version" pairs."""
    return tuple(f"{name} {metadata.version(name)}" for name in VERSIONED)


@functools.cache
def commit() -> str:
    """Git commit of this checkout, with "-dirty" if tracked files differ from it; "unknown" outside a checkout.

    Read once per process: call it before training, as files may be edited while a run takes hours.
    """
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
