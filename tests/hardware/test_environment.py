"""The environment of a run: installed versions and the commit of the checkout."""

import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from ablations.hardware import environment
from ablations.hardware.environment import commit, package_versions

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def uncached_commit() -> Iterator[None]:
    """Clear the cache, as tests change the checkout."""
    commit.cache_clear()
    yield
    commit.cache_clear()


def test_versions_are_those_installed() -> None:
    versions = dict(pair.split(" ") for pair in package_versions())
    assert versions == {name: metadata.version(name) for name in ("torch", "torchvision", "numpy", "fvcore")}
    assert str(torch.__version__).startswith(versions["torch"])
    assert versions["numpy"] == np.__version__


def test_the_commit_is_this_checkouts() -> None:
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout with a commit: {error}")
    assert commit() in (head, f"{head}-dirty")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_first_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments],
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )

    monkeypatch.setattr(environment, "REPOSITORY", tmp_path)
    file = tmp_path / "file"
    file.write_text("imported")
    git("init")
    git("add", "file")
    git("commit", "-m", "first")
    first = commit()
    assert first != "unknown" and not first.endswith("-dirty")
    file.write_text("edited while it trains")
    assert commit() == first
    commit.cache_clear()  # as in a new process
    assert commit() == f"{first}-dirty"


def test_outside_of_a_checkout_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() == "unknown"


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == "unknown"
