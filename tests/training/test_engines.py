"""The ways in which a step runs: all compute the same one, and preparing for them leaves no trace."""

from __future__ import annotations

import copy
import functools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ablations.data.dataset import Dataset, Split
from ablations.errors import ConfigError, Diverged
from ablations.hardware import device
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.seeding import derive_seed
from ablations.suites.recipe import DIGITS, PUBLISHED, Recipe
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.evaluation import predict
from ablations.training.events import EpochDone, Event, TrainingStarted
from ablations.training.loader import Loader
from ablations.training.loss import training_loss
from ablations.training.optimizer import withhold_update
from ablations.training.options import ExecutionOptions
from ablations.training.step import Engine, TrainStep, resolve_engine
from ablations.training.train import train, train_epoch
from googlenet import VARIANTS, Architecture, GoogLeNet, build

CPU = torch.device("cpu")
CUDA = torch.device("cuda")  # only named here: it takes no GPU
BATCH = 32
STEPS = 5  # an epoch's of the tiny digits: four full batches and one of 22
SHORT4 = replace(VARIANTS["short4"], width=0.125, image_size=8)
SGD = replace(
    DIGITS,
    optimizer="sgd",
    learning_rate=0.02,
    momentum=0.9,
    weight_decay=5e-4,
    batch_size=BATCH,
    epochs=4,
    precision="fp32",
)
RECIPES = {
    "adadelta": replace(PUBLISHED, flip=0.0, batch_size=BATCH, epochs=4, precision="fp32"),
    "adam": replace(DIGITS, batch_size=BATCH, epochs=4, precision="fp32"),
    "sgd": replace(SGD, momentum=0.0),
    "sgd-momentum": SGD,
}

each_optimiser = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
StopAt = Callable[[type[Event], int], Callable[[Event], None]]
OutcomeOf = Callable[[RunFolder], dict[str, Any]]


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


def seeded_model(arch: Architecture = SHORT4, *, device: torch.device = CPU) -> GoogLeNet:
    torch.manual_seed(3)
    model = build(arch, num_classes=10).train()
    return model.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def make_step(
    recipe: Recipe, *, arch: Architecture = SHORT4, engine: Engine = "eager", device: torch.device = CPU
) -> TrainStep:
    return TrainStep(seeded_model(arch, device=device), recipe, engine=engine)


def random_batch(count: int = 16, *, image_size: int = 8) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(5)
    images = torch.randn(count, 3, image_size, image_size, generator=source)
    return images.contiguous(memory_format=torch.channels_last), torch.randint(10, (count,), generator=source)


def take_steps(train_step: TrainStep, split: Split, *, epochs: int, first: int = 1) -> list[float]:
    """The losses of some epochs' steps, with the recipe's learning rates and dropout, written out as a plain loop."""
    loader, losses = Loader(split, recipe=train_step.recipe, device=train_step.device), []
    train_step.model.train()
    for epoch in range(first, first + epochs):
        torch.manual_seed(epoch)
        for step, (images, labels) in enumerate(loader.train_batches(seed=1, epoch=epoch)):
            progress = (epoch - 1 + step / loader.steps) / train_step.recipe.epochs
            train_step.set_learning_rate(train_step.recipe.learning_rate_at(epoch=epoch - 1, progress=progress))
            losses.append(float(train_step.step(images, labels).loss))
    return losses


def state_of(train_step: TrainStep) -> dict[str, Any]:
    """A copy of all that a checkpoint would hold."""
    return copy.deepcopy({"model": dict(train_step.model.state_dict()), "optimizer": train_step.optimizer.state_dict()})


def assert_same(ours: object, theirs: object) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def parameters_of(train_step: TrainStep) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in train_step.model.parameters()]


# Choice


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


# Preparation


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
def test_preparing_between_steps_changes_nothing(recipe: Recipe, tiny_digits: Dataset) -> None:
    ours, theirs = make_step(recipe, engine="compile"), make_step(recipe)
    for train_step in (ours, theirs):
        take_steps(train_step, tiny_digits.train, epochs=1)
    before = state_of(ours)
    ours.warm_up(batch_sizes=(BATCH, 22))
    assert_same(state_of(ours), before)
    ours_after, theirs_after = (take_steps(each, tiny_digits.train, epochs=1, first=2) for each in (ours, theirs))
    assert ours_after == theirs_after
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
    run = functools.partial(train, config, dataset=tiny_digits, device=CPU)
    run(folder=folders["eager"])
    record = run(folder=folders["prepared"], engine="compile")
    assert record.environment.engine == "compile"
    assert record.times is not None and record.times.compile_seconds > 0
    with pytest.raises(KeyboardInterrupt):
        run(folder=folders["resumed"], engine="compile", on_event=stop_at(EpochDone, 2))
    run(folder=folders["resumed"], engine="compile")
    expected = outcome_of(folders["eager"])
    assert_same(outcome_of(folders["prepared"]), expected)
    assert_same(outcome_of(folders["resumed"]), expected)


