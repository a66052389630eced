"""JSON Lines: what is read back after appends, a killed writer and damage; speed of reading and appending."""

from __future__ import annotations

import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ablations.errors import ConfigError
from ablations.storage.jsonl import JsonLines


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A numbered entry."""

    number: int
    error: float | None
    note: str = ""


ROOT = Path(__file__).resolve().parents[2]
ENTRIES = (
    Entry(number=1, error=0.1),
    Entry(number=2, error=None, note="größer\nthan \u2028 one line"),
    Entry(number=3, error=1e-17, note='"'),
)


@pytest.fixture
def lines(tmp_path: Path) -> JsonLines[Entry]:
    return JsonLines(tmp_path / "metrics.jsonl", Entry)


def filled(lines: JsonLines[Entry]) -> JsonLines[Entry]:
    for entry in ENTRIES:
        lines.append(entry)
    return lines


def test_appended_entries_are_read_back_equal_and_in_order(lines: JsonLines[Entry]) -> None:
    for count, entry in enumerate(ENTRIES, start=1):
        lines.append(entry)
        assert lines.read() == ENTRIES[:count]
    assert JsonLines(lines.path, Entry).read() == ENTRIES


def test_each_entry_is_one_line_of_plain_json(lines: JsonLines[Entry]) -> None:
    content = filled(lines).path.read_bytes()
    assert content.endswith(b"\n") and b"\r" not in content
    numbers = [json.loads(line)["number"] for line in content.decode("ascii").splitlines()]
    assert numbers == [1, 2, 3]


def test_no_file_has_no_entries(lines: JsonLines[Entry]) -> None:
    assert lines.read() == ()
    assert not lines.path.exists(), "reading makes no file"


@pytest.mark.parametrize("kept", [ENTRIES[:2], ENTRIES[1:], ENTRIES[::-1], ()])
def test_rewriting_keeps_exactly_the_given_entries(lines: JsonLines[Entry], kept: tuple[Entry, ...]) -> None:
    filled(lines).rewrite(kept)
    assert lines.read() == kept
    lines.append(ENTRIES[0])
    assert lines.read() == (*kept, ENTRIES[0])
    assert os.listdir(lines.path.parent) == [lines.path.name], "nothing temporary is left"


def test_rewriting_nothing_makes_no_file(lines: JsonLines[Entry]) -> None:
    lines.rewrite(())
    assert not lines.path.exists()


@pytest.mark.parametrize("kept", [1, 20, -1], ids=["first-byte", "middle", "without-newline"])
def test_a_torn_last_line_is_dropped_and_logged_once(
    kept: int, lines: JsonLines[Entry], caplog: pytest.LogCaptureFixture
) -> None:
    whole = filled(lines).path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    torn = whole[: -len(last)] + last[:kept]
    lines.path.write_bytes(torn)
    for _ in range(2):
        assert lines.read() == ENTRIES[:2]
    said = f"{lines.path} ends in a torn line, of a write that was cut short: its {len(last[:kept])} bytes are dropped"
    assert caplog.record_tuples == [("ablations.storage.jsonl", logging.WARNING, said)]
    assert lines.path.read_bytes() == torn, "reading changes nothing"
    lines.rewrite(lines.read())
    lines.append(ENTRIES[2])
    assert lines.path.read_bytes() == whole


DAMAGED = {
    "torn": b'{"number": 1, "err',
    "blank": b"",
    "zeros": bytes(30),
    "no-text": b"\xff\xfe",
    "no-json": b"{'number': 1}",
    "nan": b'{"number": 1, "error": NaN}',
    "infinity": b'{"number": 1, "error": -Infinity}',
    "overflow": b'{"number": 1, "error": 1e999}',
    "nested": b"[" * 100_000,
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("index", [0, 2])
def test_any_other_damaged_line_is_named_by_its_number(lines: JsonLines[Entry], line: bytes, index: int) -> None:
    content = filled(lines).path.read_bytes().split(b"\n")
    content[index] = line
    lines.path.write_bytes(b"\n".join(content))
    with pytest.raises(ConfigError) as raised:
        lines.read()
    message = str(raised.value)
    assert message.startswith(f"{lines.path}, line {index + 1} is damaged (")
    assert message.endswith("--fresh moves the run aside")
    assert "\n" not in message and len(message) < 1_000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"number": 1}', "the key 'error' is missing"),
        ('{"number": "1", "error": 0.1}', "number: expected int, found '1'"),
        ('{"number": 1, "eror": 0.1}', "unknown key 'eror'"),
        ("[]", "expected a table of Entry's keys"),
    ],
)
def test_a_line_of_another_form_is_named_by_its_number(lines: JsonLines[Entry], line: str, said: str) -> None:
    filled(lines)
    with lines.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigError) as raised:
        lines.read()
    assert str(raised.value).startswith(f"{lines.path}, line 4")
    assert said in str(raised.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused_and_leave_the_file_unchanged(lines: JsonLines[Entry], value: float) -> None:
    content = filled(lines).path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        lines.append(Entry(number=4, error=value))
    assert lines.path.read_bytes() == content


@pytest.mark.process
def test_an_appended_line_survives_a_kill_right_after(lines: JsonLines[Entry]) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ablations.records.record import DiagnosedEpoch\n"
        "from ablations.storage.jsonl import JsonLines\n"
        "JsonLines(Path(sys.argv[1]), DiagnosedEpoch).append(DiagnosedEpoch(epoch=1, images=60, top1_wrong=9))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    finished = subprocess.run([sys.executable, "-c", code, str(lines.path)], cwd=ROOT, check=False)
    assert finished.returncode == -signal.SIGKILL
    assert json.loads(lines.path.read_bytes()) == {"epoch": 1, "images": 60, "top1_wrong": 9}


def test_reading_takes_at_most_a_tenth_of_a_millisecond_per_line(lines: JsonLines[Entry]) -> None:
    count = 20_000
    lines.append(ENTRIES[0])
    lines.path.write_bytes(lines.path.read_bytes() * count)
    began = time.process_time()  # of this process, whatever else the machine does
    assert len(lines.read()) == count
    assert time.process_time() - began < count * 1e-4


def test_appending_takes_at_most_5_milliseconds(lines: JsonLines[Entry]) -> None:
    seconds = []
    for _ in range(400):
        began = time.perf_counter()
        lines.append(ENTRIES[0])
        seconds.append(time.perf_counter() - began)
    # The median over ten stretches of their 95th percentiles: a busy machine spoils some of them.
    p95 = statistics.median(statistics.quantiles(seconds[start : start + 40], n=20)[-1] for start in range(0, 400, 40))
    assert p95 < 0.005, p95


@pytest.mark.parametrize(("order", "line"), [((1, 1, 2), 2), ((2, 1), 1), ((1, 3), 2), ((0, 1), 1)])
def test_numbered_entries_out_of_order_are_named_by_their_line(
    order: tuple[int, ...], line: int, lines: JsonLines[Entry]
) -> None:
    for number in order:
        lines.append(Entry(number=number, error=None))
    assert len(lines.read()) == len(order)
    with pytest.raises(ConfigError, match=f"line {line} says that it is number {order[line - 1]}.*--fresh"):
        JsonLines(lines.path, Entry, number=lambda entry: entry.number).read()
