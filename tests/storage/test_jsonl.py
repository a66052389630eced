"""Files of one JSON object a line: what is read back after appends, a killed writer and damage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ablations.errors import ConfigError
from ablations.storage.jsonl import JsonLines


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An epoch in small."""

    number: int
    error: float | None
    note: str = ""


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


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_a_torn_last_line_is_dropped_and_gone_after_a_rewrite(lines: JsonLines[Entry], lost: int) -> None:
    content = filled(lines).path.read_bytes()
    lines.path.write_bytes(content[:-lost])
    assert lines.read() == ENTRIES[:2]
    lines.rewrite(lines.read())
    lines.append(ENTRIES[2])
    assert lines.path.read_bytes() == content


def test_a_torn_line_is_logged_once_with_its_bytes(lines: JsonLines[Entry], caplog: pytest.LogCaptureFixture) -> None:
    filled(lines)
    with lines.path.open("ab") as file:
        file.write(b'{"number"')
    for _ in range(2):
        assert lines.read() == ENTRIES
    (message,) = caplog.messages
    assert str(lines.path) in message and "9 bytes" in message


@pytest.mark.parametrize("line", [b'{"number": 1, "err', b"", b"\0\0\0", b"\xff\xfe", b"{'number': 1}"])
@pytest.mark.parametrize("place", [0, 2])
def test_a_damaged_line_is_named_by_its_number(lines: JsonLines[Entry], line: bytes, place: int) -> None:
    content = filled(lines).path.read_bytes().split(b"\n")
    content[place] = line
    lines.path.write_bytes(b"\n".join(content))
    with pytest.raises(ConfigError) as raised:
        lines.read()
    assert str(raised.value).startswith(f"{lines.path}, line {place + 1} is damaged (")
    assert str(raised.value).endswith("--fresh moves the run aside")


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
def test_what_json_cannot_hold_is_refused_and_leaves_the_file_alone(lines: JsonLines[Entry], value: float) -> None:
    content = filled(lines).path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        lines.append(Entry(number=4, error=value))
    assert lines.path.read_bytes() == content


def test_what_a_killed_process_appended_is_there(lines: JsonLines[Entry]) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ablations.lines import Lines; from ablations.record import DiagnosedEpoch\n"
        "Lines(Path(sys.argv[1]), DiagnosedEpoch).append(DiagnosedEpoch(epoch=1, images=60, top1_wrong=9))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    finished = subprocess.run([sys.executable, "-c", code, str(lines.path)], check=False)
    assert finished.returncode == -signal.SIGKILL
    assert json.loads(lines.path.read_bytes()) == {"epoch": 1, "images": 60, "top1_wrong": 9}


@pytest.mark.parametrize(("order", "line"), [((1, 1, 2), 2), ((2, 1), 1), ((1, 3), 2), ((0, 1), 1)])
def test_numbered_entries_out_of_place_are_an_error_with_their_line(
    order: tuple[int, ...], line: int, lines: JsonLines[Entry]
) -> None:
    for number in order:
        lines.append(Entry(number=number, error=None))
    assert len(lines.read()) == len(order)
    with pytest.raises(ConfigError, match=f"line {line} says that it is number {order[line - 1]}.*--fresh"):
        JsonLines(lines.path, Entry, number=lambda entry: entry.number).read()
