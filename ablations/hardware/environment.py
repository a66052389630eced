"""Where and how a run took place: its device, and the versions and commit of what trained it."""

from __future__ import annotations

import functools
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

VERSIONED = ("torch", "torchvision", "numpy", "fvcore")
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where and how a run took place.

    `device` is a CPU's or GPU's name, `engine` the way in which its optimisation steps ran, `deterministic` whether
    only kernels that repeat bit for bit were used, `versions` are "package version" pairs.
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
    """The installed packages that can change a number, as "package version" pairs."""
    return tuple(f"{name} {metadata.version(name)}" for name in VERSIONED)


@functools.cache
def commit() -> str:
    """The commit of this checkout, with "-dirty" when files differ from it; "unknown" outside of one.

    It is read once a process, at the first call: ask before training, as files may change under a run of hours.
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
