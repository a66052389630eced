"""What README and docs/ show works: Python runs, the suite file is one, the variant line builds, the flags exist."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields, replace
from pathlib import Path

import run_all
from ablations.suites.suite_file import read_suite_file
from googlenet import build
from googlenet.variants import REDUCED, rows

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_python_examples_run() -> None:
    examples = blocks("python")
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})


def test_suite_file_is_one(tmp_path: Path) -> None:
    (example,) = blocks("toml")
    (tmp_path / "branch.toml").write_text(example, encoding="utf-8")
    suite = read_suite_file(tmp_path / "branch.toml")
    assert [arch.name for arch in suite.architectures] == ["reduced", "branch-5x5", "careful-3x3"]
    assert (suite.baseline, suite.seeds, suite.recipe.epochs, suite.recipe.optimizer) == ("reduced", 3, 5, "adadelta")
    assert suite.architectures[2] == replace(REDUCED, name="careful-3x3", branch5x5="3x3")


def test_variant_line_builds() -> None:
    (line,) = re.findall(r'^"short5": (.*),$', README, flags=re.MULTILINE)
    assert build(eval(line, {"replace": replace, "REDUCED": REDUCED, "rows": rows}), num_classes=10)


def test_every_flag_it_names_exists() -> None:
    def flags(arguments: type) -> set[str]:
        return {f"--{field.name.replace('_', '-')}" for field in fields(arguments)}

    measurements = (ROOT / "docs" / "measurements.md").read_text(encoding="utf-8")
    for line in (README + measurements).splitlines():
        benchmark = re.match(r"python -m benchmarks\.(\w+)", line)
        module = importlib.import_module(f"benchmarks.{benchmark[1]}") if benchmark else run_all
        named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", line)) - {"--help"}
        assert named <= flags(module.Arguments), line
