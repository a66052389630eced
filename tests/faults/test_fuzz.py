"""Random and mutated files: every parser gives a valid object or a clear ConfigError, and never another exception."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ablations.data.summary import DataSummary
from ablations.errors import ConfigError
from ablations.hardware.environment import Environment
from ablations.records import record as records
from ablations.records.record import SCHEMA, Costs, Epoch, RunRecord, Times
from ablations.records.run_folder import read_record
from ablations.records.suite_folder import PLAN_FILE, SuiteFolder
from ablations.storage.jsonl import JsonLines
from ablations.storage.serialization import from_plain, parse_json, to_plain
from ablations.suites.builtin import SUITES
from ablations.suites.plan import Plan, make_plan
from ablations.suites.suite import select
from ablations.suites.suite_file import read_suite_file

SLOW_CASES = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
DELETE = object()
QUICK, THOROUGH = 60, 10_000  # cases per parser
STRIDE = 11  # of the systematic cases, every eleventh is read by default; coprime to the numbers of kinds
# Strings that stand for what no JSON writer writes.
MARKERS = {
    "DEEP": "[" * 30_000 + "]" * 30_000,
    "UNCLOSED": '{"a":' * 30_000,
    "DIGITS": "1" * 6_000,
    "OVERFLOW": "1e999",
    "NAN": "NaN",
}

PLAN = make_plan(
    select(SUITES["digits"], seeds=1, variants=("reduced", "torchvision"), limit_train=500),
    data=DataSummary(
        name="digits",
        title="made digits",
        fingerprint="ab" * 32,
        num_classes=10,
        class_names=tuple("0123456789"),
        image_size=224,
        train_images=1_437,
        test_images=360,
    ),
    command="python run_all.py",
)
EPOCH = Epoch(epoch=1, train_loss=0.5, train_error=0.25, validation_error=0.1, train_seconds=12.5, eval_seconds=0.0)
RECORD = RunRecord(
    schema=SCHEMA,
    run_id=PLAN.runs[1].run_id,
    config=PLAN.runs[1],
    status="done",
    message="",
    epochs=tuple(replace(EPOCH, epoch=number) for number in range(1, PLAN.runs[1].recipe.epochs + 1)),
    train_images=500,
    test=records.TestResult(epoch=2, images=360, top1_wrong=12, top5_wrong=3),
    test_accesses=1,
    costs=Costs(params=1, macs=2, flops=4, activations=3, peak_memory_bytes=None),
    times=Times(startup_seconds=1.0, compile_seconds=0.0, train_seconds=25.0, eval_seconds=2.0, timing_valid=True),
    environment=Environment(
        device="made",
        device_kind="cpu",
        engine="eager",
        deterministic=False,
        threads=1,
        platform="made",
        python="3.11",
        versions=("torch 2",),
        commit="unknown",
    ),
)
FACTORIAL = """\
name = "crossed"
dataset = "digits"
base = "short2"
resolution = "main"

[factors]
batch_norm = [true, false]
branch5x5 = ["3x3+3x3", "3x3"]
stages = [["3a", "4a", "5a"], ["3a", "", ""]]
width = [0.5, 1]
"""
SUITE = """\
name = "third-branch"
axis = "the third branch"
varies = ["architecture"]
declared = ["recipe.learning_rate", "versions"]
dataset = "cifar10"
variants = ["five", "reduced", "deep", "heads", "no-heads", "shallow"]
baseline = "reduced"
seeds = 3
margin = 0.02
width = 0.25
limit_train = 5000

[recipe]
name = "quick"
base = "digits"
epochs = 2
learning_rate = 1
precision = "bf16"

[variant.five]
branch5x5 = "5x5"

[variant.five.recipe]
learning_rate = 0.5

[variant.deep]
base = "long"
width = 2
dropout = 0.0

[variant.heads]
aux = { after = ["4b"], weight = 0.5 }

[variant.no-heads]
base = "torchvision"
aux = "none"

