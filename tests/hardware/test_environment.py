"""The environment of a run: installed versions and the commit of the checkout."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
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


Git = Callable[..., str]


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> Git:
    """Runs git in a folder."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)

    def run(folder: Path, *arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    return run


def make_repository(git: Git, folder: Path, *, project: str = "googlenet-ablations") -> str:
    """A repository with the pyproject.toml of this project; return its commit."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{project}"\n# {folder.name}\n')
    git(folder, "init")
    git(folder, "add", "pyproject.toml")
    git(folder, "commit", "-m", "first")
    return git(folder, "rev-parse", "--short=12", "HEAD")


def test_the_commit_is_that_of_the_first_call(git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path)
    first = make_repository(git, tmp_path)
    assert commit() == first
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write("edited while it trains")
    assert commit() == first
    commit.cache_clear()  # as in a new process
    assert commit() == f"{first}-dirty"


def test_a_checkout_may_be_reached_by_a_link(git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = make_repository(git, tmp_path / "checkout")
    (tmp_path / "link").symlink_to("checkout")
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path / "link")
    assert commit() == first


@pytest.mark.parametrize("names", [("GIT_DIR",), ("GIT_DIR", "GIT_WORK_TREE"), ("GIT_WORK_TREE",), ("GIT_INDEX_FILE",)])
def test_gits_variables_do_not_name_another_repository(
    names: tuple[str, ...], git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, other = (make_repository(git, tmp_path / name) for name in ("checkout", "other"))
    assert first != other
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path / "checkout")
    values = {"GIT_DIR": ".git", "GIT_WORK_TREE": "", "GIT_INDEX_FILE": "no-index"}
    for name in names:
        monkeypatch.setenv(name, str(tmp_path / "other" / values[name]))
    assert commit() == first


@pytest.mark.parametrize("with_project_file", [False, True])
def test_a_repository_with_the_package_in_a_folder_of_it_is_not_its_own(
    with_project_file: bool, git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_repository(git, tmp_path)
    packages = tmp_path / "venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    if with_project_file:
        shutil.copy(tmp_path / "pyproject.toml", packages)
    monkeypatch.setattr(environment, "REPOSITORY", packages)
    assert commit() == "unknown"


@pytest.mark.parametrize("project", ["another", None])
def test_a_repository_of_another_project_with_the_package_at_its_top_is_not_its_own(
    project: str | None, git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_repository(git, tmp_path, project=project or "")
    if project is None:
        (tmp_path / "pyproject.toml").unlink()
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path)
    assert commit() == "unknown"


def test_outside_of_a_checkout_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path)
    assert commit() == "unknown"


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == "unknown"
