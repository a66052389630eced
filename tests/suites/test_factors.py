"""Factorial suites: their cells, the names of these, what is refused, and what a plan keeps of the factors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from ablations.errors import ConfigError
from ablations.records.suite_folder import PLAN_FILE, SuiteFolder
from ablations.storage.serialization import parse_json
from ablations.suites.builtin import SUITES
from ablations.suites.factors import factor_settings
from ablations.suites.plan import Plan
from ablations.suites.suite import Suite, select
from ablations.suites.suite_file import read_suite_file
from googlenet.architecture import Architecture
from googlenet.axes import AXES
from googlenet.controls import twin_name
from googlenet.validation import TWIN_PATTERN, check_name
from googlenet.variants import REDUCED, VARIANTS, rows
from tests.support.synthetic_suites import make_plan

HEAD = 'name = "mine"\ndataset = "cifar10"\n'
TWO = "[factors]\nbatch_norm = [true, false]\n"


def read(folder: Path, text: str, *, many_cells: bool = False) -> Suite:
    path = folder / "mine.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return read_suite_file(path, many_cells=many_cells)


def names(suite: Suite) -> list[str]:
    return [arch.name for arch in suite.architectures]


def test_a_full_grid_has_a_cell_for_each_combination_of_levels(tmp_path: Path) -> None:
    suite = read(tmp_path, f'{TWO}branch5x5 = ["5x5", "3x3", "3x3+3x3"]')
    levels = list(itertools.product((True, False), ("5x5", "3x3", "3x3+3x3")))
    cells = [replace(REDUCED, batch_norm=norm, branch5x5=branch) for norm, branch in levels]
    assert [replace(arch, name="reduced") for arch in suite.architectures] == cells
    assert names(suite) == [
        *("branch-5x5", "branch-3x3", "reduced"),
        *("batch-norm-false_branch5x5-5x5", "batch-norm-false_branch5x5-3x3", "no-batch-norm"),
    ]
    assert (suite.baseline, suite.axis) == ("branch-5x5", "factors batch_norm x branch5x5")
    assert suite.varies == suite.factors == ("batch_norm", "branch5x5")


def test_one_factor_at_a_time_and_another_base(tmp_path: Path) -> None:
    head = 'axis = "my own"\nseeds = 3\nrecipe = "fast"\nbase = "short2"\nresolution = "main"\n'
    stages = '[["3a 3b", "4a", "5a 5b"], ["3a", "4a", ""]]'
    suite = read(tmp_path, f"{head}{TWO}stages = {stages}\ndropout = [0.4, 0.15]\n")
    short2 = VARIANTS["short2"]
    assert suite.architectures == (
        short2,
        replace(short2, name="short2_batch-norm-false", batch_norm=False),
        replace(short2, name="short2_stages-3a-4a-none", stages=(rows("3a"), rows("4a"), ())),
        replace(short2, name="short2_dropout-0-15", dropout=0.15),
    )
    assert (suite.axis, suite.seeds, suite.recipe.name, suite.baseline) == ("my own", 3, "fast", "short2")


def test_names_are_usable_and_differ_however_many_factors_there_are() -> None:
    flags = ("reduction", "batch_norm", "conv_bias", "extra_pools")
    levels: Mapping[str, Any] = {name: (True, False) for name in flags} | {"init": ("torch", "truncated-normal")}
    made = [arch.name for arch in factor_settings(VARIANTS["short3"], levels)["architectures"]]
    assert len(set(made)) == 32
    assert any(len(name) == 57 for name in made), "long ones are cut to leave room for the mark of a twin"
    for name in made:
        check_name("twin", twin_name(name, "params"), pattern=TWIN_PATTERN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[factors]\nbatchnorm = [true, false]", "factors: unknown key 'batchnorm'; .*did you mean 'batch_norm'"),
        ('[factors]\naux = ["none", "none"]', "factors: unknown key 'aux'; allowed: stages, stem"),
        ("[factors]\nname = ['a', 'b']", "factors: unknown key 'name'"),
        ("factors = 3", "factors: expected a table, found 3"),
        ("[factors]", "factors is empty; give at least one factor with two levels"),
        ("[factors]\nbatch_norm = true", "factors: batch_norm is True; give a list of at least two levels"),
        ("[factors]\nbatch_norm = [true]", "factor batch_norm has 1 level; give at least two"),
        ("[factors]\nbatch_norm = []", "factor batch_norm has 0 levels; give at least two"),
        ("[factors]\nwidth = [1, 0.5, 1.0]", "factor width has the level 1 twice; name each level once"),
        ("[factors]\nbatch_norm = [true, 0]", "factors: batch_norm: expected bool, found 0"),
        ('[factors]\nbranch5x5 = ["5x5", "7x7"]', "factors: reduced: branch5x5 '7x7' is unknown; allowed: 5x5, 3x3"),
        ('[factors]\nstages = [["3a", "4f", ""], ["3a", "", ""]]', "factors: stages: Table 1 row '4f' is unknown"),
        (f'{TWO}bn_eps_5x5 = ["same", "channels"]', "the cell batch_norm False, bn_eps_5x5 channels cannot be"),
        (f'variants = ["reduced"]\n{TWO}', "variants cannot stand beside factors, .*; remove variants or factors"),
        (f"{TWO}[variant.own]\nwidth = 2", "variant cannot stand beside factors, .*; remove variant or factors"),
        (f'baseline = "reduced"\n{TWO}', "baseline cannot stand beside factors"),
        (f"varies = []\n{TWO}", "varies cannot stand beside factors"),
        (f'base = "reducd"\n{TWO}', "base 'reducd' is unknown; .*did you mean 'reduced'"),
        (f'resolution = "half"\n{TWO}', "resolution 'half' is unknown; allowed: full, main"),
        (f"resolution = []\n{TWO}", r"resolution \[\] is unknown; allowed: full, main"),
        ('axis = "depth"\nresolution = "main"', "resolution has no effect without factors; remove it or add"),
        ('axis = "depth"\nbase = "short"', "base has no effect without factors; remove it or add"),
    ],
)
def test_what_cannot_be_crossed_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^suite file .*mine.toml: {message}"):
        read(tmp_path, text)


def test_many_cells_are_counted_before_they_are_made_and_need_consent(tmp_path: Path) -> None:
    # 2^17 cells would take minutes.
    others = [field.name for field in fields(Architecture) if field.name not in ("name", "stages", "batch_norm", "aux")]
    text = TWO + "".join(f"{name} = [1, 2]\n" for name in others if name not in ("image_size", "in_channels"))
    with pytest.raises(ConfigError, match=r"the factors have 65,536 cells, more than 64; .*\(17 cells\), .* --yes"):
        read(tmp_path, text)
    grid = f"[factors]\nwidth = {[number / 4 for number in range(1, 9)]}\ndropout = {[n / 10 for n in range(9)]}\n"
    with pytest.raises(ConfigError, match=r'72 cells, .*set resolution = "main" \(16 cells\)'):
        read(tmp_path, grid)
    assert len(names(read(tmp_path, grid, many_cells=True))) == 72
    assert len(names(read(tmp_path, f'resolution = "main"\n{grid}'))) == 16
    eight = f"[factors]\nwidth = {[number / 4 for number in range(1, 9)]}\ndropout = {[n / 10 for n in range(8)]}\n"
    assert len(names(read(tmp_path, eight))) == 64


def test_the_suite_design_takes_naive_apart() -> None:
    design = SUITES["design"]
    known = {arch.name: arch for arch in (*VARIANTS.values(), *AXES["reduction"], *AXES["branch5x5"])}
    assert names(design) == ["reduced", "branch-3x3", "no-reduction", "naive"]
    assert design.architectures == tuple(known[name] for name in names(design))
    # The records of other suites' runs are these runs' too.
    naive = {run.run_id for run in make_plan("cifar10", seeds=2, variants=("naive",)).runs}
    assert naive < {run.run_id for run in make_plan("design", seeds=2).runs}


def test_only_a_whole_grid_is_factorial() -> None:
    design = SUITES["design"]
    assert select(design, variants=tuple(names(design)), dataset="mnist").factors == design.factors
    assert select(design, variants=("reduced", "naive")).factors == ()


def test_a_plan_keeps_the_factors_also_with_runs_of_a_part_of_the_grid() -> None:
    whole, part = make_plan("design", seeds=1), make_plan("design", seeds=1, variants=("naive", "reduced"))
    assert (whole.factors, part.factors) == (("reduction", "branch5x5"), ())
    assert part.joined(whole).factors == whole.joined(part).factors == whole.factors


def test_a_plan_of_an_earlier_version_has_no_factors_and_an_unknown_factor_is_refused(tmp_path: Path) -> None:
    plan = make_plan("design", seeds=1)
    folder = SuiteFolder(tmp_path)
    folder.write_plan(plan)
    assert folder.read_plan() == plan
    data: Any = parse_json((tmp_path / PLAN_FILE).read_text())
    del data["factors"]
    assert saved(tmp_path, data) == replace(plan, factors=())
    with pytest.raises(ConfigError, match="factor 'name' is unknown; allowed: stages"):
        saved(tmp_path, data | {"factors": ["name"]})
    with pytest.raises(ValueError, match="suite design: factor 'aux' is unknown; allowed: stages"):
        replace(SUITES["design"], factors=("aux",))


def saved(folder: Path, data: Any) -> Plan:
    """The plan of this data, read back."""
    (folder / PLAN_FILE).write_text(json.dumps(data))
    return SuiteFolder(folder).read_plan()
