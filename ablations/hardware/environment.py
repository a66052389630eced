"""The environment of a run: device, package versions and git commit."""

from __future__ import annotations

import functools
import os
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

VERSIONED = ("torch", "torchvision", "numpy", "fvcore")
COMPUTING = ("torch", "numpy", "CUDA")  # of the packages that a record names, those that compute what is trained
PROJECT = 'name = "googlenet-ablations"'  # in its pyproject.toml
REPOSITORY = Path(__file__).resolve().parents[2]  # that of this package, where it is a checkout


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

    @property
    def computing_versions(self) -> dict[str, str]:
        """The versions of `COMPUTING` by name."""
        pairs = (pair.partition(" ") for pair in self.versions)
        return {name: version for name, _, version in pairs if name in COMPUTING}


def package_versions() -> tuple[str, ...]:
    """Installed versions of the packages that can change a result, as "package version" pairs."""
    return tuple(f"{name} {metadata.version(name)}" for name in VERSIONED)


@functools.cache
def commit() -> str:
    """Git commit of this checkout, with "-dirty" if tracked files differ from it; "unknown" outside a checkout.

    A repository that this package is only installed in, such as one with a virtual environment, is no checkout of it.
    Read once per process: call it before training, as files may be edited while a run takes hours.
    """
    try:
        top = _git("rev-parse", "--show-toplevel")
        project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
        if not os.path.samefile(top, REPOSITORY) or PROJECT not in project:
            return "unknown"
        return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, UnicodeError, subprocess.SubprocessError):
        return "unknown"


def _git(*arguments: str) -> str:
    """What git prints about the repository around `REPOSITORY`; GIT_DIR and the like would name another one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.rstrip("\n")
