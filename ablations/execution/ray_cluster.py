"""Connection to Ray: started on this machine or found at an address, with nodes that all see the same folder."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ablations.errors import ConfigError, Terminated
from ablations.execution.ray_node import NodeView, Token, check_view, view_node
from ablations.hardware.probe import CUBLAS_WORKSPACE, THREAD_SPINS
from ablations.training.options import ExecutionOptions

# Environment variables, read when Ray is imported. Otherwise it reports its use to its makers, warns of its defaults,
# writes pages about every lost worker into the progress display, and has any other process go before its workers.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_worker_niceness": "0",
}
CONNECT_SECONDS = 4.0  # that an address may take to accept a connection, and then to answer
# What opens a connection of HTTP/2, which Ray listens with, and the type of the frame that answers it: RFC 9113, 3.4.
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
HTTP2_SETTINGS = 4
NODE_SECONDS = 120.0  # that a node may take to import torch from a shared disk
SIGNALS = (signal.SIGINT, signal.SIGTERM)
GPU_UNITS = 10_000  # Ray counts shares of a GPU in these


@contextmanager
def connected(options: ExecutionOptions) -> Iterator[list[dict[str, Any]]]:
    """Connect to Ray, or start it on this machine, and yield its nodes; a connection that was there before is kept.

    Raises:
        ConfigError: if there is no Ray at the address, or no node can take a run.
    """
    variables: dict[str, str] = dict([THREAD_SPINS, *([CUBLAS_WORKSPACE] if options.deterministic else [])])
    for name, value in {**SETTINGS, **variables}.items():
        os.environ.setdefault(name, value)
    import ray

    ours = not ray.is_initialized()
    try:
        if ours:
            with _signal_handlers_kept():
                _initialise(options, variables)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        check_resources([node["Resources"] for node in nodes], options=options)
        yield nodes
    finally:
        if ours:
            ray.shutdown()


def _initialise(options: ExecutionOptions, variables: dict[str, str]) -> None:
    import ray
    from ray.exceptions import RayError

    address = options.ray_address
    if address is not None:
        check_address(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
    on_gpu = options.device.type == "cuda"
    # Workers on this machine have its variables; setting them for a task costs a process.
    elsewhere: dict[str, Any] = {"runtime_env": {"env_vars": variables}}
    of_this_machine: dict[str, Any] = {
        "include_dashboard": False,
        "num_cpus": _pinned_cores(),
        "num_gpus": torch.cuda.device_count() if on_gpu else 0,
    }
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            **(elsewhere if address else of_this_machine),
        )
    except SystemExit as error:  # of Ray's own handler of SIGTERM
        raise Terminated from error
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, RayError) as error:
        if address == "auto" and isinstance(error, ConnectionError):
            raise ConfigError(
                "--ray-address auto: no Ray runs on this machine; start it with `ray start --head`, or leave the flag "
                "out to start it for this command alone"
            ) from error
        text = " ".join(str(error).split())
        token = " (if it asks for a token, set RAY_AUTH_MODE=token)" if address else ""
        raise ConfigError(f"{_where(address)}: Ray cannot be used{token}: {text}") from error


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Undo what Ray does to the handlers of signals inside."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # the only one where handlers can be set
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _where(address: str | None) -> str:
    return "--executor ray" if address is None else f"--ray-address {address}"


def _pinned_cores() -> int | None:
    """The cores that this process is bound to; None if it has all: Ray counts them, and knows a container's limit."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    bound = len(os.sched_getaffinity(0))
    return None if bound == os.cpu_count() else bound


