"""How runs are executed: device, engine and diagnostics, none of which is part of a run's id."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import torch

from ablations.errors import ConfigError
from ablations.hardware.device import describe_environment, resolve_device
from ablations.hardware.environment import Environment
from ablations.training.step import Engine, resolve_engine

ExecutorName = Literal["serial", "ray"]


@dataclass(frozen=True, kw_only=True)
class ExecutionOptions:
    """How runs are executed, the same for all runs of a suite.

    With `engine_may_fall_back` a run whose step cannot be captured as a CUDA graph goes on with the eager engine.
    `deterministic` uses only kernels that repeat bit for bit (see `hardware.device.exact_kernels`).
    `measure_selection_bias` also records the test error after every epoch, in a file that no choice reads.
    `executor` trains the runs one after the other, or several at once on Ray: on this machine or, with `ray_address`
    ("auto" or "HOST:PORT"), on the nodes of a cluster. `cpus_per_run` is the CPU cores that Ray keeps for each run.
    `runs_per_device` runs train side by side on a GPU; their times are then not valid. After every `log_every` steps
    the loss is read, also on a GPU; 0 leaves that out.
    """

    device: torch.device = torch.device("cpu")
    engine: Engine = "eager"
    engine_may_fall_back: bool = False
    deterministic: bool = False
    measure_selection_bias: bool = False
    executor: ExecutorName = "serial"
    ray_address: str | None = None
    cpus_per_run: int | None = None
    runs_per_device: int = 1
    log_every: int = 0

    @classmethod
    def resolve(
        cls,
        *,
        device: str = "auto",
        engine: str = "auto",
        deterministic: bool = False,
        measure_selection_bias: bool = False,
        executor: ExecutorName = "serial",
        ray_address: str | None = None,
        cpus_per_run: int | None = None,
        runs_per_device: int = 1,
        log_every: int = 0,
    ) -> ExecutionOptions:
        """The options on this machine, where "auto" takes a GPU if there is one and the fastest engine for it.

        Several runs on a device need Ray, which is then the executor.

        Raises:
            ConfigError: if the device or the engine cannot be used here, several runs cannot share the device, or Ray
                is not installed.
        """
        resolved = resolve_device(device)
        if runs_per_device < 1 or (runs_per_device > 1 and resolved.type != "cuda"):
            raise ConfigError(
                f"--runs-per-gpu is {runs_per_device}; use 1 or more on a GPU and 1 elsewhere, and the device is "
                f"{resolved.type}"
            )
        if cpus_per_run is not None and cpus_per_run < 1:
            raise ConfigError(f"--cpus-per-run is {cpus_per_run}; use 1 or more")
        if runs_per_device > 1:
            executor = "ray"
        if executor == "ray" and find_spec("ray") is None:
            given = f"--runs-per-gpu {runs_per_device}" if runs_per_device > 1 else "--executor ray"
            raise ConfigError(f"{given} needs Ray, which is not installed; run: pip install 'googlenet-ablations[ray]'")
        return cls(
            device=resolved,
            engine=resolve_engine(engine, resolved),
            engine_may_fall_back=engine == "auto",
            deterministic=deterministic,
            measure_selection_bias=measure_selection_bias,
            executor=executor,
            ray_address=ray_address,
            cpus_per_run=cpus_per_run,
            runs_per_device=runs_per_device,
            log_every=log_every,
        )

    @property
    def shares_device(self) -> bool:
        """Whether several runs train on the device at the same time."""
        return self.runs_per_device > 1

    def environment(self) -> Environment:
        """This process's environment, as records hold it."""
        return describe_environment(self.device, engine=self.engine, deterministic=self.deterministic)
