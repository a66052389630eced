"""The progress of a running suite, live on a terminal and as plain lines in a log."""

from __future__ import annotations

import errno
import io
from dataclasses import replace

import pytest
from rich.console import Console

from ablations.observers.progress import Display
from ablations.training.events import EpochDone, RunEnded, RunStarted, StepDone, SuiteStarted, TrainingStarted
from googlenet.counts import count_macs
from tests.support.synthetic_suites import failed, make_plan, make_record

PLAN = make_plan("digits", seeds=1, variants=("short3", "short4"), epochs=5)
VALIDATED = {"validation_error": 0.25, "validation_top5_error": 0.05, "validation_loss": 0.7}
FIRST, SECOND = (config.run_id for config in PLAN.runs)


def shown(*, terminal: bool) -> str:
    """Everything that the display writes for a resumed run that ends well and one that runs out of memory."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=160, highlight=False, color_system=None)
    good, other = (make_record(config, wrong=1234, seconds=50) for config in PLAN.runs)
    assert good.test is not None
    good = replace(good, test=replace(good.test, loss=0.4321))
    with Display(console=console) as display:
        display.on_event(SuiteStarted(runs=PLAN.runs))
        display.on_event(RunStarted(config=PLAN.runs[0], position=1, total=2))
        display.on_event(TrainingStarted(run_id=FIRST, finished_epochs=3, train_images=1000))
        display.on_event(StepDone(run_id=FIRST, images=64, loss=1.234))
        display.on_event(StepDone(run_id=FIRST, images=64, loss=0.987))
        if terminal:
            display.refresh()
        display.on_event(EpochDone(run_id=FIRST, epoch=replace(good.epochs[3], **VALIDATED)))
        display.on_event(RunEnded(record=good, position=1, total=2, skipped=False))
        display.on_event(RunStarted(config=PLAN.runs[1], position=2, total=2))
        oom = failed(other, status="oom", message="CUDA out of memory")
        display.on_event(RunEnded(record=oom, position=2, total=2, skipped=False))
    return stream.getvalue()


def test_a_log_gets_plain_lines() -> None:
    lines = shown(terminal=False).splitlines()
    assert lines[0] == f"[1/2] {FIRST}"
    assert lines[1] == f"[1/2] {FIRST}: goes on after epoch 3"
    # Made records: loss 2.0 / 4, training error 0.8 / 4, 1,000 images in 50 / 5 s.
    assert lines[2] == (
        f"[1/2] {FIRST}: epoch 4/5, loss 0.5000, training error 20.00 %, validation error 25.00 %, top-5 5.00 %, "
        "loss 0.7000, 100 images/s"
    )
    assert lines[3] == f"[1/2] {FIRST}: top-1 error 12.34 %, top-5 error 4.11 %, loss 0.4321, trained in 50.0 s"
    assert lines[-1] == f"[2/2] {SECOND}: oom: CUDA out of memory"
    assert "\x1b" not in "".join(lines)


def test_a_log_may_have_a_line_after_every_few_steps() -> None:
    stream = io.StringIO()
    with Display(console=Console(file=stream, width=160, highlight=False), log_every=2) as display:
        display.on_event(SuiteStarted(runs=PLAN.runs))
        display.on_event(RunStarted(config=PLAN.runs[0], position=1, total=2))
        display.on_event(TrainingStarted(run_id=FIRST, finished_epochs=0, train_images=1000))
        for number in range(5):
            display.on_event(StepDone(run_id=FIRST, images=64, loss=None if number % 2 == 0 else 1 / number))
    lines = [line.rpartition(", ")[0] for line in stream.getvalue().splitlines()[1:]]  # without the images a second
    assert lines == [
        f"[1/2] {FIRST}: epoch 1/5, step {step}, loss {loss}" for step, loss in ((2, "1.0000"), (4, "0.3333"))
    ]


def test_a_terminal_gets_a_live_display() -> None:
    text = shown(terminal=True)
    for said in (FIRST, "suite, run 1 of 2", "epoch 4/5", "loss 0.987", "images/s"):
        assert said in text
    assert "training error" not in text, "an epoch's line belongs in a log"


def test_the_suite_bar_weighs_runs_by_their_work() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with Display(console=console) as display:
        display.on_event(SuiteStarted(runs=PLAN.runs))
        display.on_event(RunStarted(config=PLAN.runs[0], position=1, total=2))
        display.on_event(TrainingStarted(run_id=FIRST, finished_epochs=0, train_images=1000))
        for _ in range(5):
            display.on_event(StepDone(run_id=FIRST, images=1000, loss=None))
        display.refresh()
        # short3 at an eighth of its width on 8x8 takes 632 k multiply-adds, short4 405 k.
        assert display.suite_fraction == pytest.approx(632_064 / (632_064 + 405_120))
        record = make_record(PLAN.runs[1], wrong=1)
        display.on_event(RunEnded(record=record, position=2, total=2, skipped=True))
        assert display.suite_fraction == pytest.approx(1.0)


def side_by_side(display: Display) -> None:
    """Events of two runs that mix, up to the first one's fourth epoch and the second one's first step."""
    for position, config in enumerate(PLAN.runs, start=1):
        display.on_event(RunStarted(config=config, position=position, total=2))
    display.on_event(TrainingStarted(run_id=SECOND, finished_epochs=0, train_images=500))
    display.on_event(TrainingStarted(run_id=FIRST, finished_epochs=3, train_images=1000))
    display.on_event(StepDone(run_id=FIRST, images=500, loss=1.234))
    display.on_event(StepDone(run_id=SECOND, images=50, loss=0.987))


def test_runs_side_by_side_keep_their_lines_apart() -> None:
    stream = io.StringIO()
    first, second = (make_record(config, wrong=1234, seconds=50) for config in PLAN.runs)
    with Display(console=Console(file=stream, width=160, highlight=False)) as display:
        display.on_event(SuiteStarted(runs=PLAN.runs))
        side_by_side(display)
        display.on_event(EpochDone(run_id=FIRST, epoch=first.epochs[3]))
        display.on_event(EpochDone(run_id=SECOND, epoch=second.epochs[0]))
        display.on_event(RunEnded(record=first, position=1, total=2, skipped=False))
        display.on_event(EpochDone(run_id=SECOND, epoch=second.epochs[1]))
    # Made records: loss 2.0 and training error 0.8, over the epoch's number; an epoch takes 50 / 5 s.
    assert stream.getvalue().splitlines() == [
        f"[1/2] {FIRST}",
        f"[2/2] {SECOND}",
        f"[1/2] {FIRST}: goes on after epoch 3",
        f"[1/2] {FIRST}: epoch 4/5, loss 0.5000, training error 20.00 %, 100 images/s",
        f"[2/2] {SECOND}: epoch 1/5, loss 2.0000, training error 80.00 %, 50 images/s",
        f"[1/2] {FIRST}: top-1 error 12.34 %, top-5 error 4.11 %, trained in 50.0 s",
        f"[2/2] {SECOND}: epoch 2/5, loss 1.0000, training error 40.00 %, 50 images/s",
    ]


def test_a_terminal_shows_runs_side_by_side_until_they_end() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=160, highlight=False, color_system=None)
    with Display(console=console) as display:
        display.on_event(SuiteStarted(runs=PLAN.runs))
        side_by_side(display)
        # short3 at an eighth of its width on 8x8 takes 632 k multiply-adds, short4 405 k: 3.5 of 5 epochs, and 0.1.
        done = (632_064 * 3.5 + 405_120 * 0.1) / 5
        assert display.suite_fraction == pytest.approx(done / (632_064 + 405_120))
        display.refresh()
        both = stream.getvalue()
        display.on_event(RunEnded(record=make_record(PLAN.runs[0], wrong=1), position=1, total=2, skipped=False))
        before = len(stream.getvalue())
        display.refresh()
        one = stream.getvalue()[before:]
    for said in (FIRST, SECOND, "epoch 4/5", "loss 1.234", "epoch 1/5", "loss 0.987"):
        assert said in both
    assert SECOND in one and FIRST not in one


class Unwritable(io.StringIO):
    """A log on a full disk, or a pipe that nobody reads any more."""

    def __init__(self, error: Exception, *, at: str) -> None:
        super().__init__()
        self.error, self.at, self.tried = error, at, 0

    def write(self, text: str) -> int:
        return self._fail("write") or len(text)

    def flush(self) -> None:
        self._fail("flush")

    def _fail(self, what: str) -> int:
        if what == self.at:
            self.tried += 1
            raise self.error
        return 0


@pytest.mark.parametrize("at", ["write", "flush"])
@pytest.mark.parametrize("terminal", [False, True], ids=["log", "terminal"])
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        ValueError("closed"),
    ],
    ids=["full", "pipe", "closed"],
)
def test_what_cannot_be_shown_stops_no_run(error: Exception, terminal: bool, at: str) -> None:
    file = Unwritable(error, at=at)
    console = Console(file=file, force_terminal=terminal, width=160)
    with Display(console=console) as display:
        display.on_event(SuiteStarted(runs=PLAN.runs))
        side_by_side(display)
        display.refresh()
        for position, config in enumerate(PLAN.runs, start=1):
            record = make_record(config, wrong=1)
            display.on_event(RunEnded(record=record, position=position, total=2, skipped=False))
        assert display.suite_fraction > 0
    assert file.tried > 0
    assert console.file is file, "what is printed after the runs is the result, and its failure counts"


def test_the_log_goes_on_once_there_is_space_again() -> None:
    file = Unwritable(OSError(errno.ENOSPC, "No space left on device"), at="flush")
    with Display(console=Console(file=file, width=160)) as display:
        display.on_event(SuiteStarted(runs=PLAN.runs))
        display.on_event(RunStarted(config=PLAN.runs[0], position=1, total=2))
        file.at, file.write = "", lambda text: io.StringIO.write(file, text)
        display.on_event(RunStarted(config=PLAN.runs[1], position=2, total=2))
    assert file.getvalue() == f"[2/2] {SECOND}\n"


@pytest.mark.parametrize("text", ["r[red]x", "r[/x]", "[bold]", ":smile:", "back\\"])
def test_brackets_in_a_runs_message_are_text(text: str) -> None:
    stream = io.StringIO()
    record = failed(make_record(PLAN.runs[0], wrong=1), status="failed", message=f"no {text} there")
    with Display(console=Console(file=stream, width=160)) as display:
        display.on_event(SuiteStarted(runs=PLAN.runs))
        display.on_event(RunStarted(config=PLAN.runs[0], position=1, total=2))
        display.on_event(RunEnded(record=record, position=1, total=2, skipped=False))
    assert stream.getvalue().splitlines()[-1] == f"[1/2] {FIRST}: failed: no {text} there"


def test_a_run_on_another_machine_is_shown_with_its_place_and_one_that_moves_counts_once() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=160, highlight=False, color_system=None)
    macs = [config.recipe.epochs * count_macs(config.architecture, num_classes=10) for config in PLAN.runs]
    with Display(console=console) as display:
        display.on_event(SuiteStarted(runs=PLAN.runs))
        display.on_event(RunStarted(config=PLAN.runs[0], position=1, total=2, place="10.0.0.2 GPU 3"))
        display.on_event(TrainingStarted(run_id=FIRST, finished_epochs=0, train_images=1000))
        display.on_event(StepDone(run_id=FIRST, images=600, loss=1.0))
        display.refresh()
        assert display.suite_fraction == pytest.approx(0.6 * macs[0] / 5 / sum(macs))
        display.on_event(RunStarted(config=PLAN.runs[0], position=1, total=2))
        assert display.suite_fraction == pytest.approx(0.0)
        display.on_event(TrainingStarted(run_id=FIRST, finished_epochs=1, train_images=1000))
        assert display.suite_fraction == pytest.approx(macs[0] / 5 / sum(macs))
    assert f"{FIRST} on 10.0.0.2 GPU 3" in stream.getvalue()
