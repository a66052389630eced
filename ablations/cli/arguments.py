"""The flags of the command line, with their defaults and their help."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from ablations.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Train the variants of a suite, each with every seed, and write a report that compares them.

    Without arguments: seven GoogLeNet variants on scikit-learn's handwritten digits, on a CPU in minutes. A run that
    is done is skipped and a stopped one goes on from its last finished epoch.

    Exit status: 0 all done; 2 bad arguments; 3 some runs failed, the disk is full or the GPU lost; 4 data missing or
    damaged; 5 another process has some of these runs, or the folder; 130 or 143 stopped by a signal, can go on.
    """

    suite: str = "digits"
    """digits, cifar10, cifar100, folder, branches, modules, components, width, depth, design, references, quirks, or a
    suite file's path (.toml)."""
    dataset: str | None = None
    """Another dataset than the suite's own; its results have a folder of their own, <suite>-<dataset>."""
    variants: str | None = None
    """Comma-separated architectures, instead of the suite's own; see --list."""
    control: Literal["params", "macs"] | None = None
    """Add to every variant its twin, as wide as it takes to have the parameters or MACs of the baseline."""
    width: float | None = None
    """Multiply all channel numbers, instead of the suite's own factor."""
    yes: bool = False
    """Accept a suite file whose factors have more than 64 cells."""
    seeds: int | None = None
    """Train every variant with the seeds 1 to N."""
    seed_list: str | None = None
    """Train every variant with these seeds, comma-separated."""
    looks: str | None = None
    """Declare, before the first report, at which numbers of seeds verdicts are read, comma-separated."""
    until_settled: bool = False
    """Go on with more seeds, at the declared looks or twice as many each time, until every comparison is settled."""
    max_seeds: int = 20
    """With --until-settled, the most seeds."""
    recipe: str | None = None
    """published, fast, digits, bn-aux-adam, plain-adam or gray-adam, instead of the suite's own recipe."""
    epochs: int | None = None
    """Epochs, instead of the recipe's."""
    keep_epochs: str | None = None
    """Keep the weights after these epochs too, comma-separated."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of convolutions; auto is the recipe's own or, where it leaves that open, bf16 on a GPU that has it, else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU where there is one."""
    engine: Literal["auto", "eager", "compile", "graph"] = "auto"
    """How steps run; auto replays a CUDA graph on a GPU. All give the same numbers, up to rounding."""
    deterministic: bool = False
    """Use only kernels that repeat bit for bit on the same machine and build of torch; slower on a GPU."""
    executor: Literal["serial", "ray"] = "serial"
    """One run after the other, or on Ray as many at once as there are GPUs or CPU cores (needs the extra ray)."""
    ray_address: str | None = None
    """With Ray, auto or the HOST:PORT of a cluster; without it Ray is started on this machine."""
    cpus_per_run: int | None = None
    """With Ray, CPU cores and threads of each run."""
    runs_per_gpu: int = 1
    """Train K runs side by side on each GPU, on Ray; their times are then not valid."""
    data_dir: Path = Path("data")
    """Where archives are kept (cifar10, cifar100), or the folder with train/ and test/ (folder)."""
    log_every: int = 0
    """Where output is no terminal, print the loss after every N steps too."""
    measure_selection_bias: bool = False
    """Also record the test error after every epoch, to report the selection bias that choosing by it would cause."""
    track: Literal["off", "tensorboard"] = "off"
    """Write live curves for TensorBoard to <results>/<suite>/tensorboard (needs the extra of that name)."""
    compare_with: str | None = None
    """Another suite in --results: does its order of the variants predict this one's?"""
    image_size: int | None = None
    """Resize a folder's images to N x N pixels; without it they must be 32x32."""
    results: Path = Path("results")
    """Where records and reports go, one folder a suite."""
    limit_train: int | None = None
    """Train on a stratified subset of N images."""
    resume: bool = False
    """Go on with the runs that are there, and refuse if settings or data have changed; without it both are kept."""
    fresh: bool = False
    """Move the records of these runs, and of the last command if its settings were others, aside and start afresh."""
    list: bool = False
    """List suites and architectures with their costs, and stop."""
    describe: str | None = None
    """Show what each module and branch of this architecture costs, write its layers and a treemap, and stop."""
    plan: bool = False
    """Show the runs, what is done of them, what they cost and what they can show, and stop."""
    budget: str | None = None
    """With --plan, how many seeds fit into this time, as in 90m, 6h or 2d."""
    expect_sd: float | None = None
    """With --plan, the standard deviation over seeds to expect of a variant's error, in points."""
    dry_run: bool = False
    """Train each variant for a few steps, say what a run takes, also in dry_run.md and for --plan, and stop."""
    report: bool = False
    """Rebuild the report from the records, and stop."""
    merge: tuple[Path, ...] | None = None
    """Copy the finished runs of the same settings and data from these results folders, report, and stop."""


