"""How often verdicts, conclusions and advice are wrong, in simulated suites; `python -m benchmarks.calibration --help`.

Every suite is a baseline and six variants whose truth is known. The functions that judge them are those of a report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from ablations.analysis.looks import level_of_look
from ablations.analysis.paired_errors import PairedErrors
from ablations.analysis.statistics.advice import Found, seeds_needed
from ablations.analysis.statistics.intervals import ALPHA, FloatArray
from ablations.analysis.statistics.paired_tests import rounding_std
from ablations.analysis.statistics.verdicts import MIN_MARGIN_IMAGES, Sample, Shown, judge
from ablations.cli.console import make_console, show_table
from ablations.records.looks import Look
from ablations.report.document import Table
from benchmarks import command
from benchmarks.calibration_of_order import order_calibration

VARIANTS = 6  # beside the baseline
MARGIN = 0.005
IMAGES = 10_000
SPREAD = 0.0015  # of errors over seeds, as on CIFAR-10
SEEDS = (3, 5, 10)  # of reports that are read once
MOST_SEEDS = 20  # of reports that are read after every seed
ADVISED_SEEDS = 60  # that whoever follows the advice trains at most
ADVISED_LOOKS = 5


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Simulate suites whose truth is known, and count what their reports would get wrong."""

    suites: int = 2_000
    """Suites for each row of a table."""
    seed: int = 1
    """Of all simulations."""
    output: Path = Path("results/benchmarks/calibration")
    """The folder of the tables as CSV."""


class Suite(NamedTuple):
    """A simulated suite: the differences of V variants from the baseline by seed (n, V), and the true ones (V,).

    `least_std` is what single images make the spread of differences at least.
    """

    differences: FloatArray
    truth: FloatArray
    test_images: int = IMAGES
    least_std: float = 0.0

    def sample(self, n: int) -> Sample:
        """The first n seeds, of which nothing is known of single images."""
        unknown = np.full(len(self.truth), np.nan)
        floor = np.full(len(self.truth), max(self.least_std, rounding_std(self.test_images)))
        return Sample(self.differences[:n], floor, unknown, unknown)

    def show(self, n: int, *, level: float) -> Shown:
        """What a look at the first n seeds shows."""
        enough = MARGIN * self.test_images >= MIN_MARGIN_IMAGES
        return judge([self.sample(n)], [level], margin=MARGIN, may_be_equivalent=enough).these

    def is_wrong(self, shown: Shown) -> bool:
        """Whether a verdict is false: better or worse without being so, or equivalent beyond the margin."""
        beyond = np.abs(self.truth) >= MARGIN - 1e-12
        false = (shown.lower & (self.truth >= 0)) | (shown.higher & (self.truth <= 0)) | (shown.within & beyond)
        return bool(false.any())


Draw = Callable[[np.random.Generator], Suite]
Noise = Callable[[np.random.Generator, tuple[int, int]], FloatArray]


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    return rng.normal(size=shape)


