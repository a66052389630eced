"""What a user can get wrong in a suite file or on the command line: status 2, one line, nothing written."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import run_all

HEAD = 'axis = "b"\nvaries = ["architecture"]\ndataset = "digits"\n'
SOUND = 'name = "mine"\n' + HEAD + 'recipe = "digits"\nvariants = ["short4"]\n'
Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def main(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Main]:
    """Runs the command line inside an empty folder; gives exit status, standard output and standard error."""
    handler = signal.getsignal(signal.SIGTERM)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*given: str) -> tuple[int, str, str]:
        try:
            status = run_all.main([*given, "--device", "cpu"])
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    yield call
    signal.signal(signal.SIGTERM, handler)


def assert_refused(main: Main, tmp_path: Path, *given: str, said: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    status, out, err = main(*given)
    assert status == 2
    assert said in err
    assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
    assert len(err) < 2_000
    assert out == ""
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written, neither here nor above"


FILES = [
    # Unknown keys and values, with the nearest known one.
    (SOUND + "sedes = 3", "unknown key 'sedes'; allowed: name, axis, varies"),
    (SOUND + "sedes = 3", "did you mean 'seeds'?"),
    (SOUND.replace("short4", "shrot4"), "architecture 'shrot4' is unknown; allowed: naive, reduced"),
    (SOUND.replace("short4", "shrot4"), "did you mean 'short4'?"),
    (SOUND.replace('"digits"\nvar', '"digit"\nvar'), "recipe 'digit' is unknown; allowed: published, fast, digits;"),
    (SOUND + '[variant.short4]\nstem = "cifr"', "did you mean 'cifar'?"),
    (SOUND.replace("architecture", "widht"), "did you mean 'width'?"),
    # Numbers.
    (SOUND + "seeds = 0", "seeds is 0; it must be a whole number of at least 1"),
    (SOUND + "seeds = -1", "seeds is -1; it must be a whole number of at least 1"),
    (SOUND + "seeds = 10001", "seeds is 10001; it must be a whole number of at most 10000"),
    (SOUND + "seeds = 1e3", "seeds: expected int, found 1000.0"),
    (SOUND + "seeds = [1, 1, 2]", "seeds: expected int, found [1, 1, 2]"),
    (SOUND + f"seeds = 0x{'f' * 10_000}", "seeds is a huge int; it must be a whole number of at most 10000"),
    (SOUND + f"axis2 = {'[' * 5_000}", "nested too deeply"),
    (SOUND + "[variant.short4.recipe]\nepochs = 0", "epochs is 0; it must be a whole number of at least 1"),
    (SOUND + "[variant.short4.recipe]\nepochs = -5", "epochs is -5; it must be a whole number of at least 1"),
    (SOUND + "[variant.short4.recipe]\nepochs = 1.5", "epochs: expected int, found 1.5"),
    (SOUND + '[variant.short4.recipe]\nlearning_rate = "1e-3"', "learning_rate: expected float, found '1e-3'"),
    (SOUND + "[variant.short4.recipe]\nlearning_rate = nan", "learning_rate is nan; it must be a number in (0, 1e+30]"),
    (SOUND + "[variant.short4.recipe]\nlearning_rate = 0", "learning_rate is 0.0; it must be a number in (0, 1e+30]"),
    (SOUND + "[variant.short4]\nstem_channels = 0x" + "f" * 400, "whole number below 2^63"),
    # Variants.
    (SOUND.replace('["short4"]', "[]"), "variants is []; give a list with at least one name"),
    (SOUND.replace('["short4"]', '["short4", "short4"]'), "variant short4 is named twice; name it once"),
    ('name = "mine"\n' + HEAD, "variants is []; give a list with at least one name"),
    (SOUND.replace('["short4"]', f'["{"x" * 10_000}"]'), "architecture 'xxxx"),
    # What TOML does not allow.
    (SOUND + SOUND, "Cannot overwrite a value"),
    ("name = mine", "(at line 1, column 8)"),
    (SOUND + 'dataset2 = "\x00"', "Illegal character '\\x00' (at line"),
]


@pytest.mark.parametrize(("text", "said"), FILES, ids=[said for _, said in FILES])
def test_a_suite_file_that_cannot_be_used(text: str, said: str, main: Main, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    assert_refused(main, tmp_path, "--suite", str(path), said=said)
    assert main("--suite", str(path))[2].startswith(f"error: suite file {path}: "), "the file is named"


def test_the_suite_file_that_these_are_made_from_is_sound(main: Main, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SOUND, encoding="utf-8")
    status, out, err = main("--suite", str(tmp_path / "mine.toml"), "--plan")
    assert (status, err) == (0, "")
    assert "short4" in out


NAMES = [
    *("../../x", "..", "/etc/x", "a/b", "a\\b", "<script>", "a|b", "=cmd", "+1", "@x", "-x", "_x", "a b", "A", "é"),
    *("", "x" * 65, "a\nb", "a\u202eb", "con.txt", "$(x)", "`x`", "a\x00b", "%2e%2e"),
]


def quoted(name: str) -> str:
    """The name as a TOML string."""
    return '"' + "".join(f"\\u{ord(character):04x}" for character in name) + '"'


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_cannot_stand_in_a_path_a_page_and_a_spreadsheet(name: str, main: Main, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SOUND.replace('"mine"', quoted(name)), encoding="utf-8")
    said = "name {!r} is not usable; use 1-64 of a-z, 0-9, '_' and '-'"
    assert_refused(main, tmp_path, "--suite", str(path), said=f"suite {said.format(name)}")
    path.write_text(f'name = "mine"\n{HEAD}[variant.{quoted(name)}]\nwidth = 0.5\n', encoding="utf-8")
    assert_refused(main, tmp_path, "--suite", str(path), said=f"architecture {said.format(name)}")
    path.write_text(f'name = "mine"\n{HEAD}variants = ["short4"]\n[recipe]\nname = {quoted(name)}\n', encoding="utf-8")
    assert_refused(main, tmp_path, "--suite", str(path), said=f"recipe {said.format(name)}")


@pytest.mark.parametrize("name", ["x", "0", "a-b_c", "x" * 64])
def test_a_name_that_can(name: str, main: Main, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SOUND.replace('"mine"', quoted(name)), encoding="utf-8")
    assert main("--suite", str(tmp_path / "mine.toml"), "--plan")[0] == 0


ARGUMENTS = [
    (("--suite", "digitz"), "suite 'digitz' is unknown; allowed: digits, cifar10, cifar100, folder; did you mean 'di"),
    (("--suite", "../../x"), "suite '../../x' is unknown; allowed: digits"),
    (("--suite", "../../x.toml"), "suite file ../../x.toml: "),
    (("--suite", "<script>"), "suite '<script>' is unknown"),
    (("--suite", "a|b"), "suite 'a|b' is unknown"),
    (("--suite", "=cmd"), "suite '=cmd' is unknown"),
    (("--variants", "shrot4"), "did you mean 'short4'?"),
    (("--variants", ""), "it has no variant; name at least one"),
    (("--variants", "short4,short4"), "variant short4 is named twice; name it once"),
    (("--seeds", "0"), "seeds is 0; it must be a whole number of at least 1"),
    (("--seeds", "10001"), "seeds is 10001; it must be a whole number of at most 10000"),
    (("--epochs", "0"), "epochs is 0; it must be a whole number of at least 1"),
    (("--epochs", "-1"), "epochs is -1; it must be a whole number of at least 1"),
    (("--epochs", str(2**70)), "it must be a whole number below 2^63"),
    (("--recipe", "fsat"), "recipe 'fsat' is unknown; allowed: published, fast, digits; did you mean 'fast'?"),
]


@pytest.mark.parametrize(("given", "said"), ARGUMENTS, ids=[" ".join(given) for given, _ in ARGUMENTS])
def test_an_argument_that_cannot_be_used(given: tuple[str, ...], said: str, main: Main, tmp_path: Path) -> None:
    assert_refused(main, tmp_path, *given, said=said)
