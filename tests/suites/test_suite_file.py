"""Suites found by their name, and suite files: what they may hold, and errors that name the file and the key."""

import dataclasses
from pathlib import Path

import pytest

from ablations.errors import ConfigError
from ablations.suites.builtin import SUITES
from ablations.suites.recipe import DIGITS, FAST, PUBLISHED
from ablations.suites.suite import select
from ablations.suites.suite_file import find_suite, read_suite_file
from googlenet import AXES, REFERENCES, VARIANTS, Auxiliary
from googlenet.variants import ROWS

FULL_FILE = """
name = "third-branch"
axis = "the third branch"
varies = ["architecture"]
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
label_smoothing = 0.1
flip = 0.5
crop_padding = 4
cutout = 8
precision = "bf16"

[variant.five]
branch5x5 = "5x5"

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
stages = ["3a", "", "5a 5b"]
"""
HEAD = 'name = "a"\naxis = "b"\nvaries = ["architecture"]\ndataset = "digits"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar", r"suite 'cifar' is unknown; allowed: digits, cifar10, .*; did you mean 'cifar10'\?"),
        ("", r"suite '' is unknown; allowed: "),
        ("../digits", r"suite '\.\./digits' is unknown; .*\.toml"),
    ],
)
def test_an_unknown_suite_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        find_suite(name)
    assert caught.value.exit_status == 2
    assert ".toml" in str(caught.value)


def test_a_suite_file(tmp_path: Path) -> None:
    suite = find_suite(str(write(tmp_path, FULL_FILE)))
    assert (suite.name, suite.axis, suite.dataset) == ("third-branch", "the third branch", "cifar10")
    assert (suite.baseline, suite.seeds, suite.width, suite.limit_train) == ("reduced", 3, 0.25, 5_000)
    assert suite.margin == 0.02
    assert suite.recipe == dataclasses.replace(
        SUITES["digits"].recipe,
        name="quick",
        epochs=2,
        learning_rate=1.0,
        label_smoothing=0.1,
        flip=0.5,
        crop_padding=4,
        cutout=8,
        precision="bf16",
    )
    reduced = VARIANTS["reduced"]
    assert suite.architectures == (
        dataclasses.replace(reduced, name="five", branch5x5="5x5"),
        reduced,
        dataclasses.replace(VARIANTS["long"], name="deep", width=2.0, dropout=0.0),
        dataclasses.replace(reduced, name="heads", aux=Auxiliary(after=("4b",), weight=0.5)),
        dataclasses.replace(REFERENCES["torchvision"], name="no-heads", aux=None),
        dataclasses.replace(reduced, name="shallow", stages=((ROWS["3a"],), (), (ROWS["5a"], ROWS["5b"]))),
    )


def test_the_shortest_suite_file(tmp_path: Path) -> None:
    suite = read_suite_file(
        write(
            tmp_path,
            'name = "a"\naxis = "b"\nvaries = ["architecture"]\ndataset = "digits"\nvariants = ["long", "short"]',
        )
    )
    assert suite.architectures == (VARIANTS["long"], VARIANTS["short"])
    assert (suite.baseline, suite.recipe, suite.seeds, suite.width) == ("long", PUBLISHED, 1, 1.0)


def test_a_file_without_variants_has_those_of_an_axis(tmp_path: Path) -> None:
    text = 'name = "a"\naxis = "branches"\ndataset = "digits"\nseeds = 3\ncontrol = "macs"\nrecipe = "digits"'
    text += "\nlooks = [3, 10]"
    suite = read_suite_file(write(tmp_path, text))
    assert suite.architectures == (VARIANTS["reduced"], *AXES["branches"])
    assert (suite.baseline, suite.varies, suite.control) == ("reduced", ("branches",), "macs")
    assert (suite.recipe, suite.seeds, suite.looks, suite.skip_unfit) == (DIGITS, 3, (3, 10), True)


def test_own_variants_need_no_list_of_names(tmp_path: Path) -> None:
    suite = read_suite_file(
        write(
            tmp_path,
            'name = "a"\naxis = "b"\nvaries = ["architecture"]\ndataset = "digits"\nrecipe = "digits"\n'
            "[variant.thin]\nwidth = 0.5\n[variant.wide]\nwidth = 2.0\n",
        )
    )
    assert [(arch.name, arch.width) for arch in suite.architectures] == [("thin", 0.5), ("wide", 2.0)]
    assert suite.baseline == "thin"
    assert suite.recipe == SUITES["digits"].recipe


