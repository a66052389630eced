"""What README and docs/ show works: commands, Python blocks, suite files, and the lines that add something."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image

from ablations.analysis.costs import Cost, is_done
from ablations.cli.arguments import Arguments
from ablations.cli.main import main
from ablations.suites.recipe import PUBLISHED, Recipe
from ablations.suites.suite_file import read_suite_file
from googlenet import build
from googlenet.variants import REDUCED, rows
from tests.support.markdown import PAGES, ROOT, commands, fences, page, plain, section

PROJECT = tomllib.loads(page("pyproject.toml"))
RUN_ALL = "python run_all.py"


def _suites(text: str) -> list[str]:
    return fences(text, "toml")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with the suite files of the documentation and a folder of images, DIR."""
    monkeypatch.chdir(tmp_path)
    for text in _suites(page("docs/suites.md")):
        (tmp_path / f"{tomllib.loads(text)['name']}.toml").write_text(text, encoding="utf-8")
    for split, count in (("train", 1000), ("test", 1)):
        for class_name in ("cat", "dog"):
            folder = tmp_path / "DIR" / split / class_name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / f"{number}.bmp")
    return tmp_path


@pytest.mark.process
def test_every_command_that_runs_a_suite_can_be_planned(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = dict.fromkeys(command for path in PAGES for command in commands(path.read_text(encoding="utf-8")))
    given = [command.removeprefix(RUN_ALL).split() for command in shown if command.startswith(RUN_ALL)]
    assert len(given) >= 15
    for arguments in given:
        parsed = tyro.cli(Arguments, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))
        if parsed.report or parsed.merge or parsed.until_settled or parsed.dry_run or parsed.budget:
            # It needs finished runs or times, or does not say which runs it will train; that it parses is enough.
            continue
        instead = () if parsed.list or parsed.plan or parsed.describe else ("--plan",)
        assert main([*arguments, *instead]) == 0, (arguments, capsys.readouterr().err)


def test_every_other_command_names_what_there_is() -> None:
    extras = set(PROJECT["project"]["optional-dependencies"])
    markers = PROJECT["tool"]["pytest"]["ini_options"]["markers"]
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"'\.\[(\w+)\]'", text)) <= extras, path
        for command in commands(text):
            if command.startswith("pytest -m"):
                named = set(re.findall(r"\w+", command.partition("-m")[2])) - {"not", "and", "or"}
                assert named <= {marker.partition(":")[0] for marker in markers}, command
            if benchmark := re.match(r"python -m benchmarks\.(\w+)", command):
                known = fields(importlib.import_module(f"benchmarks.{benchmark[1]}").Arguments)
                flags = {f"--{field.name.replace('_', '-')}" for field in known}
                assert set(re.findall(r"--[a-z-]+", command)) <= flags, command


def test_every_flag_in_the_text_exists() -> None:
    known = {f"--{field.name.replace('_', '-')}" for field in fields(Arguments)}
    for path in PAGES:
        named = set(re.findall(r"`(--[a-z]+(?:-[a-z]+)*)", path.read_text(encoding="utf-8"))) - {"--help"}
        assert named <= known, path


@pytest.mark.process
@pytest.mark.parametrize("name", ["README.md", "docs/index.md"])
def test_python_blocks_run_one_after_the_other(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = fences(page(name), "python")
    assert len(blocks) >= 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, name, "exec"), names)
    assert "top1_error_mean" in capsys.readouterr().out
    reports = list(tmp_path.glob("results/*/report.html"))
    assert len(reports) == ("write_report(" in "".join(blocks))


def test_suite_files_are_read_as_the_text_says(tmp_path: Path) -> None:
    suites = {}
    for text in _suites(page("docs/suites.md")):
        path = tmp_path / "suite.toml"
        path.write_text(text, encoding="utf-8")
        suite = suites[tomllib.loads(text)["name"]] = read_suite_file(path)
        assert suite.baseline == suite.architectures[0].name or suite.name == "rates"
    branch = suites["branch"]
    assert [arch.name for arch in branch.architectures] == ["reduced", "branch-5x5", "careful-3x3"]
    assert (branch.baseline, branch.seeds, branch.margin) == ("reduced", 3, 0.01)
    assert branch.recipe == replace(PUBLISHED, name="short-published", epochs=5)
    assert branch.architectures[2] == replace(REDUCED, name="careful-3x3", branch5x5="3x3")
    assert branch.recipe_of("careful-3x3") == replace(branch.recipe, learning_rate=0.5)
    heads = suites["heads"].architectures[1]
    assert heads.aux is not None and heads.aux.after == ("3a",)
    assert [len(stage) for stage in heads.stages] == [1, 1, 1]
    rates = suites["rates"]
    assert [rates.recipe_of(arch.name).learning_rate for arch in rates.architectures] == [0.2, 0.4, 0.8]


def test_lines_that_add_a_variant_a_recipe_and_a_cost_do_so() -> None:
    text = page("docs/extending.md")
    (line,) = re.findall(r'^"short5": (.*),$', section(text, "A variant"), flags=re.MULTILINE)
    assert build(eval(line, {"replace": replace, "REDUCED": REDUCED, "rows": rows}), num_classes=10)
    (line,) = re.findall(r"^GENTLE = (.*)$", section(text, "A recipe"), flags=re.MULTILINE)
    assert eval(line, {"Recipe": Recipe}).epochs == 30
    (entry,) = fences(section(text, "A cost"), "python")
    cost = eval(entry, {"Cost": Cost, "is_done": is_done})
    assert cost.column == cost.name == "activations"


def test_files_that_the_pages_name_exist() -> None:
    for path in PAGES:
        for name in re.findall(
            r"`((?:ablations|googlenet|tests|notebooks|results/reference)/[^`*<> ]+)`", path.read_text("utf-8")
        ):
            assert (ROOT / name).exists(), f"{path.name}: {name}"


def test_readme_is_short_and_its_tables_are_narrow() -> None:
    lines = page("README.md").splitlines()
    assert len(lines) <= 120
    assert all(len(line) <= 100 for line in lines if line.startswith(("|", "│", "┃")))


def test_version_that_is_cited_is_the_changelogs_newest() -> None:
    cited = re.search(r"^version: (.*)$", page("CITATION.cff"), flags=re.MULTILINE)
    newest = re.search(r"^## (.*)$", page("CHANGELOG.md"), flags=re.MULTILINE)
    assert cited and newest and plain(cited[1]) == newest[1]


@pytest.mark.parametrize("number", range(2))
def test_scripts_for_slurm_are_valid(number: int) -> None:
    script = fences(page("docs/cluster.md"), "bash")[number]
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    (given,) = re.findall(r"python run_all.py ([^&\n]+)", script)
    tyro.cli(Arguments, args=given.split(), config=(tyro.conf.FlagCreatePairsOff,))
