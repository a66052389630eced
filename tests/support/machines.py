"""Two machines on one: each a network namespace with a raylet of its own, joined by a link that can be cut."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.command_line import ROOT

PORT = 6379
START_SECONDS = 60.0
# Of Ray: its workers are not outrun by what else this machine does, and no token of an earlier cluster is asked for.
VARIABLES = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
RAY = "import sys; from ray.scripts.scripts import main; sys.exit(main())"


class Machine:
    """A network namespace with one address, whose processes are started, listed and killed together."""

    def __init__(self, number: int) -> None:
        self.name = f"ray-{os.getpid()}-{number}"
        self.device = f"r{os.getpid()}-{number}"
        self.address = f"10.213.7.{number}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"ray{number}-"))  # short: sockets lie in it
        self._raylets: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a command here, with stdout and stderr as one; `before` is a command that starts it in turn."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *before, *command],
            cwd=ROOT,
            env={**os.environ, **VARIABLES, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start_ray(self, *flags: str, before: Sequence[str] = ()) -> None:
        """Start a raylet for one core in the background."""
        resources = ("--num-cpus", "1", "--object-store-memory", str(2**27))
        given = ("--node-ip-address", self.address, "--temp-dir", str(self.folder), *resources, "--block", *flags)
        with (self.folder / "ray.log").open("w") as log:
            started = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *before, sys.executable, "-c", RAY, "start", *given],
                env={**os.environ, **VARIABLES},
                stdout=log,
                stderr=log,
            )
        self._raylets.append(started)

    def start_command(self, *given: str, results: Path) -> subprocess.Popen[str]:
        """Start the command line here, on a CPU."""
        flags = ("--results", str(results), "--device", "cpu")
        return self.start(sys.executable, "-u", "run_all.py", *given, *flags)

    def pids(self) -> list[int]:
        """All processes in this namespace."""
        return [int(pid) for pid in _ip("netns", "pids", self.name).split()]

    def cut_link(self) -> None:
        """Let no packet through any more; nobody is told."""
        _ip("-n", self.name, "link", "set", self.device, "down")

    def kill(self) -> None:
        """Kill all processes, which say nothing to anybody."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for raylet in self._raylets:
            raylet.wait()


@contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """Two machines that reach each other, and nothing else; skips the test where they cannot be made."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    machines = Machine(1), Machine(2)
    first, second = machines
    try:
        for machine in machines:
            _ip("netns", "add", machine.name)
        cable = ("type", "veth", "peer", "name", second.device, "netns", second.name)
        _ip("link", "add", first.device, "netns", first.name, *cable)
        for machine in machines:
            _ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", machine.device)
            for device in ("lo", machine.device):
                _ip("-n", machine.name, "link", "set", device, "up")
        yield machines
    finally:
        for machine in machines:
            with suppress(subprocess.CalledProcessError):
                _end(machine)
            shutil.rmtree(machine.folder, ignore_errors=True)


def start_cluster(first: Machine, second: Machine, *, before_second: Sequence[str] = ()) -> str:
    """Start Ray's head on one machine and a node on the other, and return the address once both are there."""
    address = f"{first.address}:{PORT}"
    first.start_ray("--head", "--port", str(PORT), "--include-dashboard", "false")
    second.start_ray("--address", address, before=before_second)
    code = "import ray, sys; ray.init(address=sys.argv[1]); print(sum(node['Alive'] for node in ray.nodes()), 'alive')"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        out, _ = first.start(sys.executable, "-c", code, address).communicate()
        if "2 alive" in out:
            return address
    logs = "".join((machine.folder / "ray.log").read_text() for machine in (first, second))
    raise AssertionError(f"Ray did not start in {START_SECONDS:.0f} s: {logs}")


def _end(machine: Machine) -> None:
    deadline = time.monotonic() + 10
    machine.kill()  # also waits for those that have ended
    while machine.pids() and time.monotonic() < deadline:
        time.sleep(0.1)
        machine.kill()
    _ip("netns", "delete", machine.name)


def _ip(*given: str) -> str:
    return subprocess.run(["ip", *given], check=True, capture_output=True, text=True).stdout