# Compilation


@pytest.mark.usefixtures("fresh_compiler")
def test_everything_is_compiled_while_preparing(monkeypatch: pytest.MonkeyPatch, tiny_digits: Dataset) -> None:
    # Traced as for any backend, but run by torch's own kernels: quick, and the same numbers bit for bit.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager", fullgraph=True))
    ours, theirs = make_step(SGD, engine="compile"), make_step(SGD)
    ours.warm_up(batch_sizes=(BATCH, 22))
    loader = Loader(tiny_digits.train, recipe=SGD, device=CPU)
    with torch.compiler.set_stance("fail_on_recompile"):
        train_epoch(ours, loader, seed=1, epoch=1, on_step=lambda images, loss: None)
    train_epoch(theirs, loader, seed=1, epoch=1, on_step=lambda images, loss: None)
    torch.testing.assert_close(state_of(ours), state_of(theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("fresh_compiler")
def test_each_of_many_networks_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch gives up, without a word, on a function that it compiled too often: here, that would be twice.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    with torch._dynamo.config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):
        for width in (0.0625, 0.125, 0.25):
            train_step = make_step(SGD, arch=replace(SHORT4, width=width), engine="compile")
            train_step.warm_up(batch_sizes=(BATCH,))


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_steps_are_the_eager_ones() -> None:
    # One module without batch norm: each kernel more takes a compiler seconds, and any network would do.
    arch = replace(
        SHORT4, stages=(SHORT4.stages[0], (), ()), reduction=False, branch5x5="3x3", batch_norm=False, dropout=0.5
    )
    losses: dict[Engine, list[float]] = {}
    for engine in ("eager", "compile"):
        train_step = make_step(SGD, arch=arch, engine=engine)
        train_step.warm_up(batch_sizes=(16,))
        torch.manual_seed(1)  # of dropout
        losses[engine] = [float(train_step.step(*random_batch()).loss) for _ in range(3)]
    assert losses["compile"] == pytest.approx(losses["eager"], rel=1e-5)
    assert len(set(losses["eager"])) == 3


# Learning rate


def with_tensor_rate(train_step: TrainStep) -> Tensor:
    """Give a CPU's optimiser its learning rate as a GPU's has it, and return it."""
    (group,) = train_step.optimizer.param_groups
    group["lr"] = torch.tensor(group["lr"])
    return group["lr"]


@pytest.mark.parametrize("name", ["adam", "sgd-momentum"])
def test_a_rate_in_a_tensor_is_written_into_that_tensor(name: str) -> None:
    train_step = make_step(RECIPES[name])
    rate = with_tensor_rate(train_step)
    for value in (0.25, 0.0, 1.0):
        train_step.set_learning_rate(value)
        # A captured step reads the memory that it was captured with.
        assert train_step.optimizer.param_groups[0]["lr"] is rate
        assert float(rate) == value


def test_each_step_moves_by_its_own_rate() -> None:
    # Without momentum and decay a step is minus the rate times the gradient.
    train_step = make_step(replace(SGD, momentum=0.0, weight_decay=0.0))
    with_tensor_rate(train_step)
    for rate in (0.5, 0.25, 0.0):
        before = parameters_of(train_step)
        train_step.set_learning_rate(rate)
        train_step.step(*random_batch())
        for old, parameter in zip(before, train_step.model.parameters(), strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.detach(), old - rate * parameter.grad, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["adam", "sgd-momentum"])
def test_a_schedule_takes_the_same_effect_through_a_tensor(name: str, tiny_digits: Dataset) -> None:
    recipe = replace(RECIPES[name], schedule="one-cycle", epochs=2)
    ours, theirs, constant = (
        make_step(recipe),
        make_step(recipe),
        make_step(replace(recipe, schedule="constant")),
    )
    with_tensor_rate(ours)
    losses = [take_steps(train_step, tiny_digits.train, epochs=2) for train_step in (ours, theirs, constant)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-2)


@pytest.mark.parametrize("name", ["adam", "sgd-momentum"])
def test_a_rate_in_a_tensor_stays_there_when_a_state_without_one_is_loaded(name: str, tiny_digits: Dataset) -> None:
    # A captured step would go on with the number that was loaded, whatever the schedule says.
    undisturbed, moved = make_step(RECIPES[name]), make_step(RECIPES[name])
    with_tensor_rate(moved)
    take_steps(undisturbed, tiny_digits.train, epochs=1)
    saved = state_of(undisturbed)
    moved.load_state(saved["model"], saved["optimizer"])
    assert isinstance(moved.optimizer.param_groups[0]["lr"], Tensor)
    losses, expected = (take_steps(each, tiny_digits.train, epochs=2, first=2) for each in (moved, undisturbed))
    assert losses == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["adadelta", "adam", "sgd-momentum"])
