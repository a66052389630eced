"""Recipes, which say how to train: optimizer, schedule, batch size, augmentation and epochs; and the built-in ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ablations.data.image_folder import MAX_IMAGE_SIZE
from googlenet.validation import check_choice, check_count, check_flag, check_name, check_range

Optimizer = Literal["adadelta", "adam", "sgd"]
Schedule = Literal["constant", "step", "one-cycle"]
Precision = Literal["auto", "fp32", "bf16"]
WARMUP = 0.3  # share of a one-cycle schedule that rises


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train.

    Images are converted to one channel with `grayscale`, by the weights of ITU-R 601 as Pillow does, and resized to
    `resize` pixels a side, bilinear with antialiasing, where it is set; both keep 8 bits. They become floats in [0, 1]
    and are normalised as (x - mean) / std. Training images are before that padded with `crop_padding` black pixels on
    every side and cut back to size at random, and flipped horizontally with probability `flip`; after normalisation a
    square of `cutout` pixels a side around a random centre is set to 0. With `flip_test` the test images are flipped
    too, each as the run's seed says.

    SGD's momentum is Nesterov's. Schedules: "constant"; "step" multiplies the learning rate by `step_gamma` after each
    epoch; "one-cycle" rises from 0 to `learning_rate` and falls back along half cosines, step by step.
    `validation_fraction` of the training images is held out, stratified; 0 trains on everything. The weights after
    each of `keep_epochs` are kept.

    `precision` is that of convolutions and linear layers: "fp32" is IEEE single (no TF32), "bf16" autocasts them to
    bfloat16 and keeps weights, statistics, loss and update in single. "auto" leaves the choice to `at_precision`.

    Raises:
        ValueError: on construction, naming the value, what is allowed and the remedy.
    """

    name: str
    epochs: int
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    step_gamma: float = 1.0
    label_smoothing: float = 0.0
    flip: float = 0.0
    crop_padding: int = 0
    cutout: int = 0
    precision: Precision = "auto"
    mean: float = 0.5
    std: float = 0.5
    validation_fraction: float = 0.0
    resize: int | None = None
    grayscale: bool = False
    flip_test: bool = False
    keep_epochs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_name("recipe", self.name)
        what = f"recipe {self.name}"
        check_count(f"{what}: epochs", self.epochs)
        check_count(f"{what}: batch_size", self.batch_size, low=2)
        check_choice(f"{what}: optimizer", self.optimizer, get_args(Optimizer))
        check_choice(f"{what}: schedule", self.schedule, get_args(Schedule))
        check_range(f"{what}: learning_rate", self.learning_rate, low=0, high=1e30, open_low=True)
        check_range(f"{what}: momentum", self.momentum, low=0, high=0.9999)
        check_range(f"{what}: weight_decay", self.weight_decay, low=0, high=1)
        check_range(f"{what}: step_gamma", self.step_gamma, low=0, high=1, open_low=True)
        check_range(f"{what}: label_smoothing", self.label_smoothing, low=0, high=0.9)
        check_range(f"{what}: flip", self.flip, low=0, high=1)
        check_count(f"{what}: crop_padding", self.crop_padding, low=0)
        check_count(f"{what}: cutout", self.cutout, low=0)
        check_choice(f"{what}: precision", self.precision, get_args(Precision))
        check_range(f"{what}: mean", self.mean, low=0, high=1)
        check_range(f"{what}: std", self.std, low=0, high=1, open_low=True)
        check_range(f"{what}: validation_fraction", self.validation_fraction, low=0, high=0.5)
        if self.resize is not None:
            check_count(f"{what}: resize", self.resize, high=MAX_IMAGE_SIZE)
        check_flag(f"{what}: grayscale", self.grayscale)
        check_flag(f"{what}: flip_test", self.flip_test)
        if self.flip_test and not self.flip:
            raise ValueError(f"{what}: flip_test is true and flip is 0, so no image would be flipped; set flip")
        for epoch in self.keep_epochs:
            check_count(f"{what}: keep_epochs", epoch, high=self.epochs)
        if list(self.keep_epochs) != sorted(set(self.keep_epochs)):
            raise ValueError(f"{what}: keep_epochs is {list(self.keep_epochs)}; give each epoch once, in rising order")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"{what}: momentum is {self.momentum!r}, which only 'sgd' uses; set it to 0")

    def learning_rate_at(self, *, epoch: int, progress: float) -> float:
        """Learning rate of a step in `epoch` (counted from 0), when `progress` in [0, 1) of all steps are done."""
        if self.schedule == "step":
            return self.learning_rate * self.step_gamma**epoch
        if self.schedule == "one-cycle":
            rising = progress < WARMUP
            phase = progress / WARMUP if rising else (1 - progress) / (1 - WARMUP)
            return self.learning_rate * (1 - math.cos(math.pi * phase)) / 2
        return self.learning_rate

    def at_precision(self, native: Precision) -> Recipe:
        """The recipe with its precision settled: its own, or `native`, the device's best, where that is "auto"."""
        return replace(self, precision=native) if self.precision == "auto" else self


# The recipe of the 2020 CIFAR ablation. Adadelta's rho and eps are torch's defaults, 0.9 and 1e-6.
PUBLISHED = Recipe(
    name="published",
    epochs=14,
    batch_size=64,
    optimizer="adadelta",
    learning_rate=1.0,
    schedule="step",
    step_gamma=0.7,
    flip=0.5,
)
# For 8x8 digits, which a flip would turn into other signs.
DIGITS = Recipe(name="digits", epochs=8, batch_size=64, optimizer="adam", learning_rate=5e-3, schedule="one-cycle")
# For 32x32 photographs on a GPU, where small batches leave it idle.
FAST = Recipe(
    name="fast",
    epochs=12,
    batch_size=512,
    optimizer="sgd",
    learning_rate=0.4,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="one-cycle",
    label_smoothing=0.1,
    flip=0.5,
    crop_padding=4,
    cutout=8,
)
# Three write-ups of GoogLeNet, named after their architectures in `googlenet.references`. None of them normalises or
# augments its images, Adam has torch's defaults but for the learning rate, and all compute in single precision.
# Batch norm and auxiliary heads on CIFAR-10; its images are resized to 224.
BN_AUX_ADAM = Recipe(
    name="bn-aux-adam",
    epochs=100,
    batch_size=128,
    optimizer="adam",
    learning_rate=1e-3,
    precision="fp32",
    mean=0.0,
    std=1.0,
    resize=224,
)
# Without batch norm, on CIFAR-10 at 32x32; it saves the network four times before the end.
PLAIN_ADAM = replace(
    BN_AUX_ADAM,
    name="plain-adam",
    epochs=1000,
    batch_size=2048,
    learning_rate=1e-4,
    resize=None,
    keep_epochs=(300, 500, 700, 900),
)
# Without batch norm, on the one-channel images of Fashion-MNIST resized to 224.
GRAY_ADAM = replace(BN_AUX_ADAM, name="gray-adam", epochs=3, batch_size=16, grayscale=True)
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (PUBLISHED, FAST, DIGITS, BN_AUX_ADAM, PLAIN_ADAM, GRAY_ADAM)
}