def test_rows_of_a_stage_may_be_written_out(tmp_path: Path) -> None:
    row = "{ ch1x1 = 1, ch3x3_reduce = 2, ch3x3 = 3, ch5x5_reduce = 4, ch5x5 = 5, pool_proj = 6 }"
    suite = read_suite_file(
        write(
            tmp_path,
            f'{HEAD}[variant.own]\nstages = [[{row}], "4a", [{row}, {row}]]\n',
        )
    )
    stages = suite.architectures[0].stages
    assert [len(stage) for stage in stages] == [1, 1, 2]
    assert (stages[0][0].ch1x1, stages[0][0].pool_proj, stages[1][0]) == (1, 6, ROWS["4a"])


# (file, what the message says after the file's name).
FILE_ERRORS = [
    # Keys.
    (HEAD + 'variants = ["naive"]\nsedes = 3', "unknown key 'sedes'; allowed: name, axis, .*did you mean 'seeds'"),
    (HEAD + "[variant.own]\nwith = 2", "variant own: unknown key 'with'; .*did you mean 'width'"),
    (HEAD + "[variant.own]\n[variant.own.aux]\nwait = 1", "variant own: aux: unknown key 'wait'"),
    (HEAD + 'variants = ["naive"]\n[recipe]\nepoch = 3', "recipe: unknown key 'epoch'; .*did you mean 'epochs'"),
    ('axis = "b"\nvaries = ["architecture"]\ndataset = "digits"\nvariants = ["naive"]', "the key 'name' is missing"),
    ('name = "a"\ndataset = "digits"\nvariants = ["naive"]', "the key 'axis' is missing"),
    ('name = "a"\naxis = "b"\ndataset = "digits"\nvariants = ["naive"]', "the key 'varies' is missing"),
    ('name = "a"\naxis = "b"\nvaries = []\nvariants = ["naive"]', "the key 'dataset' is missing"),
    # Names of what is known.
    (HEAD + 'variants = ["naiv"]', "'naiv' is unknown; .*did you mean 'naive'"),
    (HEAD + '[variant.own]\nbase = "reducd"', "'reducd' is unknown; .*did you mean 'reduced'"),
    (HEAD + "[variant.own]\nbase = 3", "base 3 is unknown"),
    (HEAD + 'variants = ["naive"]\nrecipe = "publishd"', "'publishd' is unknown; .*did you mean 'published'"),
    (HEAD + 'variants = ["naive"]\n[recipe]\nbase = "digit"', "'digit' is unknown; .*did you mean 'digits'"),
    (HEAD + '[variant.own]\nstages = ["3a", "4f", "5a"]', "'4f' is unknown; allowed: 3a, 3b, 4a"),
    (HEAD.replace("digits", "digit") + 'variants = ["naive"]', "'digit' is unknown; .*did you mean 'digits'"),
    (HEAD + 'variants = ["naive"]\nbaseline = "niave"', "'niave'.*did you mean 'naive'"),
    # Values.
    (HEAD + '[variant.own]\nstem = "cifr"', "variant own: own: stem 'cifr' is unknown; .*did you mean 'cifar'"),
    (HEAD + "[variant.own]\nwidth = 17", "variant own: own: width is 17.0; it must be a number in"),
    (HEAD + "[variant.own]\nwidth = nan", "variant own: own: width is nan"),
    (HEAD + '[variant.own]\nwidth = "wide"', "variant own: width: expected float, found 'wide'"),
    (HEAD + "[variant.own]\nreduction = 0", "variant own: reduction: expected bool, found 0"),
    (HEAD + '[variant.own]\nstages = "3a"', "variant own: stages: expected a list, found '3a'"),
    (HEAD + '[variant.own]\nstages = ["3a", "4a"]', "variant own: own: stages has 2 entries"),
    (HEAD + '[variant.own]\nstages = ["", "4a", "5a"]', "variant own: own: stage 3 has no module"),
    (HEAD + '[variant.own]\nstages = ["3a", ["4a"], "5a"]', r"variant own: stages\[1\]\[0\]: expected a table"),
    (HEAD + '[variant.own]\naux = "nothing"', "variant own: aux: expected a table .*'nothing'"),
    (HEAD + '[variant.own]\naux = { after = ["4f"] }', "variant own: own: auxiliary heads after '4f'"),
    (HEAD + "[variant.own]\naux = { weight = -1 }", "variant own: aux: auxiliary: weight is -1.0"),
    (HEAD + 'variants = ["naive"]\n[recipe]\nepochs = 0', "recipe: recipe custom: epochs is 0"),
    (HEAD + 'variants = ["naive"]\nrecipe = 5', "recipe: expected a table, found 5"),
    (HEAD + 'variants = ["naive"]\n[recipe]\ncutout = 0.5', "recipe: cutout: expected int, found 0.5"),
    (HEAD + 'variants = ["naive"]\n[recipe]\nprecision = "half"', "recipe custom: precision 'half' is unknown"),
    (HEAD + 'variants = ["naive"]\nseeds = 0', "seeds is 0; it must be a whole number of at least 1"),
    (HEAD + 'variants = ["naive"]\nseeds = 1.5', "seeds: expected int, found 1.5"),
    (HEAD + 'variants = ["naive"]\nwidth = true', "width: expected float, found True"),
    (HEAD + 'variants = ["naive"]\nlimit_train = 0', "limit_train is 0; it must be a whole number of at least 1"),
    (HEAD.replace('"a"', "7") + 'variants = ["naive"]', "name: expected str, found 7"),
    (HEAD + 'variants = ["naive"]\nseeds = 10001', "seeds is 10001; it must be a whole number of at most 10000"),
    (HEAD + 'variants = ["naive"]\nlooks = 3', "looks: expected a list, found 3"),
    (HEAD + 'variants = ["naive"]\nlooks = [5, 3]', r"looks is \[5, 3\]; name increasing numbers of seeds"),
    (HEAD + 'variants = ["naive"]\nseeds = [1, 1, 2]', r"seeds: expected int, found \[1, 1, 2\]"),
    (HEAD + f'variants = ["naive"]\nseeds = 0x{"f" * 10_000}', "seeds is a huge int; it must be a whole number of at"),
    (HEAD + '[variant.own.recipe]\nlearning_rate = "1e-3"', "learning_rate: expected float, found '1e-3'"),
    (HEAD + "[variant.own.recipe]\nlearning_rate = nan", r"learning_rate is nan; it must be a number in \(0, 1e\+30\]"),
    (HEAD + f"[variant.own]\nstem_channels = 0x{'f' * 400}", r"whole number below 2\^63"),
    # The axis, and what is declared beside it.
    (HEAD.replace("architecture", "widht") + 'variants = ["naive"]', "varies 'widht' is unknown.*did you mean 'width'"),
    (HEAD + 'variants = ["naive"]\ndeclared = ["recipe.rate"]', "declared 'recipe.rate' is unknown"),
    (HEAD + "[variant.own]\nrecipe = 3", "variant own: recipe: expected a table, found 3"),
    (HEAD + "[variant.own.recipe]\nepoch = 3", "unknown key 'epoch'; .*did you mean 'epochs'"),
    (HEAD + "[variant.own.recipe]\nepochs = 0", "variant own: recipe: recipe published: epochs is 0"),
    # The list of variants.
    (HEAD, "without variants: axis 'b' is unknown; allowed: branches, modules"),
    ('name = "branches-digits"', "name 'branches-digits' belongs to a built-in suite, whose results it would share"),
    ('name = "a"\ndataset = "digits"', "neither variants nor an axis; list variants, or name an axis: branches"),
    ('name = "a"\ndataset = "digits"\naxis = "branch"', "axis 'branch' is unknown; .*did you mean 'branches'"),
    ('name = "a"\ndataset = "digits"\naxis = "depth"\nbaseline = "naive"', "baseline 'naive' is unknown"),
    ('name = "a"\ndataset = "digits"\naxis = "depth"\ncontrol = "flops"', "control 'flops' is unknown; .*params, macs"),
    (HEAD + "variants = []", r"variants is \[\]; give a list with at least one name"),
    (HEAD + 'variants = "naive"', "variants is 'naive'; give a list with at least one name"),
    (HEAD + "variants = [1]", r"variants is \[1\]; give a list with at least one name"),
    (HEAD + 'variants = ["naive", "naive"]', "variant naive is named twice; name it once"),
    (HEAD + 'variants = ["naive"]\n[variant.own]\nwidth = 2', r"\[variant.own\] is not among variants; add it"),
    (HEAD + f'variants = ["{"x" * 10_000}"]', "architecture 'xxxx"),
    (HEAD + "variant = 5", "variant: expected a table, found 5"),
    (HEAD + "variant.own = 5", "variant own: expected a table, found 5"),
    # TOML.
    ("name = a", r"\(at line 1, column 8\)"),
    (HEAD + HEAD, "Cannot overwrite a value"),
    ("[variant", r"Expected .*\(at "),
    (HEAD + 'more = "\x00"', r"Illegal character '\\x00' \(at line"),
    (HEAD + f"more = {'[' * 5_000}", "nested too deeply"),
]


