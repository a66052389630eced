"""Variants, references, axes and registry: published parameter counts, Table 1 of arXiv:1409.4842, torchvision."""

import csv
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

import googlenet
from googlenet import AXES, REFERENCES, VARIANTS, Architecture, build
from googlenet.counts import count_params
from googlenet.references import REFERENCE_CLASSES
from googlenet.registry import ARCHITECTURES, architecture
from googlenet.variants import ROWS, rows

ROOT = Path(__file__).resolve().parents[2]
CLASSES = {"cifar10": 10, "cifar100": 100}
REDUCED = VARIANTS["reduced"]
AUX = REFERENCES["torchvision"].aux

# (reference, auxiliary heads, parameters) at the number of classes of its write-up; for inception-v1 and torchvision
# both counts are published.
REFERENCE_COUNTS = [
    ("bn-aux-224", True, 9_960_638),
    ("plain-224", False, 6_998_552),
    ("plain-cifar", False, 3_494_346),
    ("inception-v1", True, 13_385_816),
    ("inception-v1", False, 7_005_832),
    ("plain-gray", False, 5_977_530),
    ("torchvision", True, 13_004_888),
    ("torchvision", False, 6_624_904),
]
PUBLISHED_CLASSES = {
    "bn-aux-224": 10,
    "plain-224": 1000,
    "plain-cifar": 10,
    "inception-v1": 1000,
    "plain-gray": 10,
    "torchvision": 1000,
}
# The fields that an axis may vary.
AXIS_FIELDS = {
    "branches": {"branches"},
    "modules": {"stages"},
    "components": {field.name for field in fields(Architecture)} - {"stages", "branches", "width"},
    "reduction": {"reduction"},
    "width": {"width"},
    "branch5x5": {"branch5x5"},
    "batch-norm": {"batch_norm", "bn_eps", "bn_eps_5x5"},
    "conv-bias": {"conv_bias"},
    "stem": {"stem"},
    "auxiliary": {"aux"},
    "head": {"head"},
    "dropout": {"dropout"},
    "init": {"init"},
}


def published_counts() -> list[tuple[str, int, int]]:
    """(variant, classes, parameters) from the published table of the 2020 CIFAR ablation."""
    with (ROOT / "ablations" / "analysis" / "published" / "published.csv").open(newline="") as file:
        return [(row["variant"], CLASSES[row["dataset"]], int(row["params"])) for row in csv.DictReader(file)]


def size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def built_size(arch: Architecture, *, num_classes: int) -> int:
    """Parameters of the built network; on the meta device, which has shapes but no memory."""
    with torch.device("meta"):
        return size(build(arch, num_classes=num_classes))


def differences(arch: Architecture) -> set[str]:
    """Fields besides the name in which `arch` differs from `reduced`."""
    names = {field.name for field in fields(Architecture)} - {"name"}
    return {name for name in names if getattr(arch, name) != getattr(REDUCED, name)}


def test_the_published_table_has_each_variant_at_both_class_counts() -> None:
    published = ("naive", "reduced", "long", "short", "short2", "short3", "short4")
    expected = [(variant, classes) for variant in published for classes in CLASSES.values()]
    assert sorted((variant, classes) for variant, classes, _ in published_counts()) == sorted(expected)
    assert len(expected) == 14


@pytest.mark.parametrize(("variant", "num_classes", "params"), published_counts())
def test_variants_have_the_published_parameter_counts(variant: str, num_classes: int, params: int) -> None:
    assert count_params(VARIANTS[variant], num_classes=num_classes) == params
    assert built_size(VARIANTS[variant], num_classes=num_classes) == params


@pytest.mark.parametrize(("branch5x5", "params"), [("5x5", 92_966_356), ("3x3+3x3", 66_404_260)])
def test_other_naive_5x5_branches_miss_the_published_count(branch5x5: str, params: int) -> None:
    # Only one 3x3 convolution gives the published count, so that is what the naive variant must have.
    other = replace(VARIANTS["naive"], branch5x5=branch5x5)
    assert count_params(other, num_classes=100) == params
    assert built_size(other, num_classes=100) == params
    published = {(variant, classes): count for variant, classes, count in published_counts()}
    assert published["naive", 100] == 65_736_148 != params


def test_naive_channels_grow_to_4944() -> None:
    naive = VARIANTS["naive"]
    # Table 1 without the pool projection: each module adds its 1x1, 3x3 and 5x5 columns to its input.
    added = [64 + 128 + 32, 128 + 192 + 96, 192 + 208 + 48, 160 + 224 + 64, 128 + 256 + 64, 112 + 288 + 64]
    added += [256 + 320 + 128, 256 + 320 + 128, 384 + 384 + 128]
    assert [spec.out_channels - spec.in_channels for spec in naive.modules()] == added
    assert naive.feature_channels() == 192 + sum(added) == 4944
    with torch.device("meta"):
        features = build(naive, num_classes=10).trunk[0](torch.empty(1, 192, 32, 32))
    assert features.shape == (1, 4944, 8, 8)


