"""One optimisation step: eager, compiled, or replayed from a CUDA graph."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor, nn

from ablations.errors import ConfigError, Diverged, first_line
from ablations.hardware.device import reset_peak_memory
from ablations.suites.recipe import Recipe
from ablations.training.loss import autocast, training_loss
from ablations.training.optimizer import make_optimizer, withhold_update
from googlenet.model import GoogLeNet
from googlenet.validation import check_choice

Engine = Literal["eager", "compile", "graph"]
# Before a capture all lazy work must be over: kernels chosen, optimiser state made. Three steps is CUDA's own advice.
WARM_UP_STEPS = 3


class StepResult(NamedTuple):
    """Scalars on the device: the batch's mean loss and how many images it got wrong. The next step may reuse them."""

    loss: Tensor
    wrong: Tensor


def resolve_engine(name: str, device: torch.device) -> Engine:
    """The engine for "auto" or one of their names on that device; auto is "graph" on a GPU and "eager" elsewhere.

    "compile" is never chosen by itself, as its start-up can take longer than a suite.

    Raises:
        ConfigError: if the name is unknown, or "graph" is asked for without a GPU.
    """
    try:
        check_choice("--engine", name, ("auto", *get_args(Engine)))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if name == "graph" and device.type != "cuda":
        raise ConfigError(f"--engine graph needs a GPU, and the device is {device.type}; use eager, compile or auto")
    if name == "auto":
        return "graph" if device.type == "cuda" else "eager"
    return cast(Engine, name)