def test_a_run_goes_on_from_a_gpus_checkpoint_on_a_cpu(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: StopAt,
    outcome_of: OutcomeOf,
    name: str,
) -> None:
    # A run's id does not name the device, so that it may move; on a GPU an optimiser has other options, which its
    # state carries along.
    recipe = RECIPES[name]
    config = make_config(
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        schedule="one-cycle",
        epochs=2,
    )
    undisturbed, moved = (RunFolder(tmp_path / name, config) for name in ("undisturbed", "moved"))
    train(config, dataset=tiny_digits, folder=undisturbed, options=ExecutionOptions())
    with pytest.raises(KeyboardInterrupt):
        train(config, dataset=tiny_digits, folder=moved, on_event=stop_at(EpochDone, 1), options=ExecutionOptions())
    found = checkpoint.load_newest(moved.checkpoints, at_most=99)
    assert found is not None
    epoch, state = found
    (group,) = state["optimizer"]["param_groups"]
    group["lr"] = torch.tensor(group["lr"])
    group |= {"capturable": True} if recipe.optimizer != "sgd" else {}
    group |= {"foreach": True} if recipe.optimizer == "adadelta" else {}
    checkpoint.save(moved.checkpoints, state, epoch=epoch)

    train(config, dataset=tiny_digits, folder=moved, options=ExecutionOptions())
    torch.testing.assert_close(outcome_of(moved), outcome_of(undisturbed), rtol=1e-3, atol=1e-4)


# Precision


def output_dtypes(model: GoogLeNet, kind: type[nn.Module]) -> set[torch.dtype]:
    """Filled by each forward pass with the types that modules of that kind give."""
    seen: set[torch.dtype] = set()

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        seen.add(output.dtype)

    for module in model.modules():
        if isinstance(module, kind):
            module.register_forward_hook(note)
    return seen


@pytest.mark.parametrize(("precision", "inside"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_that_of_convolutions_and_linear_layers_alone(precision: Any, inside: torch.dtype) -> None:
    train_step = make_step(replace(RECIPES["adam"], precision=precision))
    convolutions, linears = (output_dtypes(train_step.model, kind) for kind in (nn.Conv2d, nn.Linear))
    result = train_step.step(*random_batch())
    assert convolutions == linears == {inside}
    assert result.loss.dtype == torch.float32
    kept = [*train_step.model.parameters(), *(parameter.grad for parameter in train_step.model.parameters())]
    kept += [value for state in train_step.optimizer.state.values() for value in state.values()]
    assert {tensor.dtype for tensor in kept if tensor is not None} == {torch.float32}
    statistics = {name: value for name, value in train_step.model.state_dict().items() if "running" in name}
    assert statistics and {value.dtype for value in statistics.values()} == {torch.float32}


def test_bf16_trains_nearly_as_single_precision_does(tiny_digits: Dataset) -> None:
    single, brain = (make_step(replace(SGD, precision=precision)) for precision in ("fp32", "bf16"))
    losses, expected = (np.array(take_steps(each, tiny_digits.train, epochs=4)) for each in (brain, single))
    # bf16 has 8 significant bits, so rounds by 0.4 percent at most; what differs grows over the steps.
    assert losses[0] == pytest.approx(expected[0], rel=0.004)
    np.testing.assert_allclose(
        losses.reshape(4, STEPS).mean(axis=1), expected.reshape(4, STEPS).mean(axis=1), rtol=0.05
    )
    assert (losses != expected).all()
    assert expected[-1] < 0.7 * expected[0]


def test_bf16_predicts_nearly_what_single_precision_does() -> None:
    model, (images, labels) = seeded_model(), random_batch(64)
    convolutions = output_dtypes(model, nn.Conv2d)
    single = predict(model, [(images, labels)], precision="fp32")
    assert convolutions == {torch.float32}
    convolutions.clear()
    brain = predict(model, [(images, labels)], precision="bf16")
    assert convolutions == {torch.bfloat16}
    assert brain.logits.dtype == brain.true_probability.dtype == np.float32
    np.testing.assert_allclose(brain.logits, single.logits, rtol=0.02, atol=0.02)
    np.testing.assert_allclose(brain.true_probability, single.true_probability, rtol=0.02, atol=0.02)


# A loss that is not finite


@each_optimiser
@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf])
def test_a_withheld_update_leaves_the_weights_as_they_are(recipe: Recipe, spoilt: float) -> None:
    # Weight decay and momentum would move the weights without a gradient.
    train_step = make_step(replace(recipe, weight_decay=0.01))
    rate = with_tensor_rate(train_step)
    train_step.step(*random_batch())
    before = parameters_of(train_step)
    for parameter in train_step.model.parameters():
        parameter.grad = torch.full_like(parameter, spoilt)
    withhold_update(train_step.optimizer, unless=torch.tensor(False))
    train_step.optimizer.step()
    assert_same(parameters_of(train_step), before)
    assert train_step.optimizer.param_groups[0]["lr"] is rate and float(rate) == 0


