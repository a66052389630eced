"""What a node of Ray must have in common with the driver: the results folder, and versions of what trains."""

from __future__ import annotations

import platform
import uuid
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from ablations.errors import ConfigError
from ablations.hardware.environment import commit

PACKAGE, COMMIT = "googlenet-ablations", "commit"


class NodeView(NamedTuple):
    """What a node sees: what is wrong with the results folder ("" if nothing), and its versions by name."""

    problem: str
    versions: dict[str, str]


class Token(NamedTuple):
    """What every node must see: a file in the suite's folder that holds its own name, and the driver's versions."""

    path: Path
    versions: dict[str, str]


def view_node(token: Path) -> NodeView:
    """This node's view of the folder that a token's file lies in, and its versions."""
    return NodeView(_problem(token), _versions() | {COMMIT: commit()})


def check_view(view: NodeView, *, node: str, token: Token) -> None:
    """Refuse a node that cannot use the suite's folder, or whose versions are not the driver's.

    Raises:
        ConfigError: naming the node and the difference.
    """
    if view.problem:
        raise ConfigError(
            f"node {node} {view.problem}: {token.path.parent}; all nodes must share the results folder under the same "
            "path, so pass one on a shared disk with --results"
        )
    others = [
        f"{name} {view.versions.get(name, 'none')} instead of {version}"
        for name, version in token.versions.items()
        if view.versions.get(name, "none") != version
    ]
    if others:
        raise ConfigError(f"node {node} has {', '.join(others)}; install the same versions on all nodes")


def check_this_node(token: Token) -> None:
    """Refuse this node as `check_view` does, since it may have joined after the others were checked.

    The commit is not compared: the code may be edited while a suite runs, and each record names its own.

    Raises:
        ConfigError: naming the node and the difference.
    """
    versions = {name: version for name, version in token.versions.items() if name != COMMIT}
    check_view(view_node(token.path), node=platform.node(), token=token._replace(versions=versions))


def _problem(token: Path) -> str:
    try:
        if token.read_text(encoding="utf-8") != token.name:
            return "has another folder there"
    except OSError as error:
        return f"does not see it ({error.strerror or error})"
    try:
        written = token.with_name(f"{token.name}-{uuid.uuid4().hex}")
        written.touch()
        written.unlink()
    except OSError as error:
        return f"cannot write there ({error.strerror or error})"
    return ""


def _versions() -> dict[str, str]:
    installed = {name: metadata.version(name) for name in ("torch", "numpy")}
    try:
        package = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        package = "not installed"
    return {PACKAGE: package, **installed, "CUDA": torch.version.cuda or "none"}