def check_address(address: str) -> None:
    """Refuse an address at which nobody listens, or not Ray, which would be waited for for minutes.

    "auto" is left to Ray.

    Raises:
        ConfigError: naming the address.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigError(f"--ray-address is {address!r}; use auto or HOST:PORT, as in 10.0.0.1:6379")
    remedy = "start Ray with `ray start --head`, or leave the flag out to start it on this machine"
    try:
        connection = socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS)
    except OSError as error:
        raise ConfigError(
            f"--ray-address {address}: nobody answers there ({error.strerror or error}); {remedy}"
        ) from error
    if os.environ.get("RAY_USE_TLS") != "1" and not _speaks_http2(connection):
        raise ConfigError(f"--ray-address {address}: what listens there is not Ray; {remedy}")


def _speaks_http2(connection: socket.socket) -> bool:
    with connection:
        try:
            connection.sendall(HTTP2_PREFACE)
            header = connection.recv(9)
        except OSError:
            return False
    return len(header) == 9 and header[3] == HTTP2_SETTINGS


def check_resources(nodes: Sequence[Mapping[str, float]], *, options: ExecutionOptions) -> None:
    """Refuse runs that none of the nodes, given by their resources, could ever take.

    Raises:
        ConfigError: naming what is missing.
    """
    on_gpu = options.device.type == "cuda"
    if on_gpu and not any(node.get("GPU", 0) for node in nodes):
        raise ConfigError(
            f"--device cuda: Ray has no GPU ({len(nodes)} {'node' if len(nodes) == 1 else 'nodes'}); start its nodes "
            "with --num-gpus, or use --device cpu"
        )
    usable = [node.get("CPU", 0) for node in nodes if node.get("GPU", 0) or not on_gpu]
    needed = task_resources(options)["num_cpus"]
    if max(usable) < needed:
        raise ConfigError(
            f"{needed:g} CPU cores a run are more than any node has ({max(usable):g}); use --cpus-per-run "
            f"{max(1, int(max(usable)))} or less, or start nodes with more cores"
        )


def task_resources(options: ExecutionOptions) -> dict[str, Any]:
    """What Ray reserves for one run: a share of a GPU, or without one CPU cores."""
    if options.device.type == "cuda":
        # Rounded down: Ray rounds too, and K shares must not exceed the GPU.
        share = math.floor(GPU_UNITS / options.runs_per_device) / GPU_UNITS
        return {"num_gpus": share, "num_cpus": options.cpus_per_run or 0}
    return {"num_cpus": options.cpus_per_run or 1}


def threads_per_run(nodes: Sequence[Mapping[str, float]], *, options: ExecutionOptions) -> int:
    """CPU threads of a run: `cpus_per_run`, else one on a CPU, and on a GPU the node's cores over its runs."""
    if options.cpus_per_run is not None or options.device.type != "cuda":
        return options.cpus_per_run or 1
    shares = [node.get("CPU", 0) / (node["GPU"] * options.runs_per_device) for node in nodes if node.get("GPU", 0)]
    return max(1, int(min(shares)))


@contextmanager
def checked(nodes: Sequence[Mapping[str, Any]], *, suite_dir: Path) -> Iterator[Token]:
    """Refuse nodes that see another folder than this process, cannot write there, or have other versions.

    Yields what nodes that join inside are checked with.

    Raises:
        ConfigError: naming the node and the difference.
    """
    path = suite_dir / "locks" / f"ray-{uuid.uuid4().hex}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name, encoding="utf-8")
    try:
        token = Token(path, view_node(path).versions)
        for name, view in _views(nodes, path):
            check_view(view, node=name, token=token)
        yield token
    finally:
        path.unlink()


def _views(nodes: Sequence[Mapping[str, Any]], token: Path) -> Iterator[tuple[str, NodeView]]:
    """What each node sees, asked at the same time; a name is host and address."""
    import ray
    from ray.exceptions import GetTimeoutError, NodeDiedError, RayError, TaskUnschedulableError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=1)(view_node)
    asked = []
    for node in nodes:
        pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        asked.append((name, look.options(scheduling_strategy=pinned).remote(token)))
    for name, answer in asked:
        try:
            yield name, ray.get(answer, timeout=NODE_SECONDS)
        except GetTimeoutError as error:
            raise ConfigError(
                f"node {name} did not answer in {NODE_SECONDS:.0f} s; stop Ray on it, or repair it"
            ) from error
        except (NodeDiedError, TaskUnschedulableError):
            continue  # it died since; if it comes back, its runs check it
        except RayError as error:
            raise ConfigError(
                f"node {name} cannot run this package ({summary(error)}); install the same versions on all nodes"
            ) from error


def summary(error: Exception) -> str:
    """The last line of what Ray says of an error, which names the cause; the lines before are its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
