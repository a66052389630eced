"""The engines of a step: all compute the same one, and warming up leaves no trace."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ablations.data.dataset import Dataset, Split
from ablations.errors import ConfigError
from ablations.records.run_folder import RunFolder
from ablations.suites.recipe import Recipe
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone
from ablations.training.inputs.loader import Loader
from ablations.training.options import ExecutionOptions
from ablations.training.step import Engine, resolve_engine
from ablations.training.train import train, train_epoch
from tests.support.training import (
    BATCH,
    CPU,
    CUDA,
    RECIPES,
    SGD,
    SHORT4,
    OutcomeOf,
    StopAt,
    assert_same,
    each_optimiser,
    make_step,
    needs_gpu,
    random_batch,
    state_of,
    take_steps,
    with_tensor_rate,
)

ONE_MODULE = replace(SHORT4, stages=(SHORT4.stages[0], (), ()))


@pytest.fixture
def compiling_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine "compile" that has everything to prepare and whose steps are the eager ones, bit for bit."""

    def as_it_is(function: Callable[..., Any], **_named: object) -> Callable[..., Any]:
        return function

    monkeypatch.setattr(torch, "compile", as_it_is)


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """A compiler that remembers nothing of other tests, and nothing of this one afterwards."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("name", "device", "expected"),
    [
        ("auto", CPU, "eager"),
        ("eager", CPU, "eager"),
        ("compile", CPU, "compile"),
        ("auto", CUDA, "graph"),
        ("eager", CUDA, "eager"),
        ("compile", CUDA, "compile"),
        ("graph", CUDA, "graph"),
    ],
    ids=str,
)
def test_auto_replays_graphs_on_a_gpu_and_never_compiles(name: str, device: torch.device, expected: str) -> None:
    assert resolve_engine(name, device) == expected


def test_a_graph_without_a_gpu_is_an_error_that_names_the_remedy() -> None:
    with pytest.raises(ConfigError, match="--engine graph.*cpu.*eager") as raised:
        resolve_engine("graph", CPU)
    assert raised.value.exit_status == 2


@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_an_unknown_engine_is_an_error_that_names_the_known_ones(device: torch.device) -> None:
    with pytest.raises(ConfigError, match="--engine 'grahp'.*auto, eager, compile, graph.*did you mean 'graph'"):
        resolve_engine("grahp", device)


@pytest.mark.usefixtures("compiling_is_nothing")
@each_optimiser
def test_preparing_before_the_first_step_changes_nothing(recipe: Recipe, tiny_digits: Dataset) -> None:
    ours, theirs = make_step(recipe, engine="compile"), make_step(recipe)
    ours.warm_up(batch_sizes=(BATCH, 22))
    assert_same(state_of(ours)["model"], state_of(theirs)["model"])
    assert_same(state_of(ours)["optimizer"]["param_groups"], state_of(theirs)["optimizer"]["param_groups"])
    for state in ours.optimizer.state.values():
        assert not any(value.any() for value in state.values() if isinstance(value, Tensor))
    assert all(parameter.grad is None for parameter in ours.model.parameters())

    assert take_steps(ours, tiny_digits.train, epochs=2) == take_steps(theirs, tiny_digits.train, epochs=2)
    assert_same(state_of(ours), state_of(theirs))


@pytest.mark.usefixtures("compiling_is_nothing")
@each_optimiser
def test_preparing_after_a_checkpoint_was_loaded_changes_nothing(recipe: Recipe, tiny_digits: Dataset) -> None:
    undisturbed, resumed = make_step(recipe), make_step(recipe, engine="compile")
    take_steps(undisturbed, tiny_digits.train, epochs=1)
    saved = state_of(undisturbed)
    resumed.load_state(saved["model"], saved["optimizer"])
    resumed.warm_up(batch_sizes=(BATCH, 22))
    assert_same(state_of(resumed)["model"], saved["model"])
    assert_same(state_of(resumed)["optimizer"]["state"], saved["optimizer"]["state"])
    expected = take_steps(undisturbed, tiny_digits.train, epochs=1, first=2)
    assert take_steps(resumed, tiny_digits.train, epochs=1, first=2) == expected


@pytest.mark.usefixtures("compiling_is_nothing")
@pytest.mark.parametrize("steps_before", [False, True], ids=["fresh", "after-steps"])
def test_a_preparation_that_diverges_leaves_no_trace(steps_before: bool, tiny_digits: Dataset) -> None:
    # The learning rate of a preparation is no one's choice: the schedule's holds from the first step on.
    ours, theirs = make_step(SGD, engine="compile"), make_step(SGD)
    for train_step in (ours, theirs):
        take_steps(train_step, tiny_digits.train, epochs=int(steps_before))
    ours.set_learning_rate(1e30)
    ours.warm_up(batch_sizes=(BATCH, 22))
    ours_after, theirs_after = (take_steps(each, tiny_digits.train, epochs=1, first=2) for each in (ours, theirs))
    assert ours_after == theirs_after
    assert_same(state_of(ours), state_of(theirs))


@pytest.mark.usefixtures("compiling_is_nothing")
def test_preparing_puts_back_a_rate_that_one_of_its_steps_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    train_step = make_step(SGD, engine="compile")
    rate = with_tensor_rate(train_step)
    monkeypatch.setattr(train_step.optimizer, "step", rate.zero_)
    train_step.warm_up(batch_sizes=(BATCH,))
    assert train_step.optimizer.param_groups[0]["lr"] is rate
    assert float(rate) == pytest.approx(SGD.learning_rate)


def test_an_eager_cpu_has_nothing_to_prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    train_step = make_step(SGD)
    monkeypatch.setattr(train_step.model, "forward", None)
    train_step.warm_up(batch_sizes=(BATCH, 22))


@pytest.mark.usefixtures("compiling_is_nothing")
def test_a_prepared_run_ends_as_an_unprepared_one_also_when_resumed(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: StopAt,
    outcome_of: OutcomeOf,
) -> None:
    config = make_config(flip=0.5, validation_fraction=0.2)
    folders = {name: RunFolder(tmp_path / name, config) for name in ("eager", "prepared", "resumed")}
    run = functools.partial(train, config, dataset=tiny_digits)
    eager, prepared = ExecutionOptions(), ExecutionOptions(engine="compile")
    run(folder=folders["eager"], options=eager)
    record = run(folder=folders["prepared"], options=prepared)
    assert record.environment.engine == "compile"
    assert record.times is not None and record.times.compile_seconds > 0
    with pytest.raises(KeyboardInterrupt):
        run(folder=folders["resumed"], options=prepared, on_event=stop_at(EpochDone, 2))
    run(folder=folders["resumed"], options=prepared)
    expected = outcome_of(folders["eager"])
    assert_same(outcome_of(folders["prepared"]), expected)
    assert_same(outcome_of(folders["resumed"]), expected)


@pytest.mark.usefixtures("fresh_compiler")
def test_everything_is_compiled_while_preparing(monkeypatch: pytest.MonkeyPatch, tiny_digits: Dataset) -> None:
    # Traced and guarded as for any backend, but run as it is: quick, and the same numbers bit for bit.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager", fullgraph=True))
    ours, theirs = make_step(SGD, arch=ONE_MODULE, engine="compile"), make_step(SGD, arch=ONE_MODULE)
    ours.warm_up(batch_sizes=(BATCH, 22))
    loader = Loader(tiny_digits.train, recipe=SGD, device=CPU)
    with torch.compiler.set_stance("fail_on_recompile"):
        train_epoch(ours, loader, seed=1, epoch=1, on_step=lambda images, loss: None)
    train_epoch(theirs, loader, seed=1, epoch=1, on_step=lambda images, loss: None)
    torch.testing.assert_close(state_of(ours), state_of(theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("fresh_compiler")
def test_each_of_many_networks_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch gives up, without a word, on a function that it compiled too often: here, that is twice.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    with torch._dynamo.config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):
        for width in (0.0625, 0.125):
            train_step = make_step(SGD, arch=replace(ONE_MODULE, width=width), engine="compile")
            train_step.warm_up(batch_sizes=(BATCH,))


@pytest.mark.process  # of the C++ compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_steps_are_the_eager_ones() -> None:
    # One module without batch norm: each kernel more takes a compiler seconds, and any network would do.
    arch = replace(ONE_MODULE, reduction=False, branch5x5="3x3", batch_norm=False, dropout=0.5)
    losses: dict[Engine, list[float]] = {}
    for engine in ("eager", "compile"):
        train_step = make_step(SGD, arch=arch, engine=engine)
        train_step.warm_up(batch_sizes=(16,))
        torch.manual_seed(1)  # of dropout
        losses[engine] = [float(train_step.step(*random_batch()).loss) for _ in range(3)]
    assert losses["compile"] == pytest.approx(losses["eager"], rel=1e-5)
    assert len(set(losses["eager"])) == 3


@contextmanager
def repeatable_kernels() -> Iterator[None]:
    """Kernels that add in one order, so that two runs differ by their engine alone."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def losses_and_weights(
    recipe: Recipe, split: Split, *, engine: Engine, device: torch.device
) -> tuple[list[float], dict[str, Tensor]]:
    """Those of all of the recipe's epochs."""
    with repeatable_kernels():
        train_step = make_step(recipe, engine=engine, device=device)
        train_step.warm_up(batch_sizes=Loader(split, recipe=recipe, device=device).batch_sizes)
        return take_steps(train_step, split, epochs=recipe.epochs), state_of(train_step)["model"]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(
    ("name", "precision", "tolerance"),
    [
        ("sgd-momentum", "fp32", 1e-5),
        ("adadelta", "fp32", 1e-5),
        # Adam divides tiny gradients by their own size, and bf16 rounds: noise of 1e-7 in the order of some sum grows
        # to this. Another batch, rate or dropout shows in the second digit.
        ("adam", "fp32", 1e-3),
        ("sgd-momentum", "bf16", 1e-2),
    ],
)
def test_a_replayed_graph_takes_the_eager_steps(
    tiny_digits: Dataset, name: str, precision: Any, tolerance: float
) -> None:
    recipe = replace(RECIPES[name], precision=precision)
    graph, eager = (
        losses_and_weights(recipe, tiny_digits.train, engine=engine, device=CUDA)[0] for engine in ("graph", "eager")
    )
    assert len(graph) == 20  # every fifth of a smaller batch
    assert graph[0] == pytest.approx(eager[0], rel=1e-5)
    assert graph == pytest.approx(eager, rel=tolerance)
    assert eager[-1] < 0.8 * eager[0]


