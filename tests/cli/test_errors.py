"""What the user or the machine did wrong: one clear line, an exit status, and nothing written."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ablations.data.archives import ARCHIVES
from ablations.training.step import StepResult, TrainStep
from tests.support.command_line import SMALL, Main

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--suite", "digitz"), "suite 'digitz' is unknown; allowed: digits, cifar10, cifar100, folder, "),
        (("--suite", "../../x"), "suite '../../x' is unknown; allowed: digits"),
        (("--suite", "../../nowhere.toml"), "suite file ../../nowhere.toml: "),
        (("--variants", "short5"), "did you mean 'short"),
        (("--variants", ""), "no variant; name at least one"),
        (("--variants", ","), "no variant; name at least one"),
        (("--epochs", str(2**70)), "it must be a whole number below 2^63"),
        (("--engine", "graph"), "--engine graph needs a GPU, and the device is cpu; use eager, compile or auto"),
        (("--runs-per-gpu", "2"), "--runs-per-gpu is 2; use 1 or more on a GPU and 1 elsewhere"),
        (("--runs-per-gpu", "0"), "--runs-per-gpu is 0; use 1 or more on a GPU and 1 elsewhere"),
        (("--cpus-per-run", "2"), "--cpus-per-run has no effect without --executor ray; give both"),
        (("--ray-address", "auto"), "--ray-address has no effect without --executor ray; give both"),
        (("--executor", "ray", "--cpus-per-run", "0"), "--cpus-per-run is 0; use 1 or more"),
        (("--limit-train", "99999"), "1,437 training images"),
        (("--limit-train", "9"), "--limit-train 9 is less than the 10 classes; use at least one image a class"),
        (("--report", "--seeds", "3"), "--seeds has no effect with --report; it goes with --compare-with, "),
        (("--report", "--suite", "../x"), "suite '../x' has no plan.json in "),
        (("--suite", "~nosuchuser/x.toml"), "suite file ~nosuchuser/x.toml: this user has no home folder here"),
        (("--image-size", "32"), "--image-size 32 goes with --suite folder or --dataset folder only"),
        (("--resume", "--fresh"), "exclude each other"),
        (("--plan", "--report"), "exclude each other"),
        (("--report",), "run the suite first"),
        (("--variants", "imagenet-stem"), "too small"),
        (("--variants", "bn-aux-224"), "set resize = 224 in the recipe or train it with --recipe bn-aux-adam"),
        (("--variants", "plain-gray", "--recipe", "bn-aux-adam"), "set grayscale = true in the recipe"),
        (("--variants", "short4", "--limit-train", "100", "--keep-epochs", "9"), "keep_epochs is 9"),
        (("--seed-list", "80,x"), "--seed-list is '80,x'; give whole numbers with commas between them, as in 80,81"),
        (("--seed-list", "80", "--seeds", "2"), "--seeds and --seed-list exclude each other"),
        (("--looks", "3;5"), "--looks is '3;5'; give whole numbers with commas between them"),
        (
            ("--looks", "5,3"),
            "suite digits: looks is [5, 3]; name increasing numbers of seeds, each once, as in 3,5,10",
        ),
        (("--until-settled", "--plan"), "--until-settled has no effect with --plan; it goes with every flag but"),
        (("--dataset", "fmnist"), "dataset 'fmnist' is unknown; allowed: digits, "),
        (("--log-every", "-1"), "--log-every is -1; use 1 or more steps"),
        (("--compare-with", "nosuch"), "nosuch/plan.json is not there"),
        (("--compare-with", "digits"), "the suite itself"),
        (("--compare-with", "../../elsewhere"), "--compare-with name '../../elsewhere' is not usable"),
        (("--compare-with", "No Such"), "--compare-with name 'No Such' is not usable"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_arguments_are_one_clear_line_and_nothing_is_written(
    main: Main, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    status, out, err = main(*given)
    assert (status, out) == (2, "")
    assert said in err
    assert err.startswith("error: ") and err.count("\n") == 1 and len(err) < 2_000
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "given",
    [
        *(("--suit", "x"), ("--seeds", "two"), ("--device", "tpu")),
        *(("--precision", "fp16"), ("--engine", "triton"), ("--executor", "slurm"), ("--runs-per-gpu", "many")),
    ],
    ids=" ".join,
)
def test_unknown_flags_and_wrong_types_end_with_2(main: Main, given: tuple[str, ...]) -> None:
    status, _, err = main(*given)
    assert status == 2
    assert given[1] in err and "Traceback" not in err


def test_a_suite_file_that_cannot_be_used_is_one_clear_line(main: Main, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\naxis = "b"\nvaries = []\ndataset = "digits"\nsedes = 3\n', encoding="utf-8")
    status, out, err = main("--suite", str(path))
    assert (status, out) == (2, "")
    assert err.startswith(f"error: suite file {path}: unknown key 'sedes'") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


def test_costs_can_be_planned_before_the_data_is_there(main: Main, tmp_path: Path) -> None:
    status, out, _ = main("--suite", "cifar100", "--data-dir", str(tmp_path / "data"), "--plan")
    assert status == 0
    assert "65,736,148" in out
    assert not list(tmp_path.iterdir())


def test_a_damaged_archive_ends_with_4(main: Main, tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"not an archive")
    status, _, err = main("--suite", "cifar10", "--data-dir", str(tmp_path))
    assert status == 4
    assert hashlib.md5(b"not an archive").hexdigest() in err
    assert ARCHIVES["cifar10"].files[0].md5 in err


def test_a_failed_run_is_reported_and_the_others_finish(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = TrainStep.step

    def fail_short3(trainer: TrainStep, images: Tensor, labels: Tensor) -> StepResult:
        if trainer.model.arch.name == "short3":
            raise torch.OutOfMemoryError("out of memory on purpose")
        return step(trainer, images, labels)

    monkeypatch.setattr(TrainStep, "step", fail_short3)
    status, out, _ = main(*SMALL)
    assert status == 3
    assert "oom: out of memory on purpose" in out
    text = (tmp_path / "digits" / "report.md").read_text(encoding="utf-8")
    assert re.search(r"`digits-short3-s1-[0-9a-f]{8}` oom after 0 of 1 epochs: out of memory on purpose", text)
    assert "| short4 | 1 |" in text


def test_a_report_that_cannot_be_written_ends_the_command_before_any_run(main: Main, tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "figures").write_text("in the way")
    status, out, err = main(*SMALL)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: a report cannot be written in {tmp_path / 'digits'} (") and err.count("\n") == 1
    assert not (tmp_path / "digits" / "runs").exists()


def test_a_suite_file_of_many_cells_needs_consent(main: Main, tmp_path: Path) -> None:
    path = tmp_path / "many.toml"
    widths, dropouts = ([number / 16 for number in range(1, 10)], [number / 10 for number in range(8)])
    path.write_text(
        f'name = "many"\ndataset = "digits"\nrecipe = "digits"\n[factors]\nwidth = {widths}\ndropout = {dropouts}\n'
    )
    refused = main("--suite", str(path), "--plan")
    assert refused.status == 2 and "the factors have 72 cells, more than 64" in refused.err
    assert "--yes" in refused.err and len(refused.err.splitlines()) == 1
    assert main("--suite", str(path), "--plan", "--yes").status == 0
    assert "has no plan.json" in main("--suite", str(path), "--report").err, "a report needs no consent"