[variant.shallow]
stages = ["3a", "", [{ ch1x1 = 1, ch3x3_reduce = 2, ch3x3 = 3, ch5x5_reduce = 4, ch5x5 = 5, pool_proj = 6 }]]
"""

TEXTS = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "Cf"]), max_size=5),
    st.sampled_from(["", "../../x", "=cmd", "<script>", "a|b", "reduced", "fp32", "x" * 300, "\ud800", "4a", "3a"]),
)
NUMBERS = st.one_of(
    st.integers(-3, 20),
    st.integers(),
    st.sampled_from([2**31, 2**63, 10**30, 10**400, -(10**400)]),
    st.floats(),
    st.sampled_from([1e308, 5e-324, -0.0, float("nan"), float("inf"), float("-inf")]),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.sampled_from(sorted(MARKERS)))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside plain data."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in places(item, (*path, key)))]


@st.composite
def mutations(draw: st.DrawFn, valid: Any) -> Any:
    """The valid data with one to three values replaced, deleted, doubled or added."""
    data = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(data)))
        if not path:
            if draw(st.integers(0, 19)) == 0:
                return draw(VALUES)
            continue
        *above, key = path
        parent = data
        for step in above:
            parent = parent[step]
        what = draw(st.sampled_from(["replace", "replace", "delete", "add"]))
        if what == "delete":
            del parent[key]
        elif what == "replace":
            parent[key] = draw(VALUES)
        elif isinstance(parent, dict):
            parent[draw(TEXTS)] = draw(VALUES)
        else:
            parent.append(draw(st.sampled_from([parent[key], None, 0, "x"])))
    return data


def as_json(data: Any) -> bytes:
    return json.dumps(data).encode()


def expanded(content: bytes) -> bytes:
    """The content with the markers, which keep a case short enough to be shown, replaced."""
    for marker, meant in MARKERS.items():
        content = content.replace(f'"{marker}"'.encode(), meant.encode())
    return content


@st.composite
def torn(draw: st.DrawFn, content: bytes) -> bytes:
    """Valid bytes with some in the middle cut out or replaced."""
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + 40)))
    return content[:start] + draw(st.binary(max_size=8)) + content[end:]


def json_files(valid: Any) -> st.SearchStrategy[bytes]:
    return st.one_of(mutations(valid).map(as_json), torn(as_json(valid)), VALUES.map(as_json), st.binary(max_size=60))


TOML_VALUES = st.one_of(
    NUMBERS.map(str),
    st.text(max_size=20).map(json.dumps),
    st.lists(st.sampled_from(['"3a"', '""', "1", '"4f"', "[]", "{}", '["4a"]']), max_size=4).map(
        lambda items: f"[{', '.join(items)}]"
    ),
    st.sampled_from(
        [
            *("true", "{}", "[]", "[[]]", "[[], [], []]", '""', "nan", "-inf", "1e999", "07", "0o7", "=", ""),
            *("1979-05-27T07:32:00Z", "1979-05-27", "07:32:00", '"\\ud800"', '"\\u0000"', '{ name = "x" }', '"none"'),
            *(f"0x{'f' * 500}", f"0x{'f' * 9_000}", "1" * 6_000, "[" * 3_000, "[" * 3_000 + "]" * 3_000, '"reduced"'),
            *('["reduced", "reduced"]', '[""]', '["../x"]', "{ epochs = 0 }", "{ after = [] }", '{ after = ["3a"] }'),
            "{ ch1x1 = 1 }",
        ]
    ),
)
TOML_KEYS = st.one_of(
    st.sampled_from(
        [
            *("name", "axis", "varies", "declared", "dataset", "recipe", "baseline", "variants", "variant", "seeds"),
            *("margin", "width", "limit_train", "base", "aux", "stages", "stem", "image_size", "architectures"),
            *("factors", "resolution", "factors.batch_norm"),
            *("recipe_changes", "learning_rate", "precision", "a.b.c", '""', '"../x"', "variant.five", "recipe.epochs"),
        ]
    ),
    st.text(max_size=6).map(json.dumps),
)
TOML_LINES = st.one_of(
    st.builds("{} = {}".format, TOML_KEYS, TOML_VALUES),
    st.builds("[{}]".format, TOML_KEYS),
    st.builds("[variant.{}]".format, TOML_KEYS),
    st.just("[[variant]]"),
)


@st.composite
def mutated_suites(draw: st.DrawFn, valid: str) -> bytes:
    """The valid suite file with one to three lines replaced, deleted, doubled or added."""
    lines = list[str](valid.splitlines())
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[number].partition(" = ")
        what = draw(st.sampled_from(["value", "value", "value", "delete", "double", "line"]))
        if what == "value" and equals:
            lines[number] = f"{key} = {draw(TOML_VALUES)}"
        elif what == "delete":
            del lines[number]
        else:
            lines.insert(number, lines[number] if what == "double" else draw(TOML_LINES))
    return "\n".join(lines).encode(errors="surrogatepass")


def parse_suite(path: Path) -> object:
    suite = read_suite_file(path)
    for arch in suite.architectures:
        suite.recipe_of(arch.name)
    return suite


def parse_record(path: Path) -> object:
    found = read_record(path)
    assert found.config.run_id and (found.status != "done" or found.test)
    return (found, found.test and found.test.top1_error)


def parse_lines(path: Path) -> object:
    return JsonLines(path, Epoch).read()


def parse_plan(path: Path) -> object:
    return [run.run_id for run in SuiteFolder(path.parent).read_plan().runs]


def json_lines(content: bytes) -> bytes:
    return as_json(to_plain(EPOCH)) + b"\n" + content + b"\n" + as_json(to_plain(EPOCH)) + b"\n"


# By parser: the file's name, what reads it, and what is in it.
PARSERS: dict[str, tuple[str, Callable[[Path], object], st.SearchStrategy[bytes]]] = {
    "suite": (
        "mine.toml",
        parse_suite,
        st.one_of(
            mutated_suites(SUITE),
            mutated_suites(FACTORIAL),
            torn(SUITE.encode()),
            st.lists(TOML_LINES, max_size=6).map(lambda lines: "\n".join(lines).encode(errors="surrogatepass")),
            st.binary(max_size=60),
        ),
    ),
    "record": ("result.json", parse_record, json_files(to_plain(RECORD))),
    "plan": (PLAN_FILE, parse_plan, json_files(to_plain(PLAN))),
    "lines": ("metrics.jsonl", parse_lines, json_files(to_plain(EPOCH)).map(json_lines)),
}


# A value of each kind, to stand in every place.
JSON_KINDS = (None, True, -1, 10**400, 0.5, -1e308, "x", "\ud800\n", [], [[]], {}, {"x": 1}, "DEEP", "NAN", "OVERFLOW")
TOML_KINDS = (
    *("true", "-1", "0", "1e308", "nan", '"x"', '"a\\nb"', "[]", "[[]]", '["x"]', '["a\\nb"]', '"DEEP"', "1979-05-27"),
    *("{}", "{ x = 1 }", "{ x = [] }", f"0x{'f' * 500}", f"0x{'f' * 9_000}", "{ recipe = 1 }", '{ "a\\nb" = {} }'),
)


def replaced_in_json(valid: Any) -> Iterator[bytes]:
    """The valid data with each of its values in turn replaced by each kind of value, and without it."""
    for path in places(valid):
        for kind in (*JSON_KINDS, DELETE) if path else JSON_KINDS:
            data: Any = [copy.deepcopy(valid)]
            parent, key = data, 0
            for step in path:
                parent, key = parent[key], step
            if kind is DELETE:
                del parent[key]
            else:
                parent[key] = kind
            yield as_json(data[0])


def replaced_in_toml(valid: str) -> Iterator[bytes]:
    """The valid file with each of its values, and each of its names, in turn replaced by each kind of value."""
    lines = list[str](valid.splitlines())
    for number, line in enumerate(lines):
        key, equals, _ = line.partition(" = ")
        for kind in TOML_KINDS:
            changed = f"{key} = {kind}" if equals else f"{line.rstrip(']')}.x]\ny = {kind}"
            yield "\n".join((*lines[:number], changed, *lines[number + 1 :])).encode()


SYSTEMATIC: dict[str, Callable[[], Iterator[bytes]]] = {
    "suite": lambda: replaced_in_toml(SUITE),
    "record": lambda: replaced_in_json(to_plain(RECORD)),
    "plan": lambda: replaced_in_json(to_plain(PLAN)),
    "lines": lambda: map(json_lines, replaced_in_json(to_plain(EPOCH))),
}


def check(parser: str, path: Path, content: bytes) -> bool:
    """Whether the parser takes the file; otherwise it has to refuse it clearly."""
    path.write_bytes(expanded(content))
    try:
        parsed = PARSERS[parser][1](path)
    except ConfigError as error:
        message = str(error)
        assert str(path) in message
        assert "\n" not in message and len(message) < 2_000
        return False
    # What was taken can be written, and comes back the same.
    text = json.dumps(to_plain(parsed), allow_nan=False)
    assert parse_json(text) == json.loads(text)
    return True


def fuzz(parser: str, folder: Path, *, cases: int) -> tuple[int, int]:
    """Read as many files; gives how many were valid and how many refused."""
    name, _, contents = PARSERS[parser]
    valid = refused = 0

    @settings(max_examples=cases, derandomize=True, deadline=None, database=None, suppress_health_check=SLOW_CASES)
    @given(contents)
    def read(content: bytes) -> None:
        nonlocal valid, refused
        taken = check(parser, folder / name, content)
        valid, refused = valid + taken, refused + (not taken)

    read()
    return valid, refused


@pytest.mark.parametrize("parser", PARSERS)
def test_what_a_parser_does_not_take_it_refuses_clearly(parser: str, tmp_path: Path) -> None:
    valid, refused = fuzz(parser, tmp_path, cases=QUICK)
    assert valid + refused >= QUICK
    assert refused >= QUICK // 4, "the cases are damaged indeed"
    assert valid >= 1, "and not beyond what a parser looks at"


@pytest.mark.parametrize("stride", [STRIDE, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("parser", PARSERS)
def test_a_value_of_any_kind_in_any_place_is_taken_or_refused_clearly(parser: str, stride: int, tmp_path: Path) -> None:
    path = tmp_path / PARSERS[parser][0]
    cases = itertools.islice(SYSTEMATIC[parser](), 0, None, stride)
    taken = [check(parser, path, content) for content in cases]
    assert len(taken) >= 90 // stride
    assert not all(taken) and (any(taken) or stride > 1)


@pytest.mark.slow
@pytest.mark.parametrize("parser", PARSERS)
def test_ten_thousand_files_are_taken_or_refused_clearly(parser: str, tmp_path: Path) -> None:
    assert sum(fuzz(parser, tmp_path, cases=THOROUGH)) >= THOROUGH


@pytest.mark.parametrize(
    ("parser", "content"),
    [
        ("suite", SUITE.encode()),
        ("suite", FACTORIAL.encode()),
        ("record", as_json(to_plain(RECORD))),
        ("plan", as_json(to_plain(PLAN))),
        ("lines", json_lines(as_json(to_plain(EPOCH)))),
    ],
)
def test_what_is_mutated_is_valid(parser: str, content: bytes, tmp_path: Path) -> None:
    name, parse, _ = PARSERS[parser]
    (tmp_path / name).write_bytes(content)
    assert parse(tmp_path / name)
    for kind, value in ((RunRecord, RECORD), (Plan, PLAN), (Epoch, EPOCH)):
        assert from_plain(kind, to_plain(value), where="made") == value
