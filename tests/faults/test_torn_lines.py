"""Lines of metrics: torn, damaged, many of them, and appended by a process that is killed at once."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablations.errors import ConfigError
from ablations.records.record import Epoch
from ablations.storage.jsonl import JsonLines

ROOT = Path(__file__).resolve().parents[2]
MANY = 100_000


def epoch(number: int) -> Epoch:
    return Epoch(
        epoch=number,
        train_loss=1 / number,
        train_error=0.25,
        validation_error=0.1 + 0.2,
        train_seconds=12.345678901234567,
        eval_seconds=0.0,
    )


def text(number: int) -> str:
    return json.dumps(dataclasses.asdict(epoch(number))) + "\n"


@pytest.fixture
def metrics(tmp_path: Path) -> JsonLines[Epoch]:
    return JsonLines(tmp_path / "metrics.jsonl", Epoch)


@pytest.mark.parametrize("kept", [1, 40, -1], ids=["first-byte", "middle", "without-newline"])
def test_a_torn_last_line_is_dropped_and_the_log_says_so(
    kept: int, metrics: JsonLines[Epoch], caplog: pytest.LogCaptureFixture
) -> None:
    torn = text(3)[:kept]
    metrics.path.write_text(text(1) + text(2) + torn)
    assert metrics.read() == (epoch(1), epoch(2))
    assert metrics.read() == (epoch(1), epoch(2))
    assert caplog.record_tuples == [
        (
            "ablations.lines",
            logging.WARNING,
            f"{metrics.path} ends in a torn line, of a write that was cut short: its {len(torn)} bytes are dropped",
        )
    ], "once, however often it is read"
    assert metrics.path.read_text() == text(1) + text(2) + torn, "reading changes nothing"


def test_whole_lines_are_read_without_a_word(metrics: JsonLines[Epoch], caplog: pytest.LogCaptureFixture) -> None:
    metrics.path.write_text(text(1) + text(2))
    assert metrics.read() == (epoch(1), epoch(2))
    assert caplog.messages == []


@pytest.mark.parametrize(
    "damaged",
    [
        *('{"epoch": 2, "train_lo', "", "\0" * 30, "[2]", '{"epoch": 2}', text(2)[:-2] + ', "more": 1}'),
        text(2).strip().replace("0.25", "NaN"),
        text(2).strip().replace("0.25", "1e999"),
        text(2).strip().replace("0.25", "-Infinity"),
        text(2).strip().replace("0.25", "[" * 100_000),
        text(2).strip().replace("0.25", '"0.25"'),
    ],
    ids=str.split("torn blank zeros list incomplete surplus nan overflow infinity nested text"),
)
def test_any_other_damaged_line_is_an_error_with_its_number(damaged: str, metrics: JsonLines[Epoch]) -> None:
    metrics.path.write_text(f"{text(1)}{damaged}\n{text(3)}")
    with pytest.raises(ConfigError) as raised:
        metrics.read()
    assert str(raised.value).startswith(f"{metrics.path}, line 2")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1_000
    assert raised.value.exit_status == 2


def test_a_hundred_thousand_lines_load_in_seconds(metrics: JsonLines[Epoch]) -> None:
    metrics.path.write_text(text(1) * MANY)
    began = time.process_time()  # of this process alone, whatever else the machine does
    entries = metrics.read()
    seconds = time.process_time() - began
    assert (len(entries), entries[-1]) == (MANY, epoch(1))
    assert seconds < 10, seconds


def test_a_line_is_appended_in_milliseconds(metrics: JsonLines[Epoch]) -> None:
    seconds = []
    for number in range(1, 401):
        began = time.perf_counter()
        metrics.append(epoch(number))
        seconds.append(time.perf_counter() - began)
    assert len(metrics.read()) == 400
    # The 95th percentile of each of ten stretches, and of these the median: a busy machine spoils some of them.
    p95 = statistics.median(statistics.quantiles(seconds[start : start + 40], n=20)[-1] for start in range(0, 400, 40))
    assert p95 < 0.005, p95


def test_an_appended_line_outlives_the_process_that_is_killed_right_after(metrics: JsonLines[Epoch]) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ablations.lines import Lines\n"
        "from ablations.record import Epoch\n"
        "epoch = dict(train_loss=0.5, train_error=0.1, validation_error=None, train_seconds=1.0, eval_seconds=0.0)\n"
        "for number in (1, 2, 3):\n"
        "    Lines(Path(sys.argv[1]), Epoch).append(Epoch(epoch=number, **epoch))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(metrics.path)], cwd=ROOT, env={**os.environ})
    assert killed.returncode == -signal.SIGKILL
    assert [entry.epoch for entry in metrics.read()] == [1, 2, 3]
