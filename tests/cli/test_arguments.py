"""Arguments that go together, and paths with a home folder."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import tyro

from ablations.cli.arguments import MODES, Arguments, checked, flag_of
from ablations.errors import ConfigError

MODES_OWN = ("budget", "expect_sd")  # flags that go with a mode alone
WITH_REPORT = "it goes with --compare-with, --dataset, --results and --suite"


def parsed(*given: str) -> Arguments:
    return checked(tyro.cli(Arguments, args=given, config=(tyro.conf.FlagCreatePairsOff,)))


def other(name: str, default: object) -> Any:
    """A value of a flag that is not its default."""
    if isinstance(default, bool):
        return not default
    return Path("elsewhere") if isinstance(default, Path) else f"other than {default}"


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_takes_the_flags_of_its_table_and_refuses_every_other_by_name(mode: str) -> None:
    alone = replace(Arguments(), **{mode: (Path("elsewhere"),) if mode == "merge" else True})
    assert checked(alone) == alone
    for field in fields(Arguments):
        if field.name in MODES:
            continue
        both = replace(alone, **{field.name: other(field.name, field.default)})
        if field.name in MODES[mode]:
            if field.name in ("ray_address", "cpus_per_run"):
                both = replace(both, executor="ray")
            assert checked(both) == both
        else:
            with pytest.raises(ConfigError, match=f"^{flag_of(field.name)} has no effect with {flag_of(mode)}; "):
                checked(both)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("--report", "--fresh", "--epochs", "3"),
            f"--epochs and --fresh have no effect with --report; {WITH_REPORT}",
        ),
        (
            ("--report", "--variants", "short", "--seeds", "2", "--device", "cpu"),
            f"--variants, --seeds and --device have no effect with --report; {WITH_REPORT}",
        ),
        (
            ("--plan", "--fresh"),
            "--fresh has no effect with --plan; it goes with every flag but --fresh, --max-seeds, --resume and "
            "--until-settled",
        ),
        (
            ("--describe", "short4", "--seeds", "2"),
            "--seeds has no effect with --describe; it goes with --data-dir, --dataset, --image-size, --results and "
            "--width",
        ),
        (("--list", "--suite", "cifar10"), "--suite has no effect with --list; give it alone"),
        (
            ("--list", "--report"),
            "--list, --describe, --plan, --dry-run, --report and --merge exclude each other; give one of them",
        ),
        (("--merge",), "--merge names no folder; give one or more folders of results"),
        (
            ("--until-settled", "--seed-list", "80,81"),
            "--seed-list has no effect with --until-settled; use --seeds for those to begin with",
        ),
        (
            ("--max-seeds", "10"),
            "--max-seeds has no effect without --until-settled; give both, or use --seeds",
        ),
        (("--budget", "6h"), "--budget has no effect without --plan; give both"),
        (("--expect-sd", "0.2"), "--expect-sd has no effect without --plan; give both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_flags_without_effect_are_named_with_those_that_have_one(given: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parsed(*given)
    assert str(raised.value) == message


@pytest.mark.parametrize("left_out", [("seed_list",), ("until_settled", "max_seeds")], ids=" ".join)
def test_without_a_mode_every_flag_goes_with_a_run(left_out: tuple[str, ...]) -> None:
    given = {
        field.name: other(field.name, field.default)
        for field in fields(Arguments)
        if field.name not in (*MODES, *MODES_OWN, *left_out)
    }
    assert checked(Arguments(**given)) == Arguments(**given)


def test_a_path_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    arguments = parsed("--results=~/x", "--data-dir=~")  # a shell leaves these as they are
    assert (arguments.results, arguments.data_dir) == (tmp_path / "x", tmp_path)
    assert parsed("--results", "a/~b").results == Path("a/~b")
    assert parsed("--merge", "~/y", "z").merge == (tmp_path / "y", Path("z"))


@pytest.mark.parametrize("name", ["results", "data_dir"])
def test_the_home_folder_of_an_unknown_user_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{flag_of(name)} ~nosuchuser/x: .*; give the whole path$"):
        parsed(f"{flag_of(name)}=~nosuchuser/x")