@each_optimiser
def test_an_update_that_is_not_withheld_is_the_same_to_the_bit(recipe: Recipe) -> None:
    ours, theirs = make_step(recipe), make_step(recipe)
    for train_step in (ours, theirs):
        with_tensor_rate(train_step)
    for _ in range(3):
        for train_step in (ours, theirs):
            train_step.optimizer.zero_grad()
            images, labels = random_batch()
            torch.manual_seed(1)
            training_loss(train_step.model, train_step.model(images), labels).backward()
            if train_step is ours:
                withhold_update(train_step.optimizer, unless=torch.tensor(True))
            train_step.optimizer.step()
    assert_same(state_of(ours), state_of(theirs))


def test_off_a_cpu_a_step_withholds_its_update(monkeypatch: pytest.MonkeyPatch) -> None:
    train_step = make_step(SGD)
    rate, before = with_tensor_rate(train_step), parameters_of(train_step)
    monkeypatch.setattr(train_step, "device", torch.device("meta"))  # any that is no CPU
    images, labels = random_batch()
    assert not torch.isfinite(train_step.step(images * torch.inf, labels).loss)
    assert_same(parameters_of(train_step), before)
    assert float(rate) == 0


@pytest.mark.gpu
@needs_gpu
@each_optimiser
@pytest.mark.parametrize("engine", ["graph", "eager"])
def test_on_a_gpu_a_loss_that_is_not_finite_never_reaches_the_weights(recipe: Recipe, engine: Engine) -> None:
    train_step = make_step(replace(recipe, weight_decay=0.01), engine=engine, device=CUDA)
    train_step.warm_up(batch_sizes=(BATCH,))
    images, labels = (tensor.to(CUDA) for tensor in random_batch(BATCH))
    train_step.step(images, labels)
    before = parameters_of(train_step)
    spoilt = images.clone()
    spoilt[0, 0, 0, 0] = torch.inf
    assert not torch.isfinite(train_step.step(spoilt, labels).loss)
    assert_same(parameters_of(train_step), before)
    train_step.set_learning_rate(recipe.learning_rate)
    train_step.step(images, labels)
    assert all(not torch.equal(old, new) for old, new in zip(before, parameters_of(train_step), strict=True))


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_an_epoch_with_a_loss_that_is_not_finite_diverges(tiny_digits: Dataset) -> None:
    recipe = replace(SGD, learning_rate=1e20)
    loader = Loader(tiny_digits.train, recipe=recipe, device=CUDA)
    train_step = make_step(recipe, engine="graph", device=CUDA)
    train_step.warm_up(batch_sizes=loader.batch_sizes)
    with pytest.raises(Diverged, match="stopped being finite in epoch 1 of 4"):
        train_epoch(train_step, loader, seed=1, epoch=1, on_step=lambda images, loss: None)
    assert all(parameter.isfinite().all() for parameter in train_step.model.parameters())


# Batch norm's counts


