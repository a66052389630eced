"""What Ray's nodes must have in common, and what an address, its nodes and the options must offer to runs."""

from __future__ import annotations

import platform
import re
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.errors import ConfigError
from ablations.execution import ray_cluster
from ablations.execution.ray_cluster import (
    check_address,
    check_resources,
    summary,
    task_resources,
    threads_per_run,
)
from ablations.execution.ray_node import NodeView, Token, check_this_node, check_view, view_node
from ablations.training import options as options_module
from ablations.training.options import ExecutionOptions
from tests.support.command_line import run_main

VERSIONS = {"googlenet-ablations": "1.0", "torch": "2.10.0", "numpy": "2.0.0", "CUDA": "12.8"}
ON_GPU = ExecutionOptions(executor="ray", device=torch.device("cuda"))


def check(view: NodeView) -> None:
    check_view(view, node="b (10.0.0.2)", token=Token(Path("/shared/digits/ray-1"), VERSIONS))


def test_a_node_with_the_same_folder_and_versions_is_accepted() -> None:
    check(NodeView("", dict(VERSIONS)))


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (NodeView("does not see it (No such file)", VERSIONS), "does not see it (No such file): /shared/digits"),
        (NodeView("", VERSIONS | {"torch": "2.11.0"}), "has torch 2.11.0 instead of 2.10.0; install the same"),
        (
            NodeView("", VERSIONS | {"numpy": "2.1.0", "CUDA": "none"}),
            "has numpy 2.1.0 instead of 2.0.0, CUDA none instead of 12.8;",
        ),
        (NodeView("", {}), "has googlenet-ablations none instead of 1.0, torch none"),
    ],
)
def test_a_node_that_differs_is_refused_by_name_with_the_difference(view: NodeView, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"node b (10.0.0.2) {said}")):
        check(view)


def test_a_node_sees_the_folder_if_the_token_is_there_and_it_can_write_beside_it(tmp_path: Path) -> None:
    token = tmp_path / "ray-1"
    token.write_text("ray-1", encoding="utf-8")
    view = view_node(token)
    assert view.problem == "" and view.versions["CUDA"] == (torch.version.cuda or "none")
    assert list(tmp_path.iterdir()) == [token]
    token.write_text("ray-2", encoding="utf-8")
    assert view_node(token).problem == "has another folder there"
    assert view_node(tmp_path / "ray-3").problem == "does not see it (No such file or directory)"


def test_a_node_that_cannot_write_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    token = tmp_path / "ray-1"
    token.write_text("ray-1", encoding="utf-8")
    monkeypatch.setattr(Path, "touch", refuse)
    assert view_node(token).problem == "cannot write there (Permission denied)"


def test_a_node_that_joined_late_is_checked_but_for_its_commit(tmp_path: Path) -> None:
    path = tmp_path / "ray-1"
    path.write_text("ray-1", encoding="utf-8")
    versions = view_node(path).versions
    check_this_node(Token(path, versions | {"commit": "0123456789ab"}))
    with pytest.raises(
        ConfigError, match=f"^node {platform.node()} has numpy {versions['numpy']} instead of 1.0; install"
    ):
        check_this_node(Token(path, versions | {"numpy": "1.0"}))
    path.unlink()
    with pytest.raises(ConfigError, match="does not see it"):
        check_this_node(Token(path, versions))


@pytest.mark.parametrize("address", ["here", "host:", ":6379", "host:port", "host:0", "host:65536"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"--ray-address is {address!r}; use auto or HOST:PORT")):
        check_address(address)


def test_an_address_at_which_nobody_listens_is_refused_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"  # bound, but not listened at
        given = ("--executor", "ray", "--ray-address", address, "--variants", "short4", "--limit-train", "100")
        status, _, err = run_main(*given, results=tmp_path)
    assert status == 2
    assert err.startswith(f"error: --ray-address {address}: nobody answers there (Connection refused); start Ray")
    assert err.count("\n") == 1


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n"], ids=["silent", "HTTP 1"])
def test_an_address_at_which_something_else_listens_is_refused(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(ConnectionResetError):
                connection.sendall(answer)
                while connection.recv(1000):  # until the client closes
                    pass

        served = threading.Thread(target=serve)
        served.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"^--ray-address {address}: what listens there is not Ray; start Ray"):
            check_address(address)
        served.join()


def test_runs_that_no_node_can_take_are_refused() -> None:
    small, gpu = {"CPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}
    with pytest.raises(ConfigError, match=r"^--device cuda: Ray has no GPU \(2 nodes\); start its nodes with"):
        check_resources([small, small], options=ON_GPU)
    with pytest.raises(
        ConfigError, match="^9 CPU cores a run are more than any node has \\(8\\); use --cpus-per-run 8"
    ):
        check_resources([small, gpu], options=ExecutionOptions(executor="ray", cpus_per_run=9))
    check_resources([small, gpu], options=ON_GPU)
    check_resources([small], options=ExecutionOptions(executor="ray", cpus_per_run=2))


def test_shares_of_a_gpu_fill_it_without_exceeding_it() -> None:
    for count in range(1, 65):
        options = ExecutionOptions(executor="ray", device=torch.device("cuda"), runs_per_device=count)
        units = task_resources(options)["num_gpus"] * 10_000
        assert round(units) == pytest.approx(units, abs=1e-9)
        assert count * round(units) <= 10_000 < (count + 1) * round(units) + count + 1


def test_threads_of_a_run() -> None:
    nodes = [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 12.0, "GPU": 1.0}, {"CPU": 64.0}]
    assert threads_per_run(nodes, options=ExecutionOptions(executor="ray")) == 1
    assert threads_per_run(nodes, options=ExecutionOptions(executor="ray", cpus_per_run=3)) == 3
    assert threads_per_run(nodes, options=ON_GPU) == 8  # 16 cores, 2 GPUs
    many = ExecutionOptions(executor="ray", device=torch.device("cuda"), runs_per_device=20)
    assert threads_per_run(nodes, options=many) == 1


def test_an_error_of_ray_is_told_by_its_last_line() -> None:
    assert summary(RuntimeError("trace\n  File x\nModuleNotFoundError: No module named 'y'\n")) == (
        "ModuleNotFoundError: No module named 'y'"
    )
    assert summary(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize(
    ("given", "named"),
    [({"executor": "ray"}, "--executor ray"), ({"runs_per_device": 3, "device": "cuda"}, "--runs-per-gpu 3")],
)
def test_without_the_extra_the_command_that_installs_it_is_named(
    given: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options_module, "find_spec", lambda name: None)
    monkeypatch.setattr(options_module, "resolve_device", lambda name: torch.device("cuda"))
    installing = re.escape("pip install 'googlenet-ablations[ray]'")
    with pytest.raises(ConfigError, match=f"^{named} needs Ray, which is not installed; run: {installing}$"):
        ExecutionOptions.resolve(**given)


def test_several_runs_on_a_gpu_imply_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options_module, "find_spec", lambda name: name)
    monkeypatch.setattr(options_module, "resolve_device", lambda name: torch.device("cuda"))
    assert ExecutionOptions.resolve(runs_per_device=2).executor == "ray"
    assert ExecutionOptions.resolve().executor == "serial"