@pytest.mark.parametrize(("text", "message"), FILE_ERRORS, ids=[message for _, message in FILE_ERRORS])
def test_a_suite_file_error_names_the_file_and_the_key(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        find_suite(str(path))
    assert str(caught.value).startswith(f"suite file {path}: ")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2_000
    assert caught.value.exit_status == 2


NAMES = [
    *("../../x", "..", "/etc/x", "a/b", "a\\b", "<script>", "a|b", "=cmd", "+1", "@x", "-x", "_x", "a b", "A", "é"),
    *("", "x" * 65, "a\n", "a\nb", "a\u202eb", "con.txt", "$(x)", "`x`", "a\x00b", "%2e%2e"),
]


def quoted(name: str) -> str:
    """The name as a TOML string."""
    return '"' + "".join(f"\\u{ord(character):04x}" for character in name) + '"'


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_cannot_stand_in_a_path_a_page_and_a_spreadsheet(name: str, tmp_path: Path) -> None:
    said = f"name {name!r} is not usable; use 1-64 of a-z, 0-9, '_' and '-'"
    for what, text in {
        "suite": HEAD.replace('"a"', quoted(name)) + 'variants = ["short4"]',
        "architecture": f"{HEAD}[variant.{quoted(name)}]\nwidth = 0.5\n",
        "recipe": f'{HEAD}variants = ["short4"]\n[recipe]\nname = {quoted(name)}\n',
    }.items():
        with pytest.raises(ConfigError) as caught:
            find_suite(str(write(tmp_path, text)))
        assert f"{what} {said}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x", "0", "a-b_c", "x" * 64])