# What to do instead of running, with the flags that each goes with. It would ignore others, so they are refused.
_RUNNING = frozenset(field.name for field in fields(Arguments)) - {
    "list",
    "describe",
    "plan",
    "dry_run",
    "report",
    "merge",
}
_PLANNING = frozenset({"budget", "expect_sd"})
_NEW_RUNS = _RUNNING - _PLANNING - {"resume", "fresh", "until_settled", "max_seeds"}
MODES: dict[str, frozenset[str]] = {
    "list": frozenset(),
    "describe": frozenset({"dataset", "width", "image_size", "data_dir", "results"}),
    "plan": _NEW_RUNS | _PLANNING,
    "dry_run": _NEW_RUNS,
    "report": frozenset({"suite", "dataset", "results", "compare_with"}),
    "merge": frozenset({"suite", "dataset", "results"}),
}


def flag_of(name: str) -> str:
    """The flag of a field of the arguments: "--limit-train" of "limit_train"."""
    return f"--{name.replace('_', '-')}"


def checked(arguments: Arguments) -> Arguments:
    """The arguments with ``~`` in their paths expanded.

    Raises:
        ConfigError: if one of them has no effect with another one of MODES, with or without --until-settled, or
            without Ray, if --merge names no folder, or a home folder is not known.
    """
    given = [field.name for field in fields(Arguments) if getattr(arguments, field.name) != field.default]
    chosen = [name for name in MODES if name in given]
    if len(chosen) > 1:
        raise ConfigError(f"{_listed(MODES)} exclude each other; give one of them")
    for mode in chosen:
        ignored = [name for name in given if name != mode and name not in MODES[mode]]
        if ignored:
            verb = "has" if len(ignored) == 1 else "have"
            raise ConfigError(f"{_listed(ignored)} {verb} no effect with {flag_of(mode)}; {_usable_with(mode)}")
    if arguments.until_settled and arguments.seed_list is not None:
        raise ConfigError("--seed-list has no effect with --until-settled; use --seeds for those to begin with")
    if "max_seeds" in given and not arguments.until_settled:
        raise ConfigError("--max-seeds has no effect without --until-settled; give both, or use --seeds")
    with_ray = [name for name in ("ray_address", "cpus_per_run") if name in given]
    if with_ray and arguments.executor != "ray" and arguments.runs_per_gpu == 1:
        verb = "has" if len(with_ray) == 1 else "have"
        raise ConfigError(f"{_listed(with_ray)} {verb} no effect without --executor ray; give both")
    if "plan" not in given and _PLANNING & {*given}:
        name = flag_of(next(name for name in given if name in _PLANNING))
        raise ConfigError(f"{name} has no effect without --plan; give both")
    paths = {name: _expanded(name, getattr(arguments, name)) for name in ("results", "data_dir")}
    if arguments.merge is not None:
        if not arguments.merge:
            raise ConfigError("--merge names no folder; give one or more folders of results")
        arguments = replace(arguments, merge=tuple(_expanded("merge", path) for path in arguments.merge))
    return replace(arguments, **paths)


def _usable_with(mode: str) -> str:
    usable, refused = MODES[mode], _RUNNING - MODES[mode]
    if not usable:
        return "give it alone"
    if len(usable) < len(refused):
        return f"it goes with {_listed(sorted(usable))}"
    return f"it goes with every flag but {_listed(sorted(refused))}"


def _listed(names: Iterable[str]) -> str:
    *most, last = map(flag_of, names)
    return f"{', '.join(most)} and {last}" if most else last


def _expanded(name: str, path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{flag_of(name)} {path}: this user has no home folder here; give the whole path") from error