def test_batch_norms_have_counted_their_batches_after_each_epoch(tiny_digits: Dataset) -> None:
    ours, theirs = make_step(SGD), make_step(SGD)
    loader = Loader(tiny_digits.train, recipe=SGD, device=CPU)
    for epoch in (1, 2):
        train_epoch(ours, loader, seed=1, epoch=epoch, on_step=lambda images, loss: None)
        # The same steps in a plain loop, in which batch norms count for themselves.
        torch.manual_seed(derive_seed(1, purpose="dropout", epoch=epoch))
        for step, (images, labels) in enumerate(loader.train_batches(seed=1, epoch=epoch)):
            progress = (epoch - 1 + step / STEPS) / SGD.epochs
            theirs.set_learning_rate(SGD.learning_rate_at(epoch=epoch - 1, progress=progress))
            theirs.step(images, labels)
        counts = [value for name, value in ours.model.state_dict().items() if name.endswith("num_batches_tracked")]
        assert counts and {int(count) for count in counts} == {epoch * STEPS}
        assert_same(state_of(ours), state_of(theirs))


# On a GPU


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


@pytest.mark.gpu
@needs_gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature:UserWarning")
@pytest.mark.parametrize("name", ["adadelta", "adam", "sgd-momentum"])
@pytest.mark.parametrize("engine", ["graph", "eager"])
@pytest.mark.parametrize("free", [0, 10**12], ids=["streaming", "resident"])
def test_an_epoch_never_waits_for_the_gpu(
    monkeypatch: pytest.MonkeyPatch, tiny_digits: Dataset, name: str, engine: Engine, free: int
) -> None:
    monkeypatch.setattr(device, "free_memory_bytes", lambda device: free)
    recipe = replace(RECIPES[name], schedule="one-cycle", flip=0.5, crop_padding=1, cutout=2)
    loader = Loader(tiny_digits.train, recipe=recipe, device=CUDA)
    train_step = make_step(recipe, engine=engine, device=CUDA)
    train_step.warm_up(batch_sizes=loader.batch_sizes)
    # An epoch reads the clock at its two ends, where it waits on purpose; in between any wait is an error.
    modes = iter(("error", "default"))

    def watch(device: torch.device) -> float:
        torch.cuda.set_sync_debug_mode(next(modes))
        return 0.0

    monkeypatch.setattr(device, "clock", watch)
    try:
        result = train_epoch(train_step, loader, seed=1, epoch=1, on_step=lambda images, loss: None)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert next(modes, None) is None
    assert np.isfinite(result.loss)


@pytest.mark.gpu
@needs_gpu
def test_a_run_of_graphs_learns_and_resumes(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: StopAt,
    outcome_of: OutcomeOf,
) -> None:
    config = make_config(optimizer="sgd", learning_rate=0.02, momentum=0.9, validation_fraction=0.2)
    folders = [RunFolder(tmp_path / name, config) for name in ("undisturbed", "resumed")]
    run = functools.partial(train, config, dataset=tiny_digits, device=CUDA, engine="graph")
    record = run(folder=folders[0])
    assert (record.status, record.environment.engine) == ("done", "graph")
    assert record.test is not None and record.test.images == 60
    assert record.times is not None and record.times.compile_seconds > 0
    assert record.epochs[-1].train_loss < record.epochs[0].train_loss
    with pytest.raises(KeyboardInterrupt):
        run(folder=folders[1], on_event=stop_at(EpochDone, 1))
    events: list[Event] = []
    resumed = run(folder=folders[1], on_event=events.append)
    assert events[0] == TrainingStarted(run_id=config.run_id, finished_epochs=1, train_images=120)
    assert resumed.test is not None
    expected, found = (outcome_of(folder) for folder in folders)
    torch.testing.assert_close(found["weights"], expected["weights"], rtol=1e-3, atol=1e-3)
    assert losses_of(resumed) == pytest.approx(losses_of(record), rel=1e-3)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", ["adadelta", "adam", "sgd-momentum"])
def test_a_cpus_run_goes_on_as_graphs_with_its_schedule(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, stop_at: StopAt, name: str
) -> None:
    recipe = RECIPES[name]
    config = make_config(
        optimizer=recipe.optimizer, learning_rate=recipe.learning_rate, momentum=recipe.momentum, schedule="one-cycle"
    )
    folders = [RunFolder(tmp_path / name, config) for name in ("eager", "graph")]
    records = []
    for folder, engine in zip(folders, ("eager", "graph"), strict=True):
        with pytest.raises(KeyboardInterrupt):
            train(
                config, dataset=tiny_digits, folder=folder, on_event=stop_at(EpochDone, 1), options=ExecutionOptions()
            )
        records.append(
            train(config, dataset=tiny_digits, folder=folder, options=ExecutionOptions(device=CUDA, engine=engine))
        )
    assert losses_of(records[1]) == pytest.approx(losses_of(records[0]), rel=1e-2)


def losses_of(record: RunRecord) -> list[float]:
    return [epoch.train_loss for epoch in record.epochs]