def _heavy(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    return rng.standard_t(3, size=shape) / math.sqrt(3)


def _failing(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Normal errors, but 3 % of the runs guess."""
    return np.where(rng.random(shape) < 0.03, 0.85 / SPREAD, rng.normal(size=shape))


def errors_of(noise: Noise = _normal, *, truth: Sequence[float] = (), spreads: Sequence[float] = ()) -> Draw:
    """Suites with these true differences and spreads of the variants, the latter relative to the baseline's."""
    true = np.zeros(VARIANTS)
    true[: len(truth)] = truth
    relative = np.ones(1 + VARIANTS)
    relative[1 : 1 + len(spreads)] = spreads

    def draw(rng: np.random.Generator) -> Suite:
        together = rng.normal(size=(ADVISED_SEEDS, 1))  # what a seed does to all variants
        errors = 0.05 + SPREAD * (0.5 * together + relative * noise(rng, (ADVISED_SEEDS, 1 + VARIANTS)))
        errors[:, 1:] += true
        rounded = np.rint(errors * IMAGES) / IMAGES
        return Suite(rounded[:, 1:] - rounded[:, :1], true)

    return draw


def near_zero(rng: np.random.Generator) -> Suite:
    """Errors of 0.3 % of 360 images, of which a few are hard."""
    wrong = rng.random((ADVISED_SEEDS, 1 + VARIANTS, 4)) < 0.27
    errors = wrong.sum(axis=2) / 360
    return Suite(errors[:, 1:] - errors[:, :1], np.zeros(VARIANTS), 360)


SCENARIOS: dict[str, Draw] = {
    "equal spreads": errors_of(),
    "one spread three times as large": errors_of(spreads=(3,)),
    "one spread six times as large": errors_of(spreads=(6,)),
    "Student's t(3) errors": errors_of(_heavy),
    "3 % of runs fail to train": errors_of(_failing),
    "errors of 0.3 % on 360 images": near_zero,
    "one variant at the margin": errors_of(truth=(MARGIN,)),
    "three variants at the margin": errors_of(truth=(MARGIN, -MARGIN, MARGIN)),
}


def read_once(suite: Suite, n: int) -> bool:
    """Whether the report at n seeds has a false verdict."""
    return suite.is_wrong(suite.show(n, level=level_of_look((), seeds=n, declared=())))


def read_after_every_seed(suite: Suite, *, first: int = 3, last: int = MOST_SEEDS) -> bool:
    """Whether any report has a false verdict that is read after every seed."""
    looks: list[Look] = []
    return any(suite.is_wrong(suite.show(n, level=_take(looks, n))) for n in range(first, last + 1))


def read_as_declared(suite: Suite, declared: Sequence[int] = SEEDS) -> bool:
    """Whether any of the declared reports has a false verdict."""
    looks: list[Look] = []
    return any(suite.is_wrong(suite.show(n, level=_take(looks, n, declared))) for n in declared)


def follow_advice(suite: Suite, *, first: int = 3) -> bool:
    """Whether any report has a false verdict of someone who trains as many seeds as the last report advises."""
    looks: list[Look] = []
    shown, n = Shown.nothing(VARIANTS), first
    while len(looks) < ADVISED_LOOKS:
        now = suite.show(n, level=_take(looks, n))
        if suite.is_wrong(now):
            return True
        shown = shown.joined(now)
        advised = [advise(suite, n, variant, looks=looks)[1] for variant in np.flatnonzero(~shown.settled).tolist()]
        more = min((number for number in advised if number is not None), default=ADVISED_SEEDS + 1)
        if n == ADVISED_SEEDS or not advised:
            return False
        n = min(more, ADVISED_SEEDS)
    return False


def advise(suite: Suite, n: int, variant: int, *, looks: Sequence[Look]) -> tuple[int | None, int | None]:
    """How many seeds the report at n seeds advises for a variant."""
    sample = suite.sample(n)
    tests, _ = sample.tests(MARGIN)
    found = Found(
        n=n,
        difference=float(tests.difference[variant]),
        std=float(tests.standard_error[variant]) * math.sqrt(n),
        least_std=float(sample.least_std[variant]),
    )
    level = level_of_look(looks, seeds=n + 1, declared=()) / VARIANTS
    enough = MARGIN * suite.test_images >= MIN_MARGIN_IMAGES
    return seeds_needed(found, margin=MARGIN, level=level, may_be_equivalent=enough)


def _take(looks: list[Look], n: int, declared: Sequence[int] = ()) -> float:
    """The level of a look at n seeds, which is taken."""
    level = level_of_look(looks, seeds=n, declared=declared)
    runs = tuple(f"seed {seed}" for seed in range(n))
    looks.append(Look(runs=runs, seeds=tuple(range(n)), level=level, declared=tuple(declared)))
    return level


READINGS: dict[str, Callable[[Suite], bool]] = {
    **{f"once, at {n} seeds": lambda suite, n=n: read_once(suite, n) for n in SEEDS},
    "after every seed from 3 to 20": read_after_every_seed,
    "at 3, 5 and 10 seeds, declared": read_as_declared,
    "following the advice from 3 seeds": follow_advice,
}


def false_verdicts(suites: int, seed: int) -> pd.DataFrame:
    """The share of suites with any false verdict on these test images, by scenario and way of reading."""
    rows = []
    for name, draw in SCENARIOS.items():
        for reading, has_false in READINGS.items():
            rng = np.random.default_rng(seed)
            rows.append({"scenario": name, "reading": reading, **_share(has_false(draw(rng)) for _ in range(suites))})
    return pd.DataFrame(rows)


def false_verdicts_on_new_images(suites: int, seed: int) -> pd.DataFrame:
    """The share of suites with a false better or worse on these images, and on new ones, where nothing differs.

    On these images variants do differ, as each gets other ones wrong; for new images they do not.
    """
    rows = []
    for images in (360, 2_000):
        for n in (3, 5, 10, 20):
            rng = np.random.default_rng(seed)
            found = [_differs(_crossed(rng, n=n, images=images)) for _ in range(suites)]
            for scope, differs in zip(("these images", "new images"), zip(*found, strict=True), strict=True):
                rows.append({"test_images": images, "n": n, "verdict_on": scope, **_share(differs)})
    return pd.DataFrame(rows)


def _crossed(rng: np.random.Generator, *, n: int, images: int) -> NDArray[np.bool_]:
    """Whether each variant gets an image wrong, by variant, seed and image; each finds other images hard."""
    difficulty = rng.normal(-2.8, 2.0, size=images)
    own = rng.normal(0, 0.8, size=(1 + VARIANTS, 1, images))
    of_seed = rng.normal(0, 0.03, size=(1 + VARIANTS, n, 1))
    return rng.random((1 + VARIANTS, n, images), dtype=np.float32) < special.ndtr(difficulty + own + of_seed)


def _differs(wrong: NDArray[np.bool_]) -> tuple[bool, bool]:
    """Whether a report at all seeds says that a variant differs, on these images and on new ones."""
    count, n, images = wrong.shape
    paired = PairedErrors(
        variants=tuple(map(str, range(1, count))),
        seeds=tuple(range(n)),
        errors=wrong.mean(axis=2).T,
        images=[dict(enumerate(of.astype(np.int8) - wrong[0])) for of in wrong[1:]],
        test_images=images,
    )
    level = level_of_look((), seeds=n, declared=())
    judged = judge([paired.sample(range(n))], [level], margin=MARGIN, may_be_equivalent=True)
    these, new = ((shown.lower | shown.higher).any() for shown in (judged.these, judged.new))
    return bool(these), bool(new)


def false_conclusions(suites: int, seed: int) -> pd.DataFrame:
    """How often a loss of three variants that is not beyond the margin is said to be, of any of them and of one.

    The first is "depth matters", the second "short4 is clearly worse".
    """
    rows = []
    for n in SEEDS:
        for loss in (0.0, 0.001, 0.002, 0.003, 0.004, 0.005):
            rng = np.random.default_rng(seed)
            draw = errors_of(truth=(loss, loss, loss))
            shown = [draw(rng).show(n, level=level_of_look((), seeds=n, declared=())) for _ in range(suites)]
            beyond = [each.beyond & each.higher for each in shown]
            for claim, said in (
                ("depth matters", (each[:3].any() for each in beyond)),
                ("one variant is clearly worse", (each[0] for each in beyond)),
            ):
                rows.append({"claim": claim, "n": n, "true_loss": loss, **_share(said)})
    return pd.DataFrame(rows)


def power(suites: int, seed: int) -> pd.DataFrame:
    """How often the first look finds the one variant that differs, and how often Holm's method at 5 % alone would.

    Also where seeds differ by nothing but single images, so that the spread has its floor.
    """
    rows = []
    for (n, deviations), floor in product(zip(SEEDS, (11, 4, 2), strict=True), (0.0, 1.0)):
        rng = np.random.default_rng(seed)
        draw = errors_of(truth=(deviations * SPREAD,))
        found, holm = [], []
        for _ in range(suites):
            suite = draw(rng)._replace(least_std=floor * SPREAD * math.sqrt(2))
            found.append(suite.show(n, level=level_of_look((), seeds=n, declared=())).higher[0])
            tests, _ = suite._replace(least_std=0.0).sample(n).tests(MARGIN)
            holm.append(_holm_rejects_first(tests.p))
        own, other = _share(found), _share(holm)
        rows.append(
            {
                "n": n,
                "difference_in_deviations": deviations,
                "floor_in_spreads": floor,
                **own,
                "holm_share": other["share"],
            }
            | {"ratio": own["share"] / other["share"]}
        )
    return pd.DataFrame(rows)


def _holm_rejects_first(p: FloatArray) -> bool:
    """Whether Holm's method rejects the first hypothesis; statsmodels' collects garbage in every call, 0.1 s each."""
    order = np.argsort(p)
    stops = np.flatnonzero(p[order] > ALPHA / np.arange(len(p), 0, -1))
    return 0 in order[: stops[0] if len(stops) else len(p)]


def advice(suites: int, seed: int) -> pd.DataFrame:
    """How often the advised numbers of seeds settle a comparison that three or five seeds do not settle."""
    rows = []
    for n in (3, 5):
        for spread in (1.0, 3.0):
            for difference in (0.0, 0.2, 0.5, 0.8, 1.0, 1.6):
                rng = np.random.default_rng(seed)
                settled = [
                    each
                    for _ in range(suites)
                    for each in _follow_once(rng, n=n, spread=spread * SPREAD, difference=difference * MARGIN)
                ]
                if len(settled) < suites / 20:
                    continue  # the first look settles nearly all
                likely, safe = zip(*settled, strict=True)
                rows.append(
                    {"n": n, "std_points": 100 * spread * SPREAD * math.sqrt(2), "difference_in_margins": difference}
                    | {"likely_" + key: value for key, value in _share(likely).items()}
                    | {"safe_" + key: value for key, value in _share(safe).items()}
                )
    return pd.DataFrame(rows)


def _follow_once(rng: np.random.Generator, *, n: int, spread: float, difference: float) -> Iterator[tuple[bool, bool]]:
    """Whether the two advised numbers of seeds settle a comparison; nothing if the first look does, or none is."""
    errors = rng.normal(size=(1001, 2)) * spread + [0, difference]
    rest = np.zeros((1001, VARIANTS - 1))
    suite = Suite(np.column_stack([errors[:, 1] - errors[:, 0], rest]), np.zeros(VARIANTS))
    looks: list[Look] = []
    if suite.show(n, level=_take(looks, n)).settled[0]:
        return
    numbers = advise(suite, n, 0, looks=looks)
    level = level_of_look(looks, seeds=n + 1, declared=()) / VARIANTS
    if None not in numbers:
        alone = Suite(suite.differences[:, :1], suite.truth[:1])
        likely, safe = (bool(alone.show(int(number or 0), level=level).settled[0]) for number in numbers)
        yield likely, safe


def _share(found: Iterable[bool | np.bool_]) -> dict[str, float]:
    """The share of suites with its standard error, and their number."""
    values = [bool(each) for each in found]
    share = sum(values) / len(values)
    return {"suites": len(values), "share": share, "standard_error": math.sqrt(share * (1 - share) / len(values))}


TABLES: dict[str, Callable[[int, int], pd.DataFrame]] = {
    "false_verdicts": false_verdicts,
    "new_images": false_verdicts_on_new_images,
    "false_conclusions": false_conclusions,
    "power": power,
    "advice": advice,
    "order": order_calibration,
}


def main(arguments: Arguments) -> dict[str, pd.DataFrame]:
    """Simulate, save and print each of `TABLES`; returns them."""
    console = make_console()
    tables = {}
    for name, simulate in TABLES.items():
        with console.status(name):
            tables[name] = simulate(arguments.suites, arguments.seed)
        show_table(Table.of(name, tables[name].round(4)), console=console, title=name.replace("_", " "))
        command.save(tables[name], arguments.output / f"{name}.csv", console=console)
    return tables


if __name__ == "__main__":
    command.run(main, Arguments, name="calibration")