def test_a_name_that_can(name: str, tmp_path: Path) -> None:
    text = HEAD.replace('"a"', quoted(name)) + 'variants = ["short4"]'
    assert find_suite(str(write(tmp_path, text))).name == name


def test_a_missing_suite_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as caught:
        find_suite(str(tmp_path / "absent.toml"))
    assert str(caught.value).startswith(f"suite file {tmp_path / 'absent.toml'}: ")


def test_a_folder_is_no_suite_file(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(ConfigError, match="directory"):
        find_suite(str(tmp_path / "folder.toml"))


def test_a_suite_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin1.toml"
    path.write_bytes(HEAD.replace("b", "größe").encode("latin1"))
    with pytest.raises(ConfigError, match="utf-8") as caught:
        find_suite(str(path))
    assert str(path) in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_suite_file(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes((HEAD + 'variants = ["naive"]\n').replace("\n", "\r\n").encode("utf-8-sig"))
    assert find_suite(str(path)).name == "a"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin1"])
def test_another_encoding_is_refused_with_how_to_save_it(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(f"# größe\n{HEAD}".encode(encoding))
    with pytest.raises(ConfigError, match=r"suite file .*/mine\.toml: .*UTF-16.*; save it as UTF-8") as caught:
        find_suite(str(path))
    assert "\n" not in str(caught.value) and "\0" not in str(caught.value)


def test_a_suite_file_may_be_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, HEAD + 'variants = ["naive"]\n')
    assert find_suite("~/mine.toml").name == "a"


def test_a_variant_cannot_be_renamed_by_its_table(tmp_path: Path) -> None:
    # The heading is the name; another one inside would be silently without effect.
    with pytest.raises(ConfigError, match="variant own: .*'name'"):
        find_suite(str(write(tmp_path, HEAD + '[variant.own]\nname = "other"')))


def test_a_variants_own_values_are_laid_over_the_suites_recipe(tmp_path: Path) -> None:
    text = (
        'variants = ["naive", "own"]\n[recipe]\nbase = "fast"\nepochs = 3\n'
        "[variant.own]\nwidth = 0.5\n[variant.own.recipe]\nlearning_rate = 1\nbatch_size = 32\n"
    )
    suite = find_suite(str(write(tmp_path, HEAD + text)))
    shared = dataclasses.replace(FAST, name="custom", epochs=3)
    assert suite.recipe_of("naive") == suite.recipe == shared
    assert suite.recipe_of("own") == dataclasses.replace(shared, learning_rate=1.0, batch_size=32)
    assert suite.architectures[1] == dataclasses.replace(VARIANTS["reduced"], name="own", width=0.5)


def test_a_variants_own_values_are_laid_over_the_recipe_that_a_user_chose(tmp_path: Path) -> None:
    suite = find_suite(str(write(tmp_path, HEAD + "[variant.own.recipe]\nlearning_rate = 0.5\n")))
    chosen = select(suite, recipe="digits", epochs=2, precision="bf16")
    assert chosen.recipe_of("own") == dataclasses.replace(DIGITS, epochs=2, precision="bf16", learning_rate=0.5)


@pytest.mark.parametrize("key", ["name", "precision"])
def test_a_variant_has_no_name_or_precision_of_its_own_for_the_recipe(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown key '{key}'; allowed: epochs, "):
        find_suite(str(write(tmp_path, HEAD + f'[variant.own.recipe]\n{key} = "fp32"\n')))


@pytest.mark.parametrize("margin", ["0", "-0.01", "0.6", "nan", "inf"])
def test_a_margin_out_of_range_is_named_with_what_is_allowed(tmp_path: Path, margin: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_suite(str(write(tmp_path, f'{HEAD}variants = ["naive"]\nmargin = {margin}\n')))
    value = float(margin)
    assert f"suite a: margin is {value!r}; it must be a number in (0, 0.5]" in str(caught.value)