@pytest.mark.gpu
@needs_gpu
def test_a_schedule_takes_effect_in_a_captured_step(tiny_digits: Dataset) -> None:
    recipe = replace(SGD, schedule="one-cycle", epochs=1)
    _, graph = losses_and_weights(recipe, tiny_digits.train, engine="graph", device=CUDA)
    _, eager = losses_and_weights(recipe, tiny_digits.train, engine="eager", device=CUDA)
    torch.testing.assert_close(graph, eager, rtol=1e-5, atol=1e-5)
    unscheduled = replace(recipe, schedule="constant")
    _, constant = losses_and_weights(unscheduled, tiny_digits.train, engine="graph", device=CUDA)
    assert not torch.allclose(constant["head.linear.weight"], graph["head.linear.weight"], rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@needs_gpu
def test_each_replay_draws_another_dropout_and_a_seed_repeats_it() -> None:
    train_step = make_step(SGD, engine="graph", device=CUDA)
    train_step.warm_up(batch_sizes=(BATCH,))
    train_step.set_learning_rate(0.0)
    images, labels = (tensor.to(CUDA) for tensor in random_batch(BATCH))
    losses = []
    for _ in range(2):
        torch.manual_seed(1)
        losses.append([float(train_step.step(images, labels).loss) for _ in range(4)])
    assert len(set(losses[0])) == 4
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.gpu
@needs_gpu
@each_optimiser
def test_capturing_leaves_no_trace(recipe: Recipe, tiny_digits: Dataset) -> None:
    train_step = make_step(recipe, engine="graph", device=CUDA)
    fresh = state_of(train_step)["model"]
    train_step.warm_up(batch_sizes=(BATCH, 22))
    assert_same(state_of(train_step)["model"], fresh)
    for state in train_step.optimizer.state.values():
        assert not any(value.any() for value in state.values() if isinstance(value, Tensor))

    train_step = make_step(recipe, engine="graph", device=CUDA)
    take_steps(train_step, tiny_digits.train, epochs=1)  # without a graph, so eager
    before = state_of(train_step)
    train_step.warm_up(batch_sizes=(BATCH, 22))
    assert_same(state_of(train_step), before)