class TrainStep:
    """A network on its device, its optimiser, and the way in which one step of them runs.

    All engines compute the same step; "graph" falls back to eager for a batch of another size than the recipe's. With
    `may_fall_back` it does so for all, where capturing fails for another reason than memory: `engine` is then "eager".
    """

    def __init__(
        self, model: GoogLeNet, recipe: Recipe, *, engine: Engine = "eager", may_fall_back: bool = False
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.engine: Engine = engine
        self._may_fall_back = may_fall_back
        self.device = next(model.parameters()).device
        self.optimizer = make_optimizer(model, recipe)
        # No bound method: a cycle would keep the network and its state past the run, until garbage is collected.
        self._forward: Callable[[GoogLeNet, Recipe, Tensor, Tensor], tuple[Tensor, Tensor]] = _loss_and_wrong
        if engine == "compile":
            # What was compiled for earlier networks counts against torch's limit, beyond which it runs eagerly.
            torch.compiler.reset()
            # Dropout is then drawn as the other engines draw it.
            self._forward = torch.compile(_loss_and_wrong, dynamic=False, options={"fallback_random": True})
        self._graph: _Graph | None = None

    def set_learning_rate(self, rate: float) -> None:
        """Use `rate` from the next step on."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)  # in place: a captured step reads this very tensor
            else:
                group["lr"] = rate

    def load_state(self, model_state: dict[str, Any], optimizer_state: dict[str, Any]) -> None:
        """Go on from saved states, also of another device or engine. Call it before `warm_up`.

        What the optimiser was built with stays: only the state of its parameters is loaded.
        """
        self.model.load_state_dict(model_state)
        built_with = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({**optimizer_state, "param_groups": built_with})

    def step(self, images: Tensor, labels: Tensor) -> StepResult:
        """Forward, loss, backward and update on images (B, 3, H, W) and labels (B,).

        If the loss is not finite, the weights stay as they are. On a GPU, where looking would cost a sync, nothing is
        raised, and the learning rate is then zero until it is set again.

        Raises:
            Diverged: on a CPU, before the update, if the loss is not finite.
        """
        if self._graph is not None and images.shape == self._graph.images.shape:
            return self._graph.replay(images, labels)
        return self._step(images, labels, must_be_finite=self.device.type == "cpu")

    def warm_up(self, *, batch_sizes: Iterable[int]) -> None:
        """Do what only first steps of these batch sizes do: choose kernels, compile, capture.

        Weights, statistics, optimiser state and learning rates are afterwards as they were. The peak of memory is
        measured anew: to try kernels, cuDNN takes up to all that is free, in a shape's first run only. An eager CPU
        has nothing to prepare.
        """
        if self.engine == "eager" and self.device.type == "cpu":
            return
        self.model.train()
        with _undone(self.model, self.optimizer), batches_counted_apart(self.model, batches=0):
            for size in sorted(set(batch_sizes)):
                self._warm_up(size)
        if self._graph is None:
            reset_peak_memory(self.device)

    def _warm_up(self, batch_size: int) -> None:
        arch = self.model.arch
        images = torch.zeros(batch_size, arch.in_channels, arch.image_size, arch.image_size, device=self.device)
        images = images.to(memory_format=torch.channels_last)
        labels = torch.zeros(batch_size, dtype=torch.int64, device=self.device)
        if self.engine == "graph" and batch_size == self.recipe.batch_size:
            try:
                self._graph = _Graph(self._step, images, labels)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                if not self._may_fall_back:
                    raise
                self.engine = "eager"
                _warn_once(f"capturing a CUDA graph failed ({first_line(error)}); steps run with the eager engine")
        if self.engine != "graph" or batch_size != self.recipe.batch_size:
            self._step(images, labels)

    def _step(self, images: Tensor, labels: Tensor, *, must_be_finite: bool = False) -> StepResult:
        self.optimizer.zero_grad(set_to_none=True)
        loss, wrong = self._forward(self.model, self.recipe, images, labels)
        if must_be_finite and not torch.isfinite(loss):
            raise Diverged("the training loss is not finite")
        loss.backward()
        if self.device.type != "cpu":
            withhold_update(self.optimizer, unless=torch.isfinite(loss.detach()))
        self.optimizer.step()
        return StepResult(loss.detach(), wrong)


@functools.cache
def _warn_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)


class _Graph:
    """A step captured once for one batch size and replayed in a single launch; its tensors stay where they are."""

    def __init__(self, step: Callable[[Tensor, Tensor], StepResult], images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels
        self._graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(images.device)
        stream.wait_stream(torch.cuda.current_stream(images.device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                step(images, labels)
        torch.cuda.current_stream(images.device).wait_stream(stream)
        reset_peak_memory(images.device)  # replays allocate nothing: the capture takes what training does
        with torch.cuda.graph(self._graph, stream=stream):
            self._result = step(images, labels)

    def replay(self, images: Tensor, labels: Tensor) -> StepResult:
        self.images.copy_(images)
        self.labels.copy_(labels)
        self._graph.replay()
        return self._result


def _loss_and_wrong(model: GoogLeNet, recipe: Recipe, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    with autocast(images.device, recipe.precision):
        output = model(images)
    loss = training_loss(model, output, labels, label_smoothing=recipe.label_smoothing)
    return loss, (output.logits.detach().argmax(dim=1) != labels).sum()


@contextlib.contextmanager
def batches_counted_apart(model: GoogLeNet, *, batches: int) -> Iterator[None]:
    """Inside, batch norms do not count their batches, which takes a kernel each; on leaving, `batches` are added.

    The count is part of a network's saved state and nothing here computes with it.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    counters = [norm.num_batches_tracked for norm in norms]
    for norm in norms:
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, counter in zip(norms, counters, strict=True):
            norm.num_batches_tracked = counter
            if counter is not None:
                counter += batches


@contextlib.contextmanager
def _undone(model: GoogLeNet, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """On leaving, put back weights, statistics, optimiser state and learning rates, in place; copies wait on the host.

    A state that did not exist before becomes zeros, which is what each of these optimisers starts from.
    """
    values = [*model.state_dict().values(), *(group["lr"] for group in optimizer.param_groups)]
    values += [value for entry in optimizer.state.values() for value in entry.values()]
    kept = [(value, value.to("cpu", copy=True)) for value in values if isinstance(value, Tensor)]
    had_state = bool(optimizer.state)
    yield
    if not had_state:
        for entry in optimizer.state.values():
            for tensor in entry.values():
                if isinstance(tensor, Tensor):
                    tensor.zero_()
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        for tensor, copy in kept:
            tensor.copy_(copy)