def test_reduced_has_the_output_channels_of_table_1() -> None:
    # arXiv:1409.4842 Table 1, column "output size".
    outputs = [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert [spec.out_channels for spec in REDUCED.modules()] == outputs
    assert [spec.label for spec in REDUCED.modules()] == list(ROWS)
    assert [spec.in_channels for spec in REDUCED.modules()] == [192, *outputs[:-1]]


@pytest.mark.parametrize(("name", "heads", "params"), REFERENCE_COUNTS)
def test_references_have_their_published_parameter_counts(name: str, heads: bool, params: int) -> None:
    arch = REFERENCES[name] if heads else replace(REFERENCES[name], aux=None)
    assert (arch.aux is not None) == heads
    assert count_params(arch, num_classes=PUBLISHED_CLASSES[name]) == params
    assert built_size(arch, num_classes=PUBLISHED_CLASSES[name]) == params


def test_every_reference_has_a_published_count_and_its_number_of_classes() -> None:
    assert {name for name, _, _ in REFERENCE_COUNTS} == set(REFERENCES)
    assert REFERENCE_CLASSES == PUBLISHED_CLASSES


@pytest.mark.parametrize("heads", [False, True])
def test_torchvision_counts_as_many_parameters_itself(heads: bool) -> None:
    arch = replace(REFERENCES["torchvision"], aux=AUX if heads else None)
    with torch.device("meta"):
        theirs = torchvision.models.googlenet(weights=None, aux_logits=heads, init_weights=False, num_classes=1000)
    assert built_size(arch, num_classes=1000) == size(theirs)


@pytest.mark.parametrize("registry", [VARIANTS, REFERENCES, ARCHITECTURES], ids=["variants", "references", "all"])
def test_each_architecture_stands_under_its_own_name(registry: dict[str, Architecture]) -> None:
    assert [arch.name for arch in registry.values()] == list(registry)
    assert [architecture(name) for name in registry] == list(registry.values())


def test_no_name_is_used_twice() -> None:
    # Components and depth put members of other axes and variants together.
    own = [arch for axis in AXES if axis not in ("components", "depth") for arch in AXES[axis]]
    named = [*VARIANTS.values(), *REFERENCES.values(), *own, *AXES["components"], *AXES["depth"]]
    assert len(ARCHITECTURES) == len(set(named)) == len(VARIANTS) + len(REFERENCES) + len(own) + 2


@pytest.mark.parametrize("axis", [axis for axis in AXES if axis != "depth"])
def test_an_axis_changes_one_field_of_reduced(axis: str) -> None:
    for arch in AXES[axis]:
        changed = differences(arch)
        assert len(changed) == 1, f"{arch.name} differs in {sorted(changed)}"
        assert changed <= AXIS_FIELDS[axis]


@pytest.mark.parametrize(
    ("name", "near"),
    [("reducd", "reduced"), ("short_2", "short2"), ("torch-vision", "torchvision"), ("halfwidth", "half-width")],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, near: str) -> None:
    for find in (architecture, lambda unknown: build(unknown, num_classes=10)):
        with pytest.raises(ValueError, match=f"{name!r} is unknown; allowed: naive, .*; did you mean {near!r}"):
            find(name)


def test_a_name_like_no_other_is_refused_without_a_guess() -> None:
    with pytest.raises(ValueError, match="'qqqq' is unknown; allowed: naive, reduced") as caught:
        architecture("qqqq")
    assert "did you mean" not in str(caught.value)


def test_rows_outside_table_1_are_refused() -> None:
    with pytest.raises(ValueError, match="Table 1 row '4f' is unknown; allowed: 3a, 3b"):
        rows("4a 4f")


@pytest.mark.process
def test_only_the_networks_import_torch() -> None:
    code = (
        "import sys\n"
        "from googlenet import VARIANTS, REFERENCES, AXES, Architecture\n"
        "from googlenet.counts import count_params\n"
        "count_params(VARIANTS['reduced'], num_classes=10)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "from googlenet import GoogLeNet, Output, build\n"
        "assert isinstance(build('short2', num_classes=10), GoogLeNet)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_package_has_what_it_lists_and_nothing_by_accident() -> None:
    for name in googlenet.__all__:
        assert getattr(googlenet, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(googlenet, "nonsense")  # noqa: B009 (an attribute access would not type-check)
